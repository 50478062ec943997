//! The default store: sessions in memory, gone when the process ends.
//!
//! Sessions stand in a slab. A hash index finds them by key, another finds users by name, and two kinds of
//! lists run through them: the sessions of one user, and the sessions that expire in the same second. Every
//! operation removes a few sessions that have expired, so that memory is given back while the store is in use
//! and no request pays for a sweep. Nothing here ever moves a large table at once.

mod chunked;
mod headroom;
mod index;
mod list;
mod slab;
mod tables;
#[cfg(test)]
mod tests;

use std::mem;

use self::headroom::Headroom;
use self::slab::Slot;
use self::tables::{MOST_BYTES_OF_A_SESSION, Rare, Session, Tables};
use super::{
    Changes, Conditions, EventKind, Extras, Listed, Operation, Outcome, Outcomes, Policy, Reason,
    Store, StoreError,
};
use crate::session::{
    Handle, Lifetime, MAX_RETIRED_IDS, OnReuse, OnUserLimit, SessionKey, Timestamp,
};

/// How many expired sessions one operation removes at the most: more than the one session that an operation
/// can add, so the expired ones get fewer under any load, and few enough that no request is held up.
const REMOVED_PER_OPERATION: usize = 4;

/// How many sessions a full store examines to find one that has expired: so many of the seconds that are over, most of
/// which are gone already, and so many of the second that is passing.
const EXAMINED_WHEN_FULL: usize = 64;

/// How many operations are read ahead together: enough to wait for many cache lines at once, and few enough that
/// the lines are still in the nearest cache when the operations are applied.
const READ_AHEAD: usize = 16;

/// Sessions in memory.
pub struct MemoryStore {
    policy: Policy,
    tables: Tables,
    headroom: Headroom,
    /// What was destroyed as a whole, and is dropped piece by piece.
    dropping: Vec<Tables>,
    destroyed: u64,
    expired: u64,
}

/// What a presented key stands for.
enum Presented {
    /// No live session.
    Nothing,
    /// The session whose key it is.
    Current(Slot<Session>),
    /// The session whose key it was until a moment ago.
    InGrace(Slot<Session>),
}

/// What the operations of one batch have in common.
struct Batch<'a> {
    now: Timestamp,
    outcomes: &'a mut Outcomes,
    /// The place of the operation among those that were read ahead.
    at: usize,
}

impl MemoryStore {
    /// An empty store with these rules.
    ///
    /// Under [`Policy::max_sessions`], a session counts until it is removed, which is at most a second after it
    /// expires unless more than four sessions an operation expire at once.
    pub fn new(policy: Policy) -> Self {
        Self {
            policy,
            tables: Tables::new(),
            headroom: Headroom::new(),
            dropping: Vec::new(),
            destroyed: 0,
            expired: 0,
        }
    }

    /// How many sessions are in memory: the live ones, and those that have expired and are not yet removed.
    pub fn len(&self) -> usize {
        self.tables.len()
    }

