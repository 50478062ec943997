//! What a store of sessions is asked and what it answers: a contract in words precise enough to write a
//! new store from.
//!
//! A store is given a batch of [`Operation`]s and the time, and gives back one outcome for each, in order.
//! It never sees a session id, only [`SessionKey`]s; it decides life and death by the rules of
//! [`crate::session`].
//!
//! ```
//! use std::time::Duration;
//! use session_node::session::{SessionKey, Timestamp};
//! use session_node::store::{MemoryStore, Operation, Outcome, Outcomes, Store};
//!
//! let mut store = MemoryStore::new(1_000);
//! let mut outcomes = Outcomes::new();
//! let key = SessionKey::of("an id that only its user knows");
//! let now = Timestamp::from_millis(1_790_000_000_000);
//! let ttl = Duration::from_secs(3600);
//! store.apply(
//!     now,
//!     &[Operation::Create { key, user: "alice".into(), ttl }, Operation::Validate { key }],
//!     &mut outcomes,
//! );
//! let Ok(Outcome::Valid { user, ends_at }) = &outcomes.list()[1] else { panic!("not live") };
//! assert_eq!(outcomes.text(user), "alice");
//! assert_eq!(*ends_at, now + ttl);
//! ```

mod memory;

use std::borrow::Cow;
use std::ops::Range;
use std::time::Duration;

use crate::session::{SessionKey, Timestamp};

pub use memory::MemoryStore;

/// Something a store is asked to do.
pub enum Operation<'a> {
    /// Begin a session. Answered with [`Outcome::Created`] or [`Outcome::Full`].
    Create {
        /// The key of an id that was made for this session: no other session has it.
        key: SessionKey,
        /// Whose session it is.
        user: Cow<'a, str>,
        /// For how long it may live.
        ttl: Duration,
    },
    /// Say whose session this is. Answered with [`Outcome::Valid`] or [`Outcome::Invalid`].
    Validate {
        /// The key of the id that was presented.
        key: SessionKey,
    },
    /// Give a session a new key and end the old one, in one step: nobody sees both live, or neither. User
    /// and lifetime stay as they are. Answered with [`Outcome::Regenerated`] or [`Outcome::Invalid`].
    Regenerate {
        /// The key of the id that was presented.
        old: SessionKey,
        /// The key of an id that was made for this step.
        new: SessionKey,
    },
    /// End a session. Answered with [`Outcome::Destroyed`], also when there was none.
    Destroy {
        /// The key of the id that was presented.
        key: SessionKey,
    },
}

/// What a store answers.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The session began.
    Created {
        /// When it will end.
        ends_at: Timestamp,
    },
    /// The session is live.
    Valid {
        /// Whose it is: read it with [`Outcomes::text`].
        user: Text,
        /// When it will end.
        ends_at: Timestamp,
    },
    /// No live session has this key. One answer for never known, expired, destroyed and regenerated: the
    /// difference would help only somebody who guesses.
    Invalid,
    /// The session is now known by its new key only.
    Regenerated,
    /// No session has this key any more.
    Destroyed,
    /// The session did not begin, because the store holds as many live sessions as it may.
    Full {
        /// How many that is.
        max_sessions: usize,
    },
}

/// Why a store could not carry out an operation. The text says what was out of reach, for an operator;
/// it holds no session id.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The operation surely had no effect: it is safe to try it again.
    #[error("{0}")]
    NoEffect(String),
    /// The operation may have taken effect.
    #[error("{0}")]
    MayHaveTakenEffect(String),
}

/// A place to keep sessions.
pub trait Store {
    /// Applies `batch` at `now`, and adds one outcome for each operation to `outcomes`, in order.
    ///
    /// - Each operation sees the effects of those before it.
    /// - When this returns, all of them are as durable, and as visible to other nodes, as the store promises.
    /// - A session whose lifetime has ended at `now` is not there, whether or not it is still in memory.
    /// - An operation that fails does not keep the others from being carried out.
    fn apply(&mut self, now: Timestamp, batch: &[Operation<'_>], outcomes: &mut Outcomes);
}

/// The outcomes of a batch, in order, with the texts that they refer to. Kept and cleared between batches,
/// so that an outcome costs no allocation of its own.
#[derive(Debug, Default)]
pub struct Outcomes {
    list: Vec<Result<Outcome, StoreError>>,
    texts: String,
}

/// A text in an [`Outcomes`].
#[derive(Debug, PartialEq, Eq)]
pub struct Text(Range<usize>);

impl Outcomes {
    /// No outcomes yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets everything but the room for it.
    pub fn clear(&mut self) {
        self.list.clear();
        self.texts.clear();
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

    /// The outcomes, in the order of their operations.
    pub fn list(&self) -> &[Result<Outcome, StoreError>] {
        &self.list
    }
}
