//! Sessions on a Redis or Valkey server, or on a cluster of them, that many nodes share.
//!
//! All of a user is one hash in one slot, and each operation is one script on it: [`scripts`] has the rules, which
//! every other store has in Rust, because only the server can decide for all nodes at once, by its own clock. Which
//! user a key leads to is in a pointer ([`places`], [`pointers`]). [`batch`] says in which steps: it turns operations
//! into commands ([`ask`]) and answers into outcomes ([`conclude`]). [`servers`] takes them there and back, one
//! pipeline for all that a batch asks of a server.

mod ask;
mod batch;
mod commands;
mod conclude;
mod destroy_all;
mod exchange;
mod link;
mod options;
mod places;
mod pointers;
mod reply;
mod scripts;
mod servers;
mod slots;
mod verdict;

use tracing::{info, warn};

use self::batch::Batch;
use self::places::Places;
use self::servers::Servers;
use super::rules::Counters;
use super::{Operation, Outcomes, Policy, Store};
use crate::outage::{Outage, Turn};
use crate::session::Timestamp;

pub use options::{RedisOptions, RedisUrl, RedisUrlError};

/// Sessions on Redis or Valkey.
pub struct RedisStore {
    options: RedisOptions,
    policy: Policy,
    servers: Servers,
    places: Places,
    counters: Counters,
    outage: Outage,
}

/// Why there is no store. Names the server, and never a password.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct RedisConnectError(String);

impl RedisStore {
    /// The sessions on these servers. The server keeps no count of all: [`Policy::max_sessions`] has no say, its own
    /// `maxmemory` has.
    ///
    /// # Errors
    ///
    /// When no server can be reached, does not let the node in, or does not understand its scripts.
    pub fn connect(options: RedisOptions, policy: Policy) -> Result<Self, RedisConnectError> {
        let mut servers = Servers::connect(options.clone()).map_err(RedisConnectError)?;
        if let Some(policy) = servers.eviction() {
            warn!(
                "--store: {} has maxmemory-policy {policy}: it may forget live sessions when its memory \
                 is full; noeviction refuses new ones instead",
                options.url
            );
        }
        Ok(Self {
            options,
            policy,
            servers,
            places: Places::default(),
            counters: Counters::default(),
            outage: Outage::default(),
        })
    }

    fn report(&mut self, failure: Option<&str>) {
        match (self.outage.note(failure.is_some()), failure) {
            (Some(Turn::Begins), Some(why)) => {
                warn!("--store: requests are answered with errors: {why}");
            }
            (Some(Turn::Ends), _) => info!("--store: {} works again", self.options.url),
            _ => {}
        }
    }
}

impl Store for RedisStore {
    fn apply(&mut self, now: Timestamp, batch: &[Operation<'_>], outcomes: &mut Outcomes) {
        self.servers.forget_used();
        let mut failure = None;
        // To end all sessions is many steps: what stands before it in the batch comes before, and what after it after.
        for part in batch.split_inclusive(|operation| matches!(operation, Operation::DestroyAll)) {
            let mut batch = Batch {
                now,
                options: &self.options,
                policy: &self.policy,
                servers: &mut self.servers,
                places: &mut self.places,
                counters: &mut self.counters,
                outcomes,
                failure: &mut failure,
            };
            match part.split_last() {
                Some((Operation::DestroyAll, before)) => {
                    batch.carry_out(before);
                    batch.destroy_all();
                }
                _ => batch.carry_out(part),
            }
        }
        if batch
            .iter()
            .any(|operation| !matches!(operation, Operation::Stats))
        {
            self.report(failure.as_deref());
        }
    }
}
