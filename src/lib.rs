//! Server-side login sessions: created, validated, regenerated and destroyed by one authority, in this process or in
//! one of its own.
//!
//! ```
//! use session_node::SessionAuthority;
//!
//! let mut sessions = SessionAuthority::builder().build()?;
//! let id = sessions.create("alice")?.id; // for a cookie: `id.expose()`
//! assert_eq!(sessions.validate(id.expose())?.user(), Some("alice"));
//! sessions.destroy(id.expose())?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`SessionAuthority`] is the typed interface. Its builder takes a store from [`store`], in memory, in a file or on
//! Redis, and the module says how to write another. With the feature `async`, the tasks of a server share one through
//! an `AuthorityHandle`.
//!
//! A [`Node`] puts an authority on a stream of JSON requests and a stream of replies. The binary `session-node` runs
//! one on standard input and output.
//!
//! # The map
//!
//! Bytes in, one batch, bytes out. A batch goes down this list and back up:
//!
//! - `node`: the loop. Reads, batches, writes.
//! - `lines`: bytes into lines, in bounded memory.
//! - `messages`: lines into messages, one reply to each.
//! - `protocol`: messages into typed requests, typed replies into lines.
//! - `handler`: requests into operations, outcomes into replies.
//! - [`authority`]: carries out operations, as a batch for the node and one by one for a program. Makes ids (`id`).
//! - [`store`]: the contract of a store, the rules of a session's life, and the stores.
//! - [`session`]: what a session is, and the policy for all of them.
//! - `audit`: what happened to sessions, for those who have to know.
//! - [`clock`]: the time.

/// The README's Rust is compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod audit;
pub mod authority;
pub mod clock;
mod handler;
mod id;
mod limits;
mod lines;
mod messages;
mod node;
mod outage;
mod protocol;
pub mod session;
pub mod store;
#[cfg(feature = "testing")]
pub mod testing;

pub use authority::SessionAuthority;
pub use id::{IdFormat, SessionId};
pub use messages::Options;
pub use node::{Node, RunError};
pub use protocol::ReplyFormat;
