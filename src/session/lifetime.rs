//! The times of a session, and when it ends.

use std::time::Duration;

use super::time::{Timestamp, whole_millis};

/// The times of one session, and the rules that decide when it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    /// When the session was created. Never changes.
    pub created_at: Timestamp,
    /// When the user last authenticated (OpenID Connect's `auth_time`).
    pub auth_time: Timestamp,
    /// When the session was last used. Its creation counts as a use.
    pub last_used_at: Timestamp,
    /// When the session ends, however often it is used: the absolute timeout of the OWASP Session Management Cheat
    /// Sheet (ASVS 5.0, 7.3.2).
    pub ends_at: Timestamp,
    /// How many milliseconds the session may go unused: the idle timeout (ASVS 5.0, 7.3.1). `None` for no limit.
    pub idle_timeout_millis: Option<u64>,
}

impl Lifetime {
    /// Begins the lifetime of a session at `now`. Its user counts as authenticated at `now`.
    pub fn begin(now: Timestamp, ttl: Duration, idle_timeout: Option<Duration>) -> Self {
        Self {
            created_at: now,
            auth_time: now,
            last_used_at: now,
            ends_at: now + ttl,
            idle_timeout_millis: idle_timeout.map(whole_millis),
        }
    }

    /// The same lifetime under a policy: no session lives longer than `max_ttl` after its user authenticated, also if
    /// it began under a policy that allowed more.
    #[must_use]
    #[inline]
    pub fn limited_to(mut self, max_ttl: Duration) -> Self {
        self.ends_at = self.ends_at.min(self.auth_time + max_ttl);
        self
    }

    /// The first moment at which the session is no longer live, unless it is used again.
    pub fn expires_at(&self) -> Timestamp {
        let idle_end =
            |millis| Timestamp::from_millis(self.last_used_at.as_millis().saturating_add(millis));
        self.idle_timeout_millis
            .map_or(self.ends_at, |millis| self.ends_at.min(idle_end(millis)))
    }

    /// Whether the session may still be used at `now`.
    ///
    /// The end is exclusive: a session of 3600 seconds is live for 3 600 000 milliseconds, not one more.
    pub fn is_live(&self, now: Timestamp) -> bool {
        now < self.expires_at()
    }

    /// Records a use, which restarts the idle timeout but never extends the lifetime.
    pub fn use_at(&mut self, now: Timestamp) {
        self.last_used_at = self.last_used_at.max(now);
    }

