//! Carries out operations in three pipelines. The first and the last are left out where they would be empty:
//!
//! 1. [`Lookup`] reads the pointers of presented keys whose places this node does not remember,
//! 2. [`Requests`] run the scripts of all operations, and write the pointers of new sessions,
//! 3. [`Upkeep`] writes the pointers of regenerated keys, and deletes those of ended sessions.
//!
//! A pointer decides nothing, so it does not matter what other nodes do between the pipelines. All commands for one
//! user go to one server in the order of their operations, so each operation sees the effects of those before it.

use super::destroyer::Destroyer;
use super::log_in::LogIn;
use super::lookup::{Failures, Lookup, presented};
use super::places::Known;
use super::pointers::Pointers;
use super::reply::{self, Reply};
use super::report::Report;
use super::requests::Requests;
use super::servers::Servers;
use super::upkeep::Upkeep;
use super::users::UserLister;
use crate::session::Policy;
use crate::store::{Batch, Operation, StoreError};

/// Carries out operations on the servers.
pub struct Executor {
    pub servers: Servers,
    pub pointers: Pointers,
}

/// An operation on its way.
struct Step<'o> {
    operation: &'o Operation<'o>,
    /// Where the key that it presents leads, if the node knows.
    known: Option<Known>,
    /// How many commands it has in the second pipeline.
    commands: usize,
    /// The replies of its scripts, or why it is not carried out.
    replies: Result<Vec<Reply>, StoreError>,
}

impl Executor {
    /// Carries out a batch, and reports on it.
    pub fn carry_out(&mut self, batch: &Batch<'_>, report: &mut Report<'_>) {
        self.servers.forget_used();
        self.pointers.places.now = batch.now;
        for part in batch.operations.split_inclusive(takes_several_exchanges) {
            match part.split_last() {
                Some((last, before)) if takes_several_exchanges(last) => {
                    self.carry_out_part(batch.policy, before, report);
                    self.carry_out_alone(batch.policy, last, report);
                }
                _ => self.carry_out_part(batch.policy, part, report),
            }
        }
    }

    /// Carries out an operation that takes several exchanges.
    fn carry_out_alone(
        &mut self,
        policy: &Policy,
        operation: &Operation<'_>,
        report: &mut Report<'_>,
    ) {
        let (servers, pointers) = (&mut self.servers, &mut self.pointers);
        if let Some(log_in) = LogIn::of(operation) {
            self.log_in(policy, &log_in, report);
        } else if let Operation::ListUsers { options } = operation {
            let mut lister = UserLister {
                policy,
                servers,
                pointers,
            };
            report.conclude_list_users(operation, lister.list(options));
        } else {
            let destroyer = Destroyer {
                policy,
                servers,
                pointers,
                report,
            };
            let count = destroyer.destroy_all();
            report.conclude_destroy_all(count);
        }
    }

    /// Carries out operations that take three pipelines together.
    pub fn carry_out_part(
        &mut self,
        policy: &Policy,
        operations: &[Operation<'_>],
        report: &mut Report<'_>,
    ) {
        let mut lookup = Lookup::default();
        let begin = |operation| Step {
            operation,
            known: lookup.find(operation, &mut self.pointers),
            commands: 0,
            replies: Ok(Vec::new()),
        };
        let mut steps: Vec<_> = operations.iter().map(begin).collect();
        let answers = self.servers.exchange(&lookup.commands);
        let failures = lookup.learn(answers, &mut self.pointers.places);
        self.run_scripts(policy, &mut steps, &failures);
        self.update_pointers(&mut steps);
        self.wait_for_replicas(&mut steps);
        for step in steps {
            let handle = step.known.map(|known| known.place.handle);
            report.conclude(step.operation, handle, step.replies);
        }
    }

    /// Sends the second pipeline.
    fn run_scripts(&mut self, policy: &Policy, steps: &mut [Step<'_>], failures: &Failures) {
        let mut requests = Requests {
            policy,
            pointers: &mut self.pointers,
            commands: Vec::new(),
            detail: false,
        };
        for step in &mut *steps {
            if step.known.is_none()
                && let Some(key) = presented(step.operation)
            {
                // The node has read the pointer, or written it for an earlier step.
                step.known = requests.pointers.places.get(key);
                if step.known.is_none()
                    && let Some(failure) = failures.get(key)
                {
                    step.replies = Err(failure.clone());
                    continue;
                }
            }
            step.commands = requests.add(step.operation, step.known);
        }
        let mut answers = self.servers.exchange(&requests.commands).into_iter();
        for step in steps.iter_mut().filter(|step| step.replies.is_ok()) {
            step.replies = reply::read(answers.by_ref().take(step.commands));
        }
    }

    /// Sends the third pipeline.
    fn update_pointers(&mut self, steps: &mut [Step<'_>]) {
        let operations = steps.iter().map(|step| step.operation);
        let mut upkeep = Upkeep::after(operations, &mut self.pointers);
        for (number, step) in steps.iter().enumerate() {
            for reply in step.replies.iter().flatten() {
                upkeep.add(number, step.operation, step.known, reply);
            }
        }
        let answers = self.servers.exchange(&upkeep.commands);
        for (number, command) in upkeep.needed {
            if let Err(failure) = &answers[command] {
                steps[number].replies = Err(StoreError::MayHaveTakenEffect(failure.why()));
            }
        }
    }

    /// Waits until enough replicas hold what the steps have changed, if they have changed something.
    fn wait_for_replicas(&mut self, steps: &mut [Step<'_>]) {
        let changes = steps.iter_mut().filter(|step| !step.operation.only_reads());
        let mut changes = changes.peekable();
        if changes.peek().is_some()
            && let Err(why) = self.servers.wait_for_replicas()
        {
            for step in changes.filter(|step| step.replies.is_ok()) {
                step.replies = Err(StoreError::MayHaveTakenEffect(why.clone()));
            }
        }
    }
}

/// Whether an operation takes several exchanges. What stands before it in the batch is done before it begins.
fn takes_several_exchanges(operation: &Operation<'_>) -> bool {
    match operation {
        Operation::DestroyAll | Operation::ListUsers { .. } => true,
        operation => LogIn::of(operation).is_some(),
    }
}
