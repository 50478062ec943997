//! The domain: what a session is, and when it ends.
//!
//! These rules are pure: the caller supplies the time. The module knows no wire, no store and no clock. So every store
//! that can call Rust decides by the same few lines, and a test can check both sides of a boundary.

mod key;
mod lifetime;
mod policy;
mod time;

#[cfg(feature = "redis")]
pub(crate) use key::truncated_digest;
pub use key::{Binding, Handle, SessionKey};
pub use lifetime::Lifetime;
pub use policy::{MAX_RETIRED_IDS, OnReuse, OnUserLimit, Policy, PolicyError};
pub use time::Timestamp;
#[cfg(feature = "redis")]
pub(crate) use time::whole_millis;

pub use crate::limits::MAX_STRING_BYTES;
