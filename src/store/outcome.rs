//! What a store answers to a batch: an outcome for each operation, and the events on the way.

use std::ops::Range;

use crate::session::{Handle, Lifetime, Timestamp};

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
    /// The session did not begin, because of a limit.
    Refused(Refusal),
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

/// Which limit kept a session from beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The store holds as many live sessions as it may.
    #[error("the node already holds its limit of {max_sessions} live sessions")]
    Full {
        /// How many that is.
        max_sessions: usize,
    },
    /// The user has as many live sessions as they may.
    #[error("the user already has the limit of {max_sessions_per_user} live sessions")]
    UserLimit {
        /// How many that is.
        max_sessions_per_user: usize,
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
    pub(super) fn why(&self) -> String {
        match self {
            Self::NoEffect(why) | Self::MayHaveTakenEffect(why) => why.clone(),
            Self::OutOfMemory => self.to_string(),
        }
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
    all: Vec<Result<Outcome, StoreError>>,
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
        self.all.clear();
        self.texts.clear();
        self.listed.clear();
        self.events.clear();
    }

    /// How far it has come, for a store that may have to start over.
    pub fn mark(&self) -> Mark {
        Mark {
            outcomes: self.all.len(),
            texts: self.texts.len(),
            listed: self.listed.len(),
            events: self.events.len(),
        }
    }

    /// Forgets what was added since `mark`.
    pub fn rewind(&mut self, mark: &Mark) {
        self.all.truncate(mark.outcomes);
        self.texts.truncate(mark.texts);
        self.listed.truncate(mark.listed);
        self.events.truncate(mark.events);
    }

    /// Adds the next outcome.
    pub fn push(&mut self, outcome: Result<Outcome, StoreError>) {
        self.all.push(outcome);
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
            operation: self.all.len(),
            kind,
            user,
            handle,
        });
    }

    /// The outcomes, in the order of their operations.
    pub fn all(&self) -> &[Result<Outcome, StoreError>] {
        &self.all
    }

    /// What happened, in the order of the operations.
    pub fn events(&self) -> &[Event] {
        &self.events
    }
}
