//! All that the benches use of the store: one in memory, and operations on it.

use std::time::Duration;

pub use session_node::session::{SessionKey, Timestamp};
use session_node::store::{Batch, Policy, Store};
pub use session_node::store::{MemoryStore, Operation, Outcomes};

pub const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);
/// The default lifetime of a session.
pub const TTL: Duration = Duration::from_secs(3600);

/// Applies operations under the default policy.
pub fn apply(
    store: &mut MemoryStore,
    now: Timestamp,
    operations: &[Operation<'_>],
    outcomes: &mut Outcomes,
) {
    let batch = Batch {
        now,
        policy: &Policy::default(),
        operations,
    };
    store.apply(&batch, outcomes);
}

/// The key of the session of this number.
pub fn key(number: usize) -> SessionKey {
    SessionKey::of(&format!("session {number}"))
}

/// Gives each session a user of its own.
pub fn create(number: usize) -> Operation<'static> {
    Operation::Create {
        key: key(number),
        user: format!("user{number:08}").into(),
        options: None,
    }
}

pub fn validate(key: SessionKey) -> Operation<'static> {
    Operation::Validate {
        key,
        conditions: None,
    }
}
