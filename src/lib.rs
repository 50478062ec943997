//! Server-side login sessions. One authority creates, validates, regenerates and destroys them, in a Rust program or in
//! a process of its own.
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
//! [`SessionAuthority`] is the typed interface. Its builder accepts any store: sessions live in memory, in a file, on
//! Redis, or in a store of your own, which the module [`store`] explains. With the feature `async`, the tasks of a
//! server share an authority through an `AuthorityHandle`.
//!
//! A [`Node`] answers a stream of JSON requests with a stream of replies. The binary `session-node` runs a node on
//! standard input and output.
//!
//! # The modules
//!
//! Bytes in, one batch, bytes out. A batch passes down this list and back up:
//!
//! - `node` runs the loop on one stream: read, batch, apply, write. `server` does on many connections.
//! - `round` makes one batch of what has arrived.
//! - `lines` splits bytes into lines, in bounded memory.
//! - `messages` groups lines into messages.
//! - `protocol` decodes messages into typed requests, and encodes typed replies into lines.
//! - `handler` turns requests into operations, and outcomes into replies.
//! - [`authority`] makes ids (`id`) and carries out operations: batches for the node, single calls for a Rust program.
//! - [`store`] defines the contract of a store, and holds the rules and the stores.
//! - [`session`] defines times, keys, handles, bindings and the policy.
//! - `audit` writes session events.
//! - [`clock`] tells the time.

/// Makes the documentation tests compile and run the Rust code of the README.
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
mod round;
#[cfg(feature = "socket")]
mod server;
pub mod session;
pub mod store;
#[cfg(feature = "testing")]
pub mod testing;

pub use authority::SessionAuthority;
pub use id::{IdFormat, SessionId};
pub use messages::Options;
pub use node::{Node, RunError};
pub use protocol::ReplyFormat;
#[cfg(feature = "socket")]
pub use server::Server;
