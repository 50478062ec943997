//! Defines session ids, which are secrets, and their generator.
//!
//! The node holds an id only from its creation until the one reply that hands it out.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::rngs::{StdRng, SysRng};
use rand::{Rng, SeedableRng};

use crate::session::SessionKey;

/// The format of session ids.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IdFormat {
    /// A version 4 UUID (RFC 9562): 36 characters, 122 random bits.
    #[default]
    Uuid,
    /// 256 random bits in base64url without padding (RFC 4648): 43 characters.
    Token,
}

const UUID_LENGTH: usize = uuid::fmt::Hyphenated::LENGTH;
const TOKEN_LENGTH: usize = 43;

/// A new session id: a secret on its way to its user.
///
/// The type is neither `Debug` nor `Display`, so that no id ends up in a log by accident, and it is not `Clone`. Only
/// [`SessionId::expose`] returns the text, for the reply or the cookie that hands it out. Everything else uses
/// [`SessionId::key`].
///
/// ```compile_fail,E0277
/// fn shown<T: std::fmt::Debug>() {}
/// shown::<session_node::SessionId>();
/// ```
pub struct SessionId {
    text: [u8; TOKEN_LENGTH],
    length: u8,
}

impl SessionId {
    /// The key that stands for the id in a store.
    pub fn key(&self) -> SessionKey {
        SessionKey::of(self.expose())
    }

    /// The id's text, which is the secret.
    pub fn expose(&self) -> &str {
        str::from_utf8(&self.text[..usize::from(self.length)])
            .expect("a generated id is made of ASCII characters")
    }
}

/// Makes session ids with a cryptographically secure generator (`ChaCha12`). The generator runs in this process, so an
/// id costs no system call.
pub struct IdGenerator {
    format: IdFormat,
    random: StdRng,
}

impl IdGenerator {
    /// Makes a generator with a seed from the operating system.
    ///
    /// # Errors
    ///
    /// If the operating system supplies no randomness.
    pub fn from_system(format: IdFormat) -> Result<Self, rand::rngs::SysError> {
        Ok(Self {
            format,
            random: StdRng::try_from_rng(&mut SysRng)?,
        })
    }

    /// Makes a generator that makes the same ids for the same seed. For replaying a transcript in a test, never for
    /// real sessions.
    pub fn from_seed(format: IdFormat, seed: [u8; 32]) -> Self {
        Self {
            format,
            random: StdRng::from_seed(seed),
        }
    }

    /// Makes a new id, which is unique and which nobody can guess.
    pub fn generate(&mut self) -> SessionId {
        let mut text = [0; TOKEN_LENGTH];
        let length = match self.format {
            IdFormat::Uuid => {
                let mut bytes = [0; 16];
                self.random.fill_bytes(&mut bytes);
                uuid::Builder::from_random_bytes(bytes)
                    .into_uuid()
                    .hyphenated()
                    .encode_lower(&mut text);
                UUID_LENGTH
            }
            IdFormat::Token => {
                let mut bytes = [0; 32];
                self.random.fill_bytes(&mut bytes);
                URL_SAFE_NO_PAD
                    .encode_slice(bytes, &mut text)
                    .expect("32 bytes make 43 base64url characters")
            }
        };
        SessionId {
            text,
            length: u8::try_from(length).expect("an id has at most 43 characters"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn a_uuid_is_of_version_4_and_of_the_rfc_variant() {
        let mut ids = IdGenerator::from_seed(IdFormat::Uuid, [1; 32]);
        for _ in 0..1000 {
            let id = ids.generate();
            let uuid = uuid::Uuid::parse_str(id.expose()).expect("a UUID");
            assert_eq!(uuid.get_version(), Some(uuid::Version::Random));
            assert_eq!(uuid.get_variant(), uuid::Variant::RFC4122);
            assert_eq!(uuid.to_string(), id.expose());
        }
    }

    #[test]
    fn a_token_is_43_base64url_characters_that_carry_256_bits() {
        let mut ids = IdGenerator::from_seed(IdFormat::Token, [1; 32]);
        let id = ids.generate();
        assert_eq!(id.expose().len(), 43);
        assert_eq!(URL_SAFE_NO_PAD.decode(id.expose()).map(|b| b.len()), Ok(32));
    }

    #[test]
    fn ids_from_the_system_do_not_repeat() {
        for format in [IdFormat::Uuid, IdFormat::Token] {
            let mut first = IdGenerator::from_system(format).expect("system randomness");
            let mut second = IdGenerator::from_system(format).expect("system randomness");
            let ids: HashSet<String> = (0..1000)
                .flat_map(|_| [first.generate(), second.generate()])
                .map(|id| id.expose().to_owned())
                .collect();
            assert_eq!(ids.len(), 2000);
        }
    }

    #[test]
    fn the_same_seed_makes_the_same_ids() {
        let mut one = IdGenerator::from_seed(IdFormat::Uuid, [9; 32]);
        let mut other = IdGenerator::from_seed(IdFormat::Uuid, [9; 32]);
        for _ in 0..10 {
            assert!(one.generate().expose() == other.generate().expose());
        }
    }
}
