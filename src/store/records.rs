//! What a store in Rust implements so that the [rules](super::rules) can act on its sessions.

use std::collections::BTreeSet;

use super::{Cursor, ListOrder};
use crate::session::{Binding, Lifetime, SessionKey, Timestamp};

/// No session lives longer.
const END_OF_TIME: Timestamp = Timestamp::from_millis(u64::MAX);

/// How many sessions the default of [`Records::remove_all`] holds at a time.
const REMOVED_AT_A_TIME: usize = 256;

/// Keeps sessions and finds them.
///
/// A record refers to a session that was found, for example by a slot or a row. It stays valid until its session is
/// removed.
///
/// # Errors
///
/// A method that fails has changed nothing.
#[allow(clippy::missing_errors_doc, reason = "said once for all methods")]
pub trait Records {
    /// Refers to a session that was found.
    type Record: PartialEq;
    /// Why a method failed.
    type Error;

    /// Finds the session that has this key now or had it earlier.
    fn find(&mut self, key: &SessionKey) -> Result<Option<Found<Self::Record>>, Self::Error>;

    /// Lists up to `at_most` sessions of a user in this order, starting beyond the place `after`. A session that was
    /// there may have ended; the list goes on from its place all the same.
    ///
    /// The default reads all sessions each time.
    fn of_user(
        &mut self,
        user: &str,
        after: Option<u128>,
        order: ListOrder,
        at_most: usize,
    ) -> Result<Vec<Self::Record>, Self::Error> {
        let mut all = self.due(END_OF_TIME, usize::MAX)?;
        all.retain(|record| {
            self.session(record).user == user && order.is_beyond(after, self.place(record))
        });
        all.sort_by_key(|record| self.place(record));
        if order == ListOrder::NewestFirst {
            all.reverse();
        }
        all.truncate(at_most);
        Ok(all)
    }

    /// The place of a session among those of its user: greater than the places of the sessions that became the user's
    /// before it. It changes only when the session becomes another user's.
    fn place(&self, record: &Self::Record) -> u128;

    /// Lists up to `at_most` users who have sessions, starting after `after`, in an order that stays the same for users
    /// who stay. Each comes with the cursor that continues the list after them. Returns `None` if the store does not
    /// understand `after`.
    ///
    /// The default reads all sessions each time, and sorts the users by name.
    fn users(
        &mut self,
        after: Option<&Cursor>,
        at_most: usize,
    ) -> Result<Option<Vec<(String, Cursor)>>, Self::Error> {
        let all = self.due(END_OF_TIME, usize::MAX)?;
        let names: BTreeSet<_> = all.iter().map(|record| self.session(record).user).collect();
        let is_next = |name: &&&str| after.is_none_or(|after| name.as_bytes() > after.as_bytes());
        let with_cursor = |name: &&str| ((*name).to_owned(), Cursor::from_bytes(*name));
        let users = names.iter().filter(is_next).take(at_most);
        Ok(Some(users.map(with_cursor).collect()))
    }

    /// Lists up to `at_most` sessions that may have expired by `by`. The list may omit a session that expired within
    /// the present second, but none that expired earlier.
    fn due(&mut self, by: Timestamp, at_most: usize) -> Result<Vec<Self::Record>, Self::Error>;

    /// Counts the sessions and their users. Expired sessions count until they are removed.
    ///
    /// The default reads all sessions each time.
    fn totals(&mut self) -> Result<Totals, Self::Error> {
        let all = self.due(END_OF_TIME, usize::MAX)?;
        let users: BTreeSet<_> = all.iter().map(|record| self.session(record).user).collect();
        Ok(Totals {
            sessions: all.len() as u64,
            users: users.len() as u64,
        })
    }

    /// Reads a session.
    fn session<'r>(&'r self, record: &'r Self::Record) -> Session<'r>;

    /// Makes sure, before anything changes, that memory suffices for one more session or key and for this data.
    fn reserve(&mut self, data: Option<&str>) -> Result<(), Self::Error> {
        let _ = data;
        Ok(())
    }

