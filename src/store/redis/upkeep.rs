//! The third pipeline: brings pointers up to date with what scripts have done.

use std::collections::HashMap;

use super::exchange::Command;
use super::lookup::{made, presented};
use super::places::Known;
use super::pointers::Pointers;
use super::reply::{Ended, Finding, Reply};
use crate::session::SessionKey;
use crate::store::Operation;

/// The commands that update pointers after a batch, of which a step is one operation.
pub struct Upkeep<'a> {
    pub pointers: &'a mut Pointers,
    pub commands: Vec<Command>,
    /// The last step that makes each key.
    made_by: HashMap<SessionKey, usize>,
    /// The steps that the node cannot report done unless a command succeeds, each with the command.
    pub needed: Vec<(usize, usize)>,
}

impl<'a> Upkeep<'a> {
    pub fn after<'o>(
        operations: impl Iterator<Item = &'o Operation<'o>>,
        pointers: &'a mut Pointers,
    ) -> Self {
        let made_by = |(step, operation)| Some((*made(operation)?, step));
        Self {
            pointers,
            commands: Vec::new(),
            made_by: operations.enumerate().filter_map(made_by).collect(),
            needed: Vec::new(),
        }
    }

    /// Updates the pointers that a reply to a step concerns.
    pub fn add(
        &mut self,
        step: usize,
        operation: &Operation<'_>,
        known: Option<Known>,
        reply: &Reply,
    ) {
        self.drop_ended(step, &reply.ended);
        if let Finding::Regenerated(rotation) = &reply.finding {
            self.drop_unless_made_later(step, &rotation.forgotten);
        }
        let (pointers, commands) = (&mut *self.pointers, &mut self.commands);
        match (&reply.finding, operation, known) {
            (Finding::Regenerated(rotation), Operation::Regenerate { new, .. }, Some(known)) => {
                for key in &rotation.retired {
                    pointers.prolong(key, rotation.retired_life, commands);
                }
                self.needed.push((step, commands.len()));
                pointers.make(new, known.place, rotation.pointer_life, commands);
            }
            (
                Finding::Valid { used, .. } | Finding::Updated(used),
                Operation::Validate { key, .. } | Operation::Update { key, .. },
                Some(known),
            ) => pointers.keep(key, known, *used, commands),
            (Finding::UserLimit { .. }, Operation::Create { key, .. }, _) => {
                pointers.drop(key, commands);
            }
            (Finding::Invalid, operation, _) => {
                if let Some(key) = presented(operation) {
                    pointers.places.forget(key);
                }
            }
            _ => {}
        }
    }

    /// Deletes the pointers that led to ended sessions.
    pub fn drop_ended(&mut self, step: usize, ended: &[Ended]) {
        for ended in ended {
            self.drop_unless_made_later(step, &ended.keys);
        }
    }

    /// Deletes the pointers of keys that lead nowhere after `step`, unless a later step gives the key to a session.
    pub fn drop_unless_made_later(&mut self, step: usize, keys: &[SessionKey]) {
        for key in keys {
            if self.made_by.get(key) <= Some(&step) {
                self.pointers.drop(key, &mut self.commands);
            }
        }
    }
}
