//! Says what a name and the data of a session may be. The same limits apply on the wire and to Rust programs.

use std::borrow::Cow;

use serde::de::IgnoredAny;

/// The longest binding, and the longest name of a node, in bytes of UTF-8.
pub const MAX_STRING_BYTES: usize = 256;

/// The largest limit that a request for a list may set.
pub const MAX_LIST_LIMIT: usize = 1000;

/// What a cursor must be, for people.
pub const CURSOR_MUST_BE: &str = "the cursor of a list of the same kind";

/// How many sessions a list shows if the request sets no limit.
pub const DEFAULT_LIST_LIMIT: usize = 100;

/// Returns the compact form of `json`, which must be valid JSON; `None` if a session may not hold it as data.
pub fn compact_data(json: &str, max_bytes: usize) -> Option<Cow<'_, str>> {
    Some(json)
        .filter(|json| json.starts_with('{') && is_text(json))
        .map(compact)
        .filter(|json| json.len() <= max_bytes)
}

/// What data must be, as an error text says it. See [`compact_data`].
pub fn data_must_be(max_bytes: usize) -> String {
    format!("a JSON object of at most {max_bytes} bytes, without lone surrogates")
}

/// Whether `text` is one JSON value.
pub fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// Whether no string in the JSON text of a value has a lone surrogate (`"\ud800"`). The grammar of JSON allows lone
/// surrogates, but many parsers reject them.
pub fn is_text(json: &str) -> bool {
    let mut rest = json;
    // Whether the previous character was the first half of a surrogate pair.
    let mut high = false;
    while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
        if high && at > 0 {
            return false;
        }
        let escape = &rest[at + 1..];
        let unit = escape
            .strip_prefix('u')
            .and_then(|digits| u16::from_str_radix(digits.get(..4)?, 16).ok());
        match (unit, high) {
            (Some(0xDC00..=0xDFFF), true) => high = false,
            (Some(0xDC00..=0xDFFF), false) | (_, true) => return false,
            (Some(0xD800..=0xDBFF), false) => high = true,
            (_, false) => {}
        }
        rest = &escape[if unit.is_some() { 5 } else { 1 }..];
    }
    !high
}

/// Removes the white space between the tokens of `json`. It may include line endings, and a reply must stay on one
/// line.
pub fn compact(json: &str) -> Cow<'_, str> {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
    if !json.as_bytes().iter().any(is_space) {
        return Cow::Borrowed(json);
    }
    let mut in_string = false;
    let mut escaped = false;
    let kept = json.chars().filter(|&character| {
        if in_string {
            in_string = escaped || character != '"';
            escaped = !escaped && character == '\\';
            return true;
        }
        in_string = character == '"';
        !matches!(character, ' ' | '\t' | '\r' | '\n')
    });
    Cow::Owned(kept.collect())
}
