//! What the operations of a batch do, within one transaction and in the same steps as in the store in memory.

use super::tables::{Change, NewRow, Result, Row, Tables};
use super::uses::{Uses, Write};
use crate::session::{
    Handle, Lifetime, MAX_RETIRED_IDS, OnReuse, OnUserLimit, Policy, SessionKey, Timestamp,
};
use crate::store::{Changes, Conditions, EventKind, Listed, Operation, Outcome, Outcomes, Reason};

/// How many sessions that are due one operation looks at: more than the one that it can add, so that the expired
/// ones get fewer under any load, and few enough that no batch is held up.
const LOOKED_AT_PER_OPERATION: usize = 4;

/// How many sessions a full store examines to find one that has expired.
const EXAMINED_WHEN_FULL: usize = 64;

/// How many sessions are held at a time when all that are due are looked at, or all of a user.
const ROWS_AT_A_TIME: usize = 256;

/// Why a transaction does not go on.
#[derive(Debug)]
pub enum Interruption<F> {
    /// It only reads so far, and has come to where it has to write.
    NeedsToWrite,
    /// It failed.
    Failed(F),
}

impl<F> Interruption<F> {
    pub fn map<G>(self, change: impl FnOnce(F) -> G) -> Interruption<G> {
        match self {
            Self::NeedsToWrite => Interruption::NeedsToWrite,
            Self::Failed(failure) => Interruption::Failed(change(failure)),
        }
    }
}

impl From<rusqlite::Error> for Interruption<rusqlite::Error> {
    fn from(error: rusqlite::Error) -> Self {
        Self::Failed(error)
    }
}

/// What this node has done to sessions since it opened the file.
#[derive(Clone, Copy, Default)]
pub struct Counters {
    destroyed: u64,
    expired: u64,
}

/// A batch on its way.
pub struct Batch<'a> {
    now: Timestamp,
    tables: Tables<'a>,
    policy: &'a Policy,
    uses: &'a mut Uses,
    counters: Counters,
    outcomes: &'a mut Outcomes,
}

/// A session, with its times as far as they are known.
struct Session {
    row: Row,
    lifetime: Lifetime,
}

/// What a presented key stands for.
enum Presented {
    /// No live session.
    Nothing,
    /// The session whose key it is.
    Current(Session),
    /// The session whose key it was until a moment ago.
    InGrace(Session),
}

impl<'a> Batch<'a> {
    pub fn new(
        now: Timestamp,
        tables: Tables<'a>,
        policy: &'a Policy,
        uses: &'a mut Uses,
        counters: Counters,
        outcomes: &'a mut Outcomes,
    ) -> Self {
        Self {
            now,
            tables,
            policy,
            uses,
            counters,
            outcomes,
        }
    }

