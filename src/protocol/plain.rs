//! Reads the plain form, in which nearly all messages arrive, in less than half the time that the general reader takes.
//!
//! A plain message is an object of strings and integers, with one more such object at `body`, and without any escape or
//! control character. This reader leaves every other message, valid or not, to the general reader. A property test
//! compares the two.

use super::field::{BodyIs, Fields, MessageFields};

/// Reads a message in plain form into `message`, which must be empty. Returns `None` if the message has another form,
/// and may then have added fields.
pub(super) fn read_into<'a>(line: &'a str, message: &mut MessageFields<'a>) -> Option<()> {
    // One pass over several bytes at a time. After it, the next quote always ends a string.
    let not_plain = |byte: u8| byte < b' ' || byte == b'\\';
    if line
        .bytes()
        .fold(false, |found, byte| found | not_plain(byte))
    {
        return None;
    }
    let mut scanner = Scanner { rest: line };
    scanner.token('{')?;
    loop {
        let name = scanner.name()?;
        if name != "body" {
            message.add(name, scanner.value()?);
        } else if message.body_is == BodyIs::Absent {
            scanner.object(message.begin_body())?;
        } else {
            return None;
        }
        if scanner.ends_object()? {
            break;
        }
    }
    scanner.skip_spaces();
    scanner.rest.is_empty().then_some(())
}

/// The rest of a line that contains no escape and no control character.
struct Scanner<'a> {
    rest: &'a str,
}

impl<'a> Scanner<'a> {
    fn skip_spaces(&mut self) {
        while let Some(rest) = self.rest.strip_prefix(' ') {
            self.rest = rest;
        }
    }

    fn token(&mut self, token: char) -> Option<()> {
        self.skip_spaces();
        self.rest = self.rest.strip_prefix(token)?;
        self.skip_spaces();
        Some(())
    }

    /// Whether the object ends here; `false` if it continues after a comma.
    fn ends_object(&mut self) -> Option<bool> {
        match self.token('}') {
            Some(()) => Some(true),
            None => self.token(',').map(|()| false),
        }
    }

    /// Reads a field's name and the colon after it.
    fn name(&mut self) -> Option<&'a str> {
        let json = self.string()?;
        self.token(':')?;
        Some(&json[1..json.len() - 1])
    }

    /// The JSON text of a string or an integer.
    fn value(&mut self) -> Option<&'a str> {
        if self.rest.starts_with('"') {
            self.string()
        } else {
            self.integer()
        }
    }

    fn string(&mut self) -> Option<&'a str> {
        let inside = self.rest.strip_prefix('"')?;
        let end = find_quote(inside.as_bytes())?;
        Some(self.take(end + 2))
    }

    fn integer(&mut self) -> Option<&'a str> {
        let unsigned = self.rest.strip_prefix('-').unwrap_or(self.rest);
        let digits = unsigned.bytes().take_while(u8::is_ascii_digit).count();
        let leading_zero = digits > 1 && unsigned.starts_with('0');
        // After a digit, these characters would make another kind of number.
        let goes_on = unsigned[digits..].starts_with(['.', 'e', 'E']);
        if digits == 0 || leading_zero || goes_on {
            return None;
        }
        Some(self.take(self.rest.len() - unsigned.len() + digits))
    }

    fn object(&mut self, fields: &mut Fields<'a>) -> Option<()> {
        self.token('{')?;
        loop {
            let name = self.name()?;
            fields.add(name, self.value()?);
            if self.ends_object()? {
                return Some(());
            }
        }
    }

    fn take(&mut self, length: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(length);
        self.rest = rest;
        taken
    }
}

