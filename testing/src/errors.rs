//! What the tests of bad input share: sending what the node must refuse or drop, and checking that it repeats
//! nothing of it and serves the next line.

use serde_json::Value;

use crate::{Output, PRELOADED, body, message, replies, reply, run};

/// Stands for a session id in all that follows: it may turn up neither in replies nor on stderr.
pub const SECRET: &str = "5ecret-1d";

/// A good request to follow a bad line.
pub const SENTINEL: &str = r#"{"type":"echo","msg_id":99,"echo":"still here"}"#;
pub const SENTINEL_ANSWER: &str = r#"{"type":"echo_ok","in_reply_to":99,"echo":"still here"}"#;

/// Sends each line and then the sentinel; each must be refused with an error, and the sentinel
/// answered. Returns the bodies of the errors.
pub fn refusals(args: &[&str], lines: &[Vec<u8>]) -> Vec<Value> {
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

/// Sends one line that must be refused with an error, and returns the body of the error.
pub fn refusal(line: impl Into<Vec<u8>>) -> Value {
    refusals(PRELOADED, &[line.into()]).remove(0)
}

/// Checks code, `in_reply_to` and what the text must name.
pub fn assert_error(error: &Value, code: u64, in_reply_to: Option<i64>, named: &[&str]) {
    assert_eq!(error["code"], code, "{error}");
    let in_reply_to = in_reply_to.map(Value::from);
    assert_eq!(error.get("in_reply_to"), in_reply_to.as_ref(), "{error}");
    let text = error["text"].as_str().expect("text is a string");
    for name in named {
        assert!(text.contains(name), "{name} in {text:?}");
    }
}

/// Sends a line as the third one, between others: it must be dropped with one line on stderr that
/// gives its number and nothing of what it holds, and the next line must be served.
pub fn assert_dropped(args: &[&str], line: impl Into<Vec<u8>>) {
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

/// Checks that stderr holds one line, with the number of the line of input that it is about.
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