    /// Carries out all the operations, and gives the counters as they are then.
    pub fn carry_out(mut self, operations: &[Operation<'_>]) -> Result<Counters> {
        if self.tables.may_write() {
            // Of the seconds that are over, so that those that expire together go together.
            let second = Timestamp::from_millis(self.now.unix_seconds() * 1000);
            self.remove_expired(second, operations.len() * LOOKED_AT_PER_OPERATION)?;
        }
        for operation in operations {
            let outcome = self.apply_one(operation)?;
            self.outcomes.push(Ok(outcome));
        }
        self.tables.finish(self.now)?;
        Ok(self.counters)
    }

    fn apply_one(&mut self, operation: &Operation<'_>) -> Result<Outcome> {
        match operation {
            Operation::Validate { key, conditions } => self.validate(key, conditions.as_deref()),
            Operation::Create {
                key,
                user,
                ttl,
                idle_timeout,
                extras,
            } => self.create(&NewRow {
                key: *key,
                user,
                lifetime: Lifetime::begin(self.now, *ttl, *idle_timeout),
                used_by: self.uses.node(),
                data: extras.as_ref().and_then(|extras| extras.data.as_deref()),
                binding: extras.as_ref().and_then(|extras| extras.binding.as_ref()),
            }),
            Operation::Regenerate { old, new, changes } => {
                self.regenerate(old, *new, changes.as_deref())
            }
            Operation::Update { key, data } => self.update(key, data),
            Operation::List {
                user,
                caller,
                limit,
            } => self.list(user, caller.as_ref(), *limit),
            Operation::Destroy { key } => self.destroy_by_key(key),
            Operation::DestroyByHandle { user, handle } => {
                self.destroy_by_handle(user, handle.as_ref())
            }
            Operation::DestroyUser { user, except } => self.destroy_user(user, except.as_ref()),
            Operation::DestroyAll => self.destroy_all(),
            Operation::Stats => self.stats(),
        }
    }

    fn validate(&mut self, key: &SessionKey, conditions: Option<&Conditions>) -> Result<Outcome> {
        let mut session = match self.present(key)? {
            Presented::Current(session) | Presented::InGrace(session) => session,
            Presented::Nothing => return Ok(self.invalid()),
        };
        let presented = conditions.and_then(|conditions| conditions.binding.as_ref());
        if session.row.binding.is_some() && session.row.binding.as_ref() != presented {
            return Ok(self.invalid());
        }
        let auth_age = conditions
            .and_then(|conditions| conditions.max_age)
            .and_then(|max_age| session.lifetime.auth_age_beyond(self.now, max_age));
        if let Some(auth_age) = auth_age {
            let user = self.outcomes.keep(&session.row.user);
            return Ok(Outcome::ReauthenticationRequired { user, auth_age });
        }
        session.lifetime.use_at(self.now);
        if let Write::By(used_by) = self.uses.note(&session.row, &session.lifetime) {
            self.tables.change(
                &session.row,
                &Change {
                    key: session.row.key,
                    lifetime: &session.lifetime,
                    used_by,
                    data: None,
                },
            )?;
        }
        self.note(EventKind::Validated, &session.row);
        Ok(Outcome::Valid {
            user: self.outcomes.keep(&session.row.user),
            data: session.row.data.map(|data| self.outcomes.keep(&data)),
            expires_at: session.lifetime.expires_at(),
        })
    }

    fn create(&mut self, new: &NewRow<'_>) -> Result<Outcome> {
        let refusal = match self.make_room_for_user(new.user)? {
            None => self.make_room()?,
            refusal => refusal,
        };
        if let Some(refusal) = refusal {
            let of = || (Some(new.user), None);
            self.outcomes.note(EventKind::Rejected, of);
            return Ok(refusal);
        }
        let row = match self.tables.insert(new) {
            Err(error) if is_taken(&error) => {
                // An id that was chosen by hand and outlived the node: what it named makes way.
                if let Some(row) = self.tables.by_key(&new.key)? {
                    self.tables.remove(&row)?;
                }
                self.tables.insert(new)?
            }
            row => row?,
        };
        self.note(EventKind::Created, &row);
        Ok(Outcome::Created {
            expires_at: new.lifetime.expires_at(),
        })
    }

    /// Sees to it that the user may have one session more, or says why not.
    fn make_room_for_user(&mut self, user: &str) -> Result<Option<Outcome>> {
        let Some(max_sessions_per_user) = self.policy.max_sessions_per_user else {
            return Ok(None);
        };
        let live = self.live_of_user(user)?;
        if live.len() < max_sessions_per_user {
            return Ok(None);
        }
        if self.policy.on_user_limit == OnUserLimit::Reject {
            return Ok(Some(Outcome::UserLimit {
                max_sessions_per_user,
            }));
        }
        let too_many = live.len() + 1 - max_sessions_per_user;
        for session in &live[..too_many] {
            self.destroy(session, EventKind::Evicted)?;
        }
        Ok(None)
    }

    /// Sees to it that the store may hold one session more, or says why not.
    fn make_room(&mut self) -> Result<Option<Outcome>> {
        let max_sessions = self.policy.max_sessions;
        let is_full = |batch: &Self| -> Result<bool> {
            let held = usize::try_from(batch.tables.totals()?.sessions).unwrap_or(0);
            Ok(held >= max_sessions)
        };
        if is_full(self)? {
            self.remove_expired(self.now, EXAMINED_WHEN_FULL)?;
        }
        Ok(is_full(self)?.then_some(Outcome::Full { max_sessions }))
    }

    fn regenerate(
        &mut self,
        old: &SessionKey,
        new: SessionKey,
        changes: Option<&Changes<'_>>,
    ) -> Result<Outcome> {
        let Some(mut session) = self.current(old)? else {
            return Ok(self.invalid());
        };
        session.lifetime.use_at(self.now);
        if changes.is_some_and(|changes| changes.reauthenticated) {
            session.lifetime.reauthenticate(self.now);
        }
        self.tables.change(
            &session.row,
            &Change {
                key: new,
                lifetime: &session.lifetime,
                used_by: self.uses.node(),
                data: changes.and_then(|changes| changes.data.as_deref()),
            },
        )?;
        if self.policy.remembers_retired() {
            self.tables.retire(&session.row, self.now)?;
            self.forget_retired(&session.row)?;
        }
        self.note(EventKind::Regenerated, &session.row);
        Ok(Outcome::Regenerated)
    }

    /// Forgets those retired keys of a session that are of no use or too many, from the oldest on.
    fn forget_retired(&mut self, row: &Row) -> Result<()> {
        let retired = self.tables.retired_of(row)?;
        let mut left = retired.len();
        for oldest in &retired {
            let is_of_use = self.policy.on_reuse == OnReuse::Revoke
                || self.policy.in_grace(self.now, oldest.at);
            if is_of_use && left <= MAX_RETIRED_IDS {
                break;
            }
            self.tables.forget(oldest)?;
            left -= 1;
        }
        Ok(())
    }

    fn update(&mut self, key: &SessionKey, data: &str) -> Result<Outcome> {
        let Some(mut session) = self.current(key)? else {
            return Ok(self.invalid());
        };
        session.lifetime.use_at(self.now);
        self.tables.change(
            &session.row,
            &Change {
                key: session.row.key,
                lifetime: &session.lifetime,
                used_by: self.uses.node(),
                data: Some(data),
            },
        )?;
        Ok(Outcome::Updated)
    }

    fn list(&mut self, user: &str, caller: Option<&SessionKey>, limit: usize) -> Result<Outcome> {
        let own = match caller {
            Some(caller) => self.current(caller)?.map(|session| session.row.id),
            None => None,
        };
        let first = self.outcomes.listed_so_far();
        let mut left = limit;
        let more = 'all: {
            let mut after = i64::MIN;
            loop {
                let rows = self.tables.of_user(user, after, ROWS_AT_A_TIME)?;
                let Some(last) = rows.last() else {
                    break 'all false;
                };
                after = last.id;
                for row in rows {
                    let session = self.known(row);
                    if !session.lifetime.is_live(self.now) {
                        continue;
                    }
                    if left == 0 {
                        break 'all true;
                    }
                    left -= 1;
                    self.list_one(&session, own);
                }
            }
        };
        Ok(Outcome::Sessions {
            listed: first..self.outcomes.listed_so_far(),
            more,
        })
    }

