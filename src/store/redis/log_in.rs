//! The one operation that concerns two users: the log-in of a visitor, whose session becomes another user's.
//!
//! The two users' hashes may be on different servers, so no script can do it. The session first leaves the one hash,
//! and then begins in the other. A node that stops in between has logged the visitor out. It never leaves two sessions,
//! or the new id under the old user.

use std::{iter, slice};

use super::executor::Executor;
use super::lookup::Lookup;
use super::places::{Known, Place, digest_of};
use super::reply::{self, Departure, Finding, Reply};
use super::report::Report;
use super::requests::{Beginning, Requests};
use super::scripts::ScriptName;
use super::upkeep::Upkeep;
use crate::session::{OnUserLimit, Policy, SessionKey, whole_millis};
use crate::store::{Changes, Operation, StoreError};

/// A log-in on its way.
pub struct LogIn<'a> {
    operation: &'a Operation<'a>,
    old: &'a SessionKey,
    new: &'a SessionKey,
    changes: &'a Changes<'a>,
    user: &'a str,
}

type Replies = Result<Vec<Reply>, StoreError>;

impl<'a> LogIn<'a> {
    /// Returns the log-in that an operation is, if it is one.
    pub fn of(operation: &'a Operation<'a>) -> Option<Self> {
        let Operation::Regenerate {
            old,
            new,
            changes: Some(changes),
        } = operation
        else {
            return None;
        };
        Some(Self {
            operation,
            old,
            new,
            changes,
            user: changes.user.as_deref()?,
        })
    }
}

impl Executor {
    /// Carries out a log-in, and reports on it.
    pub fn log_in(&mut self, policy: &Policy, log_in: &LogIn<'_>, report: &mut Report<'_>) {
        let mut lookup = Lookup::default();
        lookup.find(log_in.operation, &mut self.pointers);
        let answers = self.servers.exchange(&lookup.commands);
        lookup.learn(answers, &mut self.pointers.places);
        let known = self.pointers.places.get(log_in.old);
        let known = known.filter(|known| known.place.user != digest_of(log_in.user));
        let Some(known) = known else {
            // The session is the user's own, or nobody knows its place.
            let operations = slice::from_ref(log_in.operation);
            return self.carry_out_part(policy, operations, report);
        };
        let mut replies = self.move_session(policy, log_in, known);
        if replies.as_ref().is_ok_and(|all| all.iter().any(is_change))
            && let Err(why) = self.servers.wait_for_replicas()
        {
            replies = Err(StoreError::MayHaveTakenEffect(why));
        }
        report.conclude(log_in.operation, Some(known.place.handle), replies);
    }

    fn move_session(&mut self, policy: &Policy, log_in: &LogIn<'_>, from: Known) -> Replies {
        let to = Place {
            user: digest_of(log_in.user),
            handle: from.place.handle,
        };
        let mut replies = Vec::new();
        if let Some(limit) = log_in.changes.user_limit(policy)
            && policy.on_user_limit == OnUserLimit::Reject
        {
            // The session must not end when it has nowhere to go.
            replies = self.leave(policy, log_in, from, true)?;
            if !matches!(last_of(&replies), Some(Finding::Resolved)) {
                return Ok(replies);
            }
            replies.extend(self.run(policy, log_in, |requests| {
                requests.on_hash(ScriptName::Room, to.user).arg(limit);
            })?);
            if let Some(Finding::UserLimit { .. }) = last_of(&replies) {
                return Ok(replies);
            }
        }
        replies.extend(self.leave(policy, log_in, from, false)?);
        let Some(Finding::Left(departure)) = last_of(&replies) else {
            return Ok(replies);
        };
        let begun = self.begin_again(policy, log_in, to, departure);
        let begun = begun.map_err(|failure| {
            let why = format!(
                "the session has ended, and did not begin anew: {}",
                failure.why()
            );
            StoreError::MayHaveTakenEffect(why)
        })?;
        replies.extend(begun);
        Ok(replies)
    }

    /// Takes the session out of the visitor's hash, or only looks whether it may leave.
    fn leave(&mut self, policy: &Policy, log_in: &LogIn<'_>, from: Known, looks: bool) -> Replies {
        let binding = log_in.changes.binding.as_ref();
        self.run(policy, log_in, |requests| {
            let script = requests.on_session(ScriptName::Leave, (log_in.old, from));
            script.arg(binding.map_or(&[][..], |binding| binding.as_bytes()));
            script.arg(u8::from(looks));
        })
    }

    /// Begins a session that has left.
    fn begin_again(
        &mut self,
        policy: &Policy,
        log_in: &LogIn<'_>,
        place: Place,
        departure: &Departure,
    ) -> Replies {
        let changes = log_in.changes;
        let binding = changes.new_binding.as_ref().map(|it| &it.as_bytes()[..]);
        let ttl = changes.ttl.map_or(departure.ttl, whole_millis);
        let idle_timeout = changes
            .idle_timeout
            .map_or(departure.idle_timeout, whole_millis);
        let life = match idle_timeout {
            0 => ttl,
            idle_timeout => ttl.min(2 * idle_timeout),
        };
        let replies = self.run(policy, log_in, |requests| {
            let life = std::time::Duration::from_millis(life);
            let (pointers, commands) = (&mut *requests.pointers, &mut requests.commands);
            pointers.make(log_in.new, place, life, commands);
            requests.begin(&Beginning {
                key: log_in.new,
                place,
                user: log_in.user,
                ttl,
                idle_timeout,
                data: changes.data.as_deref().or(departure.data.as_deref()),
                binding: binding.or(departure.binding.as_deref()),
                limit: changes.user_limit(policy),
                created_at: Some(departure.created_at),
            });
        });
        let is_refused = |reply: &Reply| matches!(reply.finding, Finding::UserLimit { .. });
        if replies.as_ref().is_ok_and(|all| all.iter().any(is_refused)) {
            let why = "the user has meanwhile reached the limit of sessions";
            return Err(StoreError::MayHaveTakenEffect(why.to_owned()));
        }
        replies
    }

    /// Runs one script, and brings the pointers up to date with what it has done.
    fn run(
        &mut self,
        policy: &Policy,
        log_in: &LogIn<'_>,
        add: impl FnOnce(&mut Requests<'_>),
    ) -> Replies {
        let mut requests = Requests {
            policy,
            pointers: &mut self.pointers,
            commands: Vec::new(),
            detail: log_in.changes.detail,
        };
        add(&mut requests);
        let commands = requests.commands;
        let replies = reply::read(self.servers.exchange(&commands).into_iter())?;
        let operations = iter::once(log_in.operation);
        let mut upkeep = Upkeep::after(operations, &mut self.pointers);
        for reply in &replies {
            upkeep.add(0, log_in.operation, None, reply);
            if let Finding::Left(departure) = &reply.finding {
                upkeep.drop_unless_made_later(0, &departure.keys);
            }
        }
        self.servers.exchange(&upkeep.commands);
        Ok(replies)
    }
}

fn last_of(replies: &[Reply]) -> Option<&Finding> {
    replies.last().map(|reply| &reply.finding)
}

/// Whether a script has changed what a replica must hold too.
fn is_change(reply: &Reply) -> bool {
    matches!(reply.finding, Finding::Left(_) | Finding::Created { .. }) || !reply.ended.is_empty()
}
