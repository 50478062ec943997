//! Sessions as the rules see them: what a presented key stands for, which sessions of a user are live, and how a
//! session is removed, with the event that tells of it.

use crate::session::{Lifetime, OnReuse, Policy, SessionKey, Timestamp};
use crate::store::records::{Found, Records};
use crate::store::{Batch, EventKind, Outcome, Outcomes, Reason};

/// How many sessions that are due are read at a time.
const DUE_AT_A_TIME: usize = 256;

/// What has become of sessions since the store was opened by this node.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counters {
    /// Sessions that operations have ended, evictions and revocations included.
    pub destroyed: u64,
    /// Sessions that were removed after their end.
    pub expired: u64,
}

/// The rules, at work on some operations at one moment.
pub struct Rules<'a, R> {
    /// The moment.
    pub now: Timestamp,
    /// The rules for all sessions.
    pub policy: &'a Policy,
    /// Where the sessions are.
    pub records: R,
    /// What has become of sessions so far.
    pub counters: &'a mut Counters,
    /// Where outcomes and events go.
    pub outcomes: &'a mut Outcomes,
}

/// A live session.
pub(super) struct Live<R> {
    pub(super) record: R,
    pub(super) lifetime: Lifetime,
}

/// What a presented key stands for.
pub(super) enum Presented<R> {
    /// No live session.
    Nothing,
    /// The session whose key it is.
    Current(Live<R>),
    /// The session whose key it was until a moment ago.
    InGrace(Live<R>),
}

impl<'a, R> Rules<'a, R> {
    /// The rules for a batch.
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
    /// What a key that a peer has presented stands for; ends the session where the key shows that an id was stolen.
    #[inline]
    pub(super) fn resolve(&mut self, key: &SessionKey) -> Result<Presented<R::Record>, R::Error> {
        let (record, retired_at) = match self.records.find(key)? {
            None => return Ok(Presented::Nothing),
            Some(Found::Current(record)) => (record, None),
            Some(Found::Retired { record, at }) => (record, Some(at)),
        };
        let lifetime = self.records.session(&record).lifetime;
        if !lifetime.is_live(self.now) {
            // What has just been said to be invalid must not be found live by somebody whose clock is behind.
            self.expire(&record)?;
            return Ok(Presented::Nothing);
        }
        let live = Live { record, lifetime };
        match retired_at {
            None => Ok(Presented::Current(live)),
            Some(at) if self.policy.in_grace(self.now, at) => Ok(Presented::InGrace(live)),
            Some(_) => self.reuse(&live.record),
        }
    }

    /// A retired key was presented after its grace.
    #[cold]
    fn reuse(&mut self, record: &R::Record) -> Result<Presented<R::Record>, R::Error> {
        if self.policy.on_reuse == OnReuse::Revoke {
            self.note(EventKind::ReuseDetected, record);
            self.destroy(record, EventKind::Destroyed(Reason::Reuse))?;
        }
        Ok(Presented::Nothing)
    }

    /// The session whose key a peer has presented, where a retired key will not do.
    pub(super) fn current(
        &mut self,
        key: &SessionKey,
    ) -> Result<Option<Live<R::Record>>, R::Error> {
        Ok(match self.resolve(key)? {
            Presented::Current(live) => Some(live),
            Presented::InGrace(_) | Presented::Nothing => None,
        })
    }

    /// A user's live sessions, the oldest first. Those that have expired are removed.
    pub(super) fn live_of_user(&mut self, user: &str) -> Result<Vec<R::Record>, R::Error> {
        let mut live = Vec::new();
        for record in self.records.of_user(user, None, usize::MAX)? {
            if self.records.session(&record).lifetime.is_live(self.now) {
                live.push(record);
            } else {
                self.expire(&record)?;
            }
        }
        Ok(live)
    }

    /// Looks at some of the sessions that are due by `by`, and removes those that have expired.
    ///
    /// # Errors
    ///
    /// When the records fail.
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
                if self.records.session(&record).lifetime.is_live(self.now) {
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

    pub(super) fn invalid(&mut self) -> Outcome {
        self.outcomes.note(EventKind::Invalid, || (None, None));
        Outcome::Invalid
    }
}
