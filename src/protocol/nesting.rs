//! Finds the end of a JSON object that spans several lines. The reader follows the grammar (RFC 8259), takes one line
//! after another, reads each byte once, and remembers only which brackets are open.
//!
//! It produces no values, so it is only used for lines that [`super::decode()`] could not read.

/// How far a message that began with an object has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The object ended on this line, and nothing follows it.
    Whole,
    /// The line ended between two tokens of the object.
    Open,
    /// The line violates the grammar, or ends within a token.
    Broken,
}

/// Which token may come next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Expected {
    /// The object that is the message.
    Message,
    NameOrEnd,
    Name,
    Colon,
    Value,
    ValueOrEnd,
    CommaOrEnd,
    Nothing,
}

/// The open brackets, and which token may come next.
pub struct Nesting {
    /// One bit per open bracket: whether it opened an object. A message may consist of brackets only, so more than a
    /// bit each would take too much memory.
    open: Vec<u64>,
    depth: usize,
    expected: Expected,
}

impl Default for Nesting {
    fn default() -> Self {
        Self {
            open: Vec::new(),
            depth: 0,
            expected: Expected::Message,
        }
    }
}

impl Nesting {
    /// Reads the next line. After [`Progress::Whole`] or [`Progress::Broken`], do not call it again.
    pub fn read(&mut self, line: &[u8]) -> Progress {
        let mut rest = skip_space(line);
        while let Some(first) = rest.first() {
            match self.token(*first, rest) {
                Some(length) => rest = skip_space(&rest[length..]),
                None => return Progress::Broken,
            }
        }
        if self.expected == Expected::Nothing {
            Progress::Whole
        } else {
            Progress::Open
        }
    }

    /// Reads the token at the beginning of `rest`, and returns its length; `None` if the grammar forbids it there.
    fn token(&mut self, first: u8, rest: &[u8]) -> Option<usize> {
        use Expected::{Colon, CommaOrEnd, Message, Name, NameOrEnd, Nothing, Value, ValueOrEnd};
        match (first, self.expected) {
            (b'{', Message | Value | ValueOrEnd) => self.begin(true),
            (b'[', Value | ValueOrEnd) => self.begin(false),
            (b'}', NameOrEnd) | (b']', ValueOrEnd) => self.end(),
            (b'}', CommaOrEnd) if self.in_object() => self.end(),
            (b']', CommaOrEnd) if !self.in_object() => self.end(),
            (b',', CommaOrEnd) => self.expected = if self.in_object() { Name } else { Value },
            (b':', Colon) => self.expected = Value,
            (b'"', NameOrEnd | Name) => {
                self.expected = Colon;
                return string_length(rest);
            }
            (_, Value | ValueOrEnd) => {
                self.expected = CommaOrEnd;
                return if first == b'"' {
                    string_length(rest)
                } else {
                    number_length(rest).or_else(|| word_length(rest))
                };
            }
            (_, Message | NameOrEnd | Name | Colon | CommaOrEnd | Nothing) => return None,
        }
        Some(1)
    }

    fn begin(&mut self, object: bool) {
        let (word, bit) = (self.depth / 64, self.depth % 64);
        if word == self.open.len() {
            self.open.push(0);
        }
        self.open[word] = self.open[word] & !(1 << bit) | u64::from(object) << bit;
        self.depth += 1;
        self.expected = if object {
            Expected::NameOrEnd
        } else {
            Expected::ValueOrEnd
        };
    }

    fn end(&mut self) {
        self.depth -= 1;
        self.expected = if self.depth == 0 {
            Expected::Nothing
        } else {
            Expected::CommaOrEnd
        };
    }

    /// Whether the innermost open bracket opened an object.
    fn in_object(&self) -> bool {
        let innermost = self.depth - 1;
        self.open[innermost / 64] >> (innermost % 64) & 1 == 1
    }
}

/// JSON's white space lacks ASCII's form feed.
fn skip_space(text: &[u8]) -> &[u8] {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
    let start = text.iter().position(|byte| !is_space(byte));
    &text[start.unwrap_or(text.len())..]
}

/// The length of the string at the beginning of `text`. Invalid UTF-8 and NUL pass here, because the decoder of the
/// whole message rejects them.
fn string_length(text: &[u8]) -> Option<usize> {
    let mut at = 1;
    loop {
        match text.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += escape_length(&text[at..])?,
            0x01..0x20 => return None,
            _ => at += 1,
        }
    }
}

fn escape_length(text: &[u8]) -> Option<usize> {
    match text.get(1)? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(2),
        b'u' => {
            let digits = text.get(2..6)?;
            digits.iter().all(u8::is_ascii_hexdigit).then_some(6)
        }
        _ => None,
    }
}

