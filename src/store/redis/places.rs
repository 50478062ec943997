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
pub type UserDigest = [u8; 16];

pub fn digest_of(user: &str) -> UserDigest {
    truncated_digest(b"user", user.as_bytes())
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

impl Place {
    /// Writes the content of a pointer.
    pub fn to_bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes[..16].copy_from_slice(&self.user);
        bytes[16..].copy_from_slice(self.handle.as_bytes());
        bytes
    }

    /// Reads the content of a pointer.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (user, handle) = bytes.split_first_chunk()?;
        Some(Self {
            user: *user,
            handle: Handle::from_bytes(handle.try_into().ok()?),
        })
    }
}

/// The places of recently used keys, in two halves. When the younger half is full, it replaces the older one, whose
/// keys are forgotten. A key that is used moves to the younger half.
pub struct Places {
    /// The time of the batch at work.
    pub now: Timestamp,
    younger: HashMap<SessionKey, Known>,
    older: HashMap<SessionKey, Known>,
}

impl Places {
    pub fn new(now: Timestamp) -> Self {
        Self {
            now,
            younger: HashMap::new(),
            older: HashMap::new(),
        }
    }

    pub fn get(&mut self, key: &SessionKey) -> Option<Known> {
        let known = if let Some(known) = self.younger.get(key) {
            *known
        } else {
            let known = self.older.remove(key)?;
            self.insert(key, known);
            known
        };
        (self.now < known.since + REMEMBERED_FOR).then_some(known)
    }

    /// Remembers where a pointer leads that the node reads or writes now, and that stays for as long as `stay`.
    pub fn learn(&mut self, key: &SessionKey, place: Place, stay: Duration) {
        let (since, pointer_until) = (self.now, self.now + stay);
        self.insert(
            key,
            Known {
                place,
                pointer_until,
                since,
            },
        );
    }

    /// Remembers where a key leads.
    pub fn insert(&mut self, key: &SessionKey, known: Known) {
        if self.younger.len() == HALF {
            self.older = mem::take(&mut self.younger);
        }
        self.younger.insert(*key, known);
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
        let mut places = Places::new(Timestamp::from_millis(0));
        let place = Place::from_bytes(&[7; 32]).expect("it is a place");
        places.learn(&key(0), place, Duration::from_secs(7));
        let known = places.get(&key(0)).expect("it was learned");
        places.now = Timestamp::from_millis(59_999);
        for n in 0..3 * HALF {
            places.insert(&key(n), known);
            assert!(places.get(&key(0)).is_some(), "{n}");
        }
        assert!(places.get(&key(1)).is_none());
        assert!(places.younger.len() <= HALF && places.older.len() <= HALF);
        places.now = Timestamp::from_millis(60_000);
        assert!(places.get(&key(0)).is_none());
        places.now = Timestamp::from_millis(59_999);
        places.forget(&key(0));
        assert!(places.get(&key(0)).is_none());
    }

    #[test]
    fn a_pointer_says_the_place_that_was_written_into_it() {
        let place = Place {
            user: digest_of("alice"),
            handle: SessionKey::of("a").handle(),
        };
        assert_eq!(Place::from_bytes(&place.to_bytes()), Some(place));
        assert_eq!(Place::from_bytes(&[0; 31]), None);
        assert_eq!(Place::from_bytes(b"something else"), None);
    }
}
