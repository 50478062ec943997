//! The types in which an authority answers a Rust program.

use crate::id::SessionId;
use crate::limits::CURSOR_MUST_BE;
use crate::session::{Handle, Lifetime, Timestamp};
use crate::store::{Conflict, Cursor, Detail, Outcome, Outcomes, Refusal, StoreError, Text};

/// A new session. Not `Debug`, because it holds the id:
///
/// ```compile_fail,E0277
/// fn shown<T: std::fmt::Debug>() {}
/// shown::<session_node::authority::Created>();
/// ```
pub struct Created {
    /// The only copy of the session's id.
    pub id: SessionId,
    /// When the session ends if it is not used again.
    pub expires_at: Timestamp,
    /// Its handle and times, if [`CreateOptions::detail`](crate::store::CreateOptions::detail) asks for them.
    pub detail: Option<Detail>,
}

/// The result of a validation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Validation {
    /// The session is live and meets the conditions.
    Valid {
        /// The name of the session's user.
        user: String,
        /// The application's data: a JSON object.
        data: Option<String>,
        /// When the session ends if it is not used again.
        expires_at: Timestamp,
        /// The session's handle and times, if [`Conditions::detail`](crate::store::Conditions::detail) asks for them.
        detail: Option<Detail>,
    },
    /// The session is live, but its user authenticated longer ago than the conditions allow.
    ReauthenticationRequired {
        /// The name of the session's user.
        user: String,
        /// How many seconds ago the user authenticated, rounded up.
        auth_age: u64,
    },
    /// No live session has this id, or the binding is wrong.
    Invalid,
}

impl Validation {
    /// The name of the session's user, if the session is valid.
    pub fn user(&self) -> Option<&str> {
        match self {
            Self::Valid { user, .. } => Some(user),
            Self::ReauthenticationRequired { .. } | Self::Invalid => None,
        }
    }
}

/// A list of a user's sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionList {
    /// The sessions, in the order that the request asked for.
    pub sessions: Vec<ListedSession>,
    /// If more sessions follow: the cursor that continues the list, as
    /// [`ListOptions::after`](crate::store::ListOptions::after).
    pub next: Option<Cursor>,
}

/// A list of users who have live sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserList {
    /// The users, in an order that the store chooses.
    pub users: Vec<ListedUser>,
    /// If more users may follow: the cursor that continues the list, as
    /// [`ListUsersOptions::after`](crate::store::ListUsersOptions::after).
    pub next: Option<Cursor>,
}

/// A user in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedUser {
    /// The user's name.
    pub user: String,
    /// How many live sessions the user has.
    pub sessions: u64,
}

/// A session in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedSession {
    /// The session's handle, which is safe to display.
    pub handle: Handle,
    /// The session's times.
    pub lifetime: Lifetime,
    /// The application's data: a JSON object.
    pub data: Option<String>,
    /// Whether the session is the caller's own.
    pub is_current: bool,
}

/// Counts of live sessions now, and of answers since the authority was built.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// The number of live sessions, if the store can tell.
    pub sessions: Option<u64>,
    /// The number of users with a live session, if the store can tell.
    pub users: Option<u64>,
    /// The number of sessions created.
    pub created: u64,
    /// The number of validations that found a valid session.
    pub validated: u64,
    /// The number of requests that got the answer that their id or binding is invalid.
    pub invalid: u64,
    /// The number of sessions that got a new id.
    pub regenerated: u64,
    /// The number of sessions that requests ended, including evictions and revocations.
    pub destroyed: u64,
    /// The number of expired sessions that were removed.
    pub expired: u64,
    /// The number of requests that failed or were refused.
    pub errors: u64,
}

impl Stats {
    /// Adds the counts of the store, which `outcome` contains.
    pub(crate) fn with_counts(self, outcome: &Outcome) -> Self {
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
    /// An argument breaks a limit. The authority asked nothing of the store.
    #[error("{argument} must be {must_be}")]
    Invalid {
        /// The name of the argument.
        argument: &'static str,
        /// What the argument must be.
        must_be: String,
    },
    /// A limit refused the new session.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The session is not in the state that the request expects. Nothing changed.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The authority has stopped, because its store panicked. The request may have taken effect.
    #[error("the session authority has stopped")]
    Stopped,
}

impl Error {
    pub(super) fn invalid(argument: &'static str, must_be: String) -> Self {
        Self::Invalid { argument, must_be }
    }
}

/// An outcome, and what is needed to read it.
pub struct Answered<'r> {
    pub outcome: &'r Result<Outcome, StoreError>,
    pub outcomes: &'r Outcomes,
    /// The id that the authority made for the operation.
    pub new_id: Option<SessionId>,
    pub tally: &'r Stats,
    /// The detail that the operation asked for.
    pub detail: Option<&'r Detail>,
}

