//! The default store: sessions in memory, gone when the process ends.
//!
//! Sessions stand in a slab. A hash index finds them by key, another finds users by name, and two kinds of
//! lists run through them: the sessions of one user, and the sessions that end in the same second. Every
//! operation removes a few sessions that have ended, so that memory is given back while the store is in use
//! and no request pays for a sweep. Nothing here ever moves a large table at once.

mod chunked;
mod index;
mod list;
mod slab;

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::hint::black_box;

use compact_str::CompactString;

use self::index::Index;
use self::list::{Links, List};
use self::slab::{Slab, Slot};
use super::{Operation, Outcome, Outcomes, Store};
use crate::session::{Lifetime, SessionKey, Timestamp};

/// How many ended sessions one operation removes at the most: more than the one session that an operation
/// can add, so the ended ones get fewer under any load, and few enough that no request is held up.
const REMOVED_PER_OPERATION: usize = 4;

/// How many sessions a full store examines to find one that has ended within the second that is passing.
/// Those that ended before are gone already.
const EXAMINED_WHEN_FULL: usize = 64;

/// How many operations look for their sessions together: enough to wait for many cache lines at once, and few
/// enough that the lines are still in the nearest cache when the operations are applied.
const FOUND_TOGETHER: usize = 16;

/// Sessions in memory.
pub struct MemoryStore {
    max_sessions: usize,
    sessions: Slab<Session>,
    by_key: Index<Session>,
    users: Slab<User>,
    by_name: Index<User>,
    /// User names come from outside: hashed with a secret, so that nobody can choose names that collide.
    name_hasher: RandomState,
    /// Sessions by the second in which they end, a second holding those that end in it or at its end.
    ends: BTreeMap<u64, List<Session>>,
    /// Where the sessions of a batch were found before it was applied.
    found: Vec<Slot<Session>>,
}

/// One cache line.
struct Session {
    key: SessionKey,
    lifetime: Lifetime,
    user: Slot<User>,
    of_user: Links<Session>,
    ending: Links<Session>,
}

/// Somebody who has sessions. Forgotten with the last of them.
struct User {
    name: CompactString,
    sessions: List<Session>,
}

impl MemoryStore {
    /// An empty store that will hold up to `max_sessions` live sessions.
    ///
    /// A session counts until it is removed, which is at most a second after its end unless more than four
    /// sessions an operation end at once.
    pub fn new(max_sessions: usize) -> Self {
        Self {
            max_sessions,
            sessions: Slab::new(),
            by_key: Index::new(),
            users: Slab::new(),
            by_name: Index::new(),
            name_hasher: RandomState::new(),
            ends: BTreeMap::new(),
            found: Vec::new(),
        }
    }

    /// How many sessions are in memory: the live ones, and those that have ended and are not yet removed.
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Whether no session is in memory.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn apply_one(
        &mut self,
        now: Timestamp,
        operation: &Operation<'_>,
        hint: Slot<Session>,
        outcomes: &mut Outcomes,
    ) {
        let outcome = match operation {
            Operation::Create { key, user, ttl } => {
                self.create(now, *key, user, Lifetime::begin(now, *ttl))
            }
            Operation::Validate { key } => match self.live(now, key, hint) {
                Some(slot) => {
                    let session = &self.sessions[slot];
                    Outcome::Valid {
                        user: outcomes.keep(&self.users[session.user].name),
                        ends_at: session.lifetime.ends_at(),
                    }
                }
                None => Outcome::Invalid,
            },
            Operation::Regenerate { old, new } => match self.live(now, old, hint) {
                Some(slot) => {
                    self.by_key.remove(hash(old), slot);
                    self.sessions[slot].key = *new;
                    self.add_key(slot);
                    Outcome::Regenerated
                }
                None => Outcome::Invalid,
            },
            Operation::Destroy { key } => {
                if let Some(slot) = self.find(key, hint) {
                    self.remove(slot);
                }
                Outcome::Destroyed
            }
        };
        outcomes.push(Ok(outcome));
    }

    fn create(
        &mut self,
        now: Timestamp,
        key: SessionKey,
        user: &str,
        lifetime: Lifetime,
    ) -> Outcome {
        if self.len() >= self.max_sessions && !self.remove_one_ending(now) {
            return Outcome::Full {
                max_sessions: self.max_sessions,
            };
        }
        let user = self.user(user);
        let slot = self.sessions.insert(Session {
            key,
            lifetime,
            user,
            of_user: Links::NONE,
            ending: Links::NONE,
        });
        self.add_key(slot);
        let of_user = &mut self.users[user].sessions;
        of_user.push(&mut self.sessions, slot, |session| &mut session.of_user);
        let ending = self
            .ends
            .entry(last_second(&lifetime))
            .or_insert(List::EMPTY);
        ending.push(&mut self.sessions, slot, |session| &mut session.ending);
        Outcome::Created {
            ends_at: lifetime.ends_at(),
        }
    }

    fn live(&self, now: Timestamp, key: &SessionKey, hint: Slot<Session>) -> Option<Slot<Session>> {
        self.find(key, hint)
            .filter(|slot| self.sessions[*slot].lifetime.is_live(now))
    }

    /// The session of this key, in memory. Looks at `hint` first: a key belongs to one session, so one that
    /// has it is the right one.
    fn find(&self, key: &SessionKey, hint: Slot<Session>) -> Option<Slot<Session>> {
        match self.sessions.get(hint) {
            Some(session) if session.key == *key => Some(hint),
            _ => self.look_up(key),
        }
    }