    fn list_one(&mut self, session: &Session, own: Option<i64>) {
        let data = session.row.data.as_ref();
        let data = data.map(|data| self.outcomes.keep(data));
        self.outcomes.list_one(Listed {
            handle: session.row.handle(),
            lifetime: session.lifetime,
            data,
            is_current: own == Some(session.row.id),
        });
    }

    fn destroy_by_key(&mut self, key: &SessionKey) -> Result<Outcome> {
        match self.present(key)? {
            Presented::Current(session) | Presented::InGrace(session) => {
                self.destroy(&session, EventKind::Destroyed(Reason::Id))?;
            }
            Presented::Nothing => {}
        }
        Ok(Outcome::Destroyed)
    }

    fn destroy_by_handle(&mut self, user: &str, handle: Option<&Handle>) -> Result<Outcome> {
        let Some(handle) = handle else {
            return Ok(Outcome::Destroyed);
        };
        let rows = self.tables.of_user(user, i64::MIN, usize::MAX)?;
        let found = rows.into_iter().find(|row| row.handle() == *handle);
        if let Some(session) = found.map(|row| self.known(row))
            && session.lifetime.is_live(self.now)
        {
            self.destroy(&session, EventKind::Destroyed(Reason::Handle))?;
        }
        Ok(Outcome::Destroyed)
    }

    fn destroy_user(&mut self, user: &str, except: Option<&SessionKey>) -> Result<Outcome> {
        let spared = match except {
            Some(except) => self.current(except)?.map(|session| session.row.id),
            None => None,
        };
        let mut count = 0;
        for session in self.live_of_user(user)? {
            if spared != Some(session.row.id) {
                self.destroy(&session, EventKind::Destroyed(Reason::User))?;
                count += 1;
            }
        }
        Ok(Outcome::DestroyedMany { count })
    }

    fn destroy_all(&mut self) -> Result<Outcome> {
        self.remove_expired(self.now, usize::MAX)?;
        let count = self.tables.totals()?.sessions.unsigned_abs();
        self.tables.remove_all()?;
        self.counters.destroyed += count;
        let kind = EventKind::AllDestroyed(count);
        self.outcomes.note(kind, || (None, None));
        Ok(Outcome::DestroyedMany { count })
    }

