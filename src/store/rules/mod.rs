//! Decides what each operation does to sessions, once for all stores that implement [`Records`].
//!
//! A store in Rust only keeps and finds sessions. The store on Redis cannot call this code, because only the server can
//! decide for all nodes at once. Its Lua scripts repeat the rules and must pass the same contract suite.

mod lists;
mod sessions;

use super::records::{Change, NewKey, NewSession, Records, Retirement, Totals};
use super::{
    Changes, Conditions, Conflict, CreateOptions, EventKind, ListOrder, Operation, Outcome, Reason,
    Refusal, StoreError, UpdateConditions,
};
use crate::session::{Handle, MAX_RETIRED_IDS, OnReuse, OnUserLimit, SessionKey};

pub use self::sessions::{Counters, Rules};

/// How many due sessions a store checks per operation. An operation adds at most one session, so checking four always
/// shrinks the backlog, and no request waits for a sweep.
pub const DUE_PER_OPERATION: usize = 4;

/// How many due sessions a full store checks to find an expired one.
const DUE_WHEN_FULL: usize = 64;

impl<R: Records<Error = StoreError>> Rules<'_, R> {
    /// Carries out a batch's operations as [`Store::apply`](super::Store::apply) must: removes a few expired sessions,
    /// then adds the outcome of each operation. For stores that carry out the other operations if one fails.
    pub fn carry_out(&mut self, operations: &[Operation<'_>]) {
        let at_most = operations.len() * DUE_PER_OPERATION;
        // A later batch removes what this one could not.
        let _ = self.remove_expired(self.now.start_of_second(), at_most);
        for operation in operations {
            let outcome = self.apply(operation);
            self.outcomes.push(outcome);
        }
    }
}

