//! The contract of a session store, from which anybody can write another store, and the stores of this crate.
//!
//! A store receives a [`Batch`] of operations, with the time and the [`Policy`], and adds one [`Outcome`] per
//! operation, in order. It never receives a session id: a [`SessionKey`](crate::session::SessionKey) stands for each
//! id. The store also notes what happens to sessions, as [`Event`]s.
//!
//! # A store of your own
//!
//! A store in Rust only keeps and finds sessions: it implements [`records::Records`]. The [`rules`] decide everything
//! else. So such a store meets the contract if its records do what the methods of `Records` say. This is a complete
//! store:
//!
#![doc = concat!("```\n", include_str!("../../examples/vector_store.rs"), "```\n")]
//!
//! # What every store promises
//!
//! - **Order.** Each operation sees the effects of the operations before it in the batch. Its outcome has the same
//!   place as the operation.
//! - **Durability.** When [`Store::apply`] returns, the batch is as durable, and as visible to other nodes, as the
//!   store's documentation says.
//! - **Life.** A session is live from its creation until its [`Lifetime`](crate::session::Lifetime) ends or an
//!   operation ends it. No operation finds an ended session, even while the store still holds it. An ended session
//!   never becomes live again.
//! - **Keys.** A key names at most one session. A create under the key of another session replaces that session, which
//!   ends without an event.
//! - **Failure.** An operation that fails gets a [`StoreError`]. The store still carries out the other operations,
//!   unless its documentation says that it carries out a batch as a whole.
//!
//! ## Which refusal comes first
//!
//! - `Validate` requires a live session, then the right binding, then a recent authentication. So nobody without the
//!   binding learns that the session is live.
//! - `Regenerate` requires a live session, then the right binding, then that the key is the session's present one, then
//!   memory. If it gives the session to another user, it also requires room under that user's limit.
//! - `Update` requires a live session, then the right binding, then the expected data.
//! - `DestroyUser` requires that the key to spare names a live session of the user. Otherwise it ends nothing.
//! - `Create` requires memory, then room under the user's limit, then room under the limit of all. A create that evicts
//!   a session needs no further room. A refused create evicts nobody.
//! - An operation resolves the key that it presents before it does anything else. If the key's session has expired, the
//!   store removes the session. If the key was retired and its grace period is over, the store ends the session where
//!   the [`Policy`] says so.
//!
//! ## When ended sessions are removed
//!
//! A store may remove ended sessions at any time, a few per operation. It removes an expired session at the latest when
//! an operation presents its key. `Stats` and `DestroyAll` remove every expired session before they count, so their
//! counts are exact. (Sessions that only a stricter [`Policy::max_ttl`] has ended count until they are removed.)
//!
//! ## Events
//!
//! A store notes the events of an operation with [`Outcomes::note`] before it pushes the operation's outcome, in the
//! order in which they happen:
//!
//! | operation | events |
//! | --- | --- |
//! | any | first `Expired` for each expired session that it removes |
//! | any that presents a key | `ReuseDetected` and `Destroyed(Reuse)`, if a retired key ends its session |
//! | `Validate` | `Validated` or `Invalid`; none for `ReauthenticationRequired` |
//! | `Create` | `Evicted` for each session that makes room, then `Created`; or `Rejected` if a limit refuses it |
//! | `Regenerate` | `Regenerated` or `Invalid`; none for `Conflict` |
//! | `Regenerate` for another user | as `Create`, with `Regenerated` for `Created`; or `Invalid`; none for `Conflict` |
//! | `Update` | `Invalid`, or none |
//! | `Destroy`, `DestroyByHandle`, `DestroyUser` | `Destroyed` for each session, with the reason; or `Invalid` |
//! | `DestroyAll` | `AllDestroyed` once, with the count |
//!
//! ## A server that nodes share
//!
//! On Redis, only the server can decide for all nodes. A store on such a server differs in six ways:
//!
//! - The server's clock decides. The store ignores `now`.
//! - `DestroyAll` ends sessions user by user.
//! - A `Regenerate` that gives the session to another user first ends it at the one, then begins it at the other. If
//!   the node stops in between, the session has ended.
//! - `ListUsers` may list a user twice whom the server's table of keys moves meanwhile.
//! - Nobody counts the sessions of all nodes. So the store ignores [`Policy::max_sessions`], refuses no create as
//!   [`Refusal::Full`], and omits the numbers of sessions and users from `Stats`.
//! - A create under the key of another session replaces that session only if both belong to the same user. Keys are
//!   random, so no node ever makes one twice.

mod cursor;
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
pub use cursor::Cursor;
pub use memory::MemoryStore;
pub use operation::{
    Batch, Changes, Conditions, CreateOptions, ListOptions, ListOrder, ListUsersOptions, Operation,
    UpdateConditions,
};
pub use outcome::{
    Conflict, Detail, Event, EventKind, Listed, ListedUser, Mark, Outcome, Outcomes, Reason,
    Record, Refusal, StoreError, Text,
};
#[cfg(feature = "redis")]
pub use redis::{RedisConnectError, RedisOptions, RedisStore, RedisUrl, RedisUrlError};
#[cfg(feature = "sqlite")]
pub use sqlite::{OpenError, SqliteStore};

/// Keeps sessions.
pub trait Store: Send {
    /// Applies `batch`, and adds one outcome per operation to `outcomes`, in order.
    ///
    /// The [module](self) states the contract.
    fn apply(&mut self, batch: &Batch<'_>, outcomes: &mut Outcomes);

    /// The earliest `now` that the first batch may have after the store was opened. At an earlier `now`, sessions that
    /// had expired before the store was closed could become live again. The authority starts its clock no earlier.
    ///
    /// A store that remembers nothing, or decides by its own clock, allows any time.
    fn earliest_now(&self) -> Timestamp {
        Timestamp::from_millis(0)
    }

    /// Whether [`Store::apply`] may block, because it waits for a disk or a server. An `AuthorityHandle` runs such a
    /// store on a thread of its own.
    fn may_block(&self) -> bool {
        true
    }
}