fn number_length(text: &[u8]) -> Option<usize> {
    let digits = |from: usize| {
        let rest = text.get(from..).unwrap_or_default();
        rest.iter().take_while(|byte| byte.is_ascii_digit()).count()
    };
    let mut at = usize::from(text.first() == Some(&b'-'));
    let whole = digits(at);
    if whole == 0 || (whole > 1 && text[at] == b'0') {
        return None;
    }
    at += whole;
    if text.get(at) == Some(&b'.') {
        let fraction = digits(at + 1);
        if fraction == 0 {
            return None;
        }
        at += 1 + fraction;
    }
    if let Some(b'e' | b'E') = text.get(at) {
        at += 1;
        at += usize::from(matches!(text.get(at), Some(b'+' | b'-')));
        let exponent = digits(at);
        if exponent == 0 {
            return None;
        }
        at += exponent;
    }
    Some(at)
}

fn word_length(text: &[u8]) -> Option<usize> {
    let words: [&[u8]; 3] = [b"true", b"false", b"null"];
    let word = words.iter().find(|word| text.starts_with(word));
    word.map(|word| word.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde::de::IgnoredAny;

    fn progress(lines: &[&str]) -> Progress {
        let mut nesting = Nesting::default();
        let mut progress = Progress::Open;
        for line in lines {
            assert_eq!(progress, Progress::Open, "{lines:?}");
            progress = nesting.read(line.as_bytes());
        }
        progress
    }

    #[test]
    fn an_object_may_be_cut_between_any_two_tokens_and_nowhere_else() {
        let text =
            r#"{ "a" : [ 1 , -2.5e+3 , { } , true , [ ] , null ] , "\u00e9\"" : { "b" : false } }"#;
        let tokens: Vec<_> = text.split(' ').collect();
        assert_eq!(progress(&tokens), Progress::Whole);
        assert_eq!(progress(&[&tokens.concat()]), Progress::Whole);
        for cut in 1..tokens.len() {
            let (first, rest) = tokens.split_at(cut);
            assert_eq!(progress(&[&first.concat()]), Progress::Open, "{first:?}");
            let lines = [&first.concat(), "", " \t\r", &rest.concat()];
            assert_eq!(progress(&lines), Progress::Whole);
            // Cut within a token.
            let last = first.last().expect("there is one");
            for within in 1..last.len() {
                if last.starts_with('-')
                    && last[..within].ends_with(|byte: char| byte.is_ascii_digit())
                {
                    continue;
                }
                let (begun, missing) = (first[..cut - 1].concat(), last.len() - within);
                let line = begun + &last[..last.len() - missing];
                assert_eq!(progress(&[&line]), Progress::Broken, "{line}");
            }
        }
    }

    #[test]
    fn a_violation_of_the_grammar_is_broken_at_once() {
        for line in [
            "x",
            "[",
            "1",
            "\"a\"",
            "}",
            "{,",
            "{]",
            "{1",
            "{\"a\",",
            "{\"a\":,",
            "{\"a\":}",
            "{\"a\":1 2",
            "{\"a\":01",
            "{\"a\":[1}",
            "{\"a\":[1,]",
            "{\"a\":1,}",
            "{\"a\":{}]",
            "{} x",
            "{}{}",
            "{\"a\":tru",
            "{\"a\":\"\\x\"",
            "{\"a\":\"\\u12",
            "{\"a\":\"\t\"",
            "{\"a\":.5",
            "{\"a\":5.",
            "{\"a\":5e",
            "{\"a\":-",
            "{\"a\":nul\"",
            "{\u{c}",
            "{\u{b}\"a\":1}",
        ] {
            assert_eq!(progress(&[line]), Progress::Broken, "{line}");
        }
    }

    #[test]
    fn ten_thousand_open_brackets_are_all_remembered() {
        let begun = "{\"a\":[".repeat(10_000);
        let ends = "]}".repeat(10_000);
        assert_eq!(progress(&[&begun]), Progress::Open);
        assert_eq!(progress(&[&begun, &ends]), Progress::Whole);
        assert_eq!(
            progress(&[&begun, &ends.replacen("]}", "}", 1)]),
            Progress::Broken
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        /// Concatenates random tokens into mostly invalid objects, with line ends anywhere.
        #[test]
        fn nesting_agrees_with_the_general_reader(
            pieces in prop::collection::vec(
                prop::sample::select(vec![
                    "{", "}", "[", "]", ",", ":", "\"a\":", "\"a\"", "1", "-0.5e3", "0", "true", "null", "\n", "\n",
                    "\"b\":{", "\"c\":[", "}", "}", "]", "x", "\"", "\\", "\"\\n\"", "é",
                ]),
                0..16,
            ),
        ) {
            let text = format!("{{{}", pieces.concat());
            let mut nesting = Nesting::default();
            let mut read = Progress::Open;
            let mut taken = 0;
            for line in text.split('\n') {
                taken += line.len() + 1;
                read = nesting.read(line.as_bytes());
                if read != Progress::Open {
                    break;
                }
            }
            let general = serde_json::from_str::<IgnoredAny>(&text[..taken - 1]);
            match read {
                Progress::Whole => prop_assert!(general.is_ok(), "{}", text),
                Progress::Open => prop_assert!(general.is_err_and(|error| error.is_eof()), "{}", text),
                Progress::Broken => prop_assert!(general.is_err(), "{}", text),
            }
        }
    }
}
