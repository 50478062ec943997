//! A server-side session authority: it creates, validates, regenerates and destroys login sessions, asked and
//! answering in newline-delimited JSON with Maelstrom's envelope.
//!
//! The binary `session-node` runs a [`Node`] on standard input and output. A program may embed one and run it
//! on any reader and writer:
//!
//! ```
//! use session_node::clock::SystemClock;
//! use session_node::handler::{Handler, Terms};
//! use session_node::id::{IdFormat, IdGenerator};
//! use session_node::store::{MemoryStore, Policy};
//! use session_node::{Node, Options};
//!
//! let ids = IdGenerator::from_system(IdFormat::Uuid)?;
//! let handler = Handler::new(ids, Terms::default());
//! let store = MemoryStore::new(Policy::default());
//! let mut node = Node::new(store, SystemClock::new(), handler, Options::default());
//!
//! let requests = br#"{"type":"create_session","msg_id":1,"user_id":"alice"}"#;
//! let mut replies = Vec::new();
//! node.run(&requests[..], &mut replies)?;
//! assert!(replies.starts_with(br#"{"type":"session_created","in_reply_to":1,"session_id":"#));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The map
//!
//! Bytes in, one batch, bytes out. A batch goes down this list and back up:
//!
//! - [`node`]: the loop. Reads, batches, writes.
//! - [`lines`]: bytes into lines, in bounded memory.
//! - [`messages`]: lines into messages, one reply to each.
//! - [`protocol`]: messages into typed requests, typed replies into lines.
//! - [`handler`]: requests into operations on the store, outcomes into replies. Makes ids ([`id`]).
//! - [`store`]: the contract of a store, and the stores.
//! - [`session`]: the rules of a session's life. Every store decides by them.
//! - [`audit`]: what happened to sessions, for those who have to know.
//! - [`clock`]: the time.

pub mod audit;
pub mod clock;
pub mod handler;
pub mod id;
pub mod lines;
pub mod messages;
pub mod node;
mod outage;
pub mod protocol;
pub mod session;
pub mod store;

pub use node::{Node, Options, RunError};
