//! The default store: sessions in memory, which end with the process.
//!
//! A slab holds the sessions. One hash index finds them by key, and another finds users by name. Two kinds of lists
//! link the sessions: those of one user, and those that expire in the same second. Every operation removes a few
//! expired sessions, so memory is reused while the store runs, and no request pays for a sweep. Nothing ever moves a
//! large table at once.
//!
//! [`records`] presents the tables to the [rules](super::rules).

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
use super::rules::{Counters, DUE_PER_OPERATION, Rules};
use super::{Batch, Operation, Outcomes, Store};

/// How many operations are prefetched together: enough to wait for many cache lines at once, and few enough that the
/// lines stay in the nearest cache until the operations are applied.
const PREFETCH_COUNT: usize = 16;

/// Sessions in memory.
pub struct MemoryStore {
    tables: Tables,
    headroom: Headroom,
    /// Tables that `destroy_all_sessions` has replaced, and that are freed chunk by chunk.
    freeing: Vec<Tables>,
    counters: Counters,
}

impl MemoryStore {
    /// Makes an empty store.
    ///
    /// A session counts towards [`Policy::max_sessions`](super::Policy::max_sessions) until it is removed: at most a
    /// second after it expires, unless more than four sessions expire per operation.
    pub fn new() -> Self {
        Self {
            tables: Tables::new(),
            headroom: Headroom::new(),
            freeing: Vec::new(),
            counters: Counters::default(),
        }
    }

    /// The number of sessions in memory. Expired sessions count until they are removed.
    pub fn len(&self) -> usize {
        self.tables.len()
    }

    /// Whether no session is in memory.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Applies up to [`PREFETCH_COUNT`] operations.
    fn apply_prefetched(
        &mut self,
        batch: &Batch<'_>,
        operations: &[Operation<'_>],
        outcomes: &mut Outcomes,
    ) {
        self.freeing.pop_if(|tables| !tables.free_chunk());
        self.tables.prefetch(operations);
        let is_due = self.tables.first_due(batch.now).is_some();
        let records = MemoryRecords {
            tables: &mut self.tables,
            headroom: &mut self.headroom,
            freeing: &mut self.freeing,
            operation: 0,
        };
        let mut rules = Rules::new(batch, records, &mut self.counters, outcomes);
        if is_due {
            let at_most = operations.len() * DUE_PER_OPERATION;
            // Removing sessions needs no memory, so it cannot fail.
            let _ = rules.remove_expired(batch.now.start_of_second(), at_most);
        }
        for (at, operation) in operations.iter().enumerate() {
            rules.records.operation = at;
            let outcome = rules.apply(operation);
            rules.outcomes.push(outcome);
        }
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl Store for MemoryStore {
    fn apply(&mut self, batch: &Batch<'_>, outcomes: &mut Outcomes) {
        for operations in batch.operations.chunks(PREFETCH_COUNT) {
            self.apply_prefetched(batch, operations, outcomes);
        }
    }

    fn may_block(&self) -> bool {
        false
    }
}
