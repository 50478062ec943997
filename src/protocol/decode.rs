//! From the bytes of a message to a request. Total: whatever the bytes are, they are a message, or a fault that says
//! what is wrong with them and whom to tell. A peer that forgot to encode a value should hear of it, rather than wait
//! for a reply.

use serde::de::IgnoredAny;

use super::fault::{Fault, Place, REPLACEMENT, Unreadable};
use super::field::{BodyIs, MessageFields, before_fault};
use super::message::read_message;
use super::{Incoming, Limits, plain, strict};

/// Reads one message, on one line or over several, without its last line ending.
///
/// # Errors
///
/// When it is no message. What is wrong with a message that can be read otherwise stands in its request.
pub fn decode<'a>(bytes: &'a [u8], limits: &Limits) -> Result<Incoming<'a>, Fault<'a>> {
    let mut fields = MessageFields::default();
    let text = str::from_utf8(bytes).ok();
    match text.and_then(|text| read_fields(text, &mut fields).map(|()| text)) {
        Some(text) if limits.strict => strict::check(read_message(&fields, limits), &fields, text),
        Some(_) => read_message(&fields, limits),
        None => explain(bytes, limits),
    }
}

/// Reads a message whose body, if it has one, is an object, into `fields`, which have to be empty: the short way where
/// it is of the plain form. None, with something in them, when it is anything else.
fn read_fields<'a>(text: &'a str, fields: &mut MessageFields<'a>) -> Option<()> {
    plain::read_into(text, fields).or_else(|| {
        *fields = MessageFields::default();
        fields.read_general(text)
    })
}

/// Reads what the usual way could not: a message whose body is no object, or a fault.
#[cold]
fn explain<'a>(bytes: &'a [u8], limits: &Limits) -> Result<Incoming<'a>, Fault<'a>> {
    match str::from_utf8(bytes) {
        Ok(text) if memchr::memchr(b'\0', bytes).is_none() => match MessageFields::read_any(text) {
            Ok(message) => read_message(&message, limits),
            Err(_) => Err(Fault::of(not_an_object(text), &before_fault(text))),
        },
        _ => explain_repaired(bytes),
    }
}

/// As [`explain`], of bytes that are no text, or that hold NUL, which JSON does not allow in a string: U+FFFD takes
/// their place.
fn explain_repaired<'a>(bytes: &[u8]) -> Result<Incoming<'a>, Fault<'a>> {
    let text = repaired(bytes);
    let no_text = first_that_is_no_text(bytes);
    let fault = if let Ok(message) = MessageFields::read_any(&text) {
        let fault = Fault::of(Unreadable::NotText(no_text), &message);
        if fault.return_address.is_none() {
            return Ok(Incoming::Reply {
                is_bare: message.body_is == BodyIs::Absent,
            });
        }
        fault
    } else {
        let reason = match not_an_object(&text) {
            // From there on, places in the repaired text are others.
            Unreadable::NotJson { place, .. } if no_text < place => Unreadable::NotText(no_text),
            reason => reason,
        };
        Fault::of(reason, &before_fault(&text))
    };
    Err(fault.without_repaired_names().into_owned())
}

/// The text that is nearest to `bytes`.
fn repaired(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).replace('\0', REPLACEMENT)
}

/// What is wrong with a message that is too long, and whom to tell as far as its `beginning` says so.
#[cold]
pub fn decode_beginning(beginning: &[u8], max_bytes: usize) -> Fault<'static> {
    let text = repaired(beginning);
    // The cut may have gone through a number.
    let intact = text.trim_end_matches(|last: char| last.is_ascii_digit());
    let fault = Fault::of(Unreadable::TooLong(max_bytes), &before_fault(intact));
    fault.without_repaired_names().into_owned()
}

/// Whether a line is by itself a whole object with a `body` or a `type`.
pub fn is_whole(line: &[u8]) -> bool {
    MessageFields::read_any(&repaired(line))
        .is_ok_and(|message| message.body_is != BodyIs::Absent || !message.body.kind.is_absent())
}

/// Why `text` cannot be read as an object. Judged by the grammar alone, over the whole text: that it is no object shows
/// at its first byte, and behind that it may not be JSON either.
fn not_an_object(text: &str) -> Unreadable {
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

/// Where the first byte stands that is not UTF-8, or NUL.
fn first_that_is_no_text(bytes: &[u8]) -> Place {
    let text = str::from_utf8(bytes).map_or_else(|error| error.valid_up_to(), str::len);
    let at = memchr::memchr(b'\0', &bytes[..text]).unwrap_or(text);
    let before = &bytes[..at];
    Place {
        line: memchr::memchr_iter(b'\n', before).count(),
        byte: at - memchr::memrchr(b'\n', before).map_or(0, |end| end + 1) + 1,
    }
}
