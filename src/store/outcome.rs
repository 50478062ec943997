//! The output of a store: one outcome per operation, and the events of the operations.

use std::ops::Range;

use crate::session::{Handle, Lifetime, Timestamp};

/// The result of an operation.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The store created the session.
    Created {
        /// When the session ends if it is not used again.
        expires_at: Timestamp,
    },
    /// The session is live and meets the conditions.
    Valid {
        /// The name of the session's user; [`Outcomes::text`] reads it.
        user: Text,
        /// The application's data: a JSON object.
        data: Option<Text>,
        /// When the session ends if it is not used again.
        expires_at: Timestamp,
    },
    /// The session is live, but its user authenticated too long ago. This does not count as a use of the session.
    ReauthenticationRequired {
        /// The name of the session's user.
        user: Text,
        /// How many seconds ago the user authenticated, rounded up.
        auth_age: u64,
    },
    /// No live session has this key, or the binding is wrong. An unknown, expired, destroyed or retired key and a wrong
    /// binding all get this outcome, because the difference would help only somebody who guesses.
    Invalid,
    /// The session has its new key.
    Regenerated,
    /// The session has its new data.
    Updated,
    /// The sessions of a user.
    Sessions {
        /// The place of the sessions; [`Outcomes::listed`] reads them.
        listed: Range<usize>,
        /// If more sessions follow: the text of the [`Cursor`](super::Cursor) that continues the list.
        next: Option<Text>,
    },
    /// Users who have live sessions.
    Users {
        /// The place of the users; [`Outcomes::users`] reads them.
        listed: Range<usize>,
        /// If more users may follow: the text of the [`Cursor`](super::Cursor) that continues the list.
        next: Option<Text>,
    },
    /// The cursor was made by another store, or for another kind of list.
    UnknownCursor,
    /// No live session has this key or handle.
    Destroyed {
        /// Whether one ended by this.
        ended: bool,
    },
    /// All sessions of the user, or of everybody, have ended.
    DestroyedMany {
        /// How many sessions were live.
        count: u64,
    },
    /// A limit refused the new session.
    Refused(Refusal),
    /// The session is live, but not in the state that the operation expects. Nothing changed.
    Conflict(Conflict),
    /// The store's counts.
    Stats {
        /// The number of live sessions, if the store can tell.
        sessions: Option<u64>,
        /// The number of users with a live session, if the store can tell.
        users: Option<u64>,
        /// How many sessions operations of this node have ended since it opened the store, including evictions and
        /// revocations.
        destroyed: u64,
        /// How many expired sessions this node has removed since it opened the store.
        expired: u64,
    },
}

/// What an operation expects of a session, and did not find.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// The presented key is the session's present key. It was retired a moment ago and is within its grace period.
    #[error("this id was regenerated a moment ago")]
    Regenerated,
    /// The session has the data that the update expects.
    #[error("the session's data is not the expected data")]
    Data,
}

/// The limit that refused a new session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The store holds its limit of live sessions.
    #[error("the node already holds its limit of {max_sessions} live sessions")]
    Full {
        /// The limit.
        max_sessions: usize,
    },
    /// The user has the limit of live sessions.
    #[error("the user already has the limit of {max_sessions_per_user} live sessions")]
    UserLimit {
        /// The limit.
        max_sessions_per_user: usize,
    },
}

/// A session in a list.
#[derive(Debug, PartialEq, Eq)]
pub struct Listed {
    /// The session's handle, which is safe to display.
    pub handle: Handle,
    /// The session's times.
    pub lifetime: Lifetime,
    /// The application's data: a JSON object.
    pub data: Option<Text>,
    /// Whether the session is the caller's own.
    pub is_current: bool,
}

/// A user in a list.
#[derive(Debug, PartialEq, Eq)]
pub struct ListedUser {
    /// The user's name.
    pub user: Text,
    /// How many live sessions the user has.
    pub sessions: u64,
}

/// Something that happened to a session, for the audit.
#[derive(Debug, PartialEq, Eq)]
pub struct Event {
    /// The place in its batch of the operation that caused the event.
    pub operation: usize,
    /// What happened.
    pub kind: EventKind,
    /// The name of the session's user, if known.
    pub user: Option<Text>,
    /// The session's handle, if the event concerns one session.
    pub handle: Option<Handle>,
}

/// The kinds of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// A session was created.
    Created,
    /// A session was found valid.
    Validated,
    /// The presented key names no live session, or the binding is wrong.
    Invalid,
    /// A session got a new id.
    Regenerated,
    /// A retired id was presented after its grace period.
    ReuseDetected,
    /// A session ended to make room for a new session of its user.
    Evicted,
    /// A session was destroyed.
    Destroyed(Reason),
    /// All sessions were destroyed, in this number.
    AllDestroyed(u64),
    /// An expired session was removed.
    Expired,
    /// A limit refused a new session.
    Rejected,
}

/// Why a session was destroyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A request named the session by its id, for example at a logout.
    Id,
    /// A request named the session by its user and handle.
    Handle,
    /// A request ended all sessions of the user.
    User,
    /// A retired id of the session was presented after its grace period.
    Reuse,
}

