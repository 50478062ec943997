//! Decodes the bytes of a message into a request. Decoding is total: any bytes are either a message, or a fault that
//! says what is wrong and whom to tell. A peer that forgot to encode a value thus gets an error instead of waiting for
//! a reply.

use serde::de::IgnoredAny;

use super::fault::{Fault, Place, REPLACEMENT, Unreadable};
use super::field::{BodyIs, MessageFields, fields_before_fault};
use super::message::read_message;
use super::{Incoming, plain, strict};
use crate::session::Policy;

/// Decodes one message, on one line or several, without its last line ending. If `is_strict`, a request with a field
/// that it does not know is malformed.
///
/// # Errors
///
/// If the bytes are no message. A malformed request within a readable message is reported in the message's `request`.
pub fn decode<'a>(
    bytes: &'a [u8],
    policy: &Policy,
    is_strict: bool,
) -> Result<Incoming<'a>, Fault<'a>> {
    let mut fields = MessageFields::default();
    let text = str::from_utf8(bytes).ok();
    match text.and_then(|text| read_fields(text, &mut fields).map(|()| text)) {
        Some(text) if is_strict => strict::check(read_message(&fields, policy), &fields, text),
        Some(_) => read_message(&fields, policy),
        None => explain(bytes, policy),
    }
}

/// Reads a message whose body, if any, is an object into `fields`, which must be empty. The plain reader goes first.
/// Returns `None` for any other message, and may then have added fields.
fn read_fields<'a>(text: &'a str, fields: &mut MessageFields<'a>) -> Option<()> {
    plain::read_into(text, fields).or_else(|| {
        *fields = MessageFields::default();
        fields.read_general(text)
    })
}

/// Reads what the readers above could not: a message whose body is no object, or a fault.
#[cold]
fn explain<'a>(bytes: &'a [u8], policy: &Policy) -> Result<Incoming<'a>, Fault<'a>> {
    match str::from_utf8(bytes) {
        Ok(text) if memchr::memchr(b'\0', bytes).is_none() => match MessageFields::read_any(text) {
            Ok(message) => read_message(&message, policy),
            Err(_) => Err(Fault::of(
                explain_no_object(text),
                &fields_before_fault(text),
            )),
        },
        _ => explain_repaired(bytes),
    }
}

/// As [`explain`], for bytes that are not UTF-8 or contain NUL, which JSON forbids in strings. U+FFFD replaces them.
fn explain_repaired<'a>(bytes: &[u8]) -> Result<Incoming<'a>, Fault<'a>> {
    let text = repair(bytes);
    let no_text = find_non_text(bytes);
    let fault = if let Ok(message) = MessageFields::read_any(&text) {
        let fault = Fault::of(Unreadable::NotText(no_text), &message);
        if fault.return_address.is_none() {
            return Ok(Incoming::Reply {
                is_bare: message.body_is == BodyIs::Absent,
            });
        }
        fault
    } else {
        let reason = match explain_no_object(&text) {
            // After the replaced bytes, places in the repaired text differ from those in `bytes`.
            Unreadable::NotJson { place, .. } if no_text < place => Unreadable::NotText(no_text),
            reason => reason,
        };
        Fault::of(reason, &fields_before_fault(&text))
    };
    Err(fault.without_repaired_names().into_owned())
}

/// The text that is nearest to `bytes`.
fn repair(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).replace('\0', REPLACEMENT)
}

/// Makes the fault of an over-long message, with as much of its return address as its `beginning` contains.
#[cold]
pub fn decode_beginning(beginning: &[u8], max_bytes: usize) -> Fault<'static> {
    let text = repair(beginning);
    // The cut may have shortened a number.
    let intact = text.trim_end_matches(|last: char| last.is_ascii_digit());
    let fault = Fault::of(Unreadable::TooLong(max_bytes), &fields_before_fault(intact));
    fault.without_repaired_names().into_owned()
}

/// Whether a line by itself is a complete object with a `body` or a `type`.
pub fn is_whole(line: &[u8]) -> bool {
    MessageFields::read_any(&repair(line))
        .is_ok_and(|message| message.body_is != BodyIs::Absent || !message.body.kind.is_absent())
}

/// Why `text` cannot be read as an object. Only the grammar decides, over the whole text: the first byte may show that
/// the text is no object, but later bytes may show that it is not even JSON.
fn explain_no_object(text: &str) -> Unreadable {
    let Err(error) = serde_json::from_str::<IgnoredAny>(text) else {
        return Unreadable::NotAnObject;
    };
    let text = error.to_string();
    let why = text.split(" at line ").next().unwrap_or_default();
    Unreadable::NotJson {
        why: why.to_owned(),
        place: Place {
            line: error.line().saturating_sub(1),
            byte: error.column(),
        },
    }
}

/// Finds the first byte that is not UTF-8, or is NUL.
fn find_non_text(bytes: &[u8]) -> Place {
    let text = str::from_utf8(bytes).map_or_else(|error| error.valid_up_to(), str::len);
    let at = memchr::memchr(b'\0', &bytes[..text]).unwrap_or(text);
    let before = &bytes[..at];
    Place {
        line: memchr::memchr_iter(b'\n', before).count(),
        byte: at - memchr::memrchr(b'\n', before).map_or(0, |end| end + 1) + 1,
    }
}
