//! Points in time, in whole milliseconds.

use std::ops::Add;
use std::time::Duration;

/// A point in time: milliseconds since the start of 1970 in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// Makes the time that is `millis` milliseconds after the start of 1970.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the start of 1970.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Whole Unix seconds, rounded down: the form in which the wire shows a time.
    pub const fn unix_seconds(self) -> u64 {
        self.0 / 1000
    }

    /// The start of the second that contains this time.
    #[must_use]
    pub const fn start_of_second(self) -> Self {
        Self(self.0 / 1000 * 1000)
    }

    /// The duration from `earlier` to this time; zero if `earlier` is later.
    pub const fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// Whole seconds from `now` to this time, rounded up; 0 if this time has passed.
    ///
    /// Rounding up makes a new session with a lifetime of 3600 seconds report 3600, not 3599.
    pub const fn seconds_from(self, now: Timestamp) -> u64 {
        self.0.saturating_sub(now.0).div_ceil(1000)
    }

    /// How long ago this was, in whole seconds, if that is more than `max_age` seconds: if this is when a user
    /// authenticated, they must authenticate again (`max_age` of OpenID Connect Core 1.0). Rounded up, so that it is
    /// more than `max_age` in whole seconds too.
    pub fn age_beyond(self, now: Timestamp, max_age: u64) -> Option<u64> {
        let millis = now.0.saturating_sub(self.0);
        (millis > max_age.saturating_mul(1000)).then(|| millis.div_ceil(1000))
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(whole_millis(duration)))
    }
}

/// Whole milliseconds, the unit of all session times. A longer duration than `u64` holds becomes `u64::MAX`.
pub(crate) fn whole_millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Timestamp = Timestamp::from_millis(1_790_000_000_250);

    fn millis(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn moments_are_shown_in_whole_seconds_rounded_down() {
        assert_eq!(NOON.unix_seconds(), 1_790_000_000);
        assert_eq!((NOON + millis(749)).unix_seconds(), 1_790_000_000);
        assert_eq!((NOON + millis(750)).unix_seconds(), 1_790_000_001);
    }

    #[test]
    fn times_beyond_the_maximum_stay_at_the_maximum() {
        let end_of_time = Timestamp::from_millis(u64::MAX);
        assert_eq!(NOON + Duration::MAX, end_of_time);
        assert_eq!(end_of_time + millis(1), end_of_time);
    }
}
