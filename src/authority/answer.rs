//! What an authority answers, in types of its own.

use crate::id::SessionId;
use crate::session::{Handle, Lifetime, Timestamp};
use crate::store::{Outcome, Outcomes, Refusal, StoreError};

/// A session that has begun. Not `Debug`, since it holds the id.
pub struct Created {
    /// The one copy of its id.
    pub id: SessionId,
    /// When it ends if it is not used again.
    pub expires_at: Timestamp,
}

/// What became of a validation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Validation {
    /// The session is live.
    Valid {
        /// Whose it is.
        user: String,
        /// The data that is kept in it: a JSON object.
        data: Option<String>,
        /// When it ends if it is not used again.
        expires_at: Timestamp,
    },
    /// The session is live, but its user authenticated longer ago than the conditions allow.
    ReauthenticationRequired {
        /// Whose it is.
        user: String,
        /// How many seconds ago that was, rounded up.
        auth_age: u64,
    },
    /// No live session has this id, or it is bound to something else.
    Invalid,
}

impl Validation {
    /// Whose session it is, if it is valid.
    pub fn user(&self) -> Option<&str> {
        match self {
            Self::Valid { user, .. } => Some(user),
            Self::ReauthenticationRequired { .. } | Self::Invalid => None,
        }
    }
}

/// Sessions of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionList {
    /// The oldest first.
    pub sessions: Vec<ListedSession>,
    /// Whether the limit left some out.
    pub more: bool,
}

/// A session in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedSession {
    /// Its name for showing.
    pub handle: Handle,
    /// Its times.
    pub lifetime: Lifetime,
    /// The data that is kept in it: a JSON object.
    pub data: Option<String>,
    /// Whether it is the caller's own.
    pub is_current: bool,
}

/// What there is now, and what was answered since the authority was built.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Live sessions, if the store can tell.
    pub sessions: Option<u64>,
    /// Users who have some, if the store can tell.
    pub users: Option<u64>,
    /// Sessions that have begun.
    pub created: u64,
    /// Validations that found a live session.
    pub validated: u64,
    /// Requests that presented the id of no live session.
    pub invalid: u64,
    /// Regenerations.
    pub regenerated: u64,
    /// Sessions that requests have ended, evictions and revocations included.
    pub destroyed: u64,
    /// Sessions that were removed after their end.
    pub expired: u64,
    /// Requests that were not carried out.
    pub errors: u64,
}

impl Stats {
    /// With what a store counts in place.
    pub(crate) fn with(self, outcome: &Outcome) -> Self {
        let &Outcome::Stats {
            sessions,
            users,
            destroyed,
            expired,
        } = outcome
        else {
            return self;
        };
        Self {
            sessions,
            users,
            destroyed,
            expired,
            ..self
        }
    }
}

/// Why a request was not carried out.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// An argument breaks a limit. Nothing was asked of the store.
    #[error("{argument} must be {must_be}")]
    Invalid {
        /// Which argument.
        argument: &'static str,
        /// What it must be.
        must_be: String,
    },
    /// A limit keeps the session from beginning.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The authority has stopped, because its store has panicked. The request may have taken effect.
    #[error("the session authority has stopped")]
    Stopped,
}

impl Error {
    pub(super) fn invalid(argument: &'static str, must_be: String) -> Self {
        Self::Invalid { argument, must_be }
    }
}

/// An outcome, with all that it takes to read it.
pub struct Answered<'r> {
    pub outcome: &'r Result<Outcome, StoreError>,
    pub outcomes: &'r Outcomes,
    /// The id that was made for the operation.
    pub new_id: Option<SessionId>,
    pub tally: &'r Stats,
}

/// What can be read from an outcome.
pub trait Answer: Sized {
    /// Reads the outcome of an operation that this is an answer to.
    fn read(answered: Answered<'_>) -> Result<Self, Error>;
}

impl Answer for Created {
    fn read(answered: Answered<'_>) -> Result<Self, Error> {
        match *answered.outcome()? {
            Outcome::Created { expires_at } => Ok(Self {
                id: answered.new_id.expect("an id was made for every create"),
                expires_at,
            }),
            _ => unexpected(),
        }
    }
}

impl Answer for Validation {
    fn read(answered: Answered<'_>) -> Result<Self, Error> {
        let text = |text| answered.outcomes.text(text).to_owned();
        Ok(match answered.outcome()? {
            Outcome::Valid {
                user,
                data,
                expires_at,
            } => Self::Valid {
                user: text(user),
                data: data.as_ref().map(text),
                expires_at: *expires_at,
            },
            Outcome::ReauthenticationRequired { user, auth_age } => {
                Self::ReauthenticationRequired {
                    user: text(user),
                    auth_age: *auth_age,
                }
            }
            Outcome::Invalid => Self::Invalid,
            _ => unexpected(),
        })
    }
}

/// The new id of a session that was regenerated.
impl Answer for Option<SessionId> {
    fn read(answered: Answered<'_>) -> Result<Self, Error> {
        match answered.outcome()? {
            Outcome::Regenerated => Ok(answered.new_id),
            Outcome::Invalid => Ok(None),
            _ => unexpected(),
        }
    }
}

/// Whether a session was there to be updated.
impl Answer for bool {
    fn read(answered: Answered<'_>) -> Result<Self, Error> {
        match answered.outcome()? {
            Outcome::Updated => Ok(true),
            Outcome::Invalid => Ok(false),
            _ => unexpected(),
        }
    }
}

impl Answer for SessionList {
    fn read(answered: Answered<'_>) -> Result<Self, Error> {
        let Outcome::Sessions { listed, more } = answered.outcome()? else {
            unexpected();
        };
        let text = |text| answered.outcomes.text(text).to_owned();
        let listed = answered.outcomes.listed(listed).iter();
        let sessions = listed.map(|listed| ListedSession {
            handle: listed.handle,
            lifetime: listed.lifetime,
            data: listed.data.as_ref().map(text),
            is_current: listed.is_current,
        });
        Ok(Self {
            sessions: sessions.collect(),
            more: *more,
        })
    }
}

/// Only that it was done.
impl Answer for () {
    fn read(answered: Answered<'_>) -> Result<Self, Error> {
        answered.outcome().map(|_| ())
    }
}

/// How many sessions have ended.
impl Answer for u64 {
    fn read(answered: Answered<'_>) -> Result<Self, Error> {
        match answered.outcome()? {
            Outcome::DestroyedMany { count } => Ok(*count),
            _ => unexpected(),
        }
    }
}

impl Answer for Stats {
    fn read(answered: Answered<'_>) -> Result<Self, Error> {
        let outcome = answered.outcome()?;
        Ok(answered.tally.with(outcome))
    }
}

impl<'r> Answered<'r> {
    fn outcome(&self) -> Result<&'r Outcome, Error> {
        match self.outcome {
            Ok(Outcome::Refused(refusal)) => Err((*refusal).into()),
            Ok(outcome) => Ok(outcome),
            Err(error) => Err(error.clone().into()),
        }
    }
}

fn unexpected() -> ! {
    unreachable!("a store gives each operation an outcome of its own kind")
}
