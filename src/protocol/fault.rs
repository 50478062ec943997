//! Describes what is wrong with a message, where, and whom to tell.

use std::borrow::Cow;

use super::field::{BodyIs, MessageFields};
use super::{Envelope, ReturnAddress};

/// Why a line, or several, form no message. Repeats none of their content, because it may contain a session id.
#[derive(Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// The lines are not JSON.
    NotJson {
        /// What was expected or found.
        why: String,
        /// Where the fault is.
        place: Place,
    },
    /// The lines are JSON, but not an object.
    NotAnObject,
    /// The lines contain bytes that are not UTF-8, or NUL bytes.
    NotText(Place),
    /// The lines contain neither a sender and a receiver nor a bare body.
    NoSender,
    /// The lines are longer than this number of bytes.
    TooLong(usize),
}

/// A place in a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line, counted from 0 at the beginning of the message.
    pub line: usize,
    /// The byte within the line, counted from 1.
    pub byte: usize,
}

impl Unreadable {
    /// Describes the fault of a message whose first line has the number `first_line`.
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
                format!("longer than {bytes} bytes, which is the limit of a message")
            }
        };
        format!("line {first_line}: {what}")
    }
}

/// Replaces bytes that are not text.
pub(super) const REPLACEMENT: &str = "\u{FFFD}";

/// A fault, and the part of the return address that could be read.
pub struct Fault<'a> {
    /// What is wrong.
    pub reason: Unreadable,
    /// Whom to tell; `None` if the message is a reply, which is never answered.
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

    /// Removes names that were repaired: a name that was not intact could address nobody, or another peer.
    pub(super) fn without_repaired_names(mut self) -> Self {
        if let Some(address) = &mut self.return_address {
            let is_intact = |envelope: &Envelope<'_>| {
                !envelope.src.contains(REPLACEMENT) && !envelope.dest.contains(REPLACEMENT)
            };
            address.envelope = address.envelope.take().filter(is_intact);
        }
        self
    }

    pub(super) fn into_owned(self) -> Fault<'static> {
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
