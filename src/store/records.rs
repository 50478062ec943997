//! Where sessions are kept, as far as the [rules](super::rules) need to know: what a store in Rust has to implement.

use crate::session::{Binding, Lifetime, SessionKey, Timestamp};

/// How many sessions the default of [`Records::remove_all`] holds at a time.
const REMOVED_AT_A_TIME: usize = 256;

/// Where sessions are kept.
///
/// A record is how the place refers to a session that it has found: a slot, or a row. It stays good until its session
/// is removed.
///
/// # Errors
///
/// Every method that fails has changed nothing.
#[allow(clippy::missing_errors_doc, reason = "said once for all methods")]
pub trait Records {
    /// A session that was found.
    type Record: PartialEq;
    /// Why a place cannot do what it is asked.
    type Error;

    /// The session whose key this is, or once was.
    fn find(&mut self, key: &SessionKey) -> Result<Option<Found<Self::Record>>, Self::Error>;

    /// A user's sessions in the order of their creation, from behind `after` on, `at_most` so many.
    fn of_user(
        &mut self,
        user: &str,
        after: Option<&Self::Record>,
        at_most: usize,
    ) -> Result<Vec<Self::Record>, Self::Error>;

    /// Sessions that may have expired by `by`, `at_most` so many. It may leave out one that has expired within the
    /// present second, and none that expired before.
    fn due(&mut self, by: Timestamp, at_most: usize) -> Result<Vec<Self::Record>, Self::Error>;

    /// How many sessions there are, those that have expired and are not yet removed included, and of how many users.
    fn totals(&mut self) -> Result<Totals, Self::Error>;

    /// What is kept of a session.
    fn session<'r>(&'r self, record: &'r Self::Record) -> Session<'r>;

    /// Sees to it that there is room for a session, or a new key, and for this data, before anything is changed.
    fn reserve(&mut self, data: Option<&str>) -> Result<(), Self::Error> {
        let _ = data;
        Ok(())
    }

    /// Adds a session. If another has its key, the other is removed.
    fn insert(&mut self, new: &NewSession<'_>) -> Result<Self::Record, Self::Error>;

    /// Notes a use, which has changed the times of a session to `lifetime`.
    fn touch(&mut self, record: &Self::Record, lifetime: &Lifetime) -> Result<(), Self::Error> {
        let change = Change {
            lifetime: *lifetime,
            data: None,
            new_key: None,
        };
        self.change(record, &change)
    }

    /// Changes a session.
    fn change(&mut self, record: &Self::Record, change: &Change<'_>) -> Result<(), Self::Error>;

    /// Forgets retired keys of a session, from the oldest on, as long as `is_enough` does not hold of when the oldest
    /// was retired and how many there are.
    fn forget_retired(
        &mut self,
        record: &Self::Record,
        is_enough: impl Fn(Timestamp, usize) -> bool,
    ) -> Result<(), Self::Error>;

    /// Puts off when a session is due, which has not expired, to when it will have expired unless it is used. For
    /// places whose [`Records::due`] gives sessions that were used meanwhile.
    fn look_later(&mut self, record: &Self::Record) -> Result<(), Self::Error> {
        let _ = record;
        Ok(())
    }

    /// Removes a session and the keys that lead to it.
    fn remove(&mut self, record: &Self::Record) -> Result<(), Self::Error>;

    /// Removes all sessions.
    fn remove_all(&mut self) -> Result<(), Self::Error> {
        let end_of_time = Timestamp::from_millis(u64::MAX);
        loop {
            let all = self.due(end_of_time, REMOVED_AT_A_TIME)?;
            if all.is_empty() {
                return Ok(());
            }
            for record in all {
                self.remove(&record)?;
            }
        }
    }
}

/// What is kept of a session.
#[derive(Clone, Copy)]
pub struct Session<'r> {
    /// Whose it is.
    pub user: &'r str,
    /// The key with which it began: its handle is made of it.
    pub first_key: SessionKey,
    /// Its times, as far as they are known.
    pub lifetime: Lifetime,
    /// What the application keeps in it: a JSON object.
    pub data: Option<&'r str>,
    /// What it is bound to.
    pub binding: Option<&'r Binding>,
}

/// What a key leads to.
pub enum Found<R> {
    /// The session whose key it is.
    Current(R),
    /// The session whose key it was.
    Retired {
        /// The session.
        record: R,
        /// Since when the key is no longer its own.
        at: Timestamp,
    },
}

/// A session that is to begin.
pub struct NewSession<'a> {
    /// Its key.
    pub key: SessionKey,
    /// Whose it is.
    pub user: &'a str,
    /// Its times.
    pub lifetime: Lifetime,
    /// Its data, if it has any: a JSON object.
    pub data: Option<&'a str>,
    /// What it is bound to, if it is.
    pub binding: Option<&'a Binding>,
}

/// What changes in a session.
pub struct Change<'a> {
    /// The times that it has from now on.
    pub lifetime: Lifetime,
    /// What replaces its data, if it is to be replaced.
    pub data: Option<&'a str>,
    /// What replaces its key, if it is to be replaced.
    pub new_key: Option<NewKey>,
}

/// A key that a session is to have.
pub struct NewKey {
    /// The key.
    pub key: SessionKey,
    /// When the present key is retired, if it is to be remembered.
    pub retired_at: Option<Timestamp>,
}

/// How many sessions a place holds, and of how many users.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Sessions, those that have expired and are not yet removed included.
    pub sessions: u64,
    /// Users who have some.
    pub users: u64,
}
