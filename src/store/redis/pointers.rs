//! The pointers, which say where sessions are: learned before the scripts run, and brought up to date after.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use redis::{Cmd, Value, cmd};

use super::batch::{Batch, Step, presented};
use super::commands::Commands;
use super::places::{Known, Place};
use super::reply::{Ended, Reply};
use crate::session::SessionKey;
use crate::session::whole_millis;
use crate::store::{Operation, StoreError};

/// For how long a pointer stays beyond its session's end, so that it is never the first to go.
pub const POINTER_SLACK: Duration = Duration::from_secs(5);

impl Batch<'_> {
    /// Learns the places of the keys that are presented and not known yet. Gives those of which nothing could be
    /// learned, with the reason.
    pub fn locate(&mut self, operations: &[Operation<'_>]) -> HashMap<SessionKey, StoreError> {
        let mut asked = Vec::new();
        let mut seen = HashSet::new();
        let mut commands = Commands::default();
        for operation in operations {
            if let Some(key) = presented(operation)
                && self.places.get(key, self.now).is_none()
                && seen.insert(*key)
            {
                let pointer = self.pointer(key);
                commands.add(&pointer, cmd("GET").arg(&pointer));
                commands.add(&pointer, cmd("PTTL").arg(&pointer));
                asked.push(*key);
            }
            // Its place is that of this batch.
            if let Operation::Create { key, .. } | Operation::Regenerate { new: key, .. } =
                operation
            {
                seen.insert(*key);
            }
        }
        let mut unreachable = HashMap::new();
        if asked.is_empty() {
            return unreachable;
        }
        let mut answers = self.servers.exchange(&commands).into_iter();
        for key in asked {
            let pair = (answers.next(), answers.next());
            match pair {
                (Some(Ok(Value::BulkString(bytes))), Some(Ok(Value::Int(millis)))) => {
                    if let Some(place) = Place::from_bytes(&bytes) {
                        let left = Duration::from_millis(u64::try_from(millis).unwrap_or(0));
                        let pointer_until = self.now + left;
                        let known = Known {
                            place,
                            pointer_until,
                            since: self.now,
                        };
                        self.places.insert(key, known);
                    }
                }
                (Some(Err(failure)), _) | (_, Some(Err(failure))) => {
                    // A pointer that was only read.
                    let why = failure.why();
                    unreachable.insert(key, StoreError::NoEffect(why));
                }
                _ => {}
            }
        }
        unreachable
    }

    /// Brings the pointers up to date with what the scripts have done.
    pub fn keep_pointers(&mut self, steps: &mut [Step<'_, '_>]) {
        let mut commands = Commands::default();
        // Which operation cannot be reported done without which command.
        let mut needed = Vec::new();
        let made: HashMap<SessionKey, usize> = steps
            .iter()
            .enumerate()
            .filter_map(|(number, step)| Some((*made(step.operation)?, number)))
            .collect();
        for (number, step) in steps.iter().enumerate() {
            let Ok(replies) = &step.replies else { continue };
            for reply in replies {
                let stay = Duration::from_millis(reply.one) + POINTER_SLACK;
                // A later operation of the batch may have given the id to a new session.
                let is_made_later = |key: &SessionKey| made.get(key) > Some(&number);
                for ended in &reply.ended {
                    self.keep_pointers_of(ended, stay, is_made_later, &mut commands);
                }
            }
            let Some(reply) = replies.last() else {
                continue;
            };
            let next = commands.len();
            self.keep_pointer_of(step, reply, &mut commands);
            if matches!(step.operation, Operation::Regenerate { .. }) && commands.len() > next {
                needed.push((number, next));
            }
        }
        if commands.len() == 0 {
            return;
        }
        let answers = self.servers.exchange(&commands);
        for (number, command) in needed {
            if let Some(Err(failure)) = answers.get(command) {
                let why = failure.why();
                steps[number].replies = Err(StoreError::MayHaveTakenEffect(why));
            }
        }
    }

    /// Brings the pointer of the key up to date that an operation has presented or made.
    fn keep_pointer_of(&mut self, step: &Step<'_, '_>, reply: &Reply, commands: &mut Commands) {
        let stay = Duration::from_millis(reply.other) + POINTER_SLACK;
        let pointer_until = self.now + stay;
        match (step.operation, reply.letter, step.place) {
            (Operation::Regenerate { new, .. }, b'R', Some(place)) => {
                let pointer = self.pointer(new);
                commands.add(&pointer, &write_pointer(&pointer, place, stay));
                self.places.insert(
                    *new,
                    Known {
                        place,
                        pointer_until,
                        since: self.now,
                    },
                );
            }
            (Operation::Validate { key, .. }, b'V', Some(place))
            | (Operation::Update { key, .. }, b'U', Some(place)) => {
                let expires_at = self.now + Duration::from_millis(reply.one);
                let known = self.places.get(key, self.now);
                if known.is_some_and(|known| known.pointer_until < expires_at) {
                    let pointer = self.pointer(key);
                    commands.add(&pointer, &keep_pointer(&pointer, stay));
                    self.places.insert(
                        *key,
                        Known {
                            place,
                            pointer_until,
                            since: self.now,
                        },
                    );
                }
            }
            (Operation::Create { key, .. }, b'L', _) => self.drop_pointer(key, commands),
            (operation, b'I', _) => {
                if let Some(key) = presented(operation) {
                    self.places.forget(key);
                }
            }
            _ => {}
        }
    }

    pub fn keep_pointers_of(
        &mut self,
        ended: &Ended,
        stay: Duration,
        is_made_later: impl Fn(&SessionKey) -> bool,
        commands: &mut Commands,
    ) {
        for key in &ended.keys {
            if ended.letter == b'p' {
                let pointer = self.pointer(key);
                commands.add(&pointer, &keep_pointer(&pointer, stay));
            } else if !is_made_later(key) {
                self.drop_pointer(key, commands);
            }
        }
    }

    fn drop_pointer(&mut self, key: &SessionKey, commands: &mut Commands) {
        self.places.forget(key);
        let pointer = self.pointer(key);
        commands.add(&pointer, cmd("DEL").arg(&pointer));
    }

    /// The key of the pointer of a session's key.
    pub fn pointer(&self, key: &SessionKey) -> String {
        let name = URL_SAFE_NO_PAD.encode(key.as_bytes());
        format!("{}k:{name}", self.options.prefix)
    }
}

/// The key that an operation gives to a session.
fn made<'o>(operation: &'o Operation<'_>) -> Option<&'o SessionKey> {
    match operation {
        Operation::Create { key, .. } | Operation::Regenerate { new: key, .. } => Some(key),
        _ => None,
    }
}

pub fn write_pointer(pointer: &str, place: Place, stay: Duration) -> Cmd {
    let mut command = cmd("SET");
    command
        .arg(pointer)
        .arg(&place.to_bytes())
        .arg("PX")
        .arg(whole_millis(stay));
    command
}

/// A pointer is only ever made to stay longer.
fn keep_pointer(pointer: &str, stay: Duration) -> Cmd {
    let mut command = cmd("PEXPIRE");
    command.arg(pointer).arg(whole_millis(stay)).arg("GT");
    command
}