/// Why a store could not carry out an operation. The text tells an operator what failed, and contains no session id.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The store failed, and the operation certainly had no effect. The caller can safely try again.
    #[error("the session store failed, and the request had no effect: {0}")]
    NoEffect(String),
    /// The store failed, and the operation may have taken effect.
    #[error("the session store failed, and the request may have taken effect: {0}")]
    MayHaveTakenEffect(String),
    /// The system grants no memory for what the operation would add. The operation had no effect.
    #[error("the node is out of memory")]
    OutOfMemory,
}

#[cfg(feature = "redis")]
impl StoreError {
    /// The reason, without the sentence around it.
    pub(super) fn why(&self) -> String {
        match self {
            Self::NoEffect(why) | Self::MayHaveTakenEffect(why) => why.clone(),
            Self::OutOfMemory => self.to_string(),
        }
    }
}

/// Which [`Event`]s are recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Record {
    /// No events.
    #[default]
    Nothing,
    /// All events except successful validations, which are frequent.
    Changes,
    /// All events.
    Everything,
}

/// The outcomes of a batch, in order, with their texts. The owner clears and reuses it for each batch, so that an
/// outcome needs no allocation of its own.
#[derive(Debug, Default)]
pub struct Outcomes {
    all: Vec<Result<Outcome, StoreError>>,
    texts: String,
    listed: Vec<Listed>,
    users: Vec<ListedUser>,
    record: Record,
    events: Vec<Event>,
    /// Each with the place of its operation, in the order of the operations.
    details: Vec<(usize, Detail)>,
}

/// The times of a session that an operation has created, validated, regenerated or updated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Detail {
    /// The name under which the session is shown.
    pub handle: Handle,
    /// Its times.
    pub lifetime: Lifetime,
}

/// A position in an [`Outcomes`], to which it can be rewound.
#[derive(Debug)]
pub struct Mark {
    outcomes: usize,
    texts: usize,
    listed: usize,
    users: usize,
    events: usize,
    details: usize,
}

/// A text that an [`Outcomes`] keeps; [`Outcomes::text`] reads it.
#[derive(Debug, PartialEq, Eq)]
pub struct Text(Range<usize>);

impl Outcomes {
    /// Makes an empty list that records no events.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes an empty list that records the events that `record` says.
    pub fn recording(record: Record) -> Self {
        Self {
            record,
            ..Self::default()
        }
    }

    /// Removes everything, and keeps the memory for the next batch.
    pub fn clear(&mut self) {
        self.all.clear();
        self.texts.clear();
        self.listed.clear();
        self.users.clear();
        self.events.clear();
        self.details.clear();
    }

    /// The present position, for a store that may have to start over from here.
    pub fn mark(&self) -> Mark {
        Mark {
            outcomes: self.all.len(),
            texts: self.texts.len(),
            listed: self.listed.len(),
            users: self.users.len(),
            events: self.events.len(),
            details: self.details.len(),
        }
    }

    /// Removes everything that was added since `mark`.
    pub fn rewind(&mut self, mark: &Mark) {
        self.all.truncate(mark.outcomes);
        self.texts.truncate(mark.texts);
        self.listed.truncate(mark.listed);
        self.users.truncate(mark.users);
        self.events.truncate(mark.events);
        self.details.truncate(mark.details);
    }

    /// Adds the next outcome.
    pub fn push(&mut self, outcome: Result<Outcome, StoreError>) {
        self.all.push(outcome);
    }

    /// Adds the detail of the operation whose outcome comes next.
    pub fn push_detail(&mut self, detail: Detail) {
        self.details.push((self.all.len(), detail));
    }

    /// The detail of an operation that asked for it, if a session was there.
    #[inline]
    pub fn detail(&self, operation: usize) -> Option<&Detail> {
        if self.details.is_empty() {
            return None;
        }
        let place = self.details.binary_search_by_key(&operation, |(of, _)| *of);
        place.ok().map(|place| &self.details[place].1)
    }

    /// Keeps a text, to which a later outcome can refer.
    pub fn keep(&mut self, text: &str) -> Text {
        let start = self.texts.len();
        self.texts.push_str(text);
        Text(start..self.texts.len())
    }

    /// Reads a text that [`Outcomes::keep`] kept.
    pub fn text(&self, text: &Text) -> &str {
        &self.texts[text.0.clone()]
    }

    /// Keeps a session for a list that will be pushed. [`Outcome::Sessions`] refers to a range of kept sessions.
    pub fn push_listed(&mut self, listed: Listed) {
        self.listed.push(listed);
    }

    /// How many sessions were kept so far: where the next list begins.
    pub fn listed_len(&self) -> usize {
        self.listed.len()
    }

    /// The sessions of a list.
    pub fn listed(&self, range: &Range<usize>) -> &[Listed] {
        &self.listed[range.clone()]
    }

    /// Keeps a user for a list that will be pushed. [`Outcome::Users`] refers to a range of kept users.
    pub fn push_user(&mut self, user: ListedUser) {
        self.users.push(user);
    }

    /// How many users were kept so far: where the next list begins.
    pub fn users_len(&self) -> usize {
        self.users.len()
    }

    /// The users of a list.
    pub fn users(&self, range: &Range<usize>) -> &[ListedUser] {
        &self.users[range.clone()]
    }

    /// Notes an event of the operation whose outcome comes next. `of` returns the user's name and the session's handle;
    /// it is called only if the event is recorded.
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

    /// The recorded events, in the order of the operations.
    pub fn events(&self) -> &[Event] {
        &self.events
    }
}