    /// Records that the user authenticated again: the lifetime restarts. Its length and the idle timeout are the
    /// session's own, unless they are given. An idle timeout of zero is none.
    pub fn restart(
        &mut self,
        now: Timestamp,
        ttl: Option<Duration>,
        idle_timeout: Option<Duration>,
    ) {
        let own_ttl = self.ends_at.since(self.auth_time);
        self.auth_time = now;
        self.ends_at = now + ttl.unwrap_or(own_ttl);
        if let Some(idle_timeout) = idle_timeout {
            let millis = whole_millis(idle_timeout);
            self.idle_timeout_millis = Some(millis).filter(|millis| *millis > 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stricter_policy_ends_a_session_earlier_and_no_policy_ends_it_later() {
        let mut life = Lifetime::begin(NOON, millis(10_000), None);
        assert_eq!(life.limited_to(millis(10_000)), life);
        assert_eq!(life.limited_to(Duration::MAX), life);
        assert!(life.limited_to(millis(4_000)).is_live(NOON + millis(3_999)));
        assert!(!life.limited_to(millis(4_000)).is_live(NOON + millis(4_000)));
        // A new lifetime is the session's own or the longest that the policy allows, whichever is shorter.
        life.restart(NOON + millis(7_000), None, None);
        let end = life.limited_to(millis(4_000)).ends_at;
        assert_eq!(end, NOON + millis(11_000));
        let mut limited = life.limited_to(millis(4_000));
        limited.restart(NOON + millis(8_000), None, None);
        assert_eq!(limited.ends_at, NOON + millis(12_000));
    }

    const NOON: Timestamp = Timestamp::from_millis(1_790_000_000_250);

    fn millis(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn a_session_is_live_until_the_last_millisecond_before_its_end() {
        let life = Lifetime::begin(NOON, Duration::from_secs(3600), None);
        assert!(life.is_live(NOON));
        assert!(life.is_live(NOON + millis(3_599_999)));
        assert!(!life.is_live(NOON + millis(3_600_000)));
        assert!(!life.is_live(NOON + millis(3_600_001)));
    }

    #[test]
    fn a_use_restarts_the_idle_timeout_and_never_extends_the_lifetime() {
        let mut life = Lifetime::begin(NOON, millis(10_000), Some(millis(4_000)));
        assert!(life.is_live(NOON + millis(3_999)));
        assert!(!life.is_live(NOON + millis(4_000)));
        life.use_at(NOON + millis(3_999));
        assert!(life.is_live(NOON + millis(7_998)));
        assert!(!life.is_live(NOON + millis(7_999)));
        life.use_at(NOON + millis(7_998));
        assert!(life.is_live(NOON + millis(9_999)));
        assert!(!life.is_live(NOON + millis(10_000)));
        // An earlier use that is recorded late changes nothing.
        life.use_at(NOON);
        assert!(life.is_live(NOON + millis(9_999)));
    }

    #[test]
    fn reauthentication_restarts_the_lifetime_with_its_original_length() {
        let mut life = Lifetime::begin(NOON, millis(10_000), None);
        for again in [7_000, 15_000] {
            life.restart(NOON + millis(again), None, None);
            assert!(life.is_live(NOON + millis(again + 9_999)));
            assert!(!life.is_live(NOON + millis(again + 10_000)));
        }
        assert_eq!(life.created_at, NOON);
        assert_eq!(life.auth_time, NOON + millis(15_000));
    }

    #[test]
    fn a_lifetime_may_restart_with_another_length_and_another_idle_timeout() {
        let mut life = Lifetime::begin(NOON, millis(10_000), Some(millis(4_000)));
        life.restart(NOON + millis(1_000), Some(millis(2_000)), None);
        assert_eq!(life.ends_at, NOON + millis(3_000));
        assert_eq!(life.idle_timeout_millis, Some(4_000));
        life.restart(NOON + millis(2_000), None, Some(Duration::ZERO));
        assert_eq!(life.ends_at, NOON + millis(4_000));
        assert_eq!(life.idle_timeout_millis, None);
        life.restart(NOON + millis(3_000), None, Some(millis(1_500)));
        assert_eq!(life.idle_timeout_millis, Some(1_500));
    }

    #[test]
    fn an_authentication_is_too_old_when_more_than_max_age_has_passed() {
        let life = Lifetime::begin(NOON, millis(100_000), None);
        assert_eq!(life.auth_time.age_beyond(NOON, 0), None);
        assert_eq!(life.auth_time.age_beyond(NOON + millis(1), 0), Some(1));
        assert_eq!(life.auth_time.age_beyond(NOON + millis(60_000), 60), None);
        assert_eq!(
            life.auth_time.age_beyond(NOON + millis(60_001), 60),
            Some(61)
        );
        assert_eq!(
            life.auth_time.age_beyond(NOON + millis(62_000), 60),
            Some(62)
        );
        assert_eq!(
            life.auth_time.age_beyond(NOON + millis(62_000), u64::MAX),
            None
        );
    }

    #[test]
    fn a_new_session_reports_its_whole_lifetime_during_its_first_second() {
        let end = Lifetime::begin(NOON, Duration::from_secs(3600), None).expires_at();
        assert_eq!(end.seconds_from(NOON), 3600);
        assert_eq!(end.seconds_from(NOON + millis(999)), 3600);
        assert_eq!(end.seconds_from(NOON + millis(1000)), 3599);
        assert_eq!(end.seconds_from(NOON + millis(3_599_999)), 1);
        assert_eq!(end.seconds_from(NOON + millis(3_600_000)), 0);
        assert_eq!(end.seconds_from(NOON + millis(9_999_999)), 0);
    }
}
