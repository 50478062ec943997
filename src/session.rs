//! The domain: what a session is, and when it lives and dies.
//!
//! Pure rules, given the time. This module knows no wire, no store and no clock, so that every store
//! that can call Rust decides by the same few lines, and a test can stand on both sides of a boundary.

use std::fmt;
use std::ops::Add;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

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

    /// The start of the second that this moment is in.
    #[must_use]
    pub const fn start_of_second(self) -> Self {
        Self(self.0 / 1000 * 1000)
    }

    /// The time from `earlier` until this moment; zero if `earlier` is later.
    pub const fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
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
        Self(self.0.saturating_add(whole_millis(duration)))
    }
}

/// Whole milliseconds, the unit in which sessions are timed; as many as there can be for a longer duration.
pub(crate) fn whole_millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
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

impl SessionKey {
    /// The key's bytes as a key again, for a store that kept them.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The name under which a session that began with this key is shown.
    pub fn handle(&self) -> Handle {
        Handle(truncated_digest(b"handle", &self.0))
    }
}

/// Names a session without giving it away: safe to show to its user and to log, and useless for
/// validating. A session keeps its handle when it is regenerated.
///
/// A digest of the key under which the session began, so that a store need not keep it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Handle([u8; 16]);

impl Handle {
    /// The handle that `text` shows; none when it cannot be one.
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 16];
        match URL_SAFE_NO_PAD.decode_slice(text, &mut bytes) {
            Ok(16) => Some(Self(bytes)),
            _ => None,
        }
    }

    /// The handle's bytes as a handle again, for a store that kept them.
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

/// What a session is bound to: a digest of an opaque property of its client, such as the fingerprint of a
/// certificate. Compared in constant time, so that timing tells nothing of how much of a guess was right.
#[derive(Clone, Copy, Debug)]
pub struct Binding([u8; 16]);

impl Binding {
    /// The binding to the client of which `property` is true.
    pub fn to(property: &str) -> Self {
        Self(truncated_digest(b"binding", property.as_bytes()))
    }

    /// The binding's bytes as a binding again, for a store that kept them.
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

/// Half of a SHA-256 digest. `purpose` keeps digests for different ends apart, even of the same bytes.
pub(crate) fn truncated_digest(purpose: &[u8], bytes: &[u8]) -> [u8; 16] {
    let digest: [u8; 32] = Sha256::new()
        .chain_update(purpose)
        .chain_update([0])
        .chain_update(bytes)
        .finalize()
        .into();
    let (half, _) = digest
        .split_first_chunk()
        .expect("a SHA-256 digest has 32 bytes");
    *half
}

/// The times of one session, and the rules of life and death that follow from them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    /// When the session was created. Nothing changes it.
    pub created_at: Timestamp,
    /// When the user last authenticated (OpenID Connect's `auth_time`).
    pub auth_time: Timestamp,
    /// When the session was last used. Its creation counts.
    pub last_used_at: Timestamp,
    /// When the session ends, however much it is used: the absolute timeout of the OWASP Session Management
    /// Cheat Sheet (ASVS 5.0, 7.3.2).
    pub ends_at: Timestamp,
    /// For how long the session may go unused, in milliseconds: the idle timeout (ASVS 5.0, 7.3.1).
    /// [`Lifetime::NEVER_IDLE`] when it has none.
    pub idle_timeout_millis: u64,
}

impl Lifetime {
    /// The idle timeout of a session that has none.
    pub const NEVER_IDLE: u64 = u64::MAX;

    /// The lifetime of a session created at `now`, for whose user that is also when they authenticated.
    pub fn begin(now: Timestamp, ttl: Duration, idle_timeout: Option<Duration>) -> Self {
        Self {
            created_at: now,
            auth_time: now,
            last_used_at: now,
            ends_at: now + ttl,
            idle_timeout_millis: idle_timeout.map_or(Self::NEVER_IDLE, whole_millis),
        }
    }

    /// The first moment at which the session is no longer live if it is not used again.
    pub fn expires_at(&self) -> Timestamp {
        let idle = Timestamp(self.last_used_at.0.saturating_add(self.idle_timeout_millis));
        self.ends_at.min(idle)
    }

