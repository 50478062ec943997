//! The default store: a hash map in memory, gone when the process ends.
//!
//! Beside the map stands a calendar of ends. Every operation looks at its first few pages and removes what
//! has ended, so memory is reclaimed while the store is in use and no request pays for a sweep.

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasherDefault, Hasher};

use super::{Operation, Outcome, Outcomes, Store};
use crate::session::{Lifetime, SessionKey, Timestamp};

/// How many ended sessions one operation removes at the most: more than the one session that an operation
/// can add, so the ended ones get fewer under any load, and few enough that no request is held up.
const REMOVED_PER_OPERATION: usize = 4;

/// Sessions in memory.
pub struct MemoryStore {
    max_sessions: usize,
    sessions: HashMap<SessionKey, Session, BuildHasherDefault<KeyIsHash>>,
    ends: BTreeSet<(Timestamp, SessionKey)>,
}

struct Session {
    user: Box<str>,
    lifetime: Lifetime,
}

impl MemoryStore {
    /// An empty store that will hold up to `max_sessions` live sessions.
    pub fn new(max_sessions: usize) -> Self {
        Self {
            max_sessions,
            sessions: HashMap::default(),
            ends: BTreeSet::new(),
        }
    }

    /// How many sessions are in memory: the live ones, and those that have ended and are not yet removed.
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Whether no session is in memory.
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    fn apply_one(&mut self, now: Timestamp, operation: &Operation<'_>, outcomes: &mut Outcomes) {
        self.remove_ended(now);
        let outcome = match operation {
            Operation::Create { key, user, ttl } => {
                self.create(*key, user, Lifetime::begin(now, *ttl))
            }
            Operation::Validate { key } => match self.live(now, key) {
                Some(session) => Outcome::Valid {
                    user: outcomes.keep(&session.user),
                    ends_at: session.lifetime.ends_at(),
                },
                None => Outcome::Invalid,
            },
            Operation::Regenerate { old, new } => self.regenerate(now, *old, *new),
            Operation::Destroy { key } => {
                self.remove(*key);
                Outcome::Destroyed
            }
        };
        outcomes.push(Ok(outcome));
    }

    fn live(&self, now: Timestamp, key: &SessionKey) -> Option<&Session> {
        self.sessions
            .get(key)
            .filter(|session| session.lifetime.is_live(now))
    }

    fn create(&mut self, key: SessionKey, user: &str, lifetime: Lifetime) -> Outcome {
        if self.sessions.len() >= self.max_sessions {
            return Outcome::Full {
                max_sessions: self.max_sessions,
            };
        }
        self.insert(
            key,
            Session {
                user: user.into(),
                lifetime,
            },
        );
        Outcome::Created {
            ends_at: lifetime.ends_at(),
        }
    }

    fn regenerate(&mut self, now: Timestamp, old: SessionKey, new: SessionKey) -> Outcome {
        match self.remove(old) {
            Some(session) if session.lifetime.is_live(now) => {
                self.insert(new, session);
                Outcome::Regenerated
            }
            _ => Outcome::Invalid,
        }
    }

    fn insert(&mut self, key: SessionKey, session: Session) {
        self.ends.insert((session.lifetime.ends_at(), key));
        self.sessions.insert(key, session);
    }

    fn remove(&mut self, key: SessionKey) -> Option<Session> {
        let session = self.sessions.remove(&key)?;
        self.ends.remove(&(session.lifetime.ends_at(), key));
        Some(session)
    }

    /// Removes a few of the sessions that have ended.
    fn remove_ended(&mut self, now: Timestamp) {
        for _ in 0..REMOVED_PER_OPERATION {
            match self.ends.first() {
                Some(&(ends_at, key)) if ends_at <= now => self.remove(key),
                _ => return,
            };
        }
    }
}

impl Store for MemoryStore {
    fn apply(&mut self, now: Timestamp, batch: &[Operation<'_>], outcomes: &mut Outcomes) {
        for operation in batch {
            self.apply_one(now, operation, outcomes);
        }
    }
}

/// A session key is a piece of a SHA-256 digest: its first eight bytes are as good a hash as any.
#[derive(Default)]
struct KeyIsHash(u64);

impl Hasher for KeyIsHash {
    fn write(&mut self, bytes: &[u8]) {
        if let Some((first, _)) = bytes.split_first_chunk() {
            self.0 = u64::from_ne_bytes(*first);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
