//! The domain: what a session is, and when it ends.
//!
//! These rules are pure: the caller supplies the time. The module knows no wire, no store and no clock. So every store
//! that can call Rust decides by the same few lines, and a test can check both sides of a boundary.

use std::fmt;
use std::ops::{Add, RangeInclusive};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

pub use crate::limits::MAX_STRING_BYTES;

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

/// Stands for a session id in a store: the first 16 bytes of the SHA-256 digest of the id's text.
///
/// A thief of a file, dump or log gains no session from a key, because nobody can compute an id from its key (OWASP
/// ASVS 5.0 asks for stored tokens to be useless to a thief). A hash table can use the bits as they are: they are
/// uniform, and nobody can steer them, because the node makes every id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionKey([u8; 16]);

impl SessionKey {
    /// Computes the key of the session that `id` names.
    pub fn of(id: &str) -> Self {
        Self(first_half(Sha256::digest(id.as_bytes()).into()))
    }

    /// The 16 bytes, for a store to keep.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Rebuilds a key from the bytes that a store kept.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The handle of a session whose first key is this one.
    pub fn handle(&self) -> Handle {
        Handle(truncated_digest(b"handle", &self.0))
    }
}

/// Names a session without giving access to it: safe to display and to log. A handle validates nothing. A session keeps
/// its handle when it is regenerated.
///
/// The handle is a digest of the session's first key, so a store need not keep it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Handle([u8; 16]);

impl Handle {
    /// Reads a handle from `text`; `None` if `text` has another form.
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 16];
        match URL_SAFE_NO_PAD.decode_slice(text, &mut bytes) {
            Ok(16) => Some(Self(bytes)),
            _ => None,
        }
    }

    /// Rebuilds a handle from the bytes that a store kept.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes, for a store to keep.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for Handle {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0; 22];
        let length = URL_SAFE_NO_PAD
            .encode_slice(self.0, &mut text)
            .expect("16 bytes make 22 base64url characters");
        formatter.write_str(str::from_utf8(&text[..length]).expect("base64url is ASCII"))
    }
}

/// Ties a session to its client: a digest of an opaque property of the client, such as the fingerprint of its
/// certificate. Comparison takes constant time, so its timing does not reveal how much of a guess was right.
#[derive(Clone, Copy, Debug)]
pub struct Binding([u8; 16]);

impl Binding {
    /// Computes the binding to a client that has this `property`.
    pub fn to(property: &str) -> Self {
        Self(truncated_digest(b"binding", property.as_bytes()))
    }

    /// Rebuilds a binding from the bytes that a store kept.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes, for a store to keep.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl PartialEq for Binding {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Binding {}

/// The first half of a SHA-256 digest. `purpose` separates digests of the same bytes that serve different purposes.
pub(crate) fn truncated_digest(purpose: &[u8], bytes: &[u8]) -> [u8; 16] {
    let digest = Sha256::new()
        .chain_update(purpose)
        .chain_update([0])
        .chain_update(bytes);
    first_half(digest.finalize().into())
}

fn first_half(digest: [u8; 32]) -> [u8; 16] {
    let (half, _) = digest
        .split_first_chunk()
        .expect("a SHA-256 digest has 32 bytes");
    *half
}

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

    /// The first moment at which the session is no longer live, unless it is used again.
    pub fn expires_at(&self) -> Timestamp {
        let idle_end = |millis| Timestamp(self.last_used_at.0.saturating_add(millis));
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

    /// Records that the user authenticated again: the lifetime restarts with its original length.
    pub fn reauthenticate(&mut self, now: Timestamp) {
        let ttl = self.ends_at.since(self.auth_time);
        self.auth_time = now;
        self.ends_at = now + ttl;
    }

    /// How many whole seconds ago the user authenticated, if more than `max_age` seconds have passed; then the user has
    /// to authenticate again (OpenID Connect Core 1.0, `max_age`). Rounded up, so the result is greater than `max_age`.
    pub fn auth_age_beyond(&self, now: Timestamp, max_age: u64) -> Option<u64> {
        let millis = now.0.saturating_sub(self.auth_time.0);
        (millis > max_age.saturating_mul(1000)).then(|| millis.div_ceil(1000))
    }
}

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
            life.reauthenticate(NOON + millis(again));
            assert!(life.is_live(NOON + millis(again + 9_999)));
            assert!(!life.is_live(NOON + millis(again + 10_000)));
        }
        assert_eq!(life.created_at, NOON);
        assert_eq!(life.auth_time, NOON + millis(15_000));
    }

    #[test]
    fn an_authentication_is_too_old_when_more_than_max_age_has_passed() {
        let life = Lifetime::begin(NOON, millis(100_000), None);
        assert_eq!(life.auth_age_beyond(NOON, 0), None);
        assert_eq!(life.auth_age_beyond(NOON + millis(1), 0), Some(1));
        assert_eq!(life.auth_age_beyond(NOON + millis(60_000), 60), None);
        assert_eq!(life.auth_age_beyond(NOON + millis(60_001), 60), Some(61));
        assert_eq!(life.auth_age_beyond(NOON + millis(62_000), 60), Some(62));
        assert_eq!(life.auth_age_beyond(NOON + millis(62_000), u64::MAX), None);
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

    #[test]
    fn a_handle_has_22_characters_and_differs_for_each_key() {
        let handle = SessionKey::of("abc123").handle();
        let text = handle.to_string();
        assert_eq!(text.len(), 22);
        assert_eq!(Handle::parse(&text), Some(handle));
        assert_ne!(handle, SessionKey::of("abc124").handle());
        let longer = format!("{text}A");
        for wrong in ["", "abc123", &text[1..], &longer, "======================"] {
            assert_eq!(Handle::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn bindings_are_equal_only_for_the_same_property() {
        assert!(Binding::to("a") == Binding::to("a"));
        assert!(Binding::to("a") != Binding::to("b"));
        assert_ne!(Binding::to("a").as_bytes(), SessionKey::of("a").as_bytes());
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

    #[test]
    fn a_key_is_the_first_half_of_the_sha_256_digest_of_the_id() {
        // From `printf abc123 | sha256sum`.
        let expected = 0x6ca1_3d52_ca70_c883_e0f0_bb10_1e42_5a89_u128.to_be_bytes();
        assert_eq!(SessionKey::of("abc123").as_bytes(), &expected);
        assert!(SessionKey::of("abc123") != SessionKey::of("abc124"));
    }
}
