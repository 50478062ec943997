//! What a store of sessions is asked, and what it answers: a contract from which a stranger writes another store.
//!
//! A store gets a batch of [`Operation`]s and the time, and gives one [`Outcome`] for each, in order. It never sees a
//! session id: a [`SessionKey`] stands for one. What happens to sessions on the way it notes as [`Event`]s.
//!
//! # A store of your own
//!
//! A store in Rust keeps sessions and finds them: it implements [`records::Records`]. The [`rules`] decide everything
//! else, so such a store keeps the contract as long as its records do what their methods say. This is a whole one:
//!
#![doc = concat!("```\n", include_str!("../../examples/vector_store.rs"), "```\n")]
//!
//! # What every store promises
//!
//! - **Order.** Each operation sees the effects of those before it in the batch, and its outcome has its place.
//! - **Durability.** When [`Store::apply`] returns, the batch is as durable, and as visible to other nodes, as the
//!   store says.
//! - **Life.** A session is live from its creation until its [`Lifetime`] says so no more, or an operation ends it. An
//!   ended session is not there for any operation, whether or not the store still holds it, and never comes back.
//! - **Keys.** A key names at most one session. A create under a key that another session has replaces that session,
//!   which ends without an event.
//! - **Failure.** An operation that fails gets a [`StoreError`] for an outcome and keeps no other from being carried
//!   out, unless the store carries out a batch as a whole and says so.
//!
//! ## Which refusal comes first
//!
//! - `Validate`: no live session, then a wrong binding, then an authentication that is too long ago. So nobody without
//!   the binding learns that the session is live.
//! - `Create`: no memory, then the limit of its user, then the limit of all. A create that evicts needs no room of its
//!   own, and one that is refused evicts nobody.
//! - A key that is presented is judged before all else that its operation does, with all that follows from it: a
//!   session that is found to have expired is removed, and one whose retired key turns up after its grace ends where
//!   the [`Policy`] says so.
//!
//! ## When ended sessions are removed
//!
//! A store removes ended sessions when it likes, a few at each operation, and an expired one at the latest when its key
//! is presented. `Stats` and `DestroyAll` remove every expired session before they count, so their counts are exact.
//!
//! ## Events
//!
//! A store notes the events of an operation with [`Outcomes::note`] before it pushes the operation's outcome, in the
//! order in which they happen:
//!
//! | operation | events |
//! | --- | --- |
//! | any | first `Expired` for each ended session that it removes |
//! | any that presents a key | `ReuseDetected` and `Destroyed(Reuse)` where a retired key ends its session |
//! | `Validate` | `Validated` or `Invalid`; none for `ReauthenticationRequired` |
//! | `Create` | `Evicted` for each session that makes room, then `Created`; or `Rejected` when a limit refuses it |
//! | `Regenerate` | `Regenerated` or `Invalid` |
//! | `Update` | `Invalid`, or none |
//! | `Destroy`, `DestroyByHandle`, `DestroyUser` | `Destroyed` for each session, with the reason |
//! | `DestroyAll` | `AllDestroyed` once, with the count |
//!
//! ## A server that nodes share
//!
//! A store that only a server can decide for all nodes, as Redis does, differs in four ways. The server's clock
//! decides, and `now` has no say. `DestroyAll` goes user by user. Nobody counts the sessions of all nodes, so
//! [`Policy::max_sessions`] has no say, no create is [`Outcome::Full`], and `Stats` tells neither sessions nor users.
//! And a taken key is replaced only if its session is the same user's: keys are random, so no node ever makes one
//! twice.

mod memory;
pub mod records;
#[cfg(feature = "redis")]
mod redis;
pub mod rules;
#[cfg(feature = "sqlite")]
mod sqlite;

use std::borrow::Cow;
use std::ops::Range;
use std::time::Duration;

use crate::session::{Binding, Handle, Lifetime, SessionKey, Timestamp};

pub use crate::session::Policy;
pub use memory::MemoryStore;
#[cfg(feature = "redis")]
pub use redis::{RedisConnectError, RedisOptions, RedisStore, RedisUrl, RedisUrlError};
#[cfg(feature = "sqlite")]
pub use sqlite::{OpenError, SqliteStore};

