//! The places of sessions on the servers, and a node's memory of them.
//!
//! One hash holds all sessions of a user, so that an operation is one script on one hash. A pointer, a key of its own,
//! says which user's hash a session's key leads to. A pointer never changes, and only the hash decides whether the
//! session is live. So a node may remember pointers.

use std::collections::HashMap;
use std::mem;
use std::time::Duration;

use crate::session::{Handle, SessionKey, Timestamp, truncated_digest};

/// How many keys each of the two halves of the memory holds: enough for 100,000 sessions in use at the same time, in
/// some 30 MB.
const HALF: usize = 1 << 17;

/// For how long a node trusts its memory. A failover can lose a pointer on the servers. Without this bound, a node that
/// remembers the pointer would disagree for good with a node that does not.
const REMEMBERED_FOR: Duration = Duration::from_secs(60);

/// Stands for a user in the name of their hash. A user's name itself may hold anything, so this is its digest.
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

/// The place of a session: whose hash holds it, and under which handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub user: UserDigest,
    pub handle: Handle,
}

/// What a node remembers of a pointer.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    pub place: Place,
    /// Until when the pointer stays on the servers, by this node's clock.
    pub pointer_until: Timestamp,
    /// When the node last read or wrote the pointer.
    since: Timestamp,
}

impl Known {
    /// A pointer that the node reads or writes at `now`, and that stays for as long as `stay`.
    pub fn new(place: Place, now: Timestamp, stay: Duration) -> Self {
        Self {
            place,
            pointer_until: now + stay,
            since: now,
        }
    }
}

impl Place {
    pub fn new(user: &str, handle: Handle) -> Self {
        let user = UserDigest::of(user);
        Self { user, handle }
    }

    /// Writes the content of a pointer.
    pub fn to_bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes[..16].copy_from_slice(self.user.as_bytes());
        bytes[16..].copy_from_slice(self.handle.as_bytes());
        bytes
    }

    /// Reads the content of a pointer.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (user, handle) = bytes.split_first_chunk()?;
        Some(Self {
            user: UserDigest(*user),
            handle: Handle::from_bytes(handle.try_into().ok()?),
        })
    }
}

/// The places of recently used keys, in two halves. When the younger half is full, it replaces the older one, whose
/// keys are forgotten. A key that is used moves to the younger half.
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
        let place = Place::new("alice", key(0).handle());
        let known = Known::new(place, Timestamp::from_millis(0), Duration::from_secs(7));
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
        let place = Place::new("alice", SessionKey::of("a").handle());
        assert_eq!(Place::from_bytes(&place.to_bytes()), Some(place));
        assert_eq!(Place::from_bytes(&[0; 31]), None);
        assert_eq!(Place::from_bytes(b"something else"), None);
    }
}
