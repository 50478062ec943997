//! Lines that are too long, no text, nested without end, or broken by chance: they do no harm, and the next line is
//! served. `faulty_lines.rs` has the exact replies to faults of every kind.

use std::io::Write;
use std::thread;

use serde_json::Value;
use session_node_testing::errors::{
    SECRET, SENTINEL, SENTINEL_ANSWER, assert_dropped, assert_error, refusals,
};
use session_node_testing::{DEFAULTS, Node, PRELOADED, body, message, replies, reply, run};

/// An echo request of exactly this many bytes.
fn echo_of(line_bytes: usize) -> String {
    let around = message(r#"{"type":"echo","echo":""}"#).len();
    let padding = "x".repeat(line_bytes - around);
    message(format!(r#"{{"type":"echo","echo":"{padding}"}}"#))
}

/// Sends a line as the third one, between others: its sender must be told that it is longer than `limit`, with nothing
/// of what it holds, and the next line must be served.
#[track_caller]
fn assert_too_long(args: &[&str], limit: usize, line: impl Into<Vec<u8>>) {
    let sentinel = message(SENTINEL);
    let mut input = format!("\n{sentinel}\n").into_bytes();
    input.extend(line.into());
    input.extend(format!("\n{sentinel}\n").bytes());
    let answer = reply(SENTINEL_ANSWER);
    assert_eq!(
        replies(args, input),
        [answer.clone(), too_long(3, limit), answer]
    );
}

/// The answer to an echo request that is too long.
fn too_long(line: usize, limit: usize) -> String {
    let text = format!("line {line}: longer than {limit} bytes, which is the limit of a message");
    reply(format!(r#"{{"type":"error","code":12,"text":"{text}"}}"#))
}

#[test]
fn a_line_of_the_greatest_length_is_served_and_a_longer_one_refused() {
    const LIMIT: usize = 5000;
    let args = &["--max-line-bytes", "5000"];
    for ending in ["\n", "\r\n", ""] {
        let answers = replies(args, echo_of(LIMIT) + ending);
        assert_eq!(answers.len(), 1, "{ending:?}");
        assert_eq!(body(&answers[0])["type"], "echo_ok");
        // Also as the last line of all.
        let answers = replies(args, echo_of(LIMIT + 1) + ending);
        assert_eq!(answers, [too_long(1, LIMIT)], "{ending:?}");
    }
    assert_too_long(args, LIMIT, echo_of(LIMIT + 1) + "\r");
}

#[test]
fn a_line_is_too_long_wherever_the_reads_happen_to_cut_it() {
    // Around the sizes of a pipe and of one read, where the end of the line falls on an edge.
    for power in [4096, 65_536, 131_072, 1_048_576] {
        for length in [power - 2, power - 1, power, power + 1, power * 3] {
            assert_too_long(
                &["--max-line-bytes", "2000"],
                2000,
                echo_of(length).replace("xxxxxxxxx", SECRET),
            );
        }
    }
}

#[test]
fn the_end_of_a_longer_line_is_not_taken_for_a_request() {
    // Wherever the reads cut this line, what is left of it would be a good request.
    let line = " ".repeat(300_000) + &message(SENTINEL);
    assert_dropped(&["--max-line-bytes", "100000"], line);
}

#[test]
fn the_greatest_length_is_a_mebibyte_unless_told_otherwise() {
    assert_eq!(replies(DEFAULTS, echo_of(1_048_576)).len(), 1);
    assert_too_long(DEFAULTS, 1_048_576, echo_of(1_048_577));
}

#[cfg(target_os = "linux")]
#[test]
fn a_line_without_end_is_skipped_in_constant_memory() {
    const MEBIBYTES: usize = 200;
    let mut node = Node::start(DEFAULTS);
    node.write(r#"{"src":"c1","dest":"n1","body":{"type":"echo","echo":"#);
    let mebibyte = vec![b'['; 1 << 20];
    for _ in 0..MEBIBYTES {
        node.write(&mebibyte);
    }
    node.send(format!("\n{}", message(SENTINEL)));
    assert_eq!(node.recv(), too_long(1, 1 << 20));
    assert_eq!(node.recv(), reply(SENTINEL_ANSWER));
    let peak = node.peak_memory_kib();
    assert!(peak < 64 * 1024, "{peak} KiB");
    assert_eq!(node.finish().ended_well().stderr, "");
}

#[test]
fn bytes_that_are_not_utf_8_are_malformed() {
    let whole = r#"{"type":"validate_session","msg_id":4,"session_id":"abc123","other":"OTHER"}"#;
    let places = ["abc123", "OTHER", "other", "validate_session"];
    let broken: [&[u8]; 5] = [b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xe2\x82", b"\0"];
    let mut lines = Vec::new();
    for place in places {
        for bytes in broken {
            let line = message(whole);
            let (before, after) = line.split_once(place).expect("the place is there");
            lines.push(
                [
                    before.as_bytes(),
                    SECRET.as_bytes(),
                    bytes,
                    after.as_bytes(),
                ]
                .concat(),
            );
        }
    }
    for error in refusals(PRELOADED, &lines) {
        assert_error(&error, 12, Some(4), &["must be"]);
    }
    let bare = refusals(
        PRELOADED,
        &[b"{\"type\":\"echo\",\"msg_id\":4,\"echo\":\"\xff\"}".to_vec()],
    );
    assert_error(&bare[0], 12, Some(4), &["must be"]);
}

#[test]
fn bytes_that_are_neither_utf_8_nor_json_are_dropped() {
    for line in [
        &b"\xff\xfe\xfd"[..],
        b"\0\0\0",
        b"{\"src\":\"\xff",
        b"\xef\xbb\xbf{}",
    ] {
        assert_dropped(DEFAULTS, line);
    }
}

#[test]
fn odd_escapes_get_one_answer_each() {
    for escape in [r"\u0000", r"\ud800", r"\udfff\ud800", r"\u007f", r"\uffff"] {
        for request in [
            format!(r#"{{"type":"create_session","user_id":"a{escape}"}}"#),
            format!(r#"{{"type":"validate_session","session_id":"{escape}"}}"#),
            format!(r#"{{"type":"{escape}"}}"#),
            format!(r#"{{"type":"echo","echo":0,"{escape}":"{escape}"}}"#),
            format!(r#"{{"type":"init","node_id":"n1","node_ids":["{escape}"]}}"#),
        ] {
            let input = message(&request) + "\n" + &request;
            assert_eq!(replies(DEFAULTS, input).len(), 2, "{request}");
        }
    }
}

#[test]
fn nesting_of_any_depth_is_read() {
    const DEPTH: usize = 1_000_000;
    let args = &[
        "--max-line-bytes",
        "16777216",
        "--preload",
        "abc123=user123",
    ];
    let arrays = "[".repeat(DEPTH) + &"]".repeat(DEPTH);
    let objects = r#"{"a":"#.repeat(DEPTH) + "0" + &"}".repeat(DEPTH);
    for deep in [&arrays, &objects] {
        let request = r#""type":"validate_session","msg_id":4,"session_id":"abc123""#;
        let valid = message(format!(r#"{{"x":{deep},{request}}}"#))
            .replace(r#""src""#, &format!(r#""x":{deep},"src""#));
        assert_eq!(body(&replies(args, valid)[0])["type"], "session_valid");
        let user_id = message(format!(
            r#"{{"type":"create_session","msg_id":4,"user_id":{deep}}}"#
        ));
        let errors = refusals(args, &[user_id.into_bytes(), message(deep).into_bytes()]);
        assert_error(&errors[0], 12, Some(4), &["user_id"]);
        assert_eq!(errors[1]["code"], 12);
        assert_dropped(args, deep[..deep.len() / 2].replace('{', "[{"));
        let half = message(&deep[..deep.len() / 2]);
        assert_eq!(refusals(args, &[half.into_bytes()])[0]["code"], 12);
    }
    assert_dropped(args, arrays);
}

/// Marsaglia's xorshift: the same numbers in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).expect("31 bits") % bound
    }

    fn mutate(&mut self, line: &mut Vec<u8>) {
        let at = self.below(line.len());
        match self.below(4) {
            0 => line[at] ^= 1 << self.below(8),
            1 => line.insert(at, u8::try_from(self.below(256)).expect("a byte")),
            2 => line.insert(at, b"{}[]\",:\\u0e-\r\n"[self.below(14)]),
            _ => drop(line.remove(at)),
        }
    }
}

#[test]
fn two_thousand_broken_lines_do_the_node_no_harm() {
    let good = [
        message(r#"{"type":"create_session","msg_id":1,"user_id":"user\u00e9123"}"#),
        message(r#"{"type":"validate_session","msg_id":2,"session_id":"abc123"}"#),
        message(r#"{"type":"regenerate_session","msg_id":3,"old_session_id":"abc123"}"#),
        message(r#"{"type":"destroy_session","msg_id":4,"session_id":"abc123"}"#),
        message(r#"{"type":"init","msg_id":5,"node_id":"n1","node_ids":["n1","n2"]}"#),
        message(r#"{"type":"echo","echo":[1.5e3,{"a":null,"é":"\ud83d\ude00"}]}"#),
        r#"{"type":"validate_session","msg_id":-7,"session_id":"abc123"}"#.to_owned(),
    ];
    let mut numbers = Numbers(0x5EED);
    let mut input = Vec::new();
    for _ in 0..2000 {
        let mut line = good[numbers.below(good.len())].clone().into_bytes();
        for _ in 0..=numbers.below(4) {
            numbers.mutate(&mut line);
        }
        input.extend(line);
        input.push(b'\n');
    }
    input.extend(message(SENTINEL).bytes());
    let lines = input.split(|&byte| byte == b'\n').count();

    let output = run(PRELOADED, input).ended_well();
    let answers = output.lines();
    assert_eq!(answers.last(), Some(&reply(SENTINEL_ANSWER).as_str()));
    assert!(
        answers.len() > 100,
        "most mutations leave somebody to answer"
    );
    assert!(answers.len() + output.stderr.lines().count() <= lines);
    for answer in answers {
        assert!(answer.starts_with('{'), "{answer}");
        assert!(serde_json::from_str::<Value>(answer).is_ok(), "{answer}");
    }
}

#[test]
fn a_flood_of_bad_lines_is_survived() {
    let mut node = Node::start(DEFAULTS);
    let mut stdin = node.take_stdin();
    let writer = thread::spawn(move || {
        // Shown to be a stream of envelopes, on which nobody can be told.
        let good = message(SENTINEL) + "\n";
        let flood = good.clone() + &"{\"src\":]\n".repeat(20_000) + &good;
        stdin.write_all(flood.as_bytes()).expect("the node reads");
    });
    for _ in 0..2 {
        assert_eq!(node.recv(), reply(SENTINEL_ANSWER));
    }
    writer.join().expect("everything was written");
    assert_eq!(node.finish().ended_well().stderr.lines().count(), 20_000);
}