/// Something a store is asked to do.
///
/// A key that is *presented* is that of an id which a peer has shown. It names the live session whose current key it
/// is. Where the [`Policy`] remembers retired ids, it may also be one that a regeneration has retired: within
/// its grace it still validates and destroys its session, and does nothing else; after its grace, with
/// [`OnReuse::Revoke`](crate::session::OnReuse::Revoke), it ends the session and then names none.
pub enum Operation<'a> {
    /// Begin a session. Answered with [`Outcome::Created`], [`Outcome::Full`] or [`Outcome::UserLimit`].
    Create {
        /// The key of an id that was made for this session: no other session has it.
        key: SessionKey,
        /// Whose session it is.
        user: Cow<'a, str>,
        /// For how long it may live.
        ttl: Duration,
        /// For how long it may go unused.
        idle_timeout: Option<Duration>,
        /// What few sessions begin with.
        extras: Option<Box<Extras<'a>>>,
    },
    /// Say whose session this is, which is a use of it. Answered with [`Outcome::Valid`],
    /// [`Outcome::ReauthenticationRequired`] or [`Outcome::Invalid`].
    Validate {
        /// The key that was presented.
        key: SessionKey,
        /// Further conditions that the session must meet.
        conditions: Option<Box<Conditions>>,
    },
    /// Give a session a new key and retire the old one, in one step: nobody sees both live, or neither. All else stays
    /// as it is. A use of the session. Answered with [`Outcome::Regenerated`] or [`Outcome::Invalid`].
    Regenerate {
        /// The key that was presented.
        old: SessionKey,
        /// The key of an id that was made for this step.
        new: SessionKey,
        /// What else changes.
        changes: Option<Box<Changes<'a>>>,
    },
    /// Replace a session's data, which is a use of it. Answered with [`Outcome::Updated`] or [`Outcome::Invalid`].
    Update {
        /// The key that was presented.
        key: SessionKey,
        /// A JSON object.
        data: Cow<'a, str>,
    },
    /// Show a user's live sessions, the oldest first. Answered with [`Outcome::Sessions`].
    List {
        /// Whose.
        user: Cow<'a, str>,
        /// The key that the asker presented as their own, to mark their session.
        caller: Option<SessionKey>,
        /// How many sessions to show at the most.
        limit: usize,
    },
    /// End a session. Answered with [`Outcome::Destroyed`], also when there was none.
    Destroy {
        /// The key that was presented.
        key: SessionKey,
    },
    /// End a user's session that is known by its handle. Answered with [`Outcome::Destroyed`], also when the user has
    /// no such session.
    DestroyByHandle {
        /// Whose.
        user: Cow<'a, str>,
        /// Which; none where what was given cannot be a handle.
        handle: Option<Handle>,
    },
    /// End all sessions of a user, in one step. Answered with [`Outcome::DestroyedMany`].
    DestroyUser {
        /// Whose.
        user: Cow<'a, str>,
        /// The key that was presented for the one session to spare.
        except: Option<SessionKey>,
    },
    /// End all sessions, in one step. Answered with [`Outcome::DestroyedMany`].
    DestroyAll,
    /// Count. Answered with [`Outcome::Stats`].
    Stats,
}

impl Operation<'_> {
    /// Whether it looks at sessions, or uses them, and changes nothing else.
    pub fn only_reads(&self) -> bool {
        matches!(
            self,
            Self::Validate { .. } | Self::List { .. } | Self::Stats
        )
    }
}

/// What few sessions begin with. Boxed in its operation, as are [`Conditions`] and [`Changes`]: operations are moved
/// about, and without the boxes a validation took 8 % longer.
#[derive(Default)]
pub struct Extras<'a> {
    /// What the application keeps in the session: a JSON object.
    pub data: Option<Cow<'a, str>>,
    /// What the session is bound to.
    pub binding: Option<Binding>,
}

/// What is to hold for a session to be valid, beside its being live.
#[derive(Default)]
pub struct Conditions {
    /// The binding that was presented: a session that is bound is valid with the same one only.
    pub binding: Option<Binding>,
    /// The most seconds that may have passed since the user authenticated.
    pub max_age: Option<u64>,
}

/// What changes with a session's key.
#[derive(Default)]
pub struct Changes<'a> {
    /// Whether the user has just authenticated again, so that the lifetime starts afresh.
    pub reauthenticated: bool,
    /// What replaces the session's data, if it is to be replaced.
    pub data: Option<Cow<'a, str>>,
}

