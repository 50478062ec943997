//! What stands for a session, or for its client, where the secret itself must not stand: digests.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

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

#[cfg(test)]
mod tests {
    use super::*;

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
    fn a_key_is_the_first_half_of_the_sha_256_digest_of_the_id() {
        // From `printf abc123 | sha256sum`.
        let expected = 0x6ca1_3d52_ca70_c883_e0f0_bb10_1e42_5a89_u128.to_be_bytes();
        assert_eq!(SessionKey::of("abc123").as_bytes(), &expected);
        assert!(SessionKey::of("abc123") != SessionKey::of("abc124"));
    }
}
