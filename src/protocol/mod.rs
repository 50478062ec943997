//! The wire: a JSON object a message, in and out. Bytes become typed [`Request`]s in [`decode()`], and
//! typed [`Reply`]s become bytes in [`encode()`]. Knows no store and no rule of a session's life.

mod decode;
mod encode;
mod fault;
mod field;
mod message;
mod nesting;
mod plain;
mod strict;

use std::borrow::Cow;

pub use decode::{decode, decode_beginning, is_whole};
pub use encode::encode;
pub use fault::Fault;
#[cfg(feature = "testing")]
pub use fault::{Place, Unreadable};
pub use nesting::{Nesting, Progress};

use crate::authority::Stats;
use crate::id::SessionId;
use crate::session::{Handle, Lifetime, Timestamp};
use crate::store::Operation;

/// The form in which requests are answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReplyFormat {
    /// As they came: an envelope with an envelope, a bare body with a bare body.
    #[default]
    Envelope,
    /// Every request with a bare body.
    Body,
}

/// What a peer sends.
pub enum Incoming<'a> {
    /// A message that is to be answered.
    Request(Message<'a>),
    /// Somebody's reply, which asks for nothing.
    Reply {
        /// Whether it came without an envelope.
        is_bare: bool,
    },
}

/// What a message asks, and whom to answer.
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

impl ReturnAddress<'_> {
    /// Whether the request came without an envelope, or its envelope could not be read.
    pub fn is_bare(&self) -> bool {
        self.envelope.is_none()
    }

    /// The JSON text of the sender's name.
    pub fn src_json(&self) -> Option<&str> {
        Some(&self.envelope.as_ref()?.src)
    }
}

/// A request, checked in form: what it asks may still turn out not to exist.
#[derive(PartialEq, Eq)]
pub enum Request<'a> {
    /// Maelstrom's greeting.
    Init,
    /// Maelstrom's `echo` workload: any JSON, to be sent back.
    Echo {
        /// Compact JSON.
        json: Cow<'a, str>,
    },
    /// Something that is to be done to sessions.
    Sessions(Operation<'a, ()>),
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
        /// When it ends.
        expires_at: Timestamp,
    },
    /// A session is live.
    SessionValid {
        /// Whose it is.
        user_id: &'a str,
        /// When it ends if it is not used again.
        expires_at: Timestamp,
        /// What is kept in it: a JSON object.
        data: Option<&'a str>,
    },
    /// A session is live, but its user has to authenticate again.
    ReauthenticationRequired {
        /// Whose it is.
        user_id: &'a str,
        /// How many seconds ago they did, rounded up.
        auth_age: u64,
    },
    /// No live session has the id that was presented.
    SessionInvalid,
    /// A session has a new id.
    SessionRegenerated {
        /// The one copy of its id.
        new_session_id: &'a SessionId,
    },
    /// What is kept in a session was replaced.
    SessionUpdated,
    /// A user's sessions.
    SessionList {
        /// Oldest first.
        sessions: Vec<ListedSession<'a>>,
        /// Whether there are more.
        more: bool,
    },
    /// A session has ended, or had already.
    SessionDestroyed,
    /// A user's sessions have ended.
    UserSessionsDestroyed {
        /// How many there were.
        count: u64,
    },
    /// Everybody's sessions have ended.
    AllSessionsDestroyed {
        /// How many there were.
        count: u64,
    },
    /// Counts.
    Stats(Stats),
    /// The request was not carried out.
    Error(Cow<'a, Error>),
}

/// A session in a list.
pub struct ListedSession<'a> {
    /// Its name for showing.
    pub handle: Handle,
    /// Its times.
    pub lifetime: Lifetime,
    /// What is kept in it: a JSON object.
    pub data: Option<&'a str>,
    /// Whether it is the asker's own.
    pub is_current: bool,
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

    pub(crate) fn malformed(text: impl Into<Cow<'static, str>>) -> Self {
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