    fn stats(&mut self) -> Result<Outcome> {
        self.remove_expired(self.now, usize::MAX)?;
        let totals = self.tables.totals()?;
        Ok(Outcome::Stats {
            sessions: Some(totals.sessions.unsigned_abs()),
            users: Some(totals.users.unsigned_abs()),
            destroyed: self.counters.destroyed,
            expired: self.counters.expired,
        })
    }

    /// What a key that a peer has presented stands for; ends the session where it shows that an id was stolen.
    fn present(&mut self, key: &SessionKey) -> Result<Presented> {
        if let Some(row) = self.tables.by_key(key)? {
            let session = self.known(row);
            if session.lifetime.is_live(self.now) {
                return Ok(Presented::Current(session));
            }
            return self.ended(&session);
        }
        if !self.policy.remembers_retired() {
            return Ok(Presented::Nothing);
        }
        let Some((row, retired_at)) = self.tables.by_retired_key(key)? else {
            return Ok(Presented::Nothing);
        };
        let session = self.known(row);
        if !session.lifetime.is_live(self.now) {
            return self.ended(&session);
        }
        if self.policy.in_grace(self.now, retired_at) {
            return Ok(Presented::InGrace(session));
        }
        if self.policy.on_reuse == OnReuse::Revoke {
            self.note(EventKind::ReuseDetected, &session.row);
            self.destroy(&session, EventKind::Destroyed(Reason::Reuse))?;
        }
        Ok(Presented::Nothing)
    }

    /// A session that is found to have expired is removed at once. A node that does not know when it was used last would
    /// give it the benefit of the doubt, and one whose clock is behind would find it live: what has just been said to be
    /// invalid would be back.
    fn ended(&mut self, session: &Session) -> Result<Presented> {
        self.expire(session)?;
        Ok(Presented::Nothing)
    }

    /// The session whose key a peer has presented, where a retired key will not do.
    fn current(&mut self, key: &SessionKey) -> Result<Option<Session>> {
        Ok(match self.present(key)? {
            Presented::Current(session) => Some(session),
            Presented::InGrace(_) | Presented::Nothing => None,
        })
    }

    /// A user's live sessions, the oldest first. Those that have expired are removed.
    fn live_of_user(&mut self, user: &str) -> Result<Vec<Session>> {
        let rows = self.tables.of_user(user, i64::MIN, usize::MAX)?;
        let mut live = Vec::new();
        for row in rows {
            let session = self.known(row);
            if session.lifetime.is_live(self.now) {
                live.push(session);
            } else {
                self.expire(&session)?;
            }
        }
        Ok(live)
    }

    /// Looks at some of the sessions that are due by `due_at`, and removes those that have expired.
    fn remove_expired(&mut self, due_at: Timestamp, at_most: usize) -> Result<()> {
        let mut left = at_most;
        while left > 0 {
            let rows = self.tables.due(due_at, left.min(ROWS_AT_A_TIME))?;
            if rows.is_empty() {
                break;
            }
            left -= rows.len();
            for row in rows {
                let session = self.known(row);
                if session.lifetime.is_live(self.now) {
                    let expires_at = session.lifetime.expires_at();
                    self.tables.look_later(&session.row, expires_at)?;
                } else {
                    self.expire(&session)?;
                }
            }
        }
        Ok(())
    }

    fn destroy(&mut self, session: &Session, why: EventKind) -> Result<()> {
        self.note(why, &session.row);
        self.tables.remove(&session.row)?;
        self.counters.destroyed += 1;
        Ok(())
    }

    fn expire(&mut self, session: &Session) -> Result<()> {
        self.note(EventKind::Expired, &session.row);
        self.tables.remove(&session.row)?;
        self.counters.expired += 1;
        Ok(())
    }

    fn known(&self, row: Row) -> Session {
        let lifetime = self.uses.recall(&row, self.now);
        Session { row, lifetime }
    }

    fn note(&mut self, kind: EventKind, row: &Row) {
        let of = || (Some(row.user.as_str()), Some(row.handle()));
        self.outcomes.note(kind, of);
    }

    fn invalid(&mut self) -> Outcome {
        self.outcomes.note(EventKind::Invalid, || (None, None));
        Outcome::Invalid
    }
}

/// Whether a session was not inserted because another has its key.
fn is_taken(error: &Interruption<rusqlite::Error>) -> bool {
    let code = match error {
        Interruption::Failed(error) => error.sqlite_error_code(),
        Interruption::NeedsToWrite => None,
    };
    code == Some(rusqlite::ErrorCode::ConstraintViolation)
}
