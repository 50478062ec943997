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
use std::time::Duration;

pub use decode::{decode, decode_beginning, is_whole};
pub use encode::encode;
pub use fault::{Fault, Place, Unreadable};
pub use nesting::{Nesting, Progress};

use crate::id::SessionId;
use crate::session::{Handle, Lifetime};

/// The longest string that a field of a request may hold, in bytes of UTF-8: room for any user name or
/// e-mail address, and a bound on what a session costs.
pub const MAX_STRING_BYTES: usize = 256;

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
        /// What few requests say.
        options: Option<Box<CreateOptions<'a>>>,
    },
    /// Ask whose session this is.
    ValidateSession {
        /// The id that was presented: a secret.
        session_id: Cow<'a, str>,
        /// What few requests say.
        options: Option<Box<ValidateOptions<'a>>>,
    },
    /// Give a session a new id, and end the old one.
    RegenerateSession {
        /// The id that was presented: a secret.
        old_session_id: Cow<'a, str>,
        /// What few requests say.
        options: Option<Box<RegenerateOptions<'a>>>,
    },
    /// Replace what is kept in a session.
    UpdateSession(Box<UpdateSession<'a>>),
    /// Show a user's sessions.
    ListSessions(Box<ListSessions<'a>>),
    /// End a session.
    DestroySession {
        /// The id that was presented: a secret.
        session_id: Cow<'a, str>,
    },
    /// End a session of which only the name is known.
    DestroySessionByHandle(Box<DestroySessionByHandle<'a>>),
    /// End a user's sessions.
    DestroyUserSessions(Box<DestroyUserSessions<'a>>),
    /// End everybody's sessions.
    DestroyAllSessions,
    /// Count.
    Stats,
}

/// The optional fields of `create_session`. Boxed, like all that most requests do not have: requests are moved
/// about, and the smaller they are, the faster.
#[derive(PartialEq, Eq)]
pub struct CreateOptions<'a> {
    /// Seconds, if not as the node sees fit.
    pub ttl: Option<u64>,
    /// Seconds, or 0 for none, if not as the node sees fit.
    pub idle_timeout: Option<u64>,
    /// A JSON object to keep in the session.
    pub data: Option<Cow<'a, str>>,
    /// The client property that the session is bound to.
    pub binding: Option<Cow<'a, str>>,
}

/// The optional fields of `validate_session`.
#[derive(PartialEq, Eq)]
pub struct ValidateOptions<'a> {
    /// The client property that was presented.
    pub binding: Option<Cow<'a, str>>,
    /// The most seconds that may have passed since the user authenticated.
    pub max_age: Option<u64>,
}

/// The optional fields of `regenerate_session`.
#[derive(PartialEq, Eq)]
pub struct RegenerateOptions<'a> {
    /// Whether the user has just authenticated again.
    pub reauthenticated: bool,
    /// A JSON object to replace what is kept in the session.
    pub data: Option<Cow<'a, str>>,
}

/// The fields of `update_session`.
#[derive(PartialEq, Eq)]
pub struct UpdateSession<'a> {
    /// The id that was presented: a secret.
    pub session_id: Cow<'a, str>,
    /// A JSON object.
    pub data: Cow<'a, str>,
}

/// The fields of `list_sessions`.
#[derive(PartialEq, Eq)]
pub struct ListSessions<'a> {
    /// Whose.
    pub user_id: Cow<'a, str>,
    /// The id that the asker presented as their own: a secret.
    pub session_id: Option<Cow<'a, str>>,
    /// How many to show at the most.
    pub limit: usize,
}

/// The fields of `destroy_session` where it names a session by its handle.
#[derive(PartialEq, Eq)]
pub struct DestroySessionByHandle<'a> {
    /// Whose.
    pub user_id: Cow<'a, str>,
    /// Which.
    pub handle: Cow<'a, str>,
}

/// The fields of `destroy_user_sessions`.
#[derive(PartialEq, Eq)]
pub struct DestroyUserSessions<'a> {
    /// Whose.
    pub user_id: Cow<'a, str>,
    /// The id of the one to spare: a secret.
    pub except_session_id: Option<Cow<'a, str>>,
}

/// What a request may ask for at the most.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The longest lifetime, and the longest idle timeout, of a session.
    pub max_ttl: Duration,
    /// The longest `data`, in bytes of compact JSON.
    pub max_data_bytes: usize,
    /// Whether a request that has a field which it does not know is malformed, rather than carried out without it.
    pub strict: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_ttl: Duration::from_secs(30 * 24 * 3600),
            max_data_bytes: 4096,
            strict: false,
        }
    }
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

/// What a node counts: what there is now, and what there was since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Live sessions, if the store can tell.
    pub sessions: Option<u64>,
    /// Users who have some, if the store can tell.
    pub users: Option<u64>,
    /// Replies `session_created`.
    pub created: u64,
    /// Replies `session_valid`.
    pub validated: u64,
    /// Replies `session_invalid`.
    pub invalid: u64,
    /// Replies `session_regenerated`.
    pub regenerated: u64,
    /// Sessions that requests have ended, evictions and revocations included.
    pub destroyed: u64,
    /// Sessions that were removed after their end.
    pub expired: u64,
    /// Replies `error`.
    pub errors: u64,
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
