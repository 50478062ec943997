//! What the node reports of a batch: turns replies into outcomes, events and counts.

use super::reply::{Ended, Finding, Reply, Shown};
use super::users::UserPage;
use crate::session::{Handle, Timestamp};
use crate::store::rules::Counters;
use crate::store::{
    Cursor, Detail, EventKind, ListedUser, Operation, Outcome, Outcomes, Reason, Refusal,
    StoreError,
};

/// The report on a batch.
pub struct Report<'a> {
    pub now: Timestamp,
    pub counters: &'a mut Counters,
    pub outcomes: &'a mut Outcomes,
    /// Why an operation failed: the last reason, if one did.
    pub failure: Option<String>,
}

impl Report<'_> {
    /// Adds the outcome of an operation, from the replies to its commands. `handle` names the session that it is
    /// about, if it presented a key that leads to one.
    pub fn conclude(
        &mut self,
        operation: &Operation<'_>,
        handle: Option<Handle>,
        replies: Result<Vec<Reply>, StoreError>,
    ) {
        let replies = replies.map_err(|failure| self.explain(operation, failure));
        let outcome = replies.map(|replies| {
            for reply in &replies {
                self.note_ends(reply, |_| true);
            }
            match replies.into_iter().last() {
                Some(reply) => self.outcome_of(operation, handle, reply),
                None => self.outcome_without_reply(operation),
            }
        });
        self.outcomes.push(outcome);
    }

    fn outcome_of(
        &mut self,
        operation: &Operation<'_>,
        handle: Option<Handle>,
        reply: Reply,
    ) -> Outcome {
        let user = reply.user.as_str();
        let handle = match operation {
            Operation::Create { key, .. } => Some(key.handle()),
            _ => handle,
        };
        if let (Some(handle), Some(lifetime)) = (handle, reply.detail) {
            self.outcomes.push_detail(Detail { handle, lifetime });
        }
        match reply.finding {
            Finding::Valid { used, data } => {
                self.note(EventKind::Validated, user, || handle);
                Outcome::Valid {
                    user: self.outcomes.keep(user),
                    data: data.map(|data| self.outcomes.keep(&data)),
                    expires_at: self.now + used.expires_in,
                }
            }
            Finding::ReauthenticationRequired { auth_age } => Outcome::ReauthenticationRequired {
                user: self.outcomes.keep(user),
                auth_age,
            },
            Finding::Created { .. } if matches!(operation, Operation::Regenerate { .. }) => {
                self.note(EventKind::Regenerated, user, || handle);
                Outcome::Regenerated
            }
            Finding::Created { expires_at } => {
                self.note(EventKind::Created, user, || handle);
                Outcome::Created { expires_at }
            }
            Finding::UserLimit { limit } => {
                self.note(EventKind::Rejected, user, || None);
                Outcome::Refused(Refusal::UserLimit {
                    max_sessions_per_user: limit,
                })
            }
            Finding::Regenerated(_) => {
                self.note(EventKind::Regenerated, user, || handle);
                Outcome::Regenerated
            }
            Finding::Updated(_) => Outcome::Updated,
            Finding::Conflict(conflict) => Outcome::Conflict(conflict),
            Finding::Listed { shown, next } => self.list(shown, next),
            Finding::Destroyed => Outcome::Destroyed {
                ended: reply.ended.iter().any(Ended::is_by_request),
            },
            Finding::DestroyedMany { count } => Outcome::DestroyedMany { count },
            Finding::Invalid | Finding::Resolved | Finding::Left(_) => self.invalid(),
        }
    }

    /// The outcome of an operation that no script had to carry out.
    fn outcome_without_reply(&mut self, operation: &Operation<'_>) -> Outcome {
        match operation {
            Operation::Destroy { .. } | Operation::DestroyByHandle { .. } => {
                Outcome::Destroyed { ended: false }
            }
            Operation::Stats => Outcome::Stats {
                sessions: None,
                users: None,
                destroyed: self.counters.destroyed,
                expired: self.counters.expired,
            },
            Operation::List { .. } => Outcome::UnknownCursor,
            _ => self.invalid(),
        }
    }

    fn list(&mut self, shown: Vec<Shown>, next: Option<u64>) -> Outcome {
        let first = self.outcomes.listed_len();
        for (mut listed, data) in shown {
            listed.data = data.map(|data| self.outcomes.keep(&data));
            self.outcomes.push_listed(listed);
        }
        Outcome::Sessions {
            listed: first..self.outcomes.listed_len(),
            next: next.map(|next| self.outcomes.keep(&Cursor::at(next.into()).to_string())),
        }
    }

    fn invalid(&mut self) -> Outcome {
        self.outcomes.note(EventKind::Invalid, || (None, None));
        Outcome::Invalid
    }

    /// Adds the outcome of [`Operation::DestroyAll`].
    pub fn conclude_destroy_all(&mut self, count: Result<u64, StoreError>) {
        let count = count.map_err(|failure| self.explain(&Operation::DestroyAll, failure));
        let outcome = count.map(|count| {
            let kind = EventKind::AllDestroyed(count);
            self.outcomes.note(kind, || (None, None));
            Outcome::DestroyedMany { count }
        });
        self.outcomes.push(outcome);
    }

    /// Adds the outcome of [`Operation::ListUsers`].
    pub fn conclude_list_users(
        &mut self,
        operation: &Operation<'_>,
        page: Result<Option<UserPage>, StoreError>,
    ) {
        let page = page.map_err(|failure| self.explain(operation, failure));
        let first = self.outcomes.users_len();
        let outcome = page.map(|page| {
            let Some(UserPage { users, next }) = page else {
                return Outcome::UnknownCursor;
            };
            for (user, sessions) in users {
                let user = self.outcomes.keep(&user);
                self.outcomes.push_user(ListedUser { user, sessions });
            }
            Outcome::Users {
                listed: first..self.outcomes.users_len(),
                next: next.map(|next| self.outcomes.keep(&next.to_string())),
            }
        });
        self.outcomes.push(outcome);
    }

    /// Counts the sessions that a script ended, and notes those that `is_event` picks.
    pub fn note_ends(&mut self, reply: &Reply, is_event: impl Fn(EventKind) -> bool) {
        for ended in &reply.ended {
            match ended.kind {
                EventKind::Expired => self.counters.expired += 1,
                _ => self.counters.destroyed += 1,
            }
            if !is_event(ended.kind) {
                continue;
            }
            let handle = || Some(ended.handle);
            if ended.kind == EventKind::Destroyed(Reason::Reuse) {
                self.note(EventKind::ReuseDetected, &reply.user, handle);
            }
            self.note(ended.kind, &reply.user, handle);
        }
    }

    fn note(&mut self, kind: EventKind, user: &str, handle: impl FnOnce() -> Option<Handle>) {
        self.outcomes.note(kind, || (Some(user), handle()));
    }

    fn explain(&mut self, operation: &Operation<'_>, failure: StoreError) -> StoreError {
        self.failure = Some(failure.why());
        match failure {
            // A list has no effect.
            StoreError::MayHaveTakenEffect(why)
                if matches!(
                    operation,
                    Operation::List { .. } | Operation::ListUsers { .. }
                ) =>
            {
                StoreError::NoEffect(why)
            }
            failure => failure,
        }
    }
}
