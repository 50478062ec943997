//! What is wrong with what a peer sent, where, and whom to tell: a peer that forgot to encode a value should hear of
//! it, rather than wait for a reply.

use std::borrow::Cow;

use serde::de::IgnoredAny;

use super::decode::read_message;
use super::field::{BodyIs, MessageFields, before_fault};
use super::{Envelope, Incoming, Limits, ReturnAddress};

/// Why a line, or several, are no message. Repeats nothing of what they hold, since that may be a session id.
#[derive(Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// They are not JSON.
    NotJson {
        /// What was expected, or what was there.
        why: String,
        /// Where.
        place: Place,
    },
    /// They are JSON, but not an object.
    NotAnObject,
    /// They hold bytes that are not UTF-8, or NUL bytes.
    NotText(Place),
    /// They say neither who sent them and to whom, nor are they a bare body.
    NoSender,
    /// They are longer than this number of bytes.
    TooLong(usize),
}

/// A place in a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line, counted from the one on which the message begins, which is 0.
    line: usize,
    /// The byte of that line, counted from 1.
    byte: usize,
}

impl Unreadable {
    /// The fault in words, for a message that begins on the line of this number.
    pub fn describe(&self, first_line: u64) -> String {
        let at = |place: &Place| match place.line {
            0 => format!("at byte {} of the line", place.byte),
            line => format!(
                "at byte {} of line {}",
                place.byte,
                first_line + line as u64
            ),
        };
        let what = match self {
            Self::NotJson { why, place } => format!("not JSON: {why} {}", at(place)),
            Self::NotAnObject => "not a message: expected a JSON object".to_owned(),
            Self::NotText(place) => {
                format!(
                    "every string must be UTF-8, without NUL bytes: it is not {}",
                    at(place)
                )
            }
            Self::NoSender => {
                "neither a message nor a bare body: expected \"src\" and \"dest\", each a string \
                               given once, or a \"type\" and no \"body\""
                    .to_owned()
            }
            Self::TooLong(bytes) => {
                format!("longer than {bytes} bytes, which is what --max-line-bytes allows")
            }
        };
        format!("line {first_line}: {what}")
    }
}

/// A fault, and as much of a return address as could be read.
pub struct Fault<'a> {
    /// What is wrong.
    pub reason: Unreadable,
    /// Whom to tell; none when it was somebody's reply that is at fault, which is never answered.
    pub return_address: Option<ReturnAddress<'a>>,
}

impl<'a> Fault<'a> {
    pub(super) fn of(reason: Unreadable, message: &MessageFields<'a>) -> Self {
        let envelope = match (message.src.string_json(), message.dest.string_json()) {
            (Some(src), Some(dest)) => Some(Envelope {
                src: Cow::Borrowed(src),
                dest: Cow::Borrowed(dest),
            }),
            _ => None,
        };
        let body = Some(&message.body).filter(|_| message.body_is != BodyIs::Repeated);
        let msg_id = body.and_then(|body| body.msg_id.integer_json());
        let is_reply = !message.body.in_reply_to.is_absent();
        Self {
            reason,
            return_address: (!is_reply).then(|| ReturnAddress {
                envelope,
                msg_id: msg_id.map(Cow::Borrowed),
            }),
        }
    }

    /// For a text that was repaired: a name that was not intact leads to nobody, or to somebody else.
    fn without_repaired_names(mut self) -> Self {
        if let Some(address) = &mut self.return_address {
            let is_intact = |envelope: &Envelope<'_>| {
                !envelope.src.contains(REPLACEMENT) && !envelope.dest.contains(REPLACEMENT)
            };
            address.envelope = address.envelope.take().filter(is_intact);
        }
        self
    }

    fn into_owned(self) -> Fault<'static> {
        Fault {
            reason: self.reason,
            return_address: self.return_address.map(ReturnAddress::into_owned),
        }
    }
}

impl ReturnAddress<'_> {
    fn into_owned(self) -> ReturnAddress<'static> {
        let owned = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        ReturnAddress {
            envelope: self.envelope.map(|envelope| Envelope {
                src: owned(envelope.src),
                dest: owned(envelope.dest),
            }),
            msg_id: self.msg_id.map(owned),
        }
    }
}

/// Stands where bytes were not text.
const REPLACEMENT: &str = "\u{FFFD}";

/// Reads what the usual way could not: a message whose body is no object, or a fault.
#[cold]
pub(super) fn explain<'a>(bytes: &'a [u8], limits: &Limits) -> Result<Incoming<'a>, Fault<'a>> {
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