/// What a store answers.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The session began.
    Created {
        /// When it will end if it is not used again.
        expires_at: Timestamp,
    },
    /// The session is live.
    Valid {
        /// Whose it is: read it with [`Outcomes::text`].
        user: Text,
        /// The data that is kept in it.
        data: Option<Text>,
        /// When it will end if it is not used again.
        expires_at: Timestamp,
    },
    /// The session is live, but its user authenticated too long ago. Not a use of it.
    ReauthenticationRequired {
        /// Whose it is.
        user: Text,
        /// How many seconds ago that was.
        auth_age: u64,
    },
    /// No live session has this key, or it is bound to something else. One answer for never known, expired,
    /// destroyed, regenerated and wrongly bound: the difference would help only somebody who guesses.
    Invalid,
    /// The session is now known by its new key.
    Regenerated,
    /// The session has new data.
    Updated,
    /// The sessions of a user.
    Sessions {
        /// Read them with [`Outcomes::listed`].
        listed: Range<usize>,
        /// Whether the limit left some out.
        more: bool,
    },
    /// No session has this key, or handle, any more.
    Destroyed,
    /// The sessions that were asked about have ended.
    DestroyedMany {
        /// How many of them had been live.
        count: u64,
    },
    /// The session did not begin, because the store holds as many live sessions as it may.
    Full {
        /// How many that is.
        max_sessions: usize,
    },
    /// The session did not begin, because its user has as many as they may.
    UserLimit {
        /// How many that is.
        max_sessions_per_user: usize,
    },
    /// Counts.
    Stats {
        /// The sessions that are live now, if the store can tell.
        sessions: Option<u64>,
        /// The users who have some, if the store can tell.
        users: Option<u64>,
        /// Sessions that operations on this store, as opened by this node, have ended, evictions and revocations
        /// included.
        destroyed: u64,
        /// Sessions that it has removed after their end.
        expired: u64,
    },
}

/// A session in a list.
#[derive(Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its name for showing.
    pub handle: Handle,
    /// Its times.
    pub lifetime: Lifetime,
    /// The data that is kept in it.
    pub data: Option<Text>,
    /// Whether it is the asker's own.
    pub is_current: bool,
}

/// Something that happened to a session, for the audit.
#[derive(Debug, PartialEq, Eq)]
pub struct Event {
    /// The place in the batch of the operation that brought it about.
    pub operation: usize,
    /// What happened.
    pub kind: EventKind,
    /// Whose session it was, where that is known.
    pub user: Option<Text>,
    /// Which session it was, where there was one.
    pub handle: Option<Handle>,
}

/// What can happen to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// It began.
    Created,
    /// It was found live.
    Validated,
    /// What was presented names no live session, or not one with this binding.
    Invalid,
    /// It has a new id.
    Regenerated,
    /// A retired id turned up after its grace.
    ReuseDetected,
    /// It ended to make room for its user's next.
    Evicted,
    /// It ended on request.
    Destroyed(Reason),
    /// All sessions ended, so many of them.
    AllDestroyed(u64),
    /// It was removed after its end.
    Expired,
    /// It did not begin, because of a limit.
    Rejected,
}

/// Why a session was destroyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Its id was presented, as when its user logs out.
    Id,
    /// Its user named it by its handle.
    Handle,
    /// All sessions of its user were to end.
    User,
    /// A retired id of it turned up after its grace.
    Reuse,
}

/// Why a store could not carry out an operation. The reason says what was out of reach, for an operator; it holds no
/// session id.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The store failed, and the operation surely had no effect: it is safe to try it again.
    #[error("the session store failed, and the request had no effect: {0}")]
    NoEffect(String),
    /// The store failed, and the operation may have taken effect.
    #[error("the session store failed, and the request may have taken effect: {0}")]
    MayHaveTakenEffect(String),
    /// The system gives no more memory for what the operation would add. It had no effect.
    #[error("the node is out of memory")]
    OutOfMemory,
}

#[cfg(feature = "redis")]
impl StoreError {
    /// The reason alone.
    fn why(&self) -> String {
        match self {
            Self::NoEffect(why) | Self::MayHaveTakenEffect(why) => why.clone(),
            Self::OutOfMemory => self.to_string(),
        }
    }
}

