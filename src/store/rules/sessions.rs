//! Finds and removes sessions for the rules: resolves presented keys, finds a user's live sessions, and removes
//! sessions together with the event and the count that belong to the removal.

use crate::session::{Binding, Lifetime, OnReuse, Policy, SessionKey, Timestamp};
use crate::store::records::{Found, Records, Retirement};
use crate::store::{Batch, Detail, EventKind, ListOrder, Outcome, Outcomes, Reason};

/// How many due sessions are read at a time.
const DUE_AT_A_TIME: usize = 256;

/// How many sessions have ended since this node opened the store.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counters {
    /// The number of sessions that operations ended, including evictions and revocations.
    pub destroyed: u64,
    /// The number of expired sessions that were removed.
    pub expired: u64,
}

/// Applies operations to sessions at one time.
pub struct Rules<'a, R> {
    /// The time.
    pub now: Timestamp,
    /// The rules that apply to all sessions.
    pub policy: &'a Policy,
    /// The stored sessions.
    pub records: R,
    /// The counts, which grow with each ended session.
    pub counters: &'a mut Counters,
    /// Receives outcomes and events.
    pub outcomes: &'a mut Outcomes,
}

/// The live session that a presented key names.
pub(super) struct Presented<R> {
    pub(super) record: R,
    pub(super) lifetime: Lifetime,
    /// The key's retirement, if the key is a retired one within its grace period.
    pub(super) retirement: Option<Retirement>,
}

impl<R> Presented<R> {
    /// The latest authentication that the key proves.
    pub(super) fn auth_time(&self) -> Timestamp {
        let until = self.retirement.map(|retirement| retirement.auth_time);
        until.unwrap_or(self.lifetime.auth_time)
    }
}

impl<'a, R> Rules<'a, R> {
    /// Makes the rules for a batch.
    pub fn new(
        batch: &Batch<'a>,
        records: R,
        counters: &'a mut Counters,
        outcomes: &'a mut Outcomes,
    ) -> Self {
        Self {
            now: batch.now,
            policy: batch.policy,
            records,
            counters,
            outcomes,
        }
    }
}

impl<R: Records> Rules<'_, R> {
    /// Finds the live session that a presented key names. Removes the session if it has expired, and ends it if the
    /// policy takes the key for stolen.
    #[inline]
    pub(super) fn resolve_presented(
        &mut self,
        key: &SessionKey,
    ) -> Result<Option<Presented<R::Record>>, R::Error> {
        let (record, retirement) = match self.records.find(key)? {
            None => return Ok(None),
            Some(Found::Current(record)) => (record, None),
            Some(Found::Retired { record, retirement }) => (record, Some(retirement)),
        };
        let lifetime = self.lifetime(&record);
        if !lifetime.is_live(self.now) {
            // This node is about to answer that the key is invalid. After that, a node whose clock is behind must not
            // find the session live.
            self.expire(&record)?;
            return Ok(None);
        }
        if let Some(retirement) = retirement
            && !self.policy.in_grace(self.now, retirement.at)
        {
            self.handle_reuse(&record)?;
            return Ok(None);
        }
        Ok(Some(Presented {
            record,
            lifetime,
            retirement,
        }))
    }

    /// The lifetime of a session under the policy.
    #[inline]
    pub(super) fn lifetime(&self, record: &R::Record) -> Lifetime {
        let lifetime = self.records.session(record).lifetime;
        lifetime.limited_to(self.policy.max_ttl)
    }

    /// Handles a retired key that was presented after its grace period.
    #[cold]
    fn handle_reuse(&mut self, record: &R::Record) -> Result<(), R::Error> {
        if self.policy.on_reuse == OnReuse::Revoke {
            self.note(EventKind::ReuseDetected, record);
            self.destroy(record, EventKind::Destroyed(Reason::Reuse))?;
        }
        Ok(())
    }

    /// Finds the live session that a presented key names, if it may be used together with the presented binding.
    #[inline]
    pub(super) fn resolve_bound(
        &mut self,
        key: &SessionKey,
        binding: Option<&Binding>,
    ) -> Result<Option<Presented<R::Record>>, R::Error> {
        let Some(presented) = self.resolve_presented(key)? else {
            return Ok(None);
        };
        let bound_to = self.records.session(&presented.record).binding;
        if bound_to.is_some() && bound_to != binding {
            return Ok(None);
        }
        Ok(Some(presented))
    }

    /// Finds a user's live sessions, the oldest first, and removes the user's expired ones.
    pub(super) fn live_of_user(&mut self, user: &str) -> Result<Vec<R::Record>, R::Error> {
        let mut live = Vec::new();
        let order = ListOrder::OldestFirst;
        for record in self.records.of_user(user, None, order, usize::MAX)? {
            if self.lifetime(&record).is_live(self.now) {
                live.push(record);
            } else {
                self.expire(&record)?;
            }
        }
        Ok(live)
    }

    /// Checks up to `at_most` sessions that are due by `by`, and removes those that have expired.
    ///
    /// # Errors
    ///
    /// If the records fail.
    #[cold]
    pub fn remove_expired(&mut self, by: Timestamp, at_most: usize) -> Result<(), R::Error> {
        let mut left = at_most;
        while left > 0 {
            let due = self.records.due(by, left.min(DUE_AT_A_TIME))?;
            if due.is_empty() {
                break;
            }
            left -= due.len();
            for record in due {
                if self.lifetime(&record).is_live(self.now) {
                    self.records.reschedule(&record)?;
                } else {
                    self.expire(&record)?;
                }
            }
        }
        Ok(())
    }

    pub(super) fn destroy(&mut self, record: &R::Record, why: EventKind) -> Result<(), R::Error> {
        self.note(why, record);
        self.records.remove(record)?;
        self.counters.destroyed += 1;
        Ok(())
    }

    #[cold]
    pub(super) fn expire(&mut self, record: &R::Record) -> Result<(), R::Error> {
        self.note(EventKind::Expired, record);
        self.records.remove(record)?;
        self.counters.expired += 1;
        Ok(())
    }

    pub(super) fn note(&mut self, kind: EventKind, record: &R::Record) {
        let of = || {
            let session = self.records.session(record);
            (Some(session.user), Some(session.first_key.handle()))
        };
        self.outcomes.note(kind, of);
    }

    /// Tells the times of a session to a peer that asked for them.
    #[cold]
    pub(super) fn tell_detail(&mut self, record: &R::Record, lifetime: Lifetime) {
        let handle = self.records.session(record).first_key.handle();
        self.outcomes.push_detail(Detail { handle, lifetime });
    }

    pub(super) fn invalid(&mut self) -> Outcome {
        self.outcomes.note(EventKind::Invalid, || (None, None));
        Outcome::Invalid
    }
}
