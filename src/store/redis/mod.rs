//! Sessions on a Redis or Valkey server, or on a cluster of them, that many nodes share.
//!
//! One hash in one slot holds all of a user, and each operation is one script on that hash. Only the server can decide
//! for all nodes at once, by its own clock, so the [`scripts`] repeat in Lua the rules that other stores have in Rust.
//! A pointer leads from a session's key to the user's hash ([`pointers`], [`places`]).
//!
//! The [`executor`] carries out a batch in three pipelines: [`lookup`], [`requests`] and [`upkeep`]. A [`report`] says
//! what the replies mean. [`servers`] takes the commands of a pipeline to the servers, and brings back the answers.

mod destroyer;
mod exchange;
mod executor;
mod link;
mod log_in;
mod lookup;
mod options;
mod places;
mod pointers;
mod reply;
mod report;
mod requests;
mod scripts;
mod servers;
mod slots;
mod upkeep;
mod users;

use tracing::{info, warn};

use self::executor::Executor;
use self::places::Places;
use self::pointers::Pointers;
use self::report::Report;
use self::servers::Servers;
use super::rules::Counters;
use super::{Batch, Operation, Outcomes, Store};
use crate::outage::{Outage, Turn};
use crate::session::Timestamp;

pub use options::{RedisOptions, RedisUrl, RedisUrlError};

/// Sessions on Redis or Valkey.
pub struct RedisStore {
    url: RedisUrl,
    executor: Executor,
    counters: Counters,
    outage: Outage,
}

/// Why the node cannot open the store. Names the server, and never a password.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct RedisConnectError(String);

impl RedisStore {
    /// Opens the store on these servers. Nobody counts the sessions of all nodes, so the servers' `maxmemory` limits
    /// them instead of [`Policy::max_sessions`](super::Policy::max_sessions).
    ///
    /// # Errors
    ///
    /// When the node reaches no server, or the server refuses the node or its scripts.
    pub fn connect(options: RedisOptions) -> Result<Self, RedisConnectError> {
        let mut servers = Servers::connect(options.clone()).map_err(RedisConnectError)?;
        if let Some(policy) = servers.eviction() {
            warn!(
                "the store {} has maxmemory-policy {policy}: it may forget live sessions when its memory \
                 is full; noeviction refuses new ones instead",
                options.url
            );
        }
        Ok(Self {
            url: options.url,
            executor: Executor {
                servers,
                pointers: Pointers {
                    prefix: options.prefix,
                    places: Places::new(Timestamp::from_millis(0)),
                },
            },
            counters: Counters::default(),
            outage: Outage::default(),
        })
    }

    /// Tells the operator when a failure begins, and when it ends.
    fn tell(&mut self, failure: Option<&str>) {
        match (self.outage.note(failure.is_some()), failure) {
            (Some(Turn::Begins), Some(why)) => {
                warn!("the store fails, so requests are answered with errors: {why}");
            }
            (Some(Turn::Ends), _) => info!("the store {} works again", self.url),
            _ => {}
        }
    }
}

impl Store for RedisStore {
    fn apply(&mut self, batch: &Batch<'_>, outcomes: &mut Outcomes) {
        let mut report = Report {
            now: batch.now,
            counters: &mut self.counters,
            outcomes,
            failure: None,
        };
        self.executor.carry_out(batch, &mut report);
        let failure = report.failure;
        // Stats asks no server, so a batch of nothing else says nothing about one.
        let asks_nothing = |operation: &_| matches!(operation, Operation::Stats);
        if !batch.operations.iter().all(asks_nothing) {
            self.tell(failure.as_deref());
        }
    }
}
