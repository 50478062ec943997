//! Keeps the sessions in memory and finds them by key, by user, and by the second in which they expire. Keeps these
//! indexes consistent, and knows no rule except when a session expires.

use std::collections::{BTreeMap, VecDeque};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::hint::black_box;

use compact_str::CompactString;

use super::index::Index;
use super::list::{Links, List, iterate};
use super::slab::{Slab, Slot};
use crate::session::{Binding, Lifetime, SessionKey, Timestamp};
use crate::store::records::Retirement;
use crate::store::{ListOrder, Operation};

/// How many bytes a session takes at most, without its data and retired keys: the only session of a user with the
/// longest name. An overestimate costs almost nothing.
pub const MAX_SESSION_BYTES: usize = 2048;

/// How many bytes a retired key takes at most, including its index entry.
pub const MAX_RETIRED_KEY_BYTES: usize = 128;

/// The idle timeout of a session that has none.
const NEVER_IDLE: u64 = u64::MAX;

/// The most frequently read fields come first, so that they share a cache line or two.
#[repr(C)]
pub struct Session {
    pub key: SessionKey,
    ends_at: Timestamp,
    last_used_at: Timestamp,
    /// [`NEVER_IDLE`] for no limit, because an `Option` would take eight bytes more.
    idle_timeout_millis: u64,
    created_at: Timestamp,
    pub user: Slot<User>,
    /// When to check whether the session has expired, in whole seconds after the second of its creation.
    check_after: u32,
    /// Fields that few sessions have.
    rare: Option<Box<RareFields>>,
    of_user: Links<Session>,
    expiring: Links<Session>,
    /// Greater than those of sessions that became their users' before it.
    order: u64,
}

/// Fields that few sessions have.
#[derive(Default)]
pub struct RareFields {
    data: Option<Box<str>>,
    binding: Option<Binding>,
    /// When the user last authenticated, if not at the creation.
    auth_time: Option<Timestamp>,
    /// The key with which the session began, if it now has another.
    first_key: Option<SessionKey>,
    /// The retired keys that are still remembered, oldest first.
    retired: VecDeque<Retired>,
}

impl RareFields {
    /// The rare fields of a new session; `None` if it has neither data nor a binding.
    pub fn of(data: Option<&str>, binding: Option<&Binding>) -> Option<Self> {
        (data.is_some() || binding.is_some()).then(|| Self {
            data: data.map(Into::into),
            binding: binding.copied(),
            ..Self::default()
        })
    }

    /// How many bytes the data and the retired keys take at most.
    fn max_bytes(&self) -> usize {
        let data = self.data.as_deref().map_or(0, str::len);
        data + self.retired.len() * MAX_RETIRED_KEY_BYTES
    }
}

/// A retired key of a session.
pub struct Retired {
    pub key: SessionKey,
    pub retirement: Retirement,
}

/// A user with at least one session. Removed with the last session.
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
            idle_timeout_millis: Some(self.idle_timeout_millis).filter(|it| *it != NEVER_IDLE),
        }
    }

    /// Stores the times that a use or an authentication has changed.
    pub fn set_lifetime(&mut self, lifetime: &Lifetime) {
        self.last_used_at = lifetime.last_used_at;
        self.ends_at = lifetime.ends_at;
        if lifetime.auth_time != self.created_at {
            self.rare.get_or_insert_default().auth_time = Some(lifetime.auth_time);
        }
    }

    /// The key with which the session began.
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

    /// The retirement of `key`, if it is a retired key of this session.
    pub fn retirement(&self, key: &SessionKey) -> Option<Retirement> {
        let retired = &self.rare.as_ref()?.retired;
        let found = retired.iter().find(|retired| retired.key == *key)?;
        Some(found.retirement)
    }

    fn check_second(&self) -> u64 {
        self.created_at.unix_seconds() + u64::from(self.check_after)
    }

    fn has_or_had_key(&self, key: &SessionKey) -> bool {
        self.key == *key || self.retirement(key).is_some()
    }
}

