//! A client of bare bodies, one on each line, gets the n-th reply to its n-th line, whatever the lines are: good,
//! faulty, cut off, too long, binary. Blank lines and somebody's replies count for nothing.

use std::io::{self, Read};

use proptest::prelude::*;
use serde_json::Value;
use session_node::clock::ManualClock;
use session_node::session::Timestamp;
use session_node::{Node, Options, SessionAuthority};

const MAX_LINE_BYTES: usize = 200;

/// What a line is, and how it is to be answered.
#[derive(Clone, Debug)]
enum Line {
    /// An echo that comes back.
    Echo,
    /// A message that is refused, of which N is the number.
    Refused(&'static str),
    /// A faulty line, of which N is the number, which stands before the fault.
    Faulty(&'static str),
    /// A faulty line of which no number can be read.
    Nameless(Vec<u8>),
    /// One that is too long.
    TooLong(usize),
    /// One that is not to be answered.
    Unanswered(&'static str),
}

fn line() -> impl Strategy<Value = Line> {
    let select = |lines: &'static [&'static str]| prop::sample::select(lines.to_vec());
    let no_object = |bytes: &Vec<u8>| {
        let is_line = !bytes.contains(&b'\n') && !bytes.trim_ascii().is_empty();
        is_line && !bytes.trim_ascii_start().starts_with(b"{")
    };
    let binary = prop::collection::vec(any::<u8>(), 1..40).prop_filter("no object", no_object);
    prop_oneof![
        4 => Just(Line::Echo),
        1 => select(&[
            r#"{"type":"nonsense","msg_id":N}"#,
            r#"{"type":"create_session","msg_id":N}"#,
            r#"{"type":"echo","msg_id":N,"echo":"\ud800"}"#,
            r#"{"msg_id":N,"type":7}"#,
        ])
        .prop_map(Line::Refused),
        3 => select(&[
            r#"{"type":"echo","msg_id":N,"echo":NaN}"#,
            r#"{"type":"echo","msg_id":N,"echo":"never closed"#,
            r#"{"type":"echo","msg_id":N,"echo":[1,]}"#,
            r#"{"msg_id":N,"echo":1}"#,
            r#"{"body":{"type":"echo","msg_id":N,"echo":1}}"#,
            r#"{"type":"echo","msg_id":N,"echo":1} and more"#,
            // Cut off between two tokens, where more lines could follow.
            r#"{"type":"echo","msg_id":N,"#,
            r#"{"type":"echo","msg_id":N"#,
        ])
        .prop_map(Line::Faulty),
        2 => select(&["nonsense", "[]", "7", r#""x" y"#, "{", "[1,", "{} {}", "{]", "true x", "\0", "{\"type\""])
            .prop_map(|line| Line::Nameless(line.as_bytes().to_vec())),
        1 => binary.prop_map(Line::Nameless),
        1 => (MAX_LINE_BYTES..20_000).prop_map(Line::TooLong),
        1 => select(&["", " \t", "\r", r#"{"type":"echo_ok","in_reply_to":1}"#]).prop_map(Line::Unanswered),
    ]
}

impl Line {
    fn bytes(&self, number: usize) -> Vec<u8> {
        let text = match self {
            Self::Echo => format!(r#"{{"type":"echo","msg_id":{number},"echo":{number}}}"#),
            Self::Refused(line) | Self::Faulty(line) => line.replace('N', &number.to_string()),
            Self::Nameless(bytes) => return bytes.clone(),
            Self::TooLong(length) => {
                let padding = "x".repeat(*length);
                format!(r#"{{"type":"echo","msg_id":{number},"echo":"{padding}"}}"#)
            }
            Self::Unanswered(line) => (*line).to_owned(),
        };
        text.into_bytes()
    }

    /// Checks that this is the reply to it.
    fn check(&self, number: usize, reply: &Value) -> Result<(), TestCaseError> {
        let error = if let Self::Echo = self {
            "echo_ok"
        } else {
            "error"
        };
        prop_assert_eq!(&reply["type"], error);
        let number = if let Self::Nameless(_) = self {
            None
        } else {
            Some(Value::from(number))
        };
        prop_assert_eq!(reply.get("in_reply_to"), number.as_ref());
        Ok(())
    }
}

/// Gives out a piece a read.
struct Pieces(Vec<Vec<u8>>);

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(piece) = self.0.first_mut() else {
            return Ok(0);
        };
        let length = piece.len().min(buffer.len());
        buffer[..length].copy_from_slice(&piece[..length]);
        piece.drain(..length);
        if piece.is_empty() {
            self.0.remove(0);
        }
        Ok(length)
    }
}

fn replies(input: Pieces) -> Vec<Value> {
    let clock = ManualClock::at(Timestamp::from_millis(1_790_000_000_000));
    let options = Options {
        max_line_bytes: MAX_LINE_BYTES,
        ..Options::default()
    };
    let authority = SessionAuthority::builder().clock(clock).seed([1; 32]);
    let mut node = Node::new(authority.build().expect("the policy is right"), options);
    let mut output = Vec::new();
    node.run(input, &mut output)
        .expect("memory can be read and written");
    let text = String::from_utf8(output).expect("replies are UTF-8");
    text.lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn the_nth_line_gets_the_nth_reply(
        lines in prop::collection::vec(line(), 0..30),
        mut cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        ends_in_newline in any::<bool>(),
    ) {
        let mut stream = Vec::new();
        for (number, line) in lines.iter().enumerate() {
            stream.extend(line.bytes(number));
            stream.push(b'\n');
        }
        if !ends_in_newline {
            stream.pop();
        }
        let mut pieces = Vec::new();
        cuts.truncate(stream.len());
        let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len())).collect();
        places.sort_unstable();
        let mut from = 0;
        for to in places.into_iter().chain([stream.len()]) {
            if to > from {
                pieces.push(stream[from..to].to_vec());
            }
            from = to;
        }
        let replies = replies(Pieces(pieces));
        let answered: Vec<_> = lines
            .iter()
            .enumerate()
            .filter(|(_, line)| !matches!(line, Line::Unanswered(_)))
            .collect();
        prop_assert_eq!(replies.len(), answered.len());
        for ((number, line), reply) in answered.into_iter().zip(&replies) {
            line.check(number, reply)?;
        }
    }
}