/// A type that can be read from an outcome.
pub trait Answer: Sized {
    /// Reads the outcome of an operation of the kind that this type answers.
    fn read(answered: Answered<'_>) -> Result<Self, Error>;
}

impl Answer for Created {
    fn read(answered: Answered<'_>) -> Result<Self, Error> {
        match *answered.outcome()? {
            Outcome::Created { expires_at } => Ok(Self {
                id: answered.new_id.expect("an id was made for every create"),
                expires_at,
                detail: answered.detail.copied(),
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
                detail: answered.detail.copied(),
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

/// The new id of a regenerated session; `None` if no live session has the old id.
impl Answer for Option<SessionId> {
    fn read(answered: Answered<'_>) -> Result<Self, Error> {
        match answered.outcome()? {
            Outcome::Regenerated => Ok(answered.new_id),
            Outcome::Invalid => Ok(None),
            _ => unexpected(),
        }
    }
}

/// Whether a session was updated, or ended.
impl Answer for bool {
    fn read(answered: Answered<'_>) -> Result<Self, Error> {
        match answered.outcome()? {
            Outcome::Updated => Ok(true),
            Outcome::Invalid => Ok(false),
            Outcome::Destroyed { ended } => Ok(*ended),
            _ => unexpected(),
        }
    }
}

impl Answer for SessionList {
    fn read(answered: Answered<'_>) -> Result<Self, Error> {
        let Outcome::Sessions { listed, next } = answered.outcome()? else {
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
            next: answered.cursor(next.as_ref()),
        })
    }
}

impl Answer for UserList {
    fn read(answered: Answered<'_>) -> Result<Self, Error> {
        let Outcome::Users { listed, next } = answered.outcome()? else {
            unexpected();
        };
        let users = answered.outcomes.users(listed).iter();
        let users = users.map(|listed| ListedUser {
            user: answered.outcomes.text(&listed.user).to_owned(),
            sessions: listed.sessions,
        });
        Ok(Self {
            users: users.collect(),
            next: answered.cursor(next.as_ref()),
        })
    }
}

/// An answer without content, for an operation that can only succeed or fail.
impl Answer for () {
    fn read(answered: Answered<'_>) -> Result<Self, Error> {
        answered.outcome().map(|_| ())
    }
}

/// How many sessions a request ended.
impl Answer for u64 {
    fn read(answered: Answered<'_>) -> Result<Self, Error> {
        match answered.outcome()? {
            Outcome::DestroyedMany { count } => Ok(*count),
            _ => unexpected(),
        }
    }
}

/// The number of sessions that ended, or `None` if the session to spare is not live.
impl Answer for Option<u64> {
    fn read(answered: Answered<'_>) -> Result<Self, Error> {
        match answered.outcome()? {
            Outcome::DestroyedMany { count } => Ok(Some(*count)),
            Outcome::Invalid => Ok(None),
            _ => unexpected(),
        }
    }
}

impl Answer for Stats {
    fn read(answered: Answered<'_>) -> Result<Self, Error> {
        let outcome = answered.outcome()?;
        Ok(answered.tally.with_counts(outcome))
    }
}

impl<'r> Answered<'r> {
    fn outcome(&self) -> Result<&'r Outcome, Error> {
        match self.outcome {
            Ok(Outcome::Refused(refusal)) => Err((*refusal).into()),
            Ok(Outcome::Conflict(conflict)) => Err((*conflict).into()),
            Ok(Outcome::UnknownCursor) => Err(Error::invalid("after", CURSOR_MUST_BE.to_owned())),
            Ok(outcome) => Ok(outcome),
            Err(error) => Err(error.clone().into()),
        }
    }
}

impl Answered<'_> {
    fn cursor(&self, text: Option<&Text>) -> Option<Cursor> {
        text.and_then(|text| Cursor::parse(self.outcomes.text(text)))
    }
}

fn unexpected() -> ! {
    unreachable!("a store gives each operation an outcome of its own kind")
}
