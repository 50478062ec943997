//! The default store: sessions in memory, gone when the process ends.
//!
//! Sessions stand in a slab. A hash index finds them by key, another finds users by name, and two kinds of
//! lists run through them: the sessions of one user, and the sessions that expire in the same second. Every
//! operation removes a few sessions that have expired, so that memory is given back while the store is in use
//! and no request pays for a sweep. Nothing here ever moves a large table at once.
//!
//! [`records`] is what the [rules](super::rules) see of it.

mod chunked;
mod headroom;
mod index;
mod list;
mod records;
mod slab;
mod tables;
#[cfg(test)]
mod tests;

use self::headroom::Headroom;
use self::records::MemoryRecords;
use self::tables::Tables;
use super::rules::{Counters, LOOKED_AT_PER_OPERATION, Rules};
use super::{Operation, Outcomes, Policy, Store};
use crate::session::Timestamp;

/// How many operations are read ahead together: enough to wait for many cache lines at once, and few enough that
/// the lines are still in the nearest cache when the operations are applied.
const READ_AHEAD: usize = 16;

/// Sessions in memory.
pub struct MemoryStore {
    policy: Policy,
    tables: Tables,
    headroom: Headroom,
    /// What was destroyed as a whole, and is dropped piece by piece.
    dropping: Vec<Tables>,
    counters: Counters,
}

impl MemoryStore {
    /// An empty store with these rules.
    ///
    /// Under [`Policy::max_sessions`], a session counts until it is removed, which is at most a second after it
    /// expires unless more than four sessions an operation expire at once.
    pub fn new(policy: Policy) -> Self {
        Self {
            policy,
            tables: Tables::new(),
            headroom: Headroom::new(),
            dropping: Vec::new(),
            counters: Counters::default(),
        }
    }

    /// How many sessions are in memory: the live ones, and those that have expired and are not yet removed.
    pub fn len(&self) -> usize {
        self.tables.len()
    }

    /// Whether no session is in memory.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Applies as many operations as are read ahead together.
    fn apply_some(
        &mut self,
        now: Timestamp,
        operations: &[Operation<'_>],
        outcomes: &mut Outcomes,
    ) {
        self.dropping.pop_if(|tables| !tables.drop_chunk());
        self.tables.read_ahead(operations);
        let is_due = self.tables.first_due(now).is_some();
        let mut rules = Rules {
            now,
            policy: &self.policy,
            records: MemoryRecords {
                tables: &mut self.tables,
                headroom: &mut self.headroom,
                dropping: &mut self.dropping,
                operation: 0,
            },
            counters: &mut self.counters,
            outcomes,
        };
        if is_due {
            let at_most = operations.len() * LOOKED_AT_PER_OPERATION;
            // It needs no memory, so it does not fail.
            let _ = rules.remove_expired(now.start_of_second(), at_most);
        }
        for (at, operation) in operations.iter().enumerate() {
            rules.records.operation = at;
            let outcome = rules.apply(operation);
            rules.outcomes.push(outcome);
        }
    }
}

impl Store for MemoryStore {
    fn apply(&mut self, now: Timestamp, batch: &[Operation<'_>], outcomes: &mut Outcomes) {
        for operations in batch.chunks(READ_AHEAD) {
            self.apply_some(now, operations, outcomes);
        }
    }
}