pub struct Tables {
    sessions: Slab<Session>,
    /// Leads from present and retired keys to their sessions.
    by_key: Index<Session>,
    users: Slab<User>,
    by_name: Index<User>,
    /// Hashes names with a secret: they come from outside, and nobody may choose names that collide.
    name_hasher: RandomState,
    /// Sessions by the second in which they are checked, which is no later than the second in which they expire. A use
    /// delays a session's end without moving the session; when the second is over, the session moves.
    expiring: BTreeMap<u64, List<Session>>,
    /// The slots where the sessions of the prefetched operations probably are.
    pub(super) guesses: Vec<Slot<Session>>,
    /// How many times a session has become a user's.
    begun: u64,
    /// How many bytes the data and the retired keys of all sessions take.
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
            guesses: Vec::new(),
            begun: 0,
            rare_bytes: 0,
        }
    }

    /// Makes tables without sessions that go on counting where these are, so that no cursor means another place.
    pub fn emptied(&self) -> Self {
        Self {
            begun: self.begun,
            ..Self::new()
        }
    }

    /// How many bytes the tables take at most.
    pub fn max_bytes(&self) -> usize {
        self.len() * MAX_SESSION_BYTES + self.rare_bytes
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

    /// Finds the session that has this key now or had it earlier. Looks first in the slot that was guessed when
    /// operation `at` was prefetched.
    pub fn find(&self, key: &SessionKey, at: usize) -> Option<Slot<Session>> {
        let guess = self.guesses.get(at).copied().unwrap_or(Slot::NONE);
        match self.sessions.get(guess) {
            Some(session) if session.key == *key => Some(guess),
            _ => self.by_key.find(hash_of_key(key), |slot| {
                self.sessions[slot].has_or_had_key(key)
            }),
        }
    }

    /// Iterates over a user's sessions in this order, starting beyond the place `after`.
    pub fn of_user(
        &self,
        name: &str,
        after: Option<u128>,
        order: ListOrder,
    ) -> impl Iterator<Item = Slot<Session>> {
        let user = self.find_user(self.hash_of_name(name), name);
        let first = user.map_or(Slot::NONE, |user| match after {
            Some(place) if self.is_taken(place, user) => slot_of(place),
            _ => match order {
                ListOrder::OldestFirst => self.users[user].sessions.first(),
                ListOrder::NewestFirst => self.users[user].sessions.last(),
            },
        });
        let step = move |session: &Session| match order {
            ListOrder::OldestFirst => session.of_user.next(),
            ListOrder::NewestFirst => session.of_user.previous(),
        };
        iterate(first, &self.sessions, step).skip_while(move |slot| {
            let number = self.sessions[*slot].order;
            !order.is_beyond(after.map(order_of).map(u128::from), number.into())
        })
    }

    /// The place of a session among those of its user. It says the slot too, so that a list finds where it was cut
    /// without searching, unless the session there has ended.
    pub fn place(&self, slot: Slot<Session>) -> u128 {
        u128::from(self.sessions[slot].order) << 32 | u128::from(slot.to_number())
    }

    fn is_taken(&self, place: u128, user: Slot<User>) -> bool {
        let session = self.sessions.get(slot_of(place));
        session.is_some_and(|it| it.user == user && it.order == order_of(place))
    }

    /// Iterates over the users in slots whose numbers are greater than `after`.
    pub fn users(&self, after: u32) -> impl Iterator<Item = (Slot<User>, &str)> {
        let users = self.users.used_after(after);
        users.map(|(slot, user)| (slot, user.name.as_str()))
    }

    pub fn insert(
        &mut self,
        key: SessionKey,
        user: &str,
        lifetime: &Lifetime,
        rare: Option<Box<RareFields>>,
    ) -> Slot<Session> {
        let has_key = |slot| self.sessions[slot].key == key;
        if let Some(taken) = self.by_key.find(hash_of_key(&key), has_key) {
            self.remove(taken);
        }
        let user = self.intern_user(user);
        self.begun += 1;
        self.rare_bytes += rare.as_deref().map_or(0, RareFields::max_bytes);
        let slot = self.sessions.insert(Session {
            key,
            ends_at: lifetime.ends_at,
            last_used_at: lifetime.last_used_at,
            idle_timeout_millis: lifetime.idle_timeout_millis.unwrap_or(NEVER_IDLE),
            created_at: lifetime.created_at,
            user,
            check_after: 0,
            rare,
            of_user: Links::NONE,
            expiring: Links::NONE,
            order: self.begun,
        });
        self.by_key.insert(hash_of_key(&key), slot);
        self.join_user(slot, user);
        self.schedule(slot);
        slot
    }

    /// Gives a session to another user, as the last of that user's sessions.
    #[cold]
    pub fn set_user(&mut self, slot: Slot<Session>, user: &str) {
        self.leave_user(slot);
        let user = self.intern_user(user);
        self.begun += 1;
        let session = &mut self.sessions[slot];
        (session.user, session.order) = (user, self.begun);
        self.join_user(slot, user);
    }

    /// Makes a session the last in its user's list.
    #[inline]
    fn join_user(&mut self, slot: Slot<Session>, user: Slot<User>) {
        let of_user = &mut self.users[user].sessions;
        of_user.push(&mut self.sessions, slot, |session| &mut session.of_user);
    }

    /// Takes a session out of its user's list, and removes a user who has no other.
    fn leave_user(&mut self, slot: Slot<Session>) {
        let user = self.sessions[slot].user;
        let of_user = &mut self.users[user].sessions;
        of_user.remove(&mut self.sessions, slot, |session| &mut session.of_user);
        if of_user.is_empty() {
            let hash = self.hash_of_name(&self.users[user].name);
            self.by_name.remove(hash, user);
            self.users.remove(user);
        }
    }

    pub fn remove(&mut self, slot: Slot<Session>) {
        self.unschedule(slot);
        self.leave_user(slot);
        let Some(session) = self.sessions.remove(slot) else {
            return;
        };
        self.rare_bytes -= session.rare.as_deref().map_or(0, RareFields::max_bytes);
        self.by_key.remove(hash_of_key(&session.key), slot);
        for retired in session.rare.iter().flat_map(|rare| &rare.retired) {
            self.by_key.remove(hash_of_key(&retired.key), slot);
        }
    }

    /// Replaces a session's data.
    pub fn set_data(&mut self, slot: Slot<Session>, data: &str) {
        let rare = self.sessions[slot].rare.get_or_insert_default();
        self.rare_bytes -= rare.max_bytes();
        rare.data = Some(data.into());
        self.rare_bytes += rare.max_bytes();
    }

    pub fn set_binding(&mut self, slot: Slot<Session>, binding: &Binding) {
        let rare = self.sessions[slot].rare.get_or_insert_default();
        rare.binding = Some(*binding);
    }

    /// Replaces a session's key. The old key is retired, or forgotten if there is no `retirement`.
    pub fn rekey(&mut self, slot: Slot<Session>, new: SessionKey, retirement: Option<Retirement>) {
        let session = &mut self.sessions[slot];
        let old = std::mem::replace(&mut session.key, new);
        let rare = session.rare.get_or_insert_default();
        rare.first_key.get_or_insert(old);
        match retirement {
            Some(retirement) => {
                let key = old;
                rare.retired.push_back(Retired { key, retirement });
                self.rare_bytes += MAX_RETIRED_KEY_BYTES;
            }
            None => self.by_key.remove(hash_of_key(&old), slot),
        }
        self.by_key.insert(hash_of_key(&new), slot);
    }

    /// Forgets a session's retired keys, oldest first, until `is_enough` returns true for the oldest key's time and the
    /// number of keys.
    pub fn forget_retired(
        &mut self,
        slot: Slot<Session>,
        is_enough: impl Fn(Timestamp, usize) -> bool,
    ) {
        let Some(rare) = &mut self.sessions[slot].rare else {
            return;
        };
        while let Some(oldest) = rare.retired.front()
            && !is_enough(oldest.retirement.at, rare.retired.len())
            && let Some(retired) = rare.retired.pop_front()
        {
            self.rare_bytes -= MAX_RETIRED_KEY_BYTES;
            self.by_key.remove(hash_of_key(&retired.key), slot);
        }
    }

    /// The first session to check, if its second is over.
    pub fn first_due(&self, now: Timestamp) -> Option<Slot<Session>> {
        let (second, list) = self.expiring.first_key_value()?;
        (second * 1000 <= now.as_millis()).then(|| list.first())
    }

    /// Lists up to `at_most` sessions that may have expired by `by`. If the earliest second of checks is over, lists
    /// all of its sessions; otherwise, only those that have expired.
    pub fn due(&self, by: Timestamp, at_most: usize) -> Vec<Slot<Session>> {
        let Some((second, list)) = self.expiring.first_key_value() else {
            return Vec::new();
        };
        let is_over = second * 1000 <= by.as_millis();
        let first = iterate(list.first(), &self.sessions, |session| {
            session.expiring.next()
        });
        let is_due = |slot: &Slot<Session>| is_over || !self.sessions[*slot].lifetime().is_live(by);
        first.filter(is_due).take(at_most).collect()
    }

    /// Stores the times of a session that is regenerated or updated, which may end earlier by it.
    pub fn change_lifetime(&mut self, slot: Slot<Session>, lifetime: &Lifetime) {
        let session = &mut self.sessions[slot];
        session.set_lifetime(lifetime);
        session.idle_timeout_millis = lifetime.idle_timeout_millis.unwrap_or(NEVER_IDLE);
        if check_second_of(lifetime) < session.check_second() {
            self.reschedule(slot);
        }
    }

    /// Postpones the check of a session that has not expired to the second in which it expires unless it is used.
    pub fn reschedule(&mut self, slot: Slot<Session>) {
        self.unschedule(slot);
        self.schedule(slot);
    }

    fn schedule(&mut self, slot: Slot<Session>) {
        let session = &mut self.sessions[slot];
        let created = session.created_at.unix_seconds();
        let second = check_second_of(&session.lifetime());
        // A session that lives longer than 136 years is checked too early, which is harmless.
        session.check_after = u32::try_from(second - created).unwrap_or(u32::MAX);
        let second = session.check_second();
        let list = self.expiring.entry(second).or_insert(List::EMPTY);
        list.push(&mut self.sessions, slot, |session| &mut session.expiring);
    }

    fn unschedule(&mut self, slot: Slot<Session>) {
        let second = self.sessions[slot].check_second();
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

    /// The user of this name, who is added if new.
    #[expect(
        clippy::inline_always,
        reason = "otherwise a create executes 25 instructions more"
    )]
    #[inline(always)]
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

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "half of a hash is enough")]
    fn hash_of_name(&self, name: &str) -> u32 {
        let mut hasher = self.name_hasher.build_hasher();
        hasher.write(name.as_bytes());
        hasher.finish() as u32
    }

    /// Reads what the operations of a batch will need, one kind of data at a time. The processor then waits for the
    /// cache lines of many operations at once, not for one after the other. Stores each session's probable slot.
    pub fn prefetch(&mut self, batch: &[Operation<'_>]) {
        let mut touched = 0;
        for operation in batch {
            touched ^= match operation {
                Operation::Create { key, user, .. } => {
                    self.by_key.prefetch(hash_of_key(key))
                        ^ self.by_name.prefetch(self.hash_of_name(user))
                }
                Operation::Regenerate { old, new, .. } => {
                    self.by_key.prefetch(hash_of_key(old)) ^ self.by_key.prefetch(hash_of_key(new))
                }
                _ => {
                    presented_key(operation).map_or(0, |key| self.by_key.prefetch(hash_of_key(key)))
                }
            };
        }
        self.guesses.clear();
        self.guesses.extend(batch.iter().map(|operation| {
            presented_key(operation).map_or(Slot::NONE, |key| self.by_key.guess(hash_of_key(key)))
        }));
        let slots = self.guesses.iter();
        let guessed = slots.filter_map(|slot| self.sessions.get(*slot));
        let ends = guessed
            .clone()
            .fold(0, |ends, session| ends ^ session.ends_at.as_millis());
        let names = guessed.fold(0, |names, session| {
            names ^ self.users[session.user].name.len()
        });
        // Keeps the compiler from removing the reads, whose results nobody needs.
        black_box((touched, ends, names));
    }

    /// Frees one chunk, so that freeing millions of sessions causes no pause; call until it returns false.
    pub fn free_chunk(&mut self) -> bool {
        self.sessions.free_chunk()
            || self.users.free_chunk()
            || self.by_key.free_chunk()
            || self.by_name.free_chunk()
    }
}

/// The key that an operation presents.
fn presented_key<'a>(operation: &'a Operation<'_>) -> Option<&'a SessionKey> {
    match operation {
        Operation::Validate { key, .. }
        | Operation::Update { key, .. }
        | Operation::Destroy { key, .. }
        | Operation::Regenerate { old: key, .. } => Some(key),
        _ => None,
    }
}

/// The second at whose beginning a session has expired, unless it is used.
fn check_second_of(lifetime: &Lifetime) -> u64 {
    lifetime.expires_at().as_millis().div_ceil(1000)
}

/// The order of a session, of its place.
#[expect(clippy::cast_possible_truncation, reason = "a place has no more bits")]
fn order_of(place: u128) -> u64 {
    (place >> 32) as u64
}

/// The slot of a session, of its place.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the other bits are the order"
)]
fn slot_of(place: u128) -> Slot<Session> {
    Slot::from_number(place as u32)
}

/// A session key is a part of a SHA-256 digest, so its first four bytes are a good hash.
fn hash_of_key(key: &SessionKey) -> u32 {
    let (first, _) = key
        .as_bytes()
        .split_first_chunk()
        .expect("a key has 16 bytes");
    u32::from_le_bytes(*first)
}
