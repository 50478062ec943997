//! All that the benches use of the store: one in memory, and operations on it.

use std::time::Duration;

pub use session_node::session::{SessionKey, Timestamp};
pub use session_node::store::{MemoryStore, Operation, Outcomes, Store};

pub const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);
pub const TTL: Duration = Duration::from_secs(3600);

pub fn empty() -> MemoryStore {
    MemoryStore::new(session_node::store::Policy::default())
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
        ttl: TTL,
        idle_timeout: None,
        extras: None,
    }
}

pub fn validate(key: SessionKey) -> Operation<'static> {
    Operation::Validate {
        key,
        conditions: None,
    }
}
