//! The first pipeline: finds the places of presented keys.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use redis::Value;

use super::exchange::{Answer, Command};
use super::places::{Known, Place, Places};
use super::pointers::Pointers;
use crate::session::SessionKey;
use crate::store::{Operation, StoreError};

/// Why the pointers of some keys could not be read.
pub type Failures = HashMap<SessionKey, StoreError>;

/// The keys of a batch whose pointers the node has to read.
#[derive(Default)]
pub struct Lookup {
    pub commands: Vec<Command>,
    asked: Vec<SessionKey>,
    /// The keys whose places a later step supplies: those whose pointers are read, and those that the batch makes.
    pending: HashSet<SessionKey>,
}

impl Lookup {
    /// Finds the place of the key that an operation presents, or has its pointer read.
    pub fn find(&mut self, operation: &Operation<'_>, pointers: &mut Pointers) -> Option<Known> {
        let key = presented(operation).filter(|key| !self.pending.contains(key));
        let known = key.and_then(|key| pointers.places.get(key));
        if let (Some(key), None) = (key, known) {
            pointers.read(key, &mut self.commands);
            self.asked.push(*key);
            self.pending.insert(*key);
        }
        if let Some(key) = made(operation) {
            self.pending.insert(*key);
        }
        known
    }

    /// Remembers the pointers that the servers have told, and returns why the others could not be read. A key that
    /// has no pointer is in neither.
    pub fn learn(self, answers: Vec<Answer>, places: &mut Places) -> Failures {
        let mut failures = Failures::new();
        let mut answers = answers.into_iter();
        for key in self.asked {
            match (answers.next(), answers.next()) {
                (Some(Ok(Value::BulkString(bytes))), Some(Ok(Value::Int(millis)))) => {
                    let left = Duration::from_millis(u64::try_from(millis).unwrap_or(0));
                    if let Some(place) = Place::from_bytes(&bytes) {
                        places.learn(&key, place, left);
                    }
                }
                // Reading a pointer has no effect.
                (Some(Err(failure)), _) | (_, Some(Err(failure))) => {
                    failures.insert(key, StoreError::NoEffect(failure.why()));
                }
                _ => {}
            }
        }
        failures
    }
}

/// The key that an operation presents.
pub fn presented<'o>(operation: &'o Operation<'_>) -> Option<&'o SessionKey> {
    match operation {
        Operation::Validate { key, .. }
        | Operation::Regenerate { old: key, .. }
        | Operation::Update { key, .. }
        | Operation::Destroy { key, .. } => Some(key),
        Operation::List { caller: key, .. } | Operation::DestroyUser { except: key, .. } => {
            key.as_ref()
        }
        _ => None,
    }
}

/// The key that an operation gives to a session.
pub fn made<'o>(operation: &'o Operation<'_>) -> Option<&'o SessionKey> {
    match operation {
        Operation::Create { key, .. } | Operation::Regenerate { new: key, .. } => Some(key),
        _ => None,
    }
}
