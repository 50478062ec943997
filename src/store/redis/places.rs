//! What a node remembers of where sessions are.
//!
//! All of one user is in one place on the servers, so that an operation is one script in one place. Which user's place
//! a key leads to is written in a pointer, a key of its own. A pointer never changes and decides nothing: whether a
//! session is live is known in its place alone. So a node may remember pointers.

use std::collections::HashMap;
use std::mem;
use std::time::Duration;

use crate::session::{Handle, SessionKey, Timestamp, truncated_digest};

/// How many keys one of the two halves of the memory holds: 100,000 sessions in use at the same time are at home in
/// it, for some 30 MB.
const HALF: usize = 1 << 17;

/// For how long a node goes by its memory. Where servers have lost a pointer, as in a failover, a node that remembers
/// it and one that does not would otherwise disagree on whether its id leads to a session.
const REMEMBERED_FOR: Duration = Duration::from_secs(60);

/// A user's name to the servers: a digest, since a name may hold anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UserDigest([u8; 16]);

impl UserDigest {
    pub fn of(user: &str) -> Self {
        Self(truncated_digest(b"user", user.as_bytes()))
    }

    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// Where a session is: with whom, and which of theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub user: UserDigest,
    pub handle: Handle,
}

/// A place as a node remembers it.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    pub place: Place,
    /// Until when the pointer stays on the servers, by the clock of this node.
    pub pointer_until: Timestamp,
    /// Since when it is known that the pointer is there.
    pub since: Timestamp,
}

impl Place {
    /// What a pointer holds.
    pub fn to_bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes[..16].copy_from_slice(self.user.as_bytes());
        bytes[16..].copy_from_slice(self.handle.as_bytes());
        bytes
    }

    /// What a pointer says, if it is one.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (user, handle) = bytes.split_first_chunk()?;
        Some(Self {
            user: UserDigest(*user),
            handle: Handle::from_bytes(handle.try_into().ok()?),
        })
    }
}

/// The places of the keys that were used lately: in two halves, of which the older is dropped as a whole when the
/// younger is full. What is used moves over to the younger.
#[derive(Default)]
pub struct Places {
    younger: HashMap<SessionKey, Known>,
    older: HashMap<SessionKey, Known>,
}

impl Places {
    pub fn get(&mut self, key: &SessionKey, now: Timestamp) -> Option<Known> {
        let known = if let Some(known) = self.younger.get(key) {
            *known
        } else {
            let known = self.older.remove(key)?;
            self.insert(*key, known);
            known
        };
        (now < known.since + REMEMBERED_FOR).then_some(known)
    }

    pub fn insert(&mut self, key: SessionKey, known: Known) {
        if self.younger.len() == HALF {
            self.older = mem::take(&mut self.younger);
        }
        self.younger.insert(key, known);
    }

    pub fn forget(&mut self, key: &SessionKey) {
        self.younger.remove(key);
        self.older.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_is_remembered_and_what_is_not_is_forgotten() {
        let key = |n: usize| SessionKey::of(&n.to_string());
        let known = Known {
            place: Place {
                user: UserDigest::of("alice"),
                handle: key(0).handle(),
            },
            pointer_until: Timestamp::from_millis(7),
            since: Timestamp::from_millis(0),
        };
        let now = Timestamp::from_millis(59_999);
        let mut places = Places::default();
        for n in 0..3 * HALF {
            places.insert(key(n), known);
            assert!(places.get(&key(0), now).is_some(), "{n}");
        }
        assert!(places.get(&key(1), now).is_none());
        assert!(places.younger.len() <= HALF && places.older.len() <= HALF);
        let later = Timestamp::from_millis(60_000);
        assert!(places.get(&key(0), later).is_none());
        places.forget(&key(0));
        assert!(places.get(&key(0), now).is_none());
    }

    #[test]
    fn a_pointer_says_the_place_that_was_written_into_it() {
        let place = Place {
            user: UserDigest::of("alice"),
            handle: SessionKey::of("a").handle(),
        };
        assert_eq!(Place::from_bytes(&place.to_bytes()), Some(place));
        assert_eq!(Place::from_bytes(&[0; 31]), None);
        assert_eq!(Place::from_bytes(b"something else"), None);
    }
}
