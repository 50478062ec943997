//! The same random operations on the store in memory and on each of the others: what they answer is the same.
#![cfg(any(feature = "sqlite", feature = "redis"))]

#[cfg(feature = "redis")]
mod redis;
mod script;
#[cfg(feature = "sqlite")]
mod sqlite;
