//! What a field of a session may hold: limits that the wire and the typed interface share.

use std::borrow::Cow;

use serde::de::IgnoredAny;

/// The longest user name and the longest binding, in bytes of UTF-8: room for any user name or e-mail address, and a
/// bound on what a session costs.
pub const MAX_STRING_BYTES: usize = 256;

/// How many sessions a list may show, and how many it shows if the request does not say.
pub const MAX_LIST_LIMIT: usize = 1000;
pub const DEFAULT_LIST_LIMIT: usize = 100;

/// Whether a user name, or a binding, is neither empty nor too long.
pub fn is_short(text: &str) -> bool {
    (1..=MAX_STRING_BYTES).contains(&text.len())
}

/// The compact form of an object that a session may hold as its data; none if `json`, which has to be JSON, is anything
/// else.
pub fn data(json: &str, max_bytes: usize) -> Option<Cow<'_, str>> {
    Some(json)
        .filter(|json| json.starts_with('{') && is_text(json))
        .map(compact)
        .filter(|json| json.len() <= max_bytes)
}

/// What [`data`] asks for.
pub fn data_must_be(max_bytes: usize) -> String {
    format!("a JSON object of at most {max_bytes} bytes, without lone surrogates")
}

/// Whether `text` is JSON, with nothing around it.
pub fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// Whether the JSON text of a value has no string with a lone surrogate (`"\ud800"`): the grammar allows them, and
/// many parsers do not.
pub fn is_text(json: &str) -> bool {
    let mut rest = json;
    // The first half of a pair, if it was the character before.
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

/// The same JSON without the white space between its tokens, which a peer may have put there, a carriage
/// return even, but which a compact reply of one line has no room for.
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