    /// Adds a session. If another session has its key, removes the other.
    fn insert(&mut self, new: &NewSession<'_>) -> Result<Self::Record, Self::Error>;

    /// Records a use of a session, whose times are now `lifetime`.
    fn touch(&mut self, record: &Self::Record, lifetime: &Lifetime) -> Result<(), Self::Error> {
        let change = Change {
            lifetime: *lifetime,
            data: None,
            binding: None,
            new_key: None,
            user: None,
        };
        self.change(record, &change)
    }

    /// Changes a session. Its end may come earlier by this, and [`Records::due`] has to list it then. If the change
    /// gives it to another user, the record no longer tells the session's user and place.
    fn change(&mut self, record: &Self::Record, change: &Change<'_>) -> Result<(), Self::Error>;

    /// Forgets a session's retired keys, oldest first, until `is_enough` returns true. `is_enough` receives the time
    /// when the oldest remaining key was retired, and the number of remaining keys.
    fn forget_retired(
        &mut self,
        record: &Self::Record,
        is_enough: impl Fn(Timestamp, usize) -> bool,
    ) -> Result<(), Self::Error>;

    /// Postpones the check of a session that has not expired until the time when it expires unless it is used. Only
    /// needed where [`Records::due`] also lists sessions that were used meanwhile.
    fn reschedule(&mut self, record: &Self::Record) -> Result<(), Self::Error> {
        let _ = record;
        Ok(())
    }

    /// Removes a session and the keys that lead to it.
    fn remove(&mut self, record: &Self::Record) -> Result<(), Self::Error>;

    /// Removes all sessions.
    fn remove_all(&mut self) -> Result<(), Self::Error> {
        loop {
            let all = self.due(END_OF_TIME, REMOVED_AT_A_TIME)?;
            if all.is_empty() {
                return Ok(());
            }
            for record in all {
                self.remove(&record)?;
            }
        }
    }
}

/// The stored fields of a session.
#[derive(Clone, Copy)]
pub struct Session<'r> {
    /// The user's name.
    pub user: &'r str,
    /// The key with which the session began. Its digest is the session's handle.
    pub first_key: SessionKey,
    /// The session's times, as far as the store knows them.
    pub lifetime: Lifetime,
    /// The application's data: a JSON object.
    pub data: Option<&'r str>,
    /// The binding to the client.
    pub binding: Option<&'r Binding>,
}

/// The session that a key leads to.
pub enum Found<R> {
    /// The key is the session's present key.
    Current(R),
    /// The key is a retired key of the session.
    Retired {
        /// The session.
        record: R,
        /// The retirement of the key.
        retirement: Retirement,
    },
}

/// The retirement of a key by a regeneration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retirement {
    /// When the key was retired.
    pub at: Timestamp,
    /// The session's `auth_time` until then. A retired key proves no later authentication.
    pub auth_time: Timestamp,
}

/// A session to add.
pub struct NewSession<'a> {
    /// The session's key.
    pub key: SessionKey,
    /// The user's name.
    pub user: &'a str,
    /// The session's times.
    pub lifetime: Lifetime,
    /// The application's data, if any: a JSON object.
    pub data: Option<&'a str>,
    /// The binding to the client, if any.
    pub binding: Option<&'a Binding>,
}

/// A change of a session.
pub struct Change<'a> {
    /// The session's new times.
    pub lifetime: Lifetime,
    /// The new data, or `None` to keep the present data.
    pub data: Option<&'a str>,
    /// The new binding, or `None` to keep the present binding.
    pub binding: Option<&'a Binding>,
    /// The new key, or `None` to keep the present key.
    pub new_key: Option<NewKey>,
    /// The user to whom the session belongs from now on, as the last of that user's sessions, or `None` to keep the
    /// present user.
    pub user: Option<&'a str>,
}

/// A key that replaces a session's present key.
pub struct NewKey {
    /// The new key.
    pub key: SessionKey,
    /// The retirement of the present key, or `None` to forget the key.
    pub retirement: Option<Retirement>,
}

/// The numbers of sessions and of users.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// The number of sessions. Expired sessions count until they are removed.
    pub sessions: u64,
    /// The number of users who have a session.
    pub users: u64,
}
