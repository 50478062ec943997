//! Whether a text is JSON (RFC 8259), decided as simply as can be and without the parser that the node is built on,
//! which would agree with itself. To any depth, and without a judgement on the size of numbers, which the grammar does
//! not make either.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Whether `text` is one JSON value, with white space around it.
pub fn is_json(text: &str) -> bool {
    read(text, false)
}

/// Whether strict parsers can read `text`: this one and `serde_json` both do, down to every string, none of which has
/// a lone surrogate.
pub fn is_strict_json(text: &str) -> bool {
    let ours = read(text, true);
    assert_eq!(ours, serde_json_reads(text), "two parsers disagree: {text}");
    ours
}

/// Whether a text ends within an object, between two tokens.
pub fn is_open(text: &str) -> bool {
    // A token that is cut is cut by a line end that must not stand there.
    let read = serde_json::from_str::<IgnoredAny>(&format!("{text}\n"));
    text.trim_start().starts_with('{') && read.is_err_and(|error| error.is_eof())
}

fn read(text: &str, strict: bool) -> bool {
    let mut reader = Reader {
        rest: text.as_bytes(),
        strict,
        high: false,
    };
    reader.read().is_some()
}

/// Reads every string as a string, level by level. Numbers stay as they are: the grammar allows 1e999.
fn serde_json_reads(text: &str) -> bool {
    let Ok(whole) = serde_json::from_str::<&RawValue>(text) else {
        return false;
    };
    let mut left = vec![whole.get()];
    while let Some(json) = left.pop() {
        let is_read = match json.as_bytes().first() {
            Some(b'{') => read_object(json, &mut left),
            Some(b'[') => serde_json::from_str::<Vec<&RawValue>>(json)
                .map(|values| left.extend(values.iter().map(|value| value.get())))
                .is_ok(),
            Some(b'"') => serde_json::from_str::<String>(json).is_ok(),
            _ => true,
        };
        if !is_read {
            return false;
        }
    }
    true
}

/// Adds the values of an object, also those of a name that is given twice.
fn read_object<'a>(json: &'a str, left: &mut Vec<&'a str>) -> bool {
    let entries = serde_json::from_str::<Entries<'a>>(json);
    let are_text = |entries: &Entries<'_>| {
        let mut names = entries.0.iter().map(|(name, _)| name.get());
        names.all(|name| serde_json::from_str::<String>(name).is_ok())
    };
    entries.is_ok_and(|entries| {
        left.extend(entries.0.iter().map(|(_, value)| value.get()));
        are_text(&entries)
    })
}

/// The names of an object's fields, in order; none where `text` is no object. What is no text has an empty name.
pub fn names(text: &str) -> Vec<String> {
    let entries = serde_json::from_str::<Entries<'_>>(text).map(|entries| entries.0);
    let names = entries
        .unwrap_or_default()
        .into_iter()
        .map(|(name, _)| name.get());
    names
        .map(|name| serde_json::from_str(name).unwrap_or_default())
        .collect()
}

/// The names and values of an object, as they stand.
struct Entries<'a>(Vec<(&'a RawValue, &'a RawValue)>);

impl<'de> Deserialize<'de> for Entries<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Entries<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

struct Reader<'a> {
    rest: &'a [u8],
    /// Whether a lone surrogate is a fault.
    strict: bool,
    /// Whether the latest character of a string is the first half of a pair.
    high: bool,
}

impl Reader<'_> {
    fn read(&mut self) -> Option<()> {
        // What closes each array and each object that is open.
        let mut closers = Vec::new();
        loop {
            if self.token(b'{') {
                if !self.token(b'}') {
                    closers.push(b'}');
                    self.name()?;
                    continue;
                }
            } else if self.token(b'[') {
                if !self.token(b']') {
                    closers.push(b']');
                    continue;
                }
            } else {
                self.scalar()?;
            }
            // A value has ended, and perhaps what it was in, too.
            while let Some(&closer) = closers.last() {
                if self.token(closer) {
                    closers.pop();
                } else if self.token(b',') {
                    if closer == b'}' {
                        self.name()?;
                    }
                    break;
                } else {
                    return None;
                }
            }
            if closers.is_empty() {
                self.skip_space();
                return self.rest.is_empty().then_some(());
            }
        }
    }

    fn skip_space(&mut self) {
        while let [b' ' | b'\t' | b'\r' | b'\n', rest @ ..] = self.rest {
            self.rest = rest;
        }
    }

    /// Takes `byte`, behind white space, if it comes next.
    fn token(&mut self, byte: u8) -> bool {
        self.skip_space();
        self.take(|next| next == byte).is_some()
    }

    /// Takes the next byte, if it is one of these.
    fn take(&mut self, is_one: impl Fn(u8) -> bool) -> Option<u8> {
        let (&next, rest) = self.rest.split_first().filter(|(next, _)| is_one(**next))?;
        self.rest = rest;
        Some(next)
    }

    fn name(&mut self) -> Option<()> {
        self.skip_space();
        self.string()?;
        self.token(b':').then_some(())
    }

    fn scalar(&mut self) -> Option<()> {
        self.skip_space();
        for word in ["true", "false", "null"] {
            if let Some(rest) = self.rest.strip_prefix(word.as_bytes()) {
                self.rest = rest;
                return Some(());
            }
        }
        if self.rest.first() == Some(&b'"') {
            self.string()
        } else {
            self.number()
        }
    }

    fn string(&mut self) -> Option<()> {
        self.take(|byte| byte == b'"')?;
        self.high = false;
        loop {
            let unit = match self.take(|byte| byte >= b' ')? {
                b'"' if self.strict && self.high => return None,
                b'"' => return Some(()),
                b'\\' => self.escaped()?,
                _ => 0,
            };
            let is_low = (0xDC00..0xE000).contains(&unit);
            if self.strict && self.high != is_low {
                return None;
            }
            self.high = (0xD800..0xDC00).contains(&unit);
        }
    }

    /// What follows a backslash: its number where it is written as one, else 0.
    fn escaped(&mut self) -> Option<u32> {
        let mut unit = 0;
        if self.take(|byte| b"\"\\/bfnrtu".contains(&byte))? == b'u' {
            for _ in 0..4 {
                let digit = char::from(self.take(|byte| byte.is_ascii_hexdigit())?);
                unit = unit * 16 + digit.to_digit(16)?;
            }
        }
        Some(unit)
    }

    fn number(&mut self) -> Option<()> {
        self.take(|byte| byte == b'-');
        if self.take(|byte| byte == b'0').is_none() {
            self.digits()?;
        }
        if self.take(|byte| byte == b'.').is_some() {
            self.digits()?;
        }
        if self.take(|byte| byte == b'e' || byte == b'E').is_some() {
            self.take(|byte| byte == b'+' || byte == b'-');
            self.digits()?;
        }
        Some(())
    }

    fn digits(&mut self) -> Option<()> {
        self.take(|byte| byte.is_ascii_digit())?;
        while self.take(|byte| byte.is_ascii_digit()).is_some() {}
        Some(())
    }
}
