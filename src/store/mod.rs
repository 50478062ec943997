//! What a store of sessions is asked, and what it answers: a contract from which a stranger writes another store.
//!
//! A store gets a [`Batch`] of operations, with the time and the [`Policy`], and gives one [`Outcome`] for each, in
//! order. It never sees a session id: a [`SessionKey`] stands for one. What happens to sessions on the way it notes as
//! [`Event`]s.
//!
//! # A store of your own
//!
//! A store in Rust keeps sessions and finds them: it implements [`records::Records`]. The [`rules`] decide everything
//! else, so such a store keeps the contract as long as its records do what their methods say. This is a whole one:
//!
#![doc = concat!("```\n", include_str!("../../examples/vector_store.rs"), "```\n")]
//!
//! # What every store promises
//!
//! - **Order.** Each operation sees the effects of those before it in the batch, and its outcome has its place.
//! - **Durability.** When [`Store::apply`] returns, the batch is as durable, and as visible to other nodes, as the
//!   store says.
//! - **Life.** A session is live from its creation until its [`Lifetime`] says so no more, or an operation ends it. An
//!   ended session is not there for any operation, whether or not the store still holds it, and never comes back.
//! - **Keys.** A key names at most one session. A create under a key that another session has replaces that session,
//!   which ends without an event.
//! - **Failure.** An operation that fails gets a [`StoreError`] for an outcome and keeps no other from being carried
//!   out, unless the store carries out a batch as a whole and says so.
//!
//! ## Which refusal comes first
//!
//! - `Validate`: no live session, then a wrong binding, then an authentication that is too long ago. So nobody without
//!   the binding learns that the session is live.
//! - `Create`: no memory, then the limit of its user, then the limit of all. A create that evicts needs no room of its
//!   own, and one that is refused evicts nobody.
//! - A key that is presented is judged before all else that its operation does, with all that follows from it: a
//!   session that is found to have expired is removed, and one whose retired key turns up after its grace ends where
//!   the [`Policy`] says so.
//!
//! ## When ended sessions are removed
//!
//! A store removes ended sessions when it likes, a few at each operation, and an expired one at the latest when its key
//! is presented. `Stats` and `DestroyAll` remove every expired session before they count, so their counts are exact.
//!
//! ## Events
//!
//! A store notes the events of an operation with [`Outcomes::note`] before it pushes the operation's outcome, in the
//! order in which they happen:
//!
//! | operation | events |
//! | --- | --- |
//! | any | first `Expired` for each ended session that it removes |
//! | any that presents a key | `ReuseDetected` and `Destroyed(Reuse)` where a retired key ends its session |
//! | `Validate` | `Validated` or `Invalid`; none for `ReauthenticationRequired` |
//! | `Create` | `Evicted` for each session that makes room, then `Created`; or `Rejected` when a limit refuses it |
//! | `Regenerate` | `Regenerated` or `Invalid` |
//! | `Update` | `Invalid`, or none |
//! | `Destroy`, `DestroyByHandle`, `DestroyUser` | `Destroyed` for each session, with the reason |
//! | `DestroyAll` | `AllDestroyed` once, with the count |
//!
//! ## A server that nodes share
//!
//! A store that only a server can decide for all nodes, as Redis does, differs in four ways. The server's clock
//! decides, and `now` has no say. `DestroyAll` goes user by user. Nobody counts the sessions of all nodes, so
//! [`Policy::max_sessions`] has no say, no create is refused as [`Refusal::Full`], and `Stats` tells neither sessions
//! nor users. And a taken key is replaced only if its session is the same user's: keys are random, so no node ever
//! makes one twice.

mod memory;
mod operation;
mod outcome;
pub mod records;
#[cfg(feature = "redis")]
mod redis;
pub mod rules;
#[cfg(feature = "sqlite")]
mod sqlite;

use crate::session::Timestamp;

pub use crate::session::Policy;
pub use memory::MemoryStore;
pub use operation::{Batch, Changes, Conditions, CreateOptions, Operation};
pub use outcome::{
    Event, EventKind, Listed, Mark, Outcome, Outcomes, Reason, Record, Refusal, StoreError, Text,
};
#[cfg(feature = "redis")]
pub use redis::{RedisConnectError, RedisOptions, RedisStore, RedisUrl, RedisUrlError};
#[cfg(feature = "sqlite")]
pub use sqlite::{OpenError, SqliteStore};

/// A place to keep sessions.
pub trait Store: Send {
    /// Applies `batch`, and adds one outcome for each operation to `outcomes`, in order.
    ///
    /// The [module](self) says what it promises.
    fn apply(&mut self, batch: &Batch<'_>, outcomes: &mut Outcomes);

    /// The earliest `now` of a batch for a store that has just been opened. At an earlier
    /// one, sessions that had expired before the store was closed could be live again. The authority's clock
    /// begins no earlier.
    ///
    /// A store that remembers nothing, or has a clock of its own, allows any time.
    fn earliest_now(&self) -> Timestamp {
        Timestamp::from_millis(0)
    }

    /// Whether [`Store::apply`] may block: wait for a disk or a server. An async program then asks it on a thread of
    /// its own.
    fn may_block(&self) -> bool {
        true
    }
}
