//! The domain: what a session is, and when it lives and dies.
//!
//! Pure rules, given the time. This module knows no wire, no store and no clock, so that every store
//! that can call Rust decides by the same few lines, and a test can stand on both sides of a boundary.

use std::ops::Add;
use std::time::Duration;

use sha2::{Digest, Sha256};

/// A moment: milliseconds since the start of 1970 in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The moment `millis` milliseconds after the start of 1970.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the start of 1970.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Whole Unix seconds, rounded down: the form in which the wire shows a moment.
    pub const fn unix_seconds(self) -> u64 {
        self.0 / 1000
    }

    /// Whole seconds from `now` until this moment, rounded up; 0 when it has passed.
    ///
    /// Rounded up so that a session just made with a lifetime of 3600 seconds says 3600, not 3599.
    pub const fn seconds_from(self, now: Timestamp) -> u64 {
        self.0.saturating_sub(now.0).div_ceil(1000)
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(millis))
    }
}

/// What a store keeps and looks up in place of a session id: the first 16 bytes of the SHA-256 digest
/// of the id's text.
///
/// A stolen file, dump or log of keys opens no session, because an id cannot be computed from its key
/// (OWASP ASVS 5.0 asks for stored tokens to be useless to a thief). The bits are uniform already, so
/// a hash map may use them as they are; and nobody can steer them, because the node makes every id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionKey([u8; 16]);

impl SessionKey {
    /// The key of the session that `id` names.
    pub fn of(id: &str) -> Self {
        let digest: [u8; 32] = Sha256::digest(id.as_bytes()).into();
        let (key, _) = digest
            .split_first_chunk()
            .expect("a SHA-256 digest has 32 bytes");
        Self(*key)
    }

    /// The 16 bytes, for a store to keep.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// The times of one session, and the rules that follow from them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    created_at: Timestamp,
    ends_at: Timestamp,
}

impl Lifetime {
    /// The lifetime of a session created at `now` that may live for `ttl`.
    pub fn begin(now: Timestamp, ttl: Duration) -> Self {
        Self {
            created_at: now,
            ends_at: now + ttl,
        }
    }

    /// When the session was created. Regeneration does not change it.
    pub const fn created_at(&self) -> Timestamp {
        self.created_at
    }

    /// The first moment at which the session is no longer live.
    pub const fn ends_at(&self) -> Timestamp {
        self.ends_at
    }

    /// Whether the session may still be used at `now`.
    ///
    /// The end is exclusive: a session of 3600 seconds is live for 3 600 000 milliseconds, not one more.
    /// This is the absolute timeout of the OWASP Session Management Cheat Sheet.
    pub fn is_live(&self, now: Timestamp) -> bool {
        now < self.ends_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Timestamp = Timestamp::from_millis(1_790_000_000_250);

    fn millis(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn a_session_is_live_until_the_last_millisecond_before_its_end() {
        let life = Lifetime::begin(NOON, Duration::from_secs(3600));
        assert!(life.is_live(NOON));
        assert!(life.is_live(NOON + millis(3_599_999)));
        assert!(!life.is_live(NOON + millis(3_600_000)));
        assert!(!life.is_live(NOON + millis(3_600_001)));
    }

    #[test]
    fn a_new_session_says_its_whole_lifetime_during_its_first_second() {
        let end = Lifetime::begin(NOON, Duration::from_secs(3600)).ends_at();
        assert_eq!(end.seconds_from(NOON), 3600);
        assert_eq!(end.seconds_from(NOON + millis(999)), 3600);
        assert_eq!(end.seconds_from(NOON + millis(1000)), 3599);
        assert_eq!(end.seconds_from(NOON + millis(3_599_999)), 1);
        assert_eq!(end.seconds_from(NOON + millis(3_600_000)), 0);
        assert_eq!(end.seconds_from(NOON + millis(9_999_999)), 0);
    }

    #[test]
    fn moments_are_shown_in_whole_seconds_rounded_down() {
        assert_eq!(NOON.unix_seconds(), 1_790_000_000);
        assert_eq!((NOON + millis(749)).unix_seconds(), 1_790_000_000);
        assert_eq!((NOON + millis(750)).unix_seconds(), 1_790_000_001);
    }

    #[test]
    fn time_beyond_the_end_of_counting_stays_at_the_end() {
        let end_of_time = Timestamp::from_millis(u64::MAX);
        assert_eq!(NOON + Duration::MAX, end_of_time);
        assert_eq!(end_of_time + millis(1), end_of_time);
    }

    #[test]
    fn a_key_is_the_first_half_of_the_sha_256_digest_of_the_id() {
        // From `printf abc123 | sha256sum`.
        let expected = 0x6ca1_3d52_ca70_c883_e0f0_bb10_1e42_5a89_u128.to_be_bytes();
        assert_eq!(SessionKey::of("abc123").as_bytes(), &expected);
        assert!(SessionKey::of("abc123") != SessionKey::of("abc124"));
    }
}
