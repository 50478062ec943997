//! Messages that stand on several lines, as a person pastes them or a program prints them prettily.

use serde_json::{Value, json};
use session_node_testing::errors::{SENTINEL, SENTINEL_ANSWER};
use session_node_testing::{DEFAULTS, Node, PRELOADED, message, needs, reply, run};

/// One message in as many lines as it has tokens.
const TOKENS: &[&str] = &[
    "{",
    r#""src""#,
    ":",
    r#""c1""#,
    ",",
    r#""dest""#,
    ":",
    r#""n1""#,
    ",",
    r#""body""#,
    ":",
    "{",
    r#""type""#,
    ":",
    r#""echo""#,
    ",",
    r#""msg_id""#,
    ":",
    "7",
    ",",
    r#""echo""#,
    ":",
    "[",
    "{",
    r#""a\"b\n""#,
    ":",
    "-1.5e3",
    "}",
    ",",
    "[",
    "]",
    ",",
    "{",
    "}",
    ",",
    "null",
    ",",
    "true",
    ",",
    r#""é""#,
    "]",
    "}",
    "}",
];

fn answer() -> String {
    let echo = r#"[{"a\"b\n":-1.5e3},[],{},null,true,"é"]"#;
    reply(format!(
        r#"{{"type":"echo_ok","in_reply_to":7,"echo":{echo}}}"#
    ))
}

fn lines(output: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(output).expect("UTF-8");
    text.lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

/// What a node answers to an input that gives it nothing to warn of.
#[track_caller]
fn answers(input: impl Into<Vec<u8>>) -> Vec<Value> {
    let output = run(PRELOADED, input).ended_well();
    assert_eq!(output.stderr, "");
    lines(&output.stdout)
}

fn faulty(msg_id: Option<u64>, text: &str) -> Value {
    let mut error = json!({"type": "error", "code": 12, "text": text});
    if let Some(msg_id) = msg_id {
        error["in_reply_to"] = msg_id.into();
    }
    error
}

fn stats() -> &'static str {
    r#"{"type":"stats","msg_id":1}"#
}

#[track_caller]
fn assert_stats(answer: &Value) {
    assert_eq!(
        (&answer["type"], &answer["in_reply_to"]),
        (&json!("stats"), &json!(1))
    );
}

#[test]
fn a_line_may_end_between_any_two_tokens() {
    for ending in ["\n", "\r\n", "\n\n \t\n"] {
        assert_eq!(
            run(DEFAULTS, TOKENS.join(ending)).ended_well().lines(),
            [answer()]
        );
    }
    for cut in 1..TOKENS.len() {
        let (first, rest) = TOKENS.split_at(cut);
        let input = format!("{}\n{}\n", first.concat(), rest.concat());
        assert_eq!(
            run(DEFAULTS, input).ended_well().lines(),
            [answer()],
            "{cut}"
        );
    }
}

#[test]
fn the_reply_leaves_as_soon_as_the_object_is_whole() {
    let mut node = Node::start(PRELOADED);
    for _ in 0..3 {
        for token in TOKENS {
            node.write(token);
            node.write("\n");
        }
        assert_eq!(node.recv(), answer());
    }
    assert_eq!(node.finish().ended_well().lines(), [""; 0]);
}

#[test]
fn a_message_is_read_wherever_reads_happen_to_cut_it() {
    let pretty = serde_json::to_string_pretty(&json!({
        "src": "c1", "dest": "n1", "body": {"type": "validate_session", "msg_id": 1, "session_id": "abc123"},
    }));
    let pretty = pretty.expect("JSON") + "\n";
    let mut node = Node::start(PRELOADED);
    for cut in 1..pretty.len() {
        node.write(&pretty[..cut]);
        // The node has read the first piece when it answers what follows on it.
        std::thread::sleep(std::time::Duration::from_millis(1));
        node.write(&pretty[cut..]);
        let valid =
            r#"{"type":"session_valid","in_reply_to":1,"user_id":"user123","expires_in":3600}"#;
        assert_eq!(node.recv(), reply(valid), "{cut}");
    }
}

#[test]
fn bare_bodies_may_stand_on_several_lines_too() {
    let replies = answers("{\n\"type\":\"validate_session\",\n\"session_id\":\n\"abc123\"\n}\n");
    assert_eq!(
        replies,
        [json!({"type": "session_valid", "user_id": "user123", "expires_in": 3600})]
    );
}

#[test]
fn messages_on_one_line_and_on_several_may_follow_each_other() {
    let one = message(SENTINEL);
    let several = TOKENS.join("\n");
    let input = [&*one, &*several, &*several, &*one, &*one, &*several].join("\n");
    let (one, several) = (reply(SENTINEL_ANSWER), answer());
    let expected = [&one, &several, &several, &one, &one, &several];
    assert_eq!(run(DEFAULTS, input).ended_well().lines(), expected);
}

