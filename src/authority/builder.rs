//! Collects the whole configuration of an authority, and checks it together.

use std::io::Write;
use std::time::Duration;

use super::{SessionAuthority, Stats};
use crate::audit::Audit;
use crate::clock::{Clock, SystemClock};
use crate::id::{IdFormat, IdGenerator};
use crate::session::{OnReuse, OnUserLimit, Policy, PolicyError};
use crate::store::{MemoryStore, Outcomes, Record, Store};

/// Builds a [`SessionAuthority`]. The defaults are those of [`Policy::default`], and a store in memory.
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

/// Why an authority could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A value of the policy is out of its range, or two values contradict each other.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The operating system supplied no randomness.
    #[error("cannot seed the generator of session ids from the operating system: {0}")]
    Randomness(String),
}

impl Builder {
    /// Sets all rules at once.
    pub fn policy(self, policy: Policy) -> Self {
        Self { policy, ..self }
    }

    /// Sets how long a session lives whose request sets no lifetime.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.policy.ttl = ttl;
        self
    }

    /// Sets the longest lifetime, and the longest idle timeout, that a request may set.
    pub fn max_ttl(mut self, max_ttl: Duration) -> Self {
        self.policy.max_ttl = max_ttl;
        self
    }

    /// Sets how long a session may go unused whose request sets no idle timeout.
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.policy.idle_timeout = Some(timeout);
        self
    }

    /// Sets the grace period: how long an old id still validates after a regeneration, for requests in flight.
    pub fn rotation_grace(mut self, grace: Duration) -> Self {
        self.policy.rotation_grace = grace;
        self
    }

    /// Sets what to do when a retired id is presented after its grace period.
    pub fn on_reuse(mut self, on_reuse: OnReuse) -> Self {
        self.policy.on_reuse = on_reuse;
        self
    }

    /// Sets how many live sessions the store may hold.
    pub fn max_sessions(mut self, max_sessions: usize) -> Self {
        self.policy.max_sessions = max_sessions;
        self
    }

    /// Sets how many live sessions a user may have, and what happens when a user exceeds that number.
    pub fn max_sessions_per_user(mut self, max: usize, beyond: OnUserLimit) -> Self {
        self.policy.max_sessions_per_user = Some(max);
        self.policy.on_user_limit = beyond;
        self
    }

    /// Sets the longest data of a session, in bytes of compact JSON.
    pub fn max_data_bytes(mut self, max_data_bytes: usize) -> Self {
        self.policy.max_data_bytes = max_data_bytes;
        self
    }

    /// Sets the longest name of a user, in bytes of UTF-8: up to 1024.
    pub fn max_user_id_bytes(mut self, max_user_id_bytes: usize) -> Self {
        self.policy.max_user_id_bytes = max_user_id_bytes;
        self
    }

    /// Sets the format of session ids.
    pub fn id_format(self, id_format: IdFormat) -> Self {
        Self { id_format, ..self }
    }

    /// Makes the authority generate the same ids for the same seed. For replaying a transcript in a test, never for
    /// real sessions.
    pub fn seed(self, seed: [u8; 32]) -> Self {
        let seed = Some(seed);
        Self { seed, ..self }
    }

    /// Sets the store that keeps the sessions. The default keeps them in memory.
    pub fn store(self, store: impl Store + 'static) -> Self {
        self.boxed_store(Box::new(store))
    }

    /// Sets the store as [`Builder::store`] does, for a store that the program chooses at run time.
    pub fn boxed_store(self, store: Box<dyn Store>) -> Self {
        let store = Some(store);
        Self { store, ..self }
    }

    /// Sets the clock. The default is a [`SystemClock`].
    pub fn clock(self, clock: impl Clock + 'static) -> Self {
        let clock: Option<Box<dyn Clock>> = Some(Box::new(clock));
        Self { clock, ..self }
    }

    /// Writes the session events that `record` selects to `output`, one JSON object per line. Pass an unbuffered
    /// writer, because the authority writes the events of a batch with one write.
    pub fn audit(self, output: impl Write + Send + 'static, record: Record) -> Self {
        let audit = Some(Audit::new(Box::new(output), record));
        Self { audit, ..self }
    }

    /// Builds the authority.
    ///
    /// # Errors
    ///
    /// If values of the policy are out of range or contradict each other, or the system supplies no randomness.
    pub fn build(self) -> Result<SessionAuthority, BuildError> {
        self.policy.check()?;
        let store = self.store.unwrap_or_else(|| Box::new(MemoryStore::new()));
        let clock = self.clock.unwrap_or_else(|| {
            // An earlier time could revive sessions of a file that expired while the system's clock was ahead.
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