/// A place to keep sessions.
pub trait Store {
    /// Applies `batch` at `now`, and adds one outcome for each operation to `outcomes`, in order.
    ///
    /// The [module](self) says what it promises.
    fn apply(&mut self, now: Timestamp, batch: &[Operation<'_>], outcomes: &mut Outcomes);

    /// The earliest `now` at which [`Store::apply`] may be called on a store that has just been opened. At an earlier
    /// one, sessions that had expired before the store was closed could be live again. Give it to
    /// [`SystemClock::no_earlier_than`](crate::clock::SystemClock::no_earlier_than).
    ///
    /// A store that remembers nothing, or has a clock of its own, allows any time.
    fn earliest_now(&self) -> Timestamp {
        Timestamp::from_millis(0)
    }
}

impl<S: Store + ?Sized> Store for Box<S> {
    fn apply(&mut self, now: Timestamp, batch: &[Operation<'_>], outcomes: &mut Outcomes) {
        self.as_mut().apply(now, batch, outcomes);
    }

    fn earliest_now(&self) -> Timestamp {
        self.as_ref().earliest_now()
    }
}

/// What of a batch is recorded as [`Event`]s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Record {
    /// Nothing.
    #[default]
    Nothing,
    /// All but successful validations, of which there are many.
    Changes,
    /// Everything.
    Everything,
}

/// The outcomes of a batch, in order, with the texts that they refer to. Kept and cleared between batches,
/// so that an outcome costs no allocation of its own.
#[derive(Debug, Default)]
pub struct Outcomes {
    list: Vec<Result<Outcome, StoreError>>,
    texts: String,
    listed: Vec<Listed>,
    record: Record,
    events: Vec<Event>,
}

/// How far an [`Outcomes`] had come.
#[derive(Debug)]
pub struct Mark {
    outcomes: usize,
    texts: usize,
    listed: usize,
    events: usize,
}

/// A text in an [`Outcomes`].
#[derive(Debug, PartialEq, Eq)]
pub struct Text(Range<usize>);

impl Outcomes {
    /// No outcomes yet, and no events ever.
    pub fn new() -> Self {
        Self::default()
    }

    /// No outcomes yet, and as many events as `record` says.
    pub fn recording(record: Record) -> Self {
        Self {
            record,
            ..Self::default()
        }
    }

    /// Forgets everything but the room for it.
    pub fn clear(&mut self) {
        self.list.clear();
        self.texts.clear();
        self.listed.clear();
        self.events.clear();
    }

    /// How far it has come, for a store that may have to start over.
    pub fn mark(&self) -> Mark {
        Mark {
            outcomes: self.list.len(),
            texts: self.texts.len(),
            listed: self.listed.len(),
            events: self.events.len(),
        }
    }

    /// Forgets what was added since `mark`.
    pub fn rewind(&mut self, mark: &Mark) {
        self.list.truncate(mark.outcomes);
        self.texts.truncate(mark.texts);
        self.listed.truncate(mark.listed);
        self.events.truncate(mark.events);
    }

    /// Adds the next outcome.
    pub fn push(&mut self, outcome: Result<Outcome, StoreError>) {
        self.list.push(outcome);
    }

    /// Keeps a text for an outcome that will be pushed.
    pub fn keep(&mut self, text: &str) -> Text {
        let start = self.texts.len();
        self.texts.push_str(text);
        Text(start..self.texts.len())
    }

    /// A text that was kept here.
    pub fn text(&self, text: &Text) -> &str {
        &self.texts[text.0.clone()]
    }

    /// Keeps sessions for a list that will be pushed: from here to the next call is one list.
    pub fn list_one(&mut self, listed: Listed) {
        self.listed.push(listed);
    }

    /// How many sessions have been listed so far.
    pub fn listed_so_far(&self) -> usize {
        self.listed.len()
    }

    /// The sessions of a list.
    pub fn listed(&self, range: &Range<usize>) -> &[Listed] {
        &self.listed[range.clone()]
    }

    /// Notes what happens during the operation whose outcome comes next. `of` tells whose session it is and which, and
    /// is asked only if the event is recorded.
    #[inline]
    pub fn note<'t>(
        &mut self,
        kind: EventKind,
        of: impl FnOnce() -> (Option<&'t str>, Option<Handle>),
    ) {
        let least = match kind {
            EventKind::Validated => Record::Everything,
            _ => Record::Changes,
        };
        if self.record < least {
            return;
        }
        let (user, handle) = of();
        let user = user.map(|user| self.keep(user));
        self.events.push(Event {
            operation: self.list.len(),
            kind,
            user,
            handle,
        });
    }

    /// The outcomes, in the order of their operations.
    pub fn list(&self) -> &[Result<Outcome, StoreError>] {
        &self.list
    }

    /// What happened, in the order of the operations.
    pub fn events(&self) -> &[Event] {
        &self.events
    }
}
