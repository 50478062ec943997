//! Every row of the contract's two tables of errors: what is malformed is refused or dropped with
//! the promised code or line, nothing of it is repeated, and the next line is served.

mod common;

use std::io::Write;
use std::thread;

use common::{DEFAULTS, Node, Output, PRELOADED, body, message, replies, reply, run};
use serde::de::IgnoredAny;
use serde_json::Value;

/// Stands for a session id in all that follows: it may turn up neither in replies nor on stderr.
const SECRET: &str = "5ecret-1d";

const SENTINEL: &str = r#"{"type":"echo","msg_id":99,"echo":"still here"}"#;
const SENTINEL_ANSWER: &str = r#"{"type":"echo_ok","in_reply_to":99,"echo":"still here"}"#;

/// Each request with the fields that it requires to be strings of 1 to 256 bytes, and the rest of a
/// good request.
const STRING_FIELDS: &[(&str, &str, &str)] = &[
    ("create_session", "user_id", ""),
    ("validate_session", "session_id", ""),
    ("regenerate_session", "old_session_id", ""),
    ("destroy_session", "session_id", ""),
    ("init", "node_id", r#","node_ids":["n1"]"#),
];

/// What no such field may be, as JSON.
fn wrong_strings() -> Vec<String> {
    let quoted = |text: String| format!(r#""{text}""#);
    vec![
        "null".to_owned(),
        "true".to_owned(),
        "7331".to_owned(),
        format!(r#"["{SECRET}"]"#),
        format!(r#"{{"{SECRET}":"{SECRET}"}}"#),
        r#""""#.to_owned(),
        quoted(format!("{SECRET:x<257}")),
        // The limit is on bytes, not on characters; and on what an escape means, not on its length.
        quoted("é".repeat(129)),
        quoted(r"\u00e9".repeat(129)),
        quoted(format!(r"{SECRET}\ud800")),
        quoted(format!(r"\udc00\ud800{SECRET}")),
    ]
}

/// Sends each line and then the sentinel; each must be refused with an error, and the sentinel
/// answered. Returns the bodies of the errors.
fn refusals(args: &[&str], lines: &[Vec<u8>]) -> Vec<Value> {
    let mut input = lines.join(&b'\n');
    input.extend(format!("\n{}\n", message(SENTINEL)).bytes());
    let mut answers = replies(args, input);
    assert_eq!(answers.pop(), Some(reply(SENTINEL_ANSWER)));
    assert_eq!(answers.len(), lines.len(), "{answers:#?}");
    let errors: Vec<Value> = answers.iter().map(|answer| body(answer)).collect();
    for (error, line) in errors.iter().zip(lines) {
        let line = String::from_utf8_lossy(line);
        assert_eq!(error["type"], "error", "{error} to {line:.200}");
        let text = error["text"].as_str().expect("text is a string");
        assert!(!text.contains(SECRET), "{text}");
        assert!(!text.contains("7331"), "{text}");
    }
    errors
}

fn refusal(line: impl Into<Vec<u8>>) -> Value {
    refusals(PRELOADED, &[line.into()]).remove(0)
}

/// Checks code, `in_reply_to` and what the text must name.
fn assert_error(error: &Value, code: u64, in_reply_to: Option<i64>, named: &[&str]) {
    assert_eq!(error["code"], code, "{error}");
    assert_eq!(
        error.get("in_reply_to").and_then(Value::as_i64),
        in_reply_to,
        "{error}"
    );
    let text = error["text"].as_str().expect("text is a string");
    for name in named {
        assert!(text.contains(name), "{name} in {text:?}");
    }
}

/// Sends a line as the third one, between others: it must be dropped with one line on stderr that
/// gives its number and nothing of what it holds, and the next line must be served.
fn assert_dropped(args: &[&str], line: impl Into<Vec<u8>>) {
    let line = line.into();
    let shown = String::from_utf8_lossy(&line[..line.len().min(200)]).into_owned();
    let sentinel = message(SENTINEL);
    let mut input = format!("\n{sentinel}\n").into_bytes();
    input.extend(&line);
    input.extend(format!("\n{sentinel}\n").bytes());
    let output = run(args, input).ended_well();
    let answer = reply(SENTINEL_ANSWER);
    assert_eq!(output.lines(), [&answer, &answer], "after {shown}");
    assert_complaint(&output, 3, &shown);
}

fn assert_complaint(output: &Output, number: usize, shown: &str) {
    let stderr = &output.stderr;
    assert_eq!(stderr.lines().count(), 1, "{stderr} about {shown}");
    assert!(
        stderr.contains(&format!("line {number}")),
        "{stderr} about {shown}"
    );
    for part in [SECRET, "7331", "c1", "n1"] {
        assert!(!stderr.contains(part), "{stderr} about {shown}");
    }
}

#[test]
fn a_required_string_that_is_missing_or_wrong_or_repeated_is_malformed() {
    for (request, field, rest) in STRING_FIELDS {
        let with = |fields: &str| {
            message(format!(
                r#"{{"type":"{request}","msg_id":4{rest}{fields}}}"#
            ))
            .into_bytes()
        };
        let mut lines = vec![
            with(""),
            with(&format!(r#","{field}":"a","{field}":"a""#)),
            with(&format!(r#","{field}":null,"{field}":"{SECRET}""#)),
            // The same name, spelled in another way.
            with(&format!(
                r#","{field}":"a","\u00{:x}{}":"a""#,
                field.as_bytes()[0],
                &field[1..]
            )),
        ];
        lines.extend(
            wrong_strings()
                .iter()
                .map(|value| with(&format!(r#","{field}":{value}"#))),
        );
        for error in refusals(PRELOADED, &lines) {
            assert_error(
                &error,
                12,
                Some(4),
                &[request, field, "must be", "1 to 256 bytes"],
            );
        }
    }
}

#[test]
fn a_required_string_may_have_256_bytes() {
    for (request, field, rest) in STRING_FIELDS {
        for value in [
            "a".repeat(256),
            "é".repeat(128),
            r"\u00e9".repeat(128),
            "x".to_owned(),
        ] {
            let line = format!(r#"{{"type":"{request}","{field}":"{value}"{rest}}}"#);
            let answers = replies(DEFAULTS, line);
            assert_ne!(body(&answers[0])["type"], "error", "{answers:?}");
        }
    }
}

#[test]
fn a_field_that_another_request_knows_may_be_anything() {
    let extra = r#""node_ids":1,"user_id":2,"user_id":3,"old_session_id":null,"echo":0,"echo":0"#;
    let request = format!(r#"{{"type":"validate_session","session_id":"abc123",{extra}}}"#);
    let answers = replies(PRELOADED, request);
    assert_eq!(body(&answers[0])["type"], "session_valid");
}

#[test]
fn the_node_ids_of_init_must_be_an_array_of_strings() {
    let fields = [
        "",
        r#","node_ids":null"#,
        r#","node_ids":"n1""#,
        r#","node_ids":{"n1":"n1"}"#,
        r#","node_ids":["n1",7331]"#,
        r#","node_ids":["n1",["n1"]]"#,
        r#","node_ids":["n1"],"node_ids":["n1"]"#,
    ];
    let lines = fields.map(|fields| {
        message(format!(
            r#"{{"type":"init","msg_id":4,"node_id":"n1"{fields}}}"#
        ))
        .into_bytes()
    });
    for error in refusals(DEFAULTS, &lines) {
        assert_error(&error, 12, Some(4), &["init", "node_ids", "must be"]);
    }
}

#[test]
fn an_echo_needs_an_echo_given_once() {
    for fields in ["", r#","echo":1,"echo":1"#] {
        let error = refusal(message(format!(r#"{{"type":"echo","msg_id":4{fields}}}"#)));
        assert_error(&error, 12, Some(4), &["echo", "must be"]);
    }
}

#[test]
fn a_msg_id_that_is_no_integer_is_malformed_and_not_replied_to() {
    let values = [
        "1.0",
        "1e3",
        "-1.0",
        r#""1""#,
        "true",
        "null",
        "[1]",
        "{}",
        "18446744073709551616",
        "-9223372036854775809",
        r#"7331,"msg_id":7331"#,
        r#"1,"msg_id":null"#,
    ];
    for (request, field) in [("destroy_session", "session_id"), ("echo", "echo")] {
        let lines = values.map(|value| {
            message(format!(
                r#"{{"type":"{request}","{field}":"abc123","msg_id":{value}}}"#
            ))
            .into_bytes()
        });
        for error in refusals(PRELOADED, &lines) {
            assert_error(&error, 12, None, &[request, "msg_id", "must be", "integer"]);
        }
    }
}

#[test]
fn a_malformed_request_has_no_effect() {
    let destroy = r#""type":"destroy_session","session_id":"abc123""#;
    let input = [
        message(format!(r#"{{{destroy},"msg_id":"1"}}"#)),
        message(format!(r#"{{{destroy},"session_id":"abc123"}}"#)),
        message(format!("{{{destroy}}}")).replace(r#""body""#, r#""body":{},"body""#),
        message(r#"{"type":"validate_session","session_id":"abc123"}"#),
    ];
    let answers = replies(PRELOADED, input.join("\n"));
    let kinds: Vec<Value> = answers
        .iter()
        .map(|answer| body(answer)["type"].clone())
        .collect();
    assert_eq!(kinds, ["error", "error", "error", "session_valid"]);
}

#[test]
fn an_unknown_type_is_not_supported() {
    for kind in [
        "no_such_request",
        SECRET,
        "Echo",
        "echo_ok",
        " echo",
        r"echo\u0000",
    ] {
        let error = refusal(message(format!(
            r#"{{"type":"{kind}","msg_id":4,"echo":"{SECRET}"}}"#
        )));
        assert_error(&error, 10, Some(4), &["type"]);
        let text = error["text"].as_str().expect("text is a string");
        assert!(!text.contains("no_such_request"), "{text}");
    }
}

#[test]
fn a_type_that_is_missing_or_wrong_or_repeated_is_malformed() {
    let types = [
        r#""x":1"#,
        r#""type":null"#,
        r#""type":7331"#,
        r#""type":["echo"]"#,
        r#""type":{}"#,
        r#""type":"echo","type":"echo""#,
    ];
    for fields in types {
        let request = format!(r#"{{{fields},"msg_id":4,"echo":"{SECRET}"}}"#);
        assert_error(
            &refusal(message(request)),
            12,
            Some(4),
            &["type", "must be"],
        );
    }
}

#[test]
fn a_body_that_is_no_object_or_missing_or_repeated_is_malformed() {
    let secret = format!(r#""{SECRET}""#);
    for value in [
        "null",
        "7331",
        "true",
        "[]",
        r#"[{"type":"echo"}]"#,
        &secret,
    ] {
        assert_error(&refusal(message(value)), 12, None, &["body", "must be"]);
    }
    let once = message(SENTINEL);
    for line in [
        r#"{"src":"c1","dest":"n1"}"#.to_owned(),
        r#"{"src":"c1","dest":"n1","msg_id":1}"#.to_owned(),
        once.replace(r#""body""#, r#""body":{},"body""#),
        once.replace(r#""body""#, r#""body":7,"body""#),
    ] {
        let error = refusal(line);
        assert_eq!(error["code"], 12, "{error}");
        let text = error["text"].as_str().expect("text is a string");
        assert!(text.contains("body must be"), "{text}");
    }
}

#[test]
fn a_create_beyond_the_limit_is_refused_until_there_is_room() {
    let mut node = Node::start(&["--max-sessions", "2", "--preload", "abc123=user123"]);
    let create = r#"{"type":"create_session","msg_id":4,"user_id":"5ecret-1d"}"#;
    assert_eq!(node.ask(create)["type"], "session_created");
    for _ in 0..2 {
        let error = node.ask(create);
        assert_error(
            &error,
            11,
            Some(4),
            &["create_session", "2", "--max-sessions"],
        );
        assert!(!error.to_string().contains(SECRET), "{error}");
    }
    // A regeneration needs no room of its own.
    let regenerated = node.ask(r#"{"type":"regenerate_session","old_session_id":"abc123"}"#);
    assert_eq!(regenerated["type"], "session_regenerated");
    let id = &regenerated["new_session_id"];
    let destroyed = node.ask(format!(r#"{{"type":"destroy_session","session_id":{id}}}"#));
    assert_eq!(destroyed["type"], "session_destroyed");
    assert_eq!(node.ask(create)["type"], "session_created");
    assert_eq!(node.ask(create)["code"], 11);
    assert_eq!(node.finish().ended_well().stderr, "");
}

#[test]
fn a_line_that_is_not_json_is_dropped() {
    let good = message(format!(r#"{{"type":"echo","echo":"{SECRET}"}}"#));
    for line in [
        SECRET.to_owned(),
        "{".to_owned(),
        good[..good.len() - 1].to_owned(),
        good[..good.len() - 4].to_owned(),
        format!("{good} {SECRET}"),
        format!("{good}{good}"),
        format!("{good},"),
        format!("[{good}"),
        good.replace('"', "'"),
        good.replace('}', ",}"),
        good.replace(':', " "),
        good.replace("\"5ecret", "\"\\x5ecret"),
        good.replace("\"5ecret", "\"\\u12"),
        format!(r#"{{"src":"c1","dest":"n1","body":"{SECRET}""#),
        format!(r#"{{"src":"c1","dest":"n1","body":"{SECRET}"}}}}"#),
        format!(r#"{{"src":"c1","dest":"n1","body":7331,"{SECRET}"}}"#),
        message(format!(r#"{{"type":"echo","echo":{SECRET}}}"#)),
        message(r#"{"type":"echo","echo":07331}"#),
        message(r#"{"type":"echo","echo":NaN}"#),
        message(r#"{"type":"echo","echo":+7331}"#),
        message(r#"{"type":"echo","echo":.7331}"#),
        message(r#"{"type":"echo","echo":[1,]}"#),
    ] {
        assert_dropped(DEFAULTS, line);
    }
}

#[test]
fn a_line_from_which_no_sender_can_be_read_is_dropped() {
    let secret = format!(r#"{{"type":"validate_session","msg_id":1,"session_id":"{SECRET}"}}"#);
    for line in [
        "{}".to_owned(),
        "[]".to_owned(),
        "7331".to_owned(),
        "null".to_owned(),
        format!(r#""{SECRET}""#),
        format!("[{secret}]"),
        format!(r#"{{"body":{secret}}}"#),
        format!(r#"{{"src":"c1","body":{secret}}}"#),
        format!(r#"{{"dest":"n1","body":{secret}}}"#),
        format!(r#"{{"src":7331,"dest":"n1","body":{secret}}}"#),
        format!(r#"{{"src":"c1","dest":null,"body":{secret}}}"#),
        format!(r#"{{"src":["{SECRET}"],"dest":"n1","body":{secret}}}"#),
        format!(r#"{{"src":"c1","src":"c1","dest":"n1","body":{secret}}}"#),
        format!(r#"{{"src":"c1","dest":"n1","dest":"n1","body":{secret}}}"#),
    ] {
        assert_dropped(DEFAULTS, line);
    }
    let mut broken = b"{\"src\":\"c\xff\",\"dest\":\"n1\",\"body\":".to_vec();
    broken.extend(format!("{secret}}}").bytes());
    assert_dropped(DEFAULTS, broken);
}

/// An echo request of exactly this many bytes.
fn echo_of(line_bytes: usize) -> String {
    let around = message(r#"{"type":"echo","echo":""}"#).len();
    let padding = "x".repeat(line_bytes - around);
    message(format!(r#"{{"type":"echo","echo":"{padding}"}}"#))
}

#[test]
fn a_line_of_the_greatest_length_is_served_and_a_longer_one_dropped() {
    const LIMIT: usize = 5000;
    let args = &["--max-line-bytes", "5000"];
    for ending in ["\n", "\r\n", ""] {
        let answers = replies(args, echo_of(LIMIT) + ending);
        assert_eq!(answers.len(), 1, "{ending:?}");
        assert_eq!(body(&answers[0])["type"], "echo_ok");
        // Also as the last line of all.
        let output = run(args, echo_of(LIMIT + 1) + ending).ended_well();
        assert_eq!(output.lines(), [""; 0], "{ending:?}");
        assert_complaint(&output, 1, ending);
    }
    assert_dropped(args, echo_of(LIMIT + 1) + "\r");
}

#[test]
fn a_line_is_dropped_wherever_the_reads_happen_to_cut_it() {
    // Around the sizes of a pipe and of one read, where the end of the line falls on an edge.
    for power in [4096, 65_536, 131_072, 1_048_576] {
        for length in [power - 2, power - 1, power, power + 1, power * 3] {
            assert_dropped(
                &["--max-line-bytes", "2000"],
                echo_of(length).replace("xxxxxxxxx", SECRET),
            );
        }
    }
}

#[test]
fn the_greatest_length_is_a_mebibyte_unless_told_otherwise() {
    assert_eq!(replies(DEFAULTS, echo_of(1_048_576)).len(), 1);
    assert_dropped(DEFAULTS, echo_of(1_048_577));
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
    assert_eq!(node.recv(), reply(SENTINEL_ANSWER));
    let peak = node.peak_memory_kib();
    assert!(peak < 64 * 1024, "{peak} KiB");
    assert_complaint(&node.finish().ended_well(), 1, "200 MiB");
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
        assert_dropped(args, &deep[..deep.len() / 2]);
        assert_dropped(args, message(&deep[..deep.len() / 2]));
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
        // Not `Value`: an echo may hold what is JSON but no text.
        assert!(
            serde_json::from_str::<IgnoredAny>(answer).is_ok(),
            "{answer}"
        );
    }
}

#[test]
fn a_flood_of_bad_lines_is_survived() {
    let mut node = Node::start(DEFAULTS);
    let mut stdin = node.take_stdin();
    let writer = thread::spawn(move || {
        let flood = "{\"src\":\n".repeat(20_000) + &message(SENTINEL) + "\n";
        stdin.write_all(flood.as_bytes()).expect("the node reads");
    });
    assert_eq!(node.recv(), reply(SENTINEL_ANSWER));
    writer.join().expect("everything was written");
    assert_eq!(node.finish().ended_well().stderr.lines().count(), 20_000);
}