    fn look_up(&self, key: &SessionKey) -> Option<Slot<Session>> {
        self.by_key
            .find(hash(key), |slot| self.sessions[slot].key == *key)
    }

    fn add_key(&mut self, slot: Slot<Session>) {
        self.by_key.insert(hash(&self.sessions[slot].key), slot);
    }

    /// The user of this name, who may be new.
    fn user(&mut self, name: &str) -> Slot<User> {
        let hash = self.hash_of_name(name);
        let users = &self.users;
        if let Some(slot) = self.by_name.find(hash, |slot| users[slot].name == name) {
            return slot;
        }
        let slot = self.users.insert(User {
            name: name.into(),
            sessions: List::EMPTY,
        });
        self.by_name.insert(hash, slot);
        slot
    }

    #[expect(clippy::cast_possible_truncation, reason = "half of a hash is enough")]
    fn hash_of_name(&self, name: &str) -> u32 {
        self.name_hasher.hash_one(name) as u32
    }

    fn remove(&mut self, slot: Slot<Session>) {
        let session = &self.sessions[slot];
        let (key, second, user) = (session.key, last_second(&session.lifetime), session.user);
        self.by_key.remove(hash(&key), slot);
        if let Some(ending) = self.ends.get_mut(&second) {
            ending.remove(&mut self.sessions, slot, |session| &mut session.ending);
            if ending.is_empty() {
                self.ends.remove(&second);
            }
        }
        let of_user = &mut self.users[user].sessions;
        of_user.remove(&mut self.sessions, slot, |session| &mut session.of_user);
        if of_user.is_empty() {
            let hash = self.hash_of_name(&self.users[user].name);
            self.by_name.remove(hash, user);
            self.users.remove(user);
        }
        self.sessions.remove(slot);
    }

    /// Removes a few of the sessions that have ended: those of the seconds that are over.
    fn remove_ended(&mut self, now: Timestamp, at_most: usize) {
        for _ in 0..at_most {
            match self.ends.first_key_value() {
                Some((second, ending)) if second * 1000 <= now.as_millis() => {
                    self.remove(ending.first());
                }
                _ => return,
            }
        }
    }

    /// Before the node is called full: removes a session that ended within the second that is passing, if one
    /// is found soon.
    fn remove_one_ending(&mut self, now: Timestamp) -> bool {
        let Some((_, ending)) = self.ends.first_key_value() else {
            return false;
        };
        let ended = ending
            .iter(&self.sessions, |session| &session.ending)
            .take(EXAMINED_WHEN_FULL)
            .find(|slot| !self.sessions[*slot].lifetime.is_live(now));
        ended.inspect(|slot| self.remove(*slot)).is_some()
    }

    /// Reads what the operations of a batch will need, step by step: at each step the processor can wait for the cache
    /// lines of many operations at once, where it would wait for one after the other in [`Self::apply_one`].
    /// Leaves in `found` the slot where each session is likely to be.
    fn find_all(&mut self, batch: &[Operation<'_>]) {
        let mut touched = 0;
        for operation in batch {
            touched ^= match operation {
                Operation::Create { key, user, .. } => {
                    self.by_key.touch(hash(key)) ^ self.by_name.touch(self.hash_of_name(user))
                }
                Operation::Validate { key } | Operation::Destroy { key } => {
                    self.by_key.touch(hash(key))
                }
                Operation::Regenerate { old, new } => {
                    self.by_key.touch(hash(old)) ^ self.by_key.touch(hash(new))
                }
            };
        }
        self.found.clear();
        self.found.extend(batch.iter().map(|operation| {
            presented_key(operation).map_or(Slot::NONE, |key| self.by_key.likely(hash(key)))
        }));
        let mut ends = 0;
        for session in self
            .found
            .iter()
            .filter_map(|slot| self.sessions.get(*slot))
        {
            ends ^= session.lifetime.ends_at().as_millis();
        }
        let mut names = 0;
        for session in self
            .found
            .iter()
            .filter_map(|slot| self.sessions.get(*slot))
        {
            names ^= self.users[session.user].name.len();
        }
        // Without this, the compiler would see that nobody needs what was touched.
        black_box((touched, ends, names));
    }
}

/// The key of the session that an operation asks for; none where it makes one.
fn presented_key<'a>(operation: &'a Operation<'_>) -> Option<&'a SessionKey> {
    match operation {
        Operation::Create { .. } => None,
        Operation::Validate { key } | Operation::Destroy { key } => Some(key),
        Operation::Regenerate { old, .. } => Some(old),
    }
}

impl Store for MemoryStore {
    fn apply(&mut self, now: Timestamp, batch: &[Operation<'_>], outcomes: &mut Outcomes) {
        for batch in batch.chunks(FOUND_TOGETHER) {
            self.remove_ended(now, batch.len() * REMOVED_PER_OPERATION);
            self.find_all(batch);
            for (at, operation) in batch.iter().enumerate() {
                self.apply_one(now, operation, self.found[at], outcomes);
            }
        }
    }
}

/// A session key is a piece of a SHA-256 digest: its first four bytes are as good a hash as any.
fn hash(key: &SessionKey) -> u32 {
    let (first, _) = key
        .as_bytes()
        .split_first_chunk()
        .expect("a key has 16 bytes");
    u32::from_le_bytes(*first)
}

/// The second at whose end, at the latest, a session has ended.
fn last_second(lifetime: &Lifetime) -> u64 {
    lifetime.ends_at().as_millis().div_ceil(1000)
}
