//! Translates between the wire and typed values: [`decode()`] turns bytes into a [`Request`], and [`encode()`] turns a
//! [`Reply`] into bytes. Each message is one JSON object. The module knows no store and no rules.

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

/// The form of the replies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReplyFormat {
    /// The form of the request: an envelope gets an envelope, a bare body gets a bare body.
    #[default]
    Envelope,
    /// Always a bare body.
    Body,
}

/// A readable message from a peer.
pub enum Incoming<'a> {
    /// A message that gets a reply.
    Request(Message<'a>),
    /// A reply, which the node never answers.
    Reply {
        /// Whether the reply came without an envelope.
        is_bare: bool,
    },
}

/// A request, and where its reply goes.
pub struct Message<'a> {
    /// The address of the reply.
    pub return_address: ReturnAddress<'a>,
    /// The request, or the error if it is malformed or of an unknown type.
    pub request: Result<Request<'a>, Error>,
}

/// The parts of a message that lead its reply back to the sender. They keep their JSON text, so that the reply repeats
/// them unchanged.
pub struct ReturnAddress<'a> {
    /// The sender and the receiver; `None` if the message has no envelope, or none that can be read.
    envelope: Option<Envelope<'a>>,
    /// The message's number; `None` if it has none, or none that can be read.
    msg_id: Option<Cow<'a, str>>,
}

struct Envelope<'a> {
    src: Cow<'a, str>,
    dest: Cow<'a, str>,
}

impl ReturnAddress<'_> {
    /// Whether the message has no envelope, or none that can be read.
    pub fn is_bare(&self) -> bool {
        self.envelope.is_none()
    }

    /// The JSON text of the sender's name.
    pub fn src_json(&self) -> Option<&str> {
        Some(&self.envelope.as_ref()?.src)
    }
}

/// A well-formed request. The session that it names may still not exist.
#[derive(PartialEq, Eq)]
pub enum Request<'a> {
    /// `init`, which Maelstrom sends first.
    Init,
    /// `echo`, a workload of Maelstrom: the reply returns the JSON.
    Echo {
        /// The JSON of the request's `echo`, made compact.
        json: Cow<'a, str>,
    },
    /// A request about sessions.
    Sessions(Operation<'a, ()>),
}

/// A reply.
pub enum Reply<'a> {
    /// The reply to `init`.
    InitOk,
    /// The reply to `echo`.
    EchoOk {
        /// The JSON of the request's `echo`, made compact.
        json: &'a str,
    },
    /// The session was created.
    SessionCreated {
        /// The only copy of the session's id.
        session_id: &'a SessionId,
        /// When the session ends if it is not used again.
        expires_at: Timestamp,
    },
    /// The session is live and meets the conditions.
    SessionValid {
        /// The name of the session's user.
        user_id: &'a str,
        /// When the session ends if it is not used again.
        expires_at: Timestamp,
        /// The application's data: a JSON object.
        data: Option<&'a str>,
    },
    /// The session is live, but its user must authenticate again.
    ReauthenticationRequired {
        /// The name of the session's user.
        user_id: &'a str,
        /// How many seconds ago the user authenticated, rounded up.
        auth_age: u64,
    },
    /// No live session has the presented id, or the binding is wrong.
    SessionInvalid,
    /// The session has a new id.
    SessionRegenerated {
        /// The only copy of the new id.
        new_session_id: &'a SessionId,
    },
    /// The session has its new data.
    SessionUpdated,
    /// The sessions of a user.
    SessionList {
        /// The sessions, in the order that the request asked for.
        sessions: Vec<ListedSession<'a>>,
        /// If more sessions follow: the cursor that continues the list.
        next: Option<&'a str>,
    },
    /// The users.
    UserList {
        /// Users who have live sessions.
        users: Vec<ListedUser<'a>>,
        /// If more users may follow: the cursor that continues the list.
        next: Option<&'a str>,
    },
    /// The session has ended, or no such session was live.
    SessionDestroyed {
        /// Whether one ended by this, if the peer wants to know.
        ended: Option<bool>,
    },
    /// All sessions of the user have ended, except one that the request may have kept.
    UserSessionsDestroyed {
        /// How many live sessions ended.
        count: u64,
    },
    /// All sessions of all users have ended.
    AllSessionsDestroyed {
        /// How many live sessions ended.
        count: u64,
    },
    /// The counts of the store and of the node.
    Stats(Stats),
    /// The request failed or was refused.
    Error(Cow<'a, Error>),
}

/// A session in a list.
pub struct ListedSession<'a> {
    /// The session's handle, which is safe to display.
    pub handle: Handle,
    /// The session's times.
    pub lifetime: Lifetime,
    /// The application's data: a JSON object.
    pub data: Option<&'a str>,
    /// Whether the session is the caller's own.
    pub is_current: bool,
}

/// A user in a list.
pub struct ListedUser<'a> {
    /// The user's name.
    pub user_id: &'a str,
    /// How many live sessions the user has.
    pub sessions: u64,
}

/// Why a request failed or was refused: a code for programs and a text for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// One of Maelstrom's error codes.
    pub code: ErrorCode,
    /// What was wrong. The text may name a type of request and a field, but never repeats a value, because a value may
    /// be a session id.
    pub text: Cow<'static, str>,
}

impl Error {
    /// Makes an error.
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

/// The error codes that the node uses, from Maelstrom's protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorCode {
    /// The node does not know this type of request.
    NotSupported = 10,
    /// The request certainly had no effect, and may succeed later.
    TemporarilyUnavailable = 11,
    /// The message is faulty, or a field of the request is not what it must be.
    MalformedRequest = 12,
    /// The store failed, and the request may have taken effect.
    Crash = 13,
    /// The session is not in the state that the request expects. Nothing changed.
    PreconditionFailed = 22,
}
