//! A store together with the rules that its sessions live by, for tests that ask it directly.

use session_node::session::Timestamp;
use session_node::store::{Batch, Operation, Outcomes, Policy, Record, Store};

pub struct Ruled<S> {
    pub store: S,
    pub policy: Policy,
}

impl<S: Store> Ruled<S> {
    pub fn new(store: S, policy: Policy) -> Self {
        Self { store, policy }
    }

    pub fn apply(&mut self, now: Timestamp, operations: &[Operation<'_>]) -> Outcomes {
        self.apply_recording(Record::Nothing, now, operations)
    }

    pub fn apply_recording(
        &mut self,
        record: Record,
        now: Timestamp,
        operations: &[Operation<'_>],
    ) -> Outcomes {
        let mut outcomes = Outcomes::recording(record);
        let batch = Batch {
            now,
            policy: &self.policy,
            operations,
        };
        self.store.apply(&batch, &mut outcomes);
        outcomes
    }
}