impl<R: Records> Rules<'_, R> {
    /// Carries out an operation, and returns its outcome.
    ///
    /// # Errors
    ///
    /// If the records fail. The store must then undo what the operation has already changed.
    #[inline]
    pub fn apply(&mut self, operation: &Operation<'_>) -> Result<Outcome, R::Error> {
        match operation {
            Operation::Validate { key, conditions } => self.validate(key, conditions.as_deref()),
            Operation::Create { key, user, options } => self.create(*key, user, options.as_deref()),
            Operation::Regenerate { old, new, changes } => {
                self.regenerate(old, *new, changes.as_deref())
            }
            Operation::Destroy { key, .. } => self.destroy_presented(key),
            operation => self.apply_rare(operation),
        }
    }

    /// Carries out the less frequent operations. Keeping them out of [`Rules::apply`] made the frequent ones 4 %
    /// faster.
    #[cold]
    fn apply_rare(&mut self, operation: &Operation<'_>) -> Result<Outcome, R::Error> {
        match operation {
            Operation::Update {
                key,
                data,
                conditions,
            } => self.update(key, data, conditions.as_deref()),
            Operation::List {
                user,
                caller,
                options,
            } => self.list(user, caller.as_ref(), options),
            Operation::ListUsers { options } => self.list_users(options),
            Operation::DestroyByHandle { user, handle, .. } => {
                self.destroy_by_handle(user, handle.as_ref())
            }
            Operation::DestroyUser { user, except } => self.destroy_user(user, except.as_ref()),
            Operation::DestroyAll => self.destroy_all(),
            Operation::Stats => self.stats(),
            Operation::Validate { .. }
            | Operation::Create { .. }
            | Operation::Regenerate { .. }
            | Operation::Destroy { .. } => unreachable!("these are not rare"),
        }
    }

    #[inline]
    fn validate(
        &mut self,
        key: &SessionKey,
        conditions: Option<&Conditions>,
    ) -> Result<Outcome, R::Error> {
        let binding = conditions.and_then(|conditions| conditions.binding.as_ref());
        let Some(presented) = self.resolve_bound(key, binding)? else {
            return Ok(self.invalid());
        };
        let record = &presented.record;
        let session = self.records.session(record);
        let user = self.outcomes.keep(session.user);
        let max_age = conditions.and_then(|conditions| conditions.max_age);
        if let Some(max_age) = max_age
            && let Some(auth_age) = presented.auth_time().age_beyond(self.now, max_age)
        {
            return Ok(Outcome::ReauthenticationRequired { user, auth_age });
        }
        let data = session.data.map(|data| self.outcomes.keep(data));
        let mut lifetime = presented.lifetime;
        if !conditions.is_some_and(|conditions| conditions.untouched) {
            lifetime.use_at(self.now);
            self.records.touch(record, &lifetime)?;
        }
        self.note(EventKind::Validated, record);
        if conditions.is_some_and(|conditions| conditions.detail) {
            self.tell_detail(record, lifetime);
        }
        Ok(Outcome::Valid {
            user,
            data,
            expires_at: lifetime.expires_at(),
        })
    }

    #[inline]
    fn create(
        &mut self,
        key: SessionKey,
        user: &str,
        options: Option<&CreateOptions<'_>>,
    ) -> Result<Outcome, R::Error> {
        let new = NewSession {
            key,
            user,
            lifetime: CreateOptions::lifetime(options, self.now, self.policy),
            data: options.and_then(|options| options.data.as_deref()),
            binding: options.and_then(|options| options.binding.as_ref()),
        };
        self.records.reserve(new.data)?;
        let limit = CreateOptions::user_limit(options, self.policy);
        let refusal = match self.make_room_for_user(user, limit)? {
            None => self.make_room()?,
            refusal => refusal,
        };
        if let Some(refusal) = refusal {
            return Ok(self.refuse(user, refusal));
        }
        let record = self.records.insert(&new)?;
        self.note(EventKind::Created, &record);
        if options.is_some_and(|options| options.detail) {
            self.tell_detail(&record, new.lifetime);
        }
        Ok(Outcome::Created {
            expires_at: new.lifetime.expires_at(),
        })
    }

    /// Makes room for one more session under the user's limit, or returns why the create is refused.
    #[inline]
    fn make_room_for_user(
        &mut self,
        user: &str,
        limit: Option<usize>,
    ) -> Result<Option<Refusal>, R::Error> {
        match limit {
            Some(limit) => self.enforce_limit(user, limit),
            None => Ok(None),
        }
    }

    #[cold]
    fn enforce_limit(&mut self, user: &str, limit: usize) -> Result<Option<Refusal>, R::Error> {
        let live = self.live_of_user(user)?;
        if live.len() < limit {
            return Ok(None);
        }
        if self.policy.on_user_limit == OnUserLimit::Reject {
            return Ok(Some(Refusal::UserLimit {
                max_sessions_per_user: limit,
            }));
        }
        for record in &live[..=live.len() - limit] {
            self.destroy(record, EventKind::Evicted)?;
        }
        Ok(None)
    }

    /// Refuses a session to a user.
    #[cold]
    fn refuse(&mut self, user: &str, refusal: Refusal) -> Outcome {
        self.outcomes
            .note(EventKind::Rejected, || (Some(user), None));
        Outcome::Refused(refusal)
    }

    /// Makes room for one more session under the limit of all, or returns why the create is refused.
    #[inline]
    fn make_room(&mut self) -> Result<Option<Refusal>, R::Error> {
        let is_full = self.is_full()?;
        if is_full {
            self.remove_expired(self.now, DUE_WHEN_FULL)?;
        }
        let max_sessions = self.policy.max_sessions;
        Ok((is_full && self.is_full()?).then_some(Refusal::Full { max_sessions }))
    }

    fn is_full(&mut self) -> Result<bool, R::Error> {
        Ok(self.records.totals()?.sessions >= self.policy.max_sessions as u64)
    }

    fn regenerate(
        &mut self,
        old: &SessionKey,
        new: SessionKey,
        changes: Option<&Changes<'_>>,
    ) -> Result<Outcome, R::Error> {
        let none = Changes::default();
        let changes = changes.unwrap_or(&none);
        let Some(presented) = self.resolve_bound(old, changes.binding.as_ref())? else {
            return Ok(self.invalid());
        };
        let record = &presented.record;
        if presented.retirement.is_some() {
            return Ok(Outcome::Conflict(Conflict::Regenerated));
        }
        self.records.reserve(changes.data.as_deref())?;
        let new_user = changes.user.as_deref();
        let new_user = new_user.filter(|user| *user != self.records.session(record).user);
        if let Some(user) = new_user
            && let Some(refusal) = self.make_room_for_user(user, changes.user_limit(self.policy))?
        {
            return Ok(self.refuse(user, refusal));
        }
        let lifetime = changes.apply_to(presented.lifetime, self.now);
        let remembers_retired = self.policy.remembers_retired() && new_user.is_none();
        let retirement = remembers_retired.then_some(Retirement {
            at: self.now,
            auth_time: presented.lifetime.auth_time,
        });
        let key = new;
        let change = Change {
            lifetime,
            data: changes.data.as_deref(),
            binding: changes.new_binding.as_ref(),
            new_key: Some(NewKey { key, retirement }),
            user: new_user,
        };
        self.records.change(record, &change)?;
        if remembers_retired || new_user.is_some() {
            let (policy, now) = (self.policy, self.now);
            self.records.forget_retired(record, |oldest, count| {
                let is_needed = policy.on_reuse == OnReuse::Revoke || policy.in_grace(now, oldest);
                remembers_retired && is_needed && count <= MAX_RETIRED_IDS
            })?;
        }
        let session = self.records.session(record);
        self.outcomes.note(EventKind::Regenerated, || {
            let user = new_user.unwrap_or(session.user);
            (Some(user), Some(session.first_key.handle()))
        });
        if changes.detail {
            self.tell_detail(record, lifetime);
        }
        Ok(Outcome::Regenerated)
    }

    fn update(
        &mut self,
        key: &SessionKey,
        data: &str,
        conditions: Option<&UpdateConditions<'_>>,
    ) -> Result<Outcome, R::Error> {
        let binding = conditions.and_then(|conditions| conditions.binding.as_ref());
        let Some(presented) = self.resolve_bound(key, binding)? else {
            return Ok(self.invalid());
        };
        let record = &presented.record;
        let expected = conditions.and_then(|conditions| conditions.expected_data.as_ref());
        if let Some(expected) = expected
            && expected.as_deref() != self.records.session(record).data
        {
            return Ok(Outcome::Conflict(Conflict::Data));
        }
        self.records.reserve(Some(data))?;
        let mut lifetime = presented.lifetime;
        lifetime.use_at(self.now);
        let change = Change {
            lifetime,
            data: Some(data),
            binding: None,
            new_key: None,
            user: None,
        };
        self.records.change(record, &change)?;
        if conditions.is_some_and(|conditions| conditions.detail) {
            self.tell_detail(record, lifetime);
        }
        Ok(Outcome::Updated)
    }

    fn destroy_presented(&mut self, key: &SessionKey) -> Result<Outcome, R::Error> {
        let presented = self.resolve_presented(key)?;
        let ended = presented.is_some();
        if let Some(presented) = presented {
            self.destroy(&presented.record, EventKind::Destroyed(Reason::Id))?;
        }
        Ok(Outcome::Destroyed { ended })
    }

    fn destroy_by_handle(
        &mut self,
        user: &str,
        handle: Option<&Handle>,
    ) -> Result<Outcome, R::Error> {
        let mut ended = false;
        if let Some(handle) = handle {
            let order = ListOrder::OldestFirst;
            let all = self.records.of_user(user, None, order, usize::MAX)?;
            let has_handle = |record: &R::Record| {
                let session = self.records.session(record);
                self.lifetime(record).is_live(self.now) && session.first_key.handle() == *handle
            };
            if let Some(record) = all.into_iter().find(has_handle) {
                self.destroy(&record, EventKind::Destroyed(Reason::Handle))?;
                ended = true;
            }
        }
        Ok(Outcome::Destroyed { ended })
    }

    fn destroy_user(
        &mut self,
        user: &str,
        except: Option<&SessionKey>,
    ) -> Result<Outcome, R::Error> {
        let spared = match except {
            None => None,
            Some(except) => match self.resolve_presented(except)? {
                Some(spared) if self.records.session(&spared.record).user == user => Some(spared),
                // A request from a stale tab must not log its user out everywhere.
                _ => return Ok(self.invalid()),
            },
        };
        let mut count = 0;
        for record in self.live_of_user(user)? {
            if spared.as_ref().is_none_or(|spared| spared.record != record) {
                self.destroy(&record, EventKind::Destroyed(Reason::User))?;
                count += 1;
            }
        }
        Ok(Outcome::DestroyedMany { count })
    }

    fn destroy_all(&mut self) -> Result<Outcome, R::Error> {
        self.remove_expired(self.now, usize::MAX)?;
        let count = self.records.totals()?.sessions;
        self.records.remove_all()?;
        self.counters.destroyed += count;
        let kind = EventKind::AllDestroyed(count);
        self.outcomes.note(kind, || (None, None));
        Ok(Outcome::DestroyedMany { count })
    }

    fn stats(&mut self) -> Result<Outcome, R::Error> {
        self.remove_expired(self.now, usize::MAX)?;
        let Totals { sessions, users } = self.records.totals()?;
        Ok(Outcome::Stats {
            sessions: Some(sessions),
            users: Some(users),
            destroyed: self.counters.destroyed,
            expired: self.counters.expired,
        })
    }
}