#[test]
fn a_whole_message_on_a_line_begins_anew_and_what_had_begun_is_faulty() {
    let told = "line 1: not JSON: EOF while parsing";
    for (begun, msg_id, why) in [
        ("{", None, "an object at byte 1 of the line"),
        (
            r#"{"type":"echo","msg_id":7,"echo":"#,
            Some(7),
            "a value at byte 33 of the line",
        ),
        (
            r#"{"type":"echo","msg_id":7,"echo":["#,
            Some(7),
            "a list at byte 34 of the line",
        ),
        (
            r#"{"type":"echo","msg_id":7"#,
            Some(7),
            "an object at byte 25 of the line",
        ),
        (
            "{\"type\":\"echo\",\n\"msg_id\":7,\n",
            Some(7),
            "an object at byte 11 of line 2",
        ),
    ] {
        let replies = answers(format!("{begun}\n{}\n", stats()));
        assert_eq!(replies.len(), 2, "{begun}");
        assert_eq!(
            replies[0],
            faulty(msg_id, &format!("{told} {why}")),
            "{begun}"
        );
        assert_stats(&replies[1]);
    }
}

#[test]
fn the_sender_of_what_is_given_up_is_told() {
    let begun = r#"{"src":"c1","dest":"n1","body":{"type":"echo","msg_id":7,"#;
    let input = format!("{begun}\n{}\n", message(SENTINEL));
    let output = run(DEFAULTS, input).ended_well();
    let byte = begun.len();
    let text = format!("line 1: not JSON: EOF while parsing an object at byte {byte} of the line");
    let error = format!(r#"{{"type":"error","in_reply_to":7,"code":12,"text":"{text}"}}"#);
    assert_eq!(output.lines(), [reply(error), reply(SENTINEL_ANSWER)]);
}

#[test]
fn a_line_that_breaks_the_grammar_is_faulty_at_once_and_read_by_itself() {
    let mut node = Node::start(DEFAULTS);
    node.send("{\"type\":\"echo\",\"msg_id\":7,");
    node.send("nonsense");
    let error: Value = serde_json::from_str(&node.recv()).expect("JSON");
    assert_eq!(
        error,
        faulty(
            Some(7),
            "line 1: not JSON: key must be a string at byte 1 of line 2"
        )
    );
    let error: Value = serde_json::from_str(&node.recv()).expect("JSON");
    assert_eq!(
        error,
        faulty(
            None,
            "line 2: not JSON: expected ident at byte 2 of the line"
        )
    );
    // A line that cannot go on with one message may begin another.
    node.send("{\n{\"type\":\"echo\",\n\"echo\":1}");
    let error: Value = serde_json::from_str(&node.recv()).expect("JSON");
    assert_eq!(
        error,
        faulty(
            None,
            "line 3: not JSON: key must be a string at byte 1 of line 4"
        )
    );
    assert_eq!(node.recv(), r#"{"type":"echo_ok","echo":1}"#);
    // And so may one behind whose object something else stands.
    node.send("{\"type\":\"stats\"\n} x");
    for place in [
        "line 6: not JSON: trailing characters at byte 3 of line 7",
        "line 7: not JSON: expected value at byte 1 of the line",
    ] {
        let error: Value = serde_json::from_str(&node.recv()).expect("JSON");
        assert_eq!(error, faulty(None, place));
    }
}

#[test]
fn a_line_that_ends_within_a_token_is_faulty_at_once() {
    let mut node = Node::start(DEFAULTS);
    for (number, line) in [
        r#"{"type":"echo","echo":"a"#,
        r#"{"type":"ec"#,
        r#"{"type":tru"#,
        r#"{"type":-"#,
    ]
    .iter()
    .enumerate()
    {
        node.send(line);
        let error: Value = serde_json::from_str(&node.recv()).expect("JSON");
        let text = error["text"].as_str().expect("a text");
        assert!(
            text.starts_with(&format!("line {}: not JSON: ", number + 1)),
            "{text}"
        );
    }
}

#[test]
fn what_had_begun_when_the_input_ends_is_faulty() {
    for (begun, why) in [
        (
            "{\"type\":\"stats\"",
            "line 1: not JSON: EOF while parsing an object at byte 15 of the line",
        ),
        (
            "\n{\"type\":\n\n",
            "line 2: not JSON: EOF while parsing a value at byte 8 of the line",
        ),
        (
            "{\n\"a\":[\n",
            "line 1: not JSON: EOF while parsing a list at byte 5 of line 2",
        ),
    ] {
        assert_eq!(answers(begun), [faulty(None, why)], "{begun}");
    }
}

#[test]
fn an_object_without_body_or_type_goes_on_with_what_has_begun() {
    let input = "{\"type\":\"echo\",\"echo\":\n{\"a\":1}\n}\n";
    assert_eq!(
        answers(input),
        [json!({"type": "echo_ok", "echo": {"a": 1}})]
    );
    let input = "{\"type\":\"echo\",\"echo\":[\n{\"type\":1},\n{\"body\":2},\n{\"a\":3}\n]}\n";
    let echo = json!([{"type": 1}, {"body": 2}, {"a": 3}]);
    assert_eq!(answers(input), [json!({"type": "echo_ok", "echo": echo})]);
}

#[test]
fn bytes_that_are_no_text_are_placed_on_their_line() {
    let input = b"{\"type\":\"echo\",\n\"msg_id\":7,\n\"echo\":\"a\xff\"\n}\n".to_vec();
    let text =
        "line 1: every string must be UTF-8, without NUL bytes: it is not at byte 10 of line 3";
    assert_eq!(answers(input), [faulty(Some(7), text)]);
}

#[test]
fn the_longest_message_is_as_long_as_the_longest_line() {
    let args = &["--max-line-bytes", "100"];
    let text = "line 1: longer than 100 bytes, which is the limit of a message";
    let padded = |length: usize| {
        let around = "{\"type\":\n\"echo\",\r\n\"msg_id\":7,\"echo\":\n\"\"}";
        around.replace(
            "\"\"",
            &format!("\"{}\"", "x".repeat(length - around.len())),
        )
    };
    let told = |input: String| lines(&run(args, input).ended_well().stdout);
    for ending in ["\n", "\r\n", ""] {
        assert_eq!(told(padded(100) + ending)[0]["type"], "echo_ok");
    }
    // The line that makes it too long is read by itself, and here is faulty, too.
    let answers = told(padded(101) + "\n" + stats());
    assert_eq!(answers[0], faulty(Some(7), text));
    assert_eq!(answers[1]["code"], 12);
    assert_stats(&answers[2]);
    // Many short lines, and one that is too long by itself.
    let answers = told(
        "{\"type\":\"echo\",\"msg_id\":7,\"echo\":[\n".to_owned()
            + &"1,\n".repeat(40)
            + "1]}\n"
            + stats(),
    );
    assert_eq!(answers[0], faulty(Some(7), text));
    assert_stats(answers.last().expect("a reply"));
    let answers = told(format!(
        "{{\"type\":\"stats\",\n\"x\":\"{}\"\n{}",
        "y".repeat(300_000),
        stats()
    ));
    assert_eq!(answers[0], faulty(None, text));
    assert_eq!(answers[1], faulty(None, &text.replace("line 1", "line 2")));
    assert_stats(&answers[2]);
}

/// To look at all of a message again at each of its lines would take hours.
#[cfg(target_os = "linux")]
#[test]
fn a_message_of_three_hundred_thousand_lines_is_read_once_and_in_little_memory() {
    let begun = "{\"type\":\"echo\",\"msg_id\":7,\"echo\":[\n";
    let some_lines = "1,\n".repeat(1000);
    let mut node = Node::start(PRELOADED);
    node.write(begun);
    for _ in 0..340 {
        node.write(&some_lines);
    }
    node.write("1]}\n");
    let echo: Value = serde_json::from_str(&node.recv()).expect("JSON");
    assert_eq!(echo["echo"].as_array().map(Vec::len), Some(340_001));

    // Ten thousand more are too long, which shows where they are read.
    node.write(begun);
    for _ in 0..350 {
        node.write(&some_lines);
    }
    let error: Value = serde_json::from_str(&node.recv()).expect("JSON");
    let text = "line 340003: longer than 1048576 bytes, which is the limit of a message";
    assert_eq!(error, faulty(Some(7), text));
    let peak = node.peak_memory_kib();
    assert!(peak < 20 * 1024, "{peak} KiB");
}

#[test]
fn a_pasted_sample_is_answered_on_a_terminal() {
    needs!(SCRIPT);
    let sample = include_str!("fixtures/course-both-printed.input.jsonl");
    let node = env!("CARGO_BIN_EXE_session-node");
    let command = format!("{node} --preload abc123=user123");
    let child = std::process::Command::new("script")
        .args(["-qefc", &command, "/dev/null"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn();
    let mut child = child.expect("script runs");
    let mut stdin = child.stdin.take().expect("a pipe");
    // 0x04 is Ctrl-D, which ends the input.
    std::io::Write::write_all(&mut stdin, &[sample.as_bytes(), b"\x04"].concat()).expect("typed");
    let output = child.wait_with_output().expect("script ends");
    drop(stdin);
    let screen = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        screen.contains(
            r#"{"src":"session","dest":"auth","body":{"type":"session_created","in_reply_to":1"#
        ),
        "{screen}"
    );
    assert!(
        screen.contains(
            r#"{"src":"session","dest":"api","body":{"type":"session_valid","in_reply_to":1"#
        ),
        "{screen}"
    );
    assert!(
        !screen.contains("error") && !screen.contains("WARN"),
        "{screen}"
    );
}