    /// Whether no session is in memory.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn apply_one(
        &mut self,
        operation: &Operation<'_>,
        batch: &mut Batch<'_>,
    ) -> Result<Outcome, StoreError> {
        Ok(match operation {
            Operation::Validate { key, conditions } => {
                self.validate(key, conditions.as_deref(), batch)
            }
            Operation::Create {
                key,
                user,
                ttl,
                idle_timeout,
                extras,
            } => {
                let lifetime = Lifetime::begin(batch.now, *ttl, *idle_timeout);
                self.create(*key, user, lifetime, extras.as_deref(), batch)?
            }
            Operation::Regenerate { old, new, changes } => {
                self.regenerate(old, *new, changes.as_deref(), batch)?
            }
            Operation::Update { key, data } => self.update(key, data, batch)?,
            Operation::List {
                user,
                caller,
                limit,
            } => self.list(user, caller.as_ref(), *limit, batch),
            Operation::Destroy { key } => {
                match self.present(key, batch) {
                    Presented::Current(slot) | Presented::InGrace(slot) => {
                        self.destroy(slot, EventKind::Destroyed(Reason::Id), batch);
                    }
                    Presented::Nothing => {}
                }
                Outcome::Destroyed
            }
            Operation::DestroyByHandle { user, handle } => {
                if let Some(handle) = handle {
                    self.destroy_by_handle(user, handle, batch);
                }
                Outcome::Destroyed
            }
            Operation::DestroyUser { user, except } => {
                self.destroy_user(user, except.as_ref(), batch)
            }
            Operation::DestroyAll => self.destroy_all(batch),
            Operation::Stats => {
                self.remove_all_expired(batch);
                Outcome::Stats {
                    sessions: Some(self.tables.len() as u64),
                    users: Some(self.tables.user_count() as u64),
                    destroyed: self.destroyed,
                    expired: self.expired,
                }
            }
        })
    }

    fn validate(
        &mut self,
        key: &SessionKey,
        conditions: Option<&Conditions>,
        batch: &mut Batch<'_>,
    ) -> Outcome {
        let slot = match self.present(key, batch) {
            Presented::Current(slot) | Presented::InGrace(slot) => slot,
            Presented::Nothing => return invalid(batch),
        };
        let (session, user) = self.tables.session_and_user(slot);
        if let Some(binding) = session.binding()
            && conditions.and_then(|conditions| conditions.binding.as_ref()) != Some(binding)
        {
            return invalid(batch);
        }
        let mut lifetime = session.lifetime();
        let max_age = conditions.and_then(|conditions| conditions.max_age);
        if let Some(max_age) = max_age
            && let Some(auth_age) = lifetime.auth_age_beyond(batch.now, max_age)
        {
            let user = batch.outcomes.keep(user);
            return Outcome::ReauthenticationRequired { user, auth_age };
        }
        lifetime.use_at(batch.now);
        session.set_lifetime(&lifetime);
        let of = || (Some(user), Some(session.handle()));
        batch.outcomes.note(EventKind::Validated, of);
        Outcome::Valid {
            user: batch.outcomes.keep(user),
            data: session.data().map(|data| batch.outcomes.keep(data)),
            expires_at: lifetime.expires_at(),
        }
    }

    fn create(
        &mut self,
        key: SessionKey,
        user: &str,
        lifetime: Lifetime,
        extras: Option<&Extras<'_>>,
        batch: &mut Batch<'_>,
    ) -> Result<Outcome, StoreError> {
        let data = extras.and_then(|extras| extras.data.as_deref());
        let refusal = match self.need_memory(data) {
            Ok(()) => self
                .make_room_for_user(user, batch)
                .or_else(|| self.make_room(batch))
                .map(Ok),
            Err(error) => Some(Err(error)),
        };
        if let Some(refusal) = refusal {
            let of = || (Some(user), None);
            batch.outcomes.note(EventKind::Rejected, of);
            return refusal;
        }
        let rare = extras.map(|extras| Box::new(Rare::of(extras)));
        let slot = self.tables.insert(key, user, &lifetime, rare);
        self.note(EventKind::Created, slot, batch);
        Ok(Outcome::Created {
            expires_at: lifetime.expires_at(),
        })
    }

    /// Sees to it that a session, or a new key for one, and its new data have memory, before anything is changed.
    fn need_memory(&mut self, data: Option<&str>) -> Result<(), StoreError> {
        let dropping: usize = self.dropping.iter().map(Tables::most_bytes).sum();
        let more = MOST_BYTES_OF_A_SESSION + data.map_or(0, str::len);
        let all = self.tables.most_bytes() + dropping + more;
        if self.headroom.allows(all) {
            return Ok(());
        }
        Err(StoreError::NoEffect("the node is out of memory".into()))
    }

    /// Sees to it that the user may have one session more, or says why not.
    // Cold, like all that few requests need: out of the way of the many, which gained 4 % by it.
    #[cold]
    fn make_room_for_user(&mut self, user: &str, batch: &mut Batch<'_>) -> Option<Outcome> {
        let max_sessions_per_user = self.policy.max_sessions_per_user?;
        let live = self.live_of_user(user, batch);
        if live.len() < max_sessions_per_user {
            return None;
        }
        if self.policy.on_user_limit == OnUserLimit::Reject {
            return Some(Outcome::UserLimit {
                max_sessions_per_user,
            });
        }
        let too_many = live.len() + 1 - max_sessions_per_user;
        for slot in &live[..too_many] {
            self.destroy(*slot, EventKind::Evicted, batch);
        }
        None
    }

    /// Sees to it that the store may hold one session more, or says why not.
    fn make_room(&mut self, batch: &mut Batch<'_>) -> Option<Outcome> {
        let max_sessions = self.policy.max_sessions;
        if self.len() < max_sessions {
            return None;
        }
        // Sessions that were used may still stand where they would have expired, before one that has.
        self.remove_some_expired(EXAMINED_WHEN_FULL, batch);
        if self.len() < max_sessions {
            return None;
        }
        let expired = self
            .tables
            .expiring_first()
            .take(EXAMINED_WHEN_FULL)
            .find(|slot| !self.tables[*slot].is_live(batch.now));
        match expired {
            Some(slot) => self.remove_expired(slot, batch),
            None => return Some(Outcome::Full { max_sessions }),
        }
        None
    }

    fn regenerate(
        &mut self,
        old: &SessionKey,
        new: SessionKey,
        changes: Option<&Changes<'_>>,
        batch: &mut Batch<'_>,
    ) -> Result<Outcome, StoreError> {
        let Presented::Current(slot) = self.present(old, batch) else {
            return Ok(invalid(batch));
        };
        let data = changes.and_then(|changes| changes.data.as_deref());
        self.need_memory(data)?;
        let session = &mut self.tables[slot];
        let mut lifetime = session.lifetime();
        lifetime.use_at(batch.now);
        if changes.is_some_and(|changes| changes.reauthenticated) {
            lifetime.reauthenticate(batch.now);
        }
        session.set_lifetime(&lifetime);
        if let Some(data) = data {
            self.tables.set_data(slot, data);
        }
        let remembered = self.policy.remembers_retired().then_some(batch.now);
        self.tables.rekey(slot, new, remembered);
        let policy = &self.policy;
        self.tables.forget_retired(slot, |retired| {
            let oldest_is_of_use = retired.front().is_none_or(|oldest| {
                policy.on_reuse == OnReuse::Revoke || policy.in_grace(batch.now, oldest.at)
            });
            oldest_is_of_use && retired.len() <= MAX_RETIRED_IDS
        });
        self.note(EventKind::Regenerated, slot, batch);
        Ok(Outcome::Regenerated)
    }

    #[cold]
    fn update(
        &mut self,
        key: &SessionKey,
        data: &str,
        batch: &mut Batch<'_>,
    ) -> Result<Outcome, StoreError> {
        let Presented::Current(slot) = self.present(key, batch) else {
            return Ok(invalid(batch));
        };
        self.need_memory(Some(data))?;
        let session = &mut self.tables[slot];
        let mut lifetime = session.lifetime();
        lifetime.use_at(batch.now);
        session.set_lifetime(&lifetime);
        self.tables.set_data(slot, data);
        Ok(Outcome::Updated)
    }

    #[cold]
    fn list(
        &mut self,
        user: &str,
        caller: Option<&SessionKey>,
        limit: usize,
        batch: &mut Batch<'_>,
    ) -> Outcome {
        let own = caller.and_then(|caller| self.current(caller, batch));
        let first = batch.outcomes.listed_so_far();
        let mut live = self
            .tables
            .of_user(user)
            .filter(|slot| self.tables[*slot].is_live(batch.now));
        for slot in live.by_ref().take(limit) {
            let session = &self.tables[slot];
            let data = session.data().map(|data| batch.outcomes.keep(data));
            batch.outcomes.list_one(Listed {
                handle: session.handle(),
                lifetime: session.lifetime(),
                data,
                is_current: own == Some(slot),
            });
        }
        Outcome::Sessions {
            listed: first..batch.outcomes.listed_so_far(),
            more: live.next().is_some(),
        }
    }

    #[cold]
    fn destroy_by_handle(&mut self, user: &str, handle: &Handle, batch: &mut Batch<'_>) {
        let found = self.tables.of_user(user).find(|slot| {
            let session = &self.tables[*slot];
            session.is_live(batch.now) && session.handle() == *handle
        });
        if let Some(slot) = found {
            self.destroy(slot, EventKind::Destroyed(Reason::Handle), batch);
        }
    }

    #[cold]
    fn destroy_user(
        &mut self,
        user: &str,
        except: Option<&SessionKey>,
        batch: &mut Batch<'_>,
    ) -> Outcome {
        let spared = except.and_then(|except| self.current(except, batch));
        let mut count = 0;
        for slot in self.live_of_user(user, batch) {
            if spared != Some(slot) {
                self.destroy(slot, EventKind::Destroyed(Reason::User), batch);
                count += 1;
            }
        }
        Outcome::DestroyedMany { count }
    }

    #[cold]
    fn destroy_all(&mut self, batch: &mut Batch<'_>) -> Outcome {
        self.remove_all_expired(batch);
        let count = self.tables.len() as u64;
        let all = mem::replace(&mut self.tables, Tables::new());
        self.dropping.push(all);
        self.destroyed += count;
        let kind = EventKind::AllDestroyed(count);
        batch.outcomes.note(kind, || (None, None));
        Outcome::DestroyedMany { count }
    }

    /// What a key that a peer has presented stands for; ends the session where it shows that an id was stolen.
    #[inline]
    fn present(&mut self, key: &SessionKey, batch: &mut Batch<'_>) -> Presented {
        let Some(slot) = self.tables.find(key, batch.at) else {
            return Presented::Nothing;
        };
        let session = &self.tables[slot];
        if !session.is_live(batch.now) {
            return Presented::Nothing;
        }
        let Some(retired_at) = session.retired_at(key).filter(|_| session.key != *key) else {
            return Presented::Current(slot);
        };
        if self.policy.in_grace(batch.now, retired_at) {
            return Presented::InGrace(slot);
        }
        if self.policy.on_reuse == OnReuse::Revoke {
            self.note(EventKind::ReuseDetected, slot, batch);
            self.destroy(slot, EventKind::Destroyed(Reason::Reuse), batch);
        }
        Presented::Nothing
    }

    /// The session whose key a peer has presented, where a retired key will not do.
    fn current(&mut self, key: &SessionKey, batch: &mut Batch<'_>) -> Option<Slot<Session>> {
        match self.present(key, batch) {
            Presented::Current(slot) => Some(slot),
            Presented::InGrace(_) | Presented::Nothing => None,
        }
    }

    /// A user's live sessions, the oldest first. Those that have expired are removed.
    fn live_of_user(&mut self, user: &str, batch: &mut Batch<'_>) -> Vec<Slot<Session>> {
        let is_live = |slot: &Slot<Session>| self.tables[*slot].is_live(batch.now);
        let (live, expired): (Vec<_>, Vec<_>) = self.tables.of_user(user).partition(is_live);
        for slot in expired {
            self.remove_expired(slot, batch);
        }
        live
    }

    fn destroy(&mut self, slot: Slot<Session>, why: EventKind, batch: &mut Batch<'_>) {
        self.note(why, slot, batch);
        self.tables.remove(slot);
        self.destroyed += 1;
    }

    fn remove_expired(&mut self, slot: Slot<Session>, batch: &mut Batch<'_>) {
        self.note(EventKind::Expired, slot, batch);
        self.tables.remove(slot);
        self.expired += 1;
    }

    /// Removes a few of the sessions that have expired: those of the seconds that are over.
    fn remove_some_expired(&mut self, at_most: usize, batch: &mut Batch<'_>) {
        for _ in 0..at_most {
            let Some(slot) = self.tables.first_due(batch.now) else {
                return;
            };
            if self.tables[slot].is_live(batch.now) {
                self.tables.look_at_later(slot);
            } else {
                self.remove_expired(slot, batch);
            }
        }
    }

    /// Removes every session that has expired, up to this millisecond.
    #[cold]
    fn remove_all_expired(&mut self, batch: &mut Batch<'_>) {
        // Each is looked at once at the most.
        self.remove_some_expired(self.len(), batch);
        let expired: Vec<_> = self
            .tables
            .expiring_first()
            .filter(|slot| !self.tables[*slot].is_live(batch.now))
            .collect();
        for slot in expired {
            self.remove_expired(slot, batch);
        }
    }

    fn note(&self, kind: EventKind, slot: Slot<Session>, batch: &mut Batch<'_>) {
        batch.outcomes.note(kind, || {
            let session = &self.tables[slot];
            (
                Some(self.tables.name_of_user(session)),
                Some(session.handle()),
            )
        });
    }
}

fn invalid(batch: &mut Batch<'_>) -> Outcome {
    batch.outcomes.note(EventKind::Invalid, || (None, None));
    Outcome::Invalid
}

impl Store for MemoryStore {
    fn apply(&mut self, now: Timestamp, batch: &[Operation<'_>], outcomes: &mut Outcomes) {
        for operations in batch.chunks(READ_AHEAD) {
            let mut batch = Batch {
                now,
                outcomes,
                at: 0,
            };
            self.remove_some_expired(operations.len() * REMOVED_PER_OPERATION, &mut batch);
            self.dropping.pop_if(|tables| !tables.drop_chunk());
            self.tables.read_ahead(operations);
            for (at, operation) in operations.iter().enumerate() {
                batch.at = at;
                let outcome = self.apply_one(operation, &mut batch);
                batch.outcomes.push(outcome);
            }
        }
    }
}
