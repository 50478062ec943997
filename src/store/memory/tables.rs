//! The sessions in memory and the ways to find them: by key, by user, and by the second in which they expire.
//! Keeps these in step with each other, and knows no rule but when a session expires.

use std::collections::{BTreeMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::hint::black_box;

use compact_str::CompactString;

use super::index::Index;
use super::list::{Links, List, iterate};
use super::slab::{Slab, Slot};
use crate::session::{Binding, Lifetime, SessionKey, Timestamp};
use crate::store::Operation;

/// The most that a session takes beside its data and its retired keys: when it is the only one of a user whose name is
/// as long as can be. Too high a figure costs nothing worth mentioning.
pub const MOST_BYTES_OF_A_SESSION: usize = 1024;

/// The most that a retired key takes, its entry in the index included.
pub const MOST_BYTES_OF_A_RETIRED_KEY: usize = 128;

/// What is asked for most stands first, so that it is in one cache line or two.
#[repr(C)]
pub struct Session {
    pub key: SessionKey,
    ends_at: Timestamp,
    last_used_at: Timestamp,
    idle_timeout_millis: u64,
    created_at: Timestamp,
    pub user: Slot<User>,
    /// The second in which the session is looked at to see whether it has expired: seconds since its creation.
    looked_at_after: u32,
    /// What few sessions have.
    rare: Option<Box<Rare>>,
    of_user: Links<Session>,
    expiring: Links<Session>,
}

/// What few sessions have.
#[derive(Default)]
pub struct Rare {
    data: Option<Box<str>>,
    binding: Option<Binding>,
    /// When the user authenticated, once it was again.
    auth_time: Option<Timestamp>,
    /// The key under which the session began, once it has another.
    first_key: Option<SessionKey>,
    /// Keys that regenerations have retired and that are still remembered, the oldest first.
    retired: VecDeque<Retired>,
}

impl Rare {
    /// Of a session that begins with these; none when it begins with neither.
    pub fn of(data: Option<&str>, binding: Option<&Binding>) -> Option<Self> {
        (data.is_some() || binding.is_some()).then(|| Self {
            data: data.map(Into::into),
            binding: binding.copied(),
            ..Self::default()
        })
    }

    /// What data and retired keys take.
    fn most_bytes(&self) -> usize {
        let data = self.data.as_deref().map_or(0, str::len);
        data + self.retired.len() * MOST_BYTES_OF_A_RETIRED_KEY
    }
}

/// A key that is no longer its session's, and since when.
pub struct Retired {
    pub key: SessionKey,
    pub at: Timestamp,
}

/// Somebody who has sessions. Forgotten with the last of them.
pub struct User {
    pub name: CompactString,
    sessions: List<Session>,
}

impl Session {
    pub fn lifetime(&self) -> Lifetime {
        let auth_time = self.rare.as_ref().and_then(|rare| rare.auth_time);
        Lifetime {
            created_at: self.created_at,
            auth_time: auth_time.unwrap_or(self.created_at),
            last_used_at: self.last_used_at,
            ends_at: self.ends_at,
            idle_timeout_millis: self.idle_timeout_millis,
        }
    }

    /// Notes what a use or an authentication has changed.
    pub fn set_lifetime(&mut self, lifetime: &Lifetime) {
        self.last_used_at = lifetime.last_used_at;
        self.ends_at = lifetime.ends_at;
        if lifetime.auth_time != self.created_at {
            self.rare.get_or_insert_default().auth_time = Some(lifetime.auth_time);
        }
    }

    pub fn is_live(&self, now: Timestamp) -> bool {
        self.lifetime().is_live(now)
    }

    /// The key under which the session began.
    pub fn first_key(&self) -> SessionKey {
        let first_key = self.rare.as_ref().and_then(|rare| rare.first_key);
        first_key.unwrap_or(self.key)
    }

    pub fn data(&self) -> Option<&str> {
        self.rare.as_ref()?.data.as_deref()
    }

    pub fn binding(&self) -> Option<&Binding> {
        self.rare.as_ref()?.binding.as_ref()
    }

    /// When `key` was retired, if it once was this session's.
    pub fn retired_at(&self, key: &SessionKey) -> Option<Timestamp> {
        let retired = &self.rare.as_ref()?.retired;
        let found = retired.iter().find(|retired| retired.key == *key)?;
        Some(found.at)
    }

    fn answers_to(&self, key: &SessionKey) -> bool {
        self.key == *key || self.retired_at(key).is_some()
    }
}

pub struct Tables {
    sessions: Slab<Session>,
    /// Retired keys lead to their sessions too.
    by_key: Index<Session>,
    users: Slab<User>,
    by_name: Index<User>,
    /// User names come from outside: hashed with a secret, so that nobody can choose names that collide.
    name_hasher: RandomState,
    /// Sessions by the second in which they are looked at, which comes no later than they expire: a use moves the
    /// end of a session, and its place here is seen to when that second is over.
    expiring: BTreeMap<u64, List<Session>>,
    /// Where the sessions of a batch are likely to be.
    pub(super) likely: Vec<Slot<Session>>,
    /// What the data and the retired keys of all sessions take.
    rare_bytes: usize,
}

impl std::ops::Index<Slot<Session>> for Tables {
    type Output = Session;

    fn index(&self, slot: Slot<Session>) -> &Session {
        &self.sessions[slot]
    }
}

impl std::ops::IndexMut<Slot<Session>> for Tables {
    fn index_mut(&mut self, slot: Slot<Session>) -> &mut Session {
        &mut self.sessions[slot]
    }
}

impl Tables {
    pub fn new() -> Self {
        Self {
            sessions: Slab::new(),
            by_key: Index::new(),
            users: Slab::new(),
            by_name: Index::new(),
            name_hasher: RandomState::new(),
            expiring: BTreeMap::new(),
            likely: Vec::new(),
            rare_bytes: 0,
        }
    }

    /// No less memory than all this takes.
    pub fn most_bytes(&self) -> usize {
        self.len() * MOST_BYTES_OF_A_SESSION + self.rare_bytes
    }

    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    pub fn user_count(&self) -> usize {
        self.users.len()
    }

    pub fn name_of_user(&self, session: &Session) -> &str {
        &self.users[session.user].name
    }

    /// The session that has this key or once had it. Looks first where it was likely to be when operation `at` was
    /// read ahead.
    pub fn find(&self, key: &SessionKey, at: usize) -> Option<Slot<Session>> {
        let likely = self.likely.get(at).copied().unwrap_or(Slot::NONE);
        match self.sessions.get(likely) {
            Some(session) if session.key == *key => Some(likely),
            _ => self
                .by_key
                .find(hash_of_key(key), |slot| self.sessions[slot].answers_to(key)),
        }
    }

    /// The session that has this key now.
    fn find_current(&self, key: &SessionKey) -> Option<Slot<Session>> {
        self.by_key
            .find(hash_of_key(key), |slot| self.sessions[slot].key == *key)
    }

    /// A user's sessions, the oldest first, from behind `after` on.
    pub fn of_user(
        &self,
        name: &str,
        after: Option<Slot<Session>>,
    ) -> impl Iterator<Item = Slot<Session>> {
        let first = after.map_or_else(
            || {
                let user = self.find_user(self.hash_of_name(name), name);
                user.map_or(Slot::NONE, |user| self.users[user].sessions.first())
            },
            |after| self.sessions[after].of_user.next(),
        );
        iterate(first, &self.sessions, |session| &session.of_user)
    }

    pub fn insert(
        &mut self,
        key: SessionKey,
        user: &str,
        lifetime: &Lifetime,
        rare: Option<Box<Rare>>,
    ) -> Slot<Session> {
        if let Some(taken) = self.find_current(&key) {
            self.remove(taken);
        }
        let user = self.intern_user(user);
        self.rare_bytes += rare.as_deref().map_or(0, Rare::most_bytes);
        let slot = self.sessions.insert(Session {
            key,
            ends_at: lifetime.ends_at,
            last_used_at: lifetime.last_used_at,
            idle_timeout_millis: lifetime.idle_timeout_millis,
            created_at: lifetime.created_at,
            user,
            looked_at_after: 0,
            rare,
            of_user: Links::NONE,
            expiring: Links::NONE,
        });
        self.by_key.insert(hash_of_key(&key), slot);
        let of_user = &mut self.users[user].sessions;
        of_user.push(&mut self.sessions, slot, |session| &mut session.of_user);
        self.schedule(slot);
        slot
    }

    pub fn remove(&mut self, slot: Slot<Session>) {
        self.unschedule(slot);
        let user = self.sessions[slot].user;
        let of_user = &mut self.users[user].sessions;
        of_user.remove(&mut self.sessions, slot, |session| &mut session.of_user);
        if of_user.is_empty() {
            let hash = self.hash_of_name(&self.users[user].name);
            self.by_name.remove(hash, user);
            self.users.remove(user);
        }
        let Some(session) = self.sessions.remove(slot) else {
            return;
        };
        self.rare_bytes -= session.rare.as_deref().map_or(0, Rare::most_bytes);
        self.by_key.remove(hash_of_key(&session.key), slot);
        for retired in session.rare.iter().flat_map(|rare| &rare.retired) {
            self.by_key.remove(hash_of_key(&retired.key), slot);
        }
    }

    /// Gives a session new data.
    pub fn set_data(&mut self, slot: Slot<Session>, data: &str) {
        let rare = self.sessions[slot].rare.get_or_insert_default();
        self.rare_bytes -= rare.most_bytes();
        rare.data = Some(data.into());
        self.rare_bytes += rare.most_bytes();
    }

    /// Gives a session a new key. The old one is forgotten at once, unless it is retired `at` some time.
    pub fn rekey(&mut self, slot: Slot<Session>, new: SessionKey, at: Option<Timestamp>) {
        let session = &mut self.sessions[slot];
        let old = std::mem::replace(&mut session.key, new);
        let rare = session.rare.get_or_insert_default();
        rare.first_key.get_or_insert(old);
        match at {
            Some(at) => {
                rare.retired.push_back(Retired { key: old, at });
                self.rare_bytes += MOST_BYTES_OF_A_RETIRED_KEY;
            }
            None => self.by_key.remove(hash_of_key(&old), slot),
        }
        self.by_key.insert(hash_of_key(&new), slot);
    }

    /// Forgets a session's retired keys, from the oldest on, as long as `is_enough` of what is left does not hold.
    pub fn forget_retired(
        &mut self,
        slot: Slot<Session>,
        is_enough: impl Fn(Timestamp, usize) -> bool,
    ) {
        let Some(rare) = &mut self.sessions[slot].rare else {
            return;
        };
        while let Some(oldest) = rare.retired.front()
            && !is_enough(oldest.at, rare.retired.len())
            && let Some(retired) = rare.retired.pop_front()
        {
            self.rare_bytes -= MOST_BYTES_OF_A_RETIRED_KEY;
            self.by_key.remove(hash_of_key(&retired.key), slot);
        }
    }

    /// The first session to look at, if its second is over.
    pub fn first_due(&self, now: Timestamp) -> Option<Slot<Session>> {
        let (second, list) = self.expiring.first_key_value()?;
        (second * 1000 <= now.as_millis()).then(|| list.first())
    }

    /// Sessions that may have expired by `by`, `at_most` so many: those that were to be looked at in a second that is
    /// over, and else those of the second after, if they have expired.
    pub fn due(&self, by: Timestamp, at_most: usize) -> Vec<Slot<Session>> {
        let Some((second, list)) = self.expiring.first_key_value() else {
            return Vec::new();
        };
        let is_over = second * 1000 <= by.as_millis();
        let first = iterate(list.first(), &self.sessions, |session| &session.expiring);
        let is_due = |slot: &Slot<Session>| is_over || !self.sessions[*slot].is_live(by);
        first.filter(is_due).take(at_most).collect()
    }

    /// Puts off when a session is looked at, which has not expired, to the second in which it will have.
    pub fn look_later(&mut self, slot: Slot<Session>) {
        self.unschedule(slot);
        self.schedule(slot);
    }

    fn schedule(&mut self, slot: Slot<Session>) {
        let session = &mut self.sessions[slot];
        let created = session.created_at.unix_seconds();
        let second = session.lifetime().expires_at().as_millis().div_ceil(1000);
        // Beyond 136 years it is looked at too early, which does no harm.
        session.looked_at_after = u32::try_from(second - created).unwrap_or(u32::MAX);
        let second = session.second_of_look();
        let list = self.expiring.entry(second).or_insert(List::EMPTY);
        list.push(&mut self.sessions, slot, |session| &mut session.expiring);
    }

    fn unschedule(&mut self, slot: Slot<Session>) {
        let second = self.sessions[slot].second_of_look();
        if let Some(list) = self.expiring.get_mut(&second) {
            list.remove(&mut self.sessions, slot, |session| &mut session.expiring);
            if list.is_empty() {
                self.expiring.remove(&second);
            }
        }
    }

    fn find_user(&self, hash: u32, name: &str) -> Option<Slot<User>> {
        self.by_name
            .find(hash, |slot| self.users[slot].name == name)
    }

    /// The user of this name, who is added if they are new.
    fn intern_user(&mut self, name: &str) -> Slot<User> {
        let hash = self.hash_of_name(name);
        self.find_user(hash, name).unwrap_or_else(|| {
            let slot = self.users.insert(User {
                name: name.into(),
                sessions: List::EMPTY,
            });
            self.by_name.insert(hash, slot);
            slot
        })
    }

    #[expect(clippy::cast_possible_truncation, reason = "half of a hash is enough")]
    fn hash_of_name(&self, name: &str) -> u32 {
        self.name_hasher.hash_one(name) as u32
    }

    /// Reads what the operations of a batch will need, step by step: at each step the processor can wait for the cache
    /// lines of many operations at once, where it would wait for one after the other when they are applied.
    /// Notes where each session is likely to be.
    pub fn read_ahead(&mut self, batch: &[Operation<'_>]) {
        let mut touched = 0;
        for operation in batch {
            touched ^= match operation {
                Operation::Create { key, user, .. } => {
                    self.by_key.touch(hash_of_key(key))
                        ^ self.by_name.touch(self.hash_of_name(user))
                }
                Operation::Regenerate { old, new, .. } => {
                    self.by_key.touch(hash_of_key(old)) ^ self.by_key.touch(hash_of_key(new))
                }
                _ => presented_key(operation).map_or(0, |key| self.by_key.touch(hash_of_key(key))),
            };
        }
        self.likely.clear();
        self.likely.extend(batch.iter().map(|operation| {
            presented_key(operation).map_or(Slot::NONE, |key| self.by_key.likely(hash_of_key(key)))
        }));
        let mut ends = 0;
        for session in self
            .likely
            .iter()
            .filter_map(|slot| self.sessions.get(*slot))
        {
            ends ^= session.ends_at.as_millis();
        }
        let mut names = 0;
        for session in self
            .likely
            .iter()
            .filter_map(|slot| self.sessions.get(*slot))
        {
            names ^= self.users[session.user].name.len();
        }
        // Without this, the compiler would see that nobody needs what was touched.
        black_box((touched, ends, names));
    }

    /// Frees one chunk, so that millions of sessions can be dropped without a pause. To be called until it returns
    /// false.
    pub fn drop_chunk(&mut self) -> bool {
        self.sessions.drop_chunk()
            || self.users.drop_chunk()
            || self.by_key.drop_chunk()
            || self.by_name.drop_chunk()
    }
}

impl Session {
    fn second_of_look(&self) -> u64 {
        self.created_at.unix_seconds() + u64::from(self.looked_at_after)
    }
}

/// The key by which an operation names a session.
fn presented_key<'a>(operation: &'a Operation<'_>) -> Option<&'a SessionKey> {
    match operation {
        Operation::Validate { key, .. }
        | Operation::Update { key, .. }
        | Operation::Destroy { key }
        | Operation::Regenerate { old: key, .. } => Some(key),
        _ => None,
    }
}

/// A session key is a piece of a SHA-256 digest: its first four bytes are as good a hash as any.
fn hash_of_key(key: &SessionKey) -> u32 {
    let (first, _) = key
        .as_bytes()
        .split_first_chunk()
        .expect("a key has 16 bytes");
    u32::from_le_bytes(*first)
}
