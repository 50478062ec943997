//! The rules that apply to all sessions.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::time::Timestamp;

/// What a store does when a user has reached the limit of sessions and creates another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnUserLimit {
    /// It ends the user's oldest sessions.
    #[default]
    EvictOldest,
    /// It refuses the new session.
    Reject,
}

/// What to do when a retired id is presented after its grace period.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnReuse {
    /// The id is invalid, and nothing else happens.
    #[default]
    Ignore,
    /// The session ends, because somebody has stolen an id of it.
    Revoke,
}

/// The rules that apply to all sessions.
#[derive(Clone, Debug)]
pub struct Policy {
    /// How long a session lives whose request sets no lifetime.
    pub ttl: Duration,
    /// The longest lifetime, and the longest idle timeout, that a request may set.
    pub max_ttl: Duration,
    /// How long a session may go unused whose request sets no idle timeout; none for no limit.
    pub idle_timeout: Option<Duration>,
    /// The longest data of a session, in bytes of compact JSON.
    pub max_data_bytes: usize,
    /// The longest name of a user, in bytes of UTF-8: up to 1024, because the distinguished names of LDAP and SAML are
    /// longer than 256.
    pub max_user_id_bytes: usize,
    /// How many live sessions the store may hold.
    pub max_sessions: usize,
    /// How many live sessions a user may have.
    pub max_sessions_per_user: Option<usize>,
    /// What happens when a user exceeds that number.
    pub on_user_limit: OnUserLimit,
    /// The grace period: how long a retired id still validates and destroys its session after a regeneration.
    pub rotation_grace: Duration,
    /// What happens when a retired id is presented after its grace period.
    pub on_reuse: OnReuse,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            ttl: Duration::from_secs(3600),
            max_ttl: Duration::from_secs(30 * 24 * 3600),
            idle_timeout: None,
            max_data_bytes: 4096,
            max_user_id_bytes: 256,
            max_sessions: 10_000_000,
            max_sessions_per_user: None,
            on_user_limit: OnUserLimit::default(),
            rotation_grace: Duration::ZERO,
            on_reuse: OnReuse::default(),
        }
    }
}

/// Values that do not go together, or that no session can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// Requests could not ask for the lifetime that others get.
    #[error("ttl must not be longer than max_ttl")]
    TtlBeyondMaximum,
    /// A duration that is too short or too long.
    #[error("{0} must be from 1 s to 36500 days")]
    Duration(&'static str),
    /// A number that is too small or too large.
    #[error("{field} must be from {least} to {most}")]
    Number {
        /// Which.
        field: &'static str,
        /// The smallest that may be.
        least: usize,
        /// The largest that may be.
        most: usize,
    },
}

impl Policy {
    /// The longest duration: far beyond any login, and far below the range of milliseconds in 64 bits.
    pub const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
    /// How many sessions any limit may allow: the store in memory counts them in 32 bits.
    pub const MOST_SESSIONS: usize = 4_000_000_000;
    /// The range of [`Policy::max_data_bytes`]: the shortest object has two.
    pub const DATA_BYTES: RangeInclusive<usize> = 2..=1024 * 1024;
    /// The range of [`Policy::max_user_id_bytes`].
    pub const USER_ID_BYTES: RangeInclusive<usize> = 1..=1024;

    /// Holds the values against each other and against what sessions can have.
    ///
    /// # Errors
    ///
    /// What is wrong.
    pub fn check(&self) -> Result<(), PolicyError> {
        let durations = [
            ("ttl", Some(self.ttl)),
            ("max_ttl", Some(self.max_ttl)),
            ("idle_timeout", self.idle_timeout),
        ];
        for (field, duration) in durations {
            let range = Duration::from_secs(1)..=Self::LONGEST;
            if duration.is_some_and(|duration| !range.contains(&duration)) {
                return Err(PolicyError::Duration(field));
            }
        }
        if self.rotation_grace > Self::LONGEST {
            return Err(PolicyError::Duration("rotation_grace"));
        }
        let sessions = 1..=Self::MOST_SESSIONS;
        let numbers = [
            ("max_sessions", Some(self.max_sessions), &sessions),
            (
                "max_sessions_per_user",
                self.max_sessions_per_user,
                &sessions,
            ),
            (
                "max_data_bytes",
                Some(self.max_data_bytes),
                &Self::DATA_BYTES,
            ),
            (
                "max_user_id_bytes",
                Some(self.max_user_id_bytes),
                &Self::USER_ID_BYTES,
            ),
        ];
        for (field, number, range) in numbers {
            if number.is_some_and(|number| !range.contains(&number)) {
                return Err(PolicyError::Number {
                    field,
                    least: *range.start(),
                    most: *range.end(),
                });
            }
        }
        if self.ttl > self.max_ttl {
            return Err(PolicyError::TtlBeyondMaximum);
        }
        Ok(())
    }

    /// Whether a store has to remember retired ids at all.
    pub fn remembers_retired(&self) -> bool {
        self.on_reuse == OnReuse::Revoke || !self.rotation_grace.is_zero()
    }

    /// Whether an id that was retired at `retired_at` is still in its grace period at `now`. The end is exclusive.
    pub fn in_grace(&self, now: Timestamp, retired_at: Timestamp) -> bool {
        now < retired_at + self.rotation_grace
    }
}

/// How many retired ids a session remembers. It forgets the oldest beyond that, so no peer can fill the memory by
/// regenerating.
pub const MAX_RETIRED_IDS: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Timestamp = Timestamp::from_millis(1_790_000_000_250);

    fn millis(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn a_retired_id_is_in_its_grace_until_the_last_millisecond_before_its_end() {
        let policy = Policy {
            rotation_grace: millis(5_000),
            ..Policy::default()
        };
        assert!(policy.in_grace(NOON + millis(4_999), NOON));
        assert!(!policy.in_grace(NOON + millis(5_000), NOON));
        assert!(!Policy::default().in_grace(NOON, NOON));
        assert!(policy.remembers_retired() && !Policy::default().remembers_retired());
    }
}
