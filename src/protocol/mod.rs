//! The wire: one JSON object a line, in and out. Bytes become typed [`Request`]s in [`decode()`], and
//! typed [`Reply`]s become bytes in [`encode()`]. Knows no store and no rule of a session's life.

mod decode;
mod encode;
mod field;
mod plain;

use std::borrow::Cow;

pub use decode::{Unanswerable, decode};
pub use encode::encode;

use crate::id::SessionId;

/// The form in which requests are answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReplyFormat {
    /// As they came: an envelope with an envelope, a bare body with a bare body.
    #[default]
    Envelope,
    /// Every request with a bare body.
    Body,
}

/// What a line asks, and whom to answer.
pub struct Message<'a> {
    /// How to address the reply.
    pub return_address: ReturnAddress<'a>,
    /// The request, or why it is none.
    pub request: Result<Request<'a>, Error>,
}

/// What of a message a reply needs, to find its way to the request. Kept as the JSON text that came, so that
/// it goes back unchanged.
pub struct ReturnAddress<'a> {
    /// The request's sender and receiver; none when it came without an envelope.
    envelope: Option<Envelope<'a>>,
    /// The request's number; none when it had none, or none that can be read.
    msg_id: Option<Cow<'a, str>>,
}

struct Envelope<'a> {
    src: Cow<'a, str>,
    dest: Cow<'a, str>,
}

/// A request, checked in form: what it asks may still turn out not to exist. Not `Debug`, since it holds ids:
///
/// ```compile_fail,E0277
/// fn shown<T: std::fmt::Debug>() {}
/// shown::<session_node::protocol::Request<'static>>();
/// ```
#[derive(PartialEq, Eq)]
pub enum Request<'a> {
    /// Maelstrom's greeting.
    Init,
    /// Maelstrom's `echo` workload: any JSON, to be sent back.
    Echo {
        /// Compact JSON.
        json: Cow<'a, str>,
    },
    /// Begin a session.
    CreateSession {
        /// Whose.
        user_id: Cow<'a, str>,
    },
    /// Ask whose session this is.
    ValidateSession {
        /// The id that was presented: a secret.
        session_id: Cow<'a, str>,
    },
    /// Give a session a new id, and end the old one.
    RegenerateSession {
        /// The id that was presented: a secret.
        old_session_id: Cow<'a, str>,
    },
    /// End a session.
    DestroySession {
        /// The id that was presented: a secret.
        session_id: Cow<'a, str>,
    },
}

/// A reply.
pub enum Reply<'a> {
    /// To `init`.
    InitOk,
    /// To `echo`.
    EchoOk {
        /// Compact JSON.
        json: &'a str,
    },
    /// A session began.
    SessionCreated {
        /// The one copy of its id.
        session_id: &'a SessionId,
        /// When it ends, in Unix seconds.
        expires_at: u64,
    },
    /// A session is live.
    SessionValid {
        /// Whose it is.
        user_id: &'a str,
        /// Seconds until it ends if it is not used again, rounded up.
        expires_in: u64,
    },
    /// No live session has the id that was presented.
    SessionInvalid,
    /// A session has a new id.
    SessionRegenerated {
        /// The one copy of its id.
        new_session_id: &'a SessionId,
    },
    /// A session has ended, or had already.
    SessionDestroyed,
    /// The request was not carried out.
    Error(Cow<'a, Error>),
}

/// Why a request was not carried out: a code that programs read and a sentence that people read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// One of Maelstrom's error codes.
    pub code: ErrorCode,
    /// Names the request, the field and what it must be. Never repeats a value of the request, which could
    /// be a session id.
    pub text: Cow<'static, str>,
}

impl Error {
    /// An error of this `code` that says `text`.
    pub fn new(code: ErrorCode, text: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            text: text.into(),
        }
    }

    fn malformed(text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorCode::MalformedRequest, text)
    }
}

/// The error codes of Maelstrom's protocol that this node uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorCode {
    /// The node does not know this type of request.
    NotSupported = 10,
    /// The request surely had no effect; it may succeed later.
    TemporarilyUnavailable = 11,
    /// The request is not of the form that its type asks for.
    MalformedRequest = 12,
    /// The store failed, and the request may have taken effect.
    Crash = 13,
}
