//! Where all configuration of an authority comes together, and is checked together.

use std::io::Write;
use std::time::Duration;

use super::{SessionAuthority, Stats};
use crate::audit::Audit;
use crate::clock::{Clock, SystemClock};
use crate::id::{IdFormat, IdGenerator};
use crate::session::{OnReuse, OnUserLimit, Policy, PolicyError};
use crate::store::{MemoryStore, Outcomes, Record, Store};

/// An authority that is being set up. What it is not told, it takes from [`Policy::default`].
#[derive(Default)]
#[must_use]
pub struct Builder {
    policy: Policy,
    id_format: IdFormat,
    seed: Option<[u8; 32]>,
    store: Option<Box<dyn Store>>,
    clock: Option<Box<dyn Clock>>,
    audit: Option<Audit>,
}

/// Why there is no authority.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The values of the policy are wrong.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The operating system gave no randomness.
    #[error("cannot seed the generator of session ids from the operating system: {0}")]
    Randomness(String),
}

impl Builder {
    /// All rules at once.
    pub fn policy(self, policy: Policy) -> Self {
        Self { policy, ..self }
    }

    /// How long a session lives that asks for nothing else.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.policy.ttl = ttl;
        self
    }

    /// The longest lifetime, and the longest idle timeout, that a session may ask for.
    pub fn max_ttl(mut self, max_ttl: Duration) -> Self {
        self.policy.max_ttl = max_ttl;
        self
    }

    /// How long a session may go unused that asks for nothing else.
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.policy.idle_timeout = Some(timeout);
        self
    }

    /// For how long an old id still validates after a regeneration, for requests in flight.
    pub fn rotation_grace(mut self, grace: Duration) -> Self {
        self.policy.rotation_grace = grace;
        self
    }

    /// What to do when a retired id is presented after its grace.
    pub fn on_reuse(mut self, on_reuse: OnReuse) -> Self {
        self.policy.on_reuse = on_reuse;
        self
    }

    /// How many live sessions the store may hold.
    pub fn max_sessions(mut self, max_sessions: usize) -> Self {
        self.policy.max_sessions = max_sessions;
        self
    }

    /// How many live sessions a user may have, and what happens beyond that.
    pub fn max_sessions_per_user(mut self, max: usize, beyond: OnUserLimit) -> Self {
        self.policy.max_sessions_per_user = Some(max);
        self.policy.on_user_limit = beyond;
        self
    }

    /// The longest data of a session, in bytes of compact JSON.
    pub fn max_data_bytes(mut self, max_data_bytes: usize) -> Self {
        self.policy.max_data_bytes = max_data_bytes;
        self
    }

    /// How session ids look.
    pub fn id_format(self, id_format: IdFormat) -> Self {
        Self { id_format, ..self }
    }

    /// Makes the same ids for the same seed: for replaying a transcript in a test, never for real sessions.
    pub fn seed(self, seed: [u8; 32]) -> Self {
        let seed = Some(seed);
        Self { seed, ..self }
    }

    /// Where sessions are kept. In memory without it.
    pub fn store(self, store: impl Store + 'static) -> Self {
        self.boxed_store(Box::new(store))
    }

    /// As [`Builder::store`], for a store that was chosen at run time.
    pub fn boxed_store(self, store: Box<dyn Store>) -> Self {
        let store = Some(store);
        Self { store, ..self }
    }

    /// Where the time comes from. The system without it.
    pub fn clock(self, clock: impl Clock + 'static) -> Self {
        let clock: Option<Box<dyn Clock>> = Some(Box::new(clock));
        Self { clock, ..self }
    }

    /// Where what happens to sessions is written, one JSON object a line, as much of it as `record` says. Give it an
    /// unbuffered writer: it gets the events of a batch at once.
    pub fn audit(self, output: impl Write + Send + 'static, record: Record) -> Self {
        let audit = Some(Audit::new(Box::new(output), record));
        Self { audit, ..self }
    }

    /// The authority.
    ///
    /// # Errors
    ///
    /// When values of the policy are wrong or do not go together, or the system has no randomness to give.
    pub fn build(self) -> Result<SessionAuthority, BuildError> {
        self.policy.check()?;
        let store = self.store.unwrap_or_else(|| Box::new(MemoryStore::new()));
        let clock = self.clock.unwrap_or_else(|| {
            // In a file, sessions may have expired by a later time than the system shows now.
            Box::new(SystemClock::no_earlier_than(store.earliest_now()))
        });
        let record = self.audit.as_ref().map_or(Record::Nothing, Audit::record);
        Ok(SessionAuthority {
            store,
            clock,
            policy: self.policy,
            ids: match self.seed {
                Some(seed) => IdGenerator::from_seed(self.id_format, seed),
                None => IdGenerator::from_system(self.id_format)
                    .map_err(|error| BuildError::Randomness(error.to_string()))?,
            },
            audit: self.audit,
            outcomes: Outcomes::recording(record),
            tally: Stats::default(),
        })
    }
}
