//! What the answers of the scripts mean: outcomes, events and counts.

use std::time::Duration;

use super::batch::{Batch, Step};
use super::reply::{Ended, Reply};
use crate::session::{Handle, Timestamp};
use crate::store::{EventKind, Listed, Operation, Outcome, Reason, StoreError};

impl Batch<'_> {
    /// Turns what has become of an operation into its outcome, and notes what happened.
    pub fn conclude(&mut self, step: Step<'_, '_>) -> Result<Outcome, StoreError> {
        let Step {
            operation, place, ..
        } = step;
        let handle = place.map(|place| place.handle);
        let replies = step
            .replies
            .map_err(|failure| self.explain(operation, failure))?;
        for reply in &replies {
            let user = reply.user.as_deref().or(user_of(operation));
            for ended in &reply.ended {
                self.note_end(ended, user);
            }
        }
        let Some(reply) = replies.into_iter().last() else {
            return Ok(match operation {
                Operation::Destroy { .. } | Operation::DestroyByHandle { .. } => Outcome::Destroyed,
                Operation::Stats => Outcome::Stats {
                    sessions: None,
                    users: None,
                    destroyed: self.counters.destroyed,
                    expired: self.counters.expired,
                },
                _ => self.invalid(),
            });
        };
        Ok(match (reply.letter, operation) {
            (b'V', _) => {
                self.note(EventKind::Validated, &reply, handle);
                Outcome::Valid {
                    user: self
                        .outcomes
                        .keep(reply.user.as_deref().unwrap_or_default()),
                    data: reply.data.map(|data| self.outcomes.keep(&data)),
                    expires_at: self.now + Duration::from_millis(reply.one),
                }
            }
            (b'A', _) => Outcome::ReauthenticationRequired {
                user: self
                    .outcomes
                    .keep(reply.user.as_deref().unwrap_or_default()),
                auth_age: reply.one.div_ceil(1000),
            },
            (b'C', Operation::Create { key, .. }) => {
                self.note(EventKind::Created, &reply, Some(key.handle()));
                let expires_at = Timestamp::from_millis(reply.one);
                Outcome::Created { expires_at }
            }
            (b'L', _) => {
                self.note(EventKind::Rejected, &reply, None);
                let max_sessions_per_user = self.policy.max_sessions_per_user.unwrap_or(0);
                Outcome::UserLimit {
                    max_sessions_per_user,
                }
            }
            (b'R', _) => {
                self.note(EventKind::Regenerated, &reply, handle);
                Outcome::Regenerated
            }
            (b'U', _) => Outcome::Updated,
            (b'S', _) => self.show(reply),
            (b'D', Operation::DestroyUser { .. }) => Outcome::DestroyedMany { count: reply.one },
            (b'D', _) => Outcome::Destroyed,
            _ => self.invalid(),
        })
    }

    fn show(&mut self, reply: Reply) -> Outcome {
        let first = self.outcomes.listed_so_far();
        for shown in reply.shown {
            let data = shown.data.map(|data| self.outcomes.keep(&data));
            self.outcomes.list_one(Listed {
                handle: shown.handle,
                lifetime: shown.lifetime,
                data,
                is_current: shown.is_own,
            });
        }
        Outcome::Sessions {
            listed: first..self.outcomes.listed_so_far(),
            more: reply.one == 1,
        }
    }

    pub fn note_end(&mut self, ended: &Ended, user: Option<&str>) {
        let of = || (user, Some(ended.handle));
        let kind = match ended.letter {
            b'x' => {
                self.counters.expired += 1;
                self.outcomes.note(EventKind::Expired, of);
                return;
            }
            b'e' => EventKind::Evicted,
            b'i' => EventKind::Destroyed(Reason::Id),
            b'h' => EventKind::Destroyed(Reason::Handle),
            b'u' => EventKind::Destroyed(Reason::User),
            b'r' => {
                self.outcomes.note(EventKind::ReuseDetected, of);
                EventKind::Destroyed(Reason::Reuse)
            }
            _ => return,
        };
        self.counters.destroyed += 1;
        self.outcomes.note(kind, of);
    }

    fn note(&mut self, kind: EventKind, reply: &Reply, handle: Option<Handle>) {
        let user = reply.user.as_deref();
        self.outcomes.note(kind, || (user, handle));
    }

    fn invalid(&mut self) -> Outcome {
        self.outcomes.note(EventKind::Invalid, || (None, None));
        Outcome::Invalid
    }

    pub fn explain(&mut self, operation: &Operation<'_>, failure: StoreError) -> StoreError {
        *self.failure = Some(failure.why());
        match failure {
            // What was only read had no effect.
            StoreError::MayHaveTakenEffect(why) if matches!(operation, Operation::List { .. }) => {
                StoreError::NoEffect(why)
            }
            failure => failure,
        }
    }
}

fn user_of<'o>(operation: &'o Operation<'_>) -> Option<&'o str> {
    match operation {
        Operation::Create { user, .. }
        | Operation::List { user, .. }
        | Operation::DestroyByHandle { user, .. }
        | Operation::DestroyUser { user, .. } => Some(user),
        _ => None,
    }
}