/// Finds the first quote. It compares eight bytes at a time in an ordinary register, because most strings of a message
/// are too short for a vectorised search to pay off.
fn find_quote(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::from_ne_bytes([0x01; 8]);
    const HIGH_BITS: u64 = u64::from_ne_bytes([0x80; 8]);
    const QUOTES: u64 = u64::from_ne_bytes([b'"'; 8]);
    let (words, rest) = bytes.as_chunks::<8>();
    for (number, word) in words.iter().enumerate() {
        // The XOR turns each quote into a zero byte. The lowest zero byte becomes the lowest set high bit of `zeros`.
        let word = u64::from_le_bytes(*word) ^ QUOTES;
        let zeros = word.wrapping_sub(ONES) & !word & HIGH_BITS;
        if zeros != 0 {
            return Some(number * 8 + zeros.trailing_zeros() as usize / 8);
        }
    }
    let in_rest = rest.iter().position(|byte| *byte == b'"')?;
    Some(bytes.len() - rest.len() + in_rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(line: &str) -> Option<MessageFields<'_>> {
        let mut message = MessageFields::default();
        read_into(line, &mut message).map(|()| message)
    }

    fn general(line: &str) -> Option<MessageFields<'_>> {
        let mut message = MessageFields::default();
        message.read_general(line).map(|()| message)
    }

    #[test]
    fn the_first_quote_is_found_wherever_it_is() {
        for length in 0..40 {
            for first in 0..length {
                // The bytes before and after differ from a quote only in the lowest bit.
                let mut bytes = vec![b'#'; length];
                bytes[first] = b'"';
                bytes[length - 1] = b'"';
                assert_eq!(find_quote(&bytes), Some(first), "{length}");
            }
            assert_eq!(find_quote(&vec![b'#'; length]), None);
            assert_eq!(find_quote(&vec![0xa2; length]), None);
        }
    }

    #[test]
    fn the_plain_form_is_read() {
        for line in [
            r#"{"src":"c1","dest":"n1","body":{"type":"validate_session","msg_id":1,"session_id":"a"}}"#,
            r#" { "src" : "c1" , "dest" : "n1" , "body" : { "type" : "t" , "msg_id" : -12 } } "#,
            r#"{"type":"validate_session","session_id":"π"}"#,
        ] {
            assert!(read(line).is_some(), "{line}");
            assert!(read(line) == general(line), "{line}");
        }
    }

    #[test]
    fn any_other_form_is_left_to_the_general_reader() {
        for line in [
            "",
            "{",
            "{}",
            "[]",
            "1",
            r#"{"a":"b"}x"#,
            r#"{"a":"b",}"#,
            r#"{"a" "b"}"#,
            r#"{"a":01}"#,
            r#"{"a":-}"#,
            r#"{"a":1.0}"#,
            r#"{"a":1e3}"#,
            r#"{"a":true}"#,
            r#"{"a":null}"#,
            r#"{"a":[]}"#,
            r#"{"a":{}}"#,
            r#"{"a":"\n"}"#,
            "{\"a\":\"\t\"}",
            r#"{"a":"b}"#,
            r#"{"body":"x"}"#,
            "{a:1}",
            r#"{"body":{"a":"b"},"body":{"a":"b"}}"#,
            r#"{"body":{"a":{}}}"#,
            r#"{"a":"b"},"#,
            "{\"a\":1\t}",
        ] {
            assert!(read(line).is_none(), "{line}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        /// Concatenates random pieces of messages into mostly invalid lines.
        #[test]
        fn both_readers_agree_on_plain_messages(
            pieces in prop::collection::vec(
                prop::sample::select(vec![
                    "{", "}", "{", "}", ",", ":", ",\"", "\":", "\"", " ", "\"src\":", "\"body\":{", "\"type\":",
                    "\"msg_id\":", "\"session_id\":\"x\"", "\"a\":1", "\"dest\":\"n1\",", "0", "12", "-", ".", "e",
                    "é", "\\", "\\\"", "null", "[", "]", "\u{0}", "\t", "\"echo\":", "\"src\":\"c1\",",
                ]),
                0..14,
            ),
        ) {
            let line = pieces.concat();
            if let Some(fields) = read(&line) {
                prop_assert!(general(&line) == Some(fields), "{}", line);
            }
            let whole = format!("{{{line}}}");
            if let Some(fields) = read(&whole) {
                prop_assert!(general(&whole) == Some(fields), "{}", whole);
            }
        }
    }
}