    /// Whether the session may still be used at `now`.
    ///
    /// The end is exclusive: a session of 3600 seconds is live for 3 600 000 milliseconds, not one more.
    pub fn is_live(&self, now: Timestamp) -> bool {
        now < self.expires_at()
    }

    /// Notes a use, which puts the idle timeout off, but never beyond the end.
    pub fn use_at(&mut self, now: Timestamp) {
        self.last_used_at = self.last_used_at.max(now);
    }

    /// Notes that the user has authenticated again: the lifetime starts afresh, as long as it was.
    pub fn reauthenticate(&mut self, now: Timestamp) {
        let ttl = self.ends_at.since(self.auth_time);
        self.auth_time = now;
        self.ends_at = now + ttl;
    }

    /// How long ago the user authenticated, in whole seconds, if that is more than `max_age` seconds: then
    /// they have to authenticate again (OpenID Connect Core 1.0, `max_age`). Rounded up, so that it is more
    /// than `max_age` in whole seconds too.
    pub fn auth_age_beyond(&self, now: Timestamp, max_age: u64) -> Option<u64> {
        let millis = now.0.saturating_sub(self.auth_time.0);
        (millis > max_age.saturating_mul(1000)).then(|| millis.div_ceil(1000))
    }
}

/// What becomes of a user who is to have more sessions than they may.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnUserLimit {
    /// Their oldest sessions end.
    #[default]
    EvictOldest,
    /// The new session is refused.
    Reject,
}

/// What follows when an id is presented that was retired by a regeneration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnReuse {
    /// Nothing.
    #[default]
    Ignore,
    /// The session ends, since one of those who use it has stolen it.
    Revoke,
}

/// The rules that are the same for all sessions of a store.
#[derive(Clone, Debug)]
pub struct Policy {
    /// How many live sessions a store holds.
    pub max_sessions: usize,
    /// How many live sessions a user may have.
    pub max_sessions_per_user: Option<usize>,
    /// What happens beyond that.
    pub on_user_limit: OnUserLimit,
    /// For how long an id that was retired by a regeneration still validates and destroys its session.
    pub rotation_grace: Duration,
    /// What happens when a retired id turns up after that.
    pub on_reuse: OnReuse,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            max_sessions: 10_000_000,
            max_sessions_per_user: None,
            on_user_limit: OnUserLimit::default(),
            rotation_grace: Duration::ZERO,
            on_reuse: OnReuse::default(),
        }
    }
}

impl Policy {
    /// Whether ids that are retired have to be remembered at all.
    pub fn remembers_retired(&self) -> bool {
        self.on_reuse == OnReuse::Revoke || !self.rotation_grace.is_zero()
    }

    /// Whether an id that was retired at `retired_at` is still in its grace. The end is exclusive.
    pub fn in_grace(&self, now: Timestamp, retired_at: Timestamp) -> bool {
        now < retired_at + self.rotation_grace
    }
}

/// How many retired ids a session remembers; the oldest are forgotten beyond that, so that no peer can fill the
/// memory by regenerating.
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
    fn a_use_puts_the_idle_timeout_off_but_not_beyond_the_end() {
        let mut life = Lifetime::begin(NOON, millis(10_000), Some(millis(4_000)));
        assert!(life.is_live(NOON + millis(3_999)));
        assert!(!life.is_live(NOON + millis(4_000)));
        life.use_at(NOON + millis(3_999));
        assert!(life.is_live(NOON + millis(7_998)));
        assert!(!life.is_live(NOON + millis(7_999)));
        life.use_at(NOON + millis(7_998));
        assert!(life.is_live(NOON + millis(9_999)));
        assert!(!life.is_live(NOON + millis(10_000)));
        // A use that is told of late takes nothing back.
        life.use_at(NOON);
        assert!(life.is_live(NOON + millis(9_999)));
    }

    #[test]
    fn authenticating_again_starts_the_lifetime_afresh_as_long_as_it_was() {
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
    fn a_handle_is_22_characters_that_say_nothing_of_the_key_but_which_it_is() {
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
    fn a_binding_is_equal_to_one_to_the_same_property_only() {
        assert!(Binding::to("a") == Binding::to("a"));
        assert!(Binding::to("a") != Binding::to("b"));
        assert_ne!(Binding::to("a").as_bytes(), SessionKey::of("a").as_bytes());
    }

    #[test]
    fn a_new_session_says_its_whole_lifetime_during_its_first_second() {
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
