//! What the operations of a batch ask of the servers, and what the answers mean.
//!
//! There are three steps, each a pipeline, and the first and the last are left out when they are empty:
//!
//! 1. the pointers of keys whose place this node does not know,
//! 2. the scripts of all operations, and the pointers of new sessions,
//! 3. the pointers of what the scripts have changed: those of new keys are written, those of ended sessions deleted.
//!
//! A pointer decides nothing, so it does not matter what another node does between the steps. The commands for one user
//! go to one server in the order of their operations: within a batch, each sees those before it.

use std::collections::HashMap;
use std::ops::Range;

use redis::Value;

use super::commands::{Answer, Commands};
use super::options::RedisOptions;
use super::places::{Place, Places};
use super::reply::Reply;
use super::servers::Servers;
use crate::session::{Policy, SessionKey, Timestamp};
use crate::store::rules::Counters;
use crate::store::{Operation, Outcomes, StoreError};

/// A batch on its way.
pub struct Batch<'a> {
    pub now: Timestamp,
    pub options: &'a RedisOptions,
    pub policy: &'a Policy,
    pub servers: &'a mut Servers,
    pub places: &'a mut Places,
    pub counters: &'a mut Counters,
    pub outcomes: &'a mut Outcomes,
    /// What went wrong last, if something did.
    pub failure: &'a mut Option<String>,
}

/// An operation on its way.
pub struct Step<'o, 't> {
    pub operation: &'o Operation<'t>,
    /// Where the session is that it is about, if that is known.
    pub place: Option<Place>,
    /// Its commands. The last is its own script; those before present another key, or write a pointer.
    pub commands: Range<usize>,
    /// What the scripts have answered, or why it is not carried out.
    pub replies: Result<Vec<Reply>, StoreError>,
}

impl Batch<'_> {
    /// Carries out operations among which there is no [`Operation::DestroyAll`].
    pub fn carry_out(&mut self, operations: &[Operation<'_>]) {
        if operations.is_empty() {
            return;
        }
        let unreachable = self.locate(operations);
        let mut commands = Commands::default();
        let mut steps: Vec<_> = operations
            .iter()
            .map(|operation| self.begin(operation, &unreachable, &mut commands))
            .collect();
        let mut answers = self.servers.exchange(&commands).into_iter();
        for step in &mut steps {
            if step.replies.is_ok() {
                step.replies = read(answers.by_ref().take(step.commands.len()));
            }
        }
        self.keep_pointers(&mut steps);
        self.wait_for_replicas(&mut steps);
        for step in steps {
            let outcome = self.conclude(step);
            self.outcomes.push(outcome);
        }
    }

    fn begin<'o, 't>(
        &mut self,
        operation: &'o Operation<'t>,
        unreachable: &HashMap<SessionKey, StoreError>,
        commands: &mut Commands,
    ) -> Step<'o, 't> {
        let start = commands.len();
        let known = presented(operation).and_then(|key| self.places.get(key, self.now));
        let failure = match known {
            None => presented(operation).and_then(|key| unreachable.get(key)),
            Some(_) => None,
        };
        if failure.is_none() {
            self.ask(operation, commands);
        }
        Step {
            operation,
            place: known.map(|known| known.place),
            commands: start..commands.len(),
            replies: failure.map_or(Ok(Vec::new()), |failure| Err(failure.clone())),
        }
    }

    /// Waits, where that is asked for, until replicas hold what has changed.
    fn wait_for_replicas(&mut self, steps: &mut [Step<'_, '_>]) {
        let is_to_be_held = |step: &&mut Step<'_, '_>| !step.operation.only_reads();
        if self.options.wait_replicas == 0 || !steps.iter_mut().any(|step| is_to_be_held(&step)) {
            return;
        }
        let Err(why) = self.servers.wait_for_replicas() else {
            return;
        };
        for step in steps.iter_mut().filter(is_to_be_held) {
            if step.replies.is_ok() {
                step.replies = Err(StoreError::MayHaveTakenEffect(why.clone()));
            }
        }
    }
}

/// Reads the answers to the commands of one operation.
pub fn read(answers: impl Iterator<Item = Answer>) -> Result<Vec<Reply>, StoreError> {
    let mut replies = Vec::new();
    let mut failure = None;
    for answer in answers {
        match answer {
            // That a pointer was written.
            Ok(Value::Okay) => {}
            Ok(value) => {
                let Some(reply) = Reply::read(value) else {
                    let why = "a script gave an answer that is none of its own".to_owned();
                    return Err(StoreError::MayHaveTakenEffect(why));
                };
                replies.push(reply);
            }
            // What counts is the script, which is last: a pointer alone is of no effect.
            Err(error) => failure = Some(error),
        }
    }
    match failure {
        Some(StoreError::NoEffect(why)) if !replies.is_empty() => {
            Err(StoreError::MayHaveTakenEffect(why))
        }
        Some(failure) => Err(failure),
        None => Ok(replies),
    }
}

/// The key that an operation presents.
pub fn presented<'o>(operation: &'o Operation<'_>) -> Option<&'o SessionKey> {
    match operation {
        Operation::Validate { key, .. }
        | Operation::Regenerate { old: key, .. }
        | Operation::Update { key, .. }
        | Operation::Destroy { key } => Some(key),
        Operation::List { caller, .. } => caller.as_ref(),
        Operation::DestroyUser { except, .. } => except.as_ref(),
        _ => None,
    }
}
