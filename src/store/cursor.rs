//! Where a list was cut, so that a later request can continue it.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// A place in a list. Only the store that made a cursor understands it. A cursor is no secret: it validates nothing,
/// and shows nothing that the list before it does not show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor(Vec<u8>);

impl Cursor {
    /// Makes a cursor of what the store needs to find the place again: at least one byte.
    pub fn from_bytes(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// What the store needs to find the place again.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Makes a cursor of a number.
    pub fn at(place: u128) -> Self {
        Self::from_bytes(place.to_be_bytes())
    }

    /// The number of which the cursor was made; `None` if it was made of something else.
    pub fn place(&self) -> Option<u128> {
        let bytes = self.as_bytes().try_into().ok()?;
        Some(u128::from_be_bytes(bytes))
    }

    /// Reads a cursor from its text; `None` if the text has another form.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        (!bytes.is_empty()).then_some(Self(bytes))
    }
}

/// The text is base64url.
impl fmt::Display for Cursor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&URL_SAFE_NO_PAD.encode(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_its_text() {
        for cursor in [
            Cursor::at(0),
            Cursor::at(u128::MAX),
            Cursor::from_bytes("alice"),
        ] {
            assert_eq!(Cursor::parse(&cursor.to_string()), Some(cursor));
        }
        assert_eq!(Cursor::at(7).place(), Some(7));
        assert_eq!(Cursor::from_bytes("alice").place(), None);
        for wrong in ["", "=", "a b", "A", "é"] {
            assert_eq!(Cursor::parse(wrong), None, "{wrong}");
        }
    }
}
