//! Faulty messages, each answered exactly once: to its sender where that can be read before the fault, else with a bare
//! error where the peer speaks bare bodies, else with one line on stderr.

mod faults;

use faults::{FAULTS, Fault, NO_TEXT};
use serde_json::{Value, json};
use session_node_testing::errors::{SENTINEL, SENTINEL_ANSWER};
use session_node_testing::{DEFAULTS, message, reply, run};

/// Lines that are no object, or that have no fields to speak of, with what is said of them.
const LINES: &[(&[u8], &str)] = &[
    (
        b"nonsense",
        "not JSON: expected ident at byte 2 of the line",
    ),
    (
        b"\xff\xfe",
        "not JSON: expected value at byte 1 of the line",
    ),
    (b"\0", "not JSON: expected value at byte 1 of the line"),
    (
        b"[1,",
        "not JSON: EOF while parsing a value at byte 3 of the line",
    ),
    (
        b"1 2",
        "not JSON: trailing characters at byte 3 of the line",
    ),
    (
        b"true x",
        "not JSON: trailing characters at byte 6 of the line",
    ),
    (
        b"\"x\" garbage",
        "not JSON: trailing characters at byte 5 of the line",
    ),
    (
        b"{} {}",
        "not JSON: trailing characters at byte 4 of the line",
    ),
    (b"}", "not JSON: expected value at byte 1 of the line"),
    (b"[]", "not a message: expected a JSON object"),
    (b"7331", "not a message: expected a JSON object"),
    (b"null", "not a message: expected a JSON object"),
    (b"1e999", "not a message: expected a JSON object"),
    (
        b"[{\"type\":\"stats\"}]",
        "not a message: expected a JSON object",
    ),
    (b"\"5ecret\"", "not a message: expected a JSON object"),
    (b"{}", NEITHER),
    (b"{\"echo\":1}", NEITHER),
    (b"{\"src\":\"c1\"}", NEITHER),
];

const NEITHER: &str = "neither a message nor a bare body: expected \"src\" and \"dest\", each a string given once, or \
                       a \"type\" and no \"body\"";

/// Messages that can be read, but not as to who sent them.
const WITHOUT_SENDER: &[&str] = &[
    r#"{"body":BODY}"#,
    r#"{"src":"c1","body":BODY}"#,
    r#"{"dest":"n1","body":BODY}"#,
    r#"{"src":7331,"dest":"n1","body":BODY}"#,
    r#"{"src":"c1","dest":null,"body":BODY}"#,
    r#"{"src":["5ecret"],"dest":"n1","body":BODY}"#,
    r#"{"src":"c1","src":"c1","dest":"n1","body":BODY}"#,
    r#"{"src":"c1","dest":"n1","dest":"n1","body":BODY}"#,
    // A lone surrogate is no text that every parser of the reply could read.
    r#"{"src":"\ud800","dest":"n1","body":BODY}"#,
    r#"{"src":"c1","dest":"\udc00\ud800","body":BODY}"#,
];

const BODY: &str = r#"{"type":"stats","msg_id":7}"#;

fn error(msg_id: Option<u64>, text: &str) -> String {
    let text = Value::from(text);
    let in_reply_to = msg_id.map_or_else(String::new, |id| format!(r#""in_reply_to":{id},"#));
    format!(r#"{{"type":"error",{in_reply_to}"code":12,"text":{text}}}"#)
}

/// Runs a node on these lines. Of each, the expected reply, or what is on stderr where nobody is told.
#[track_caller]
fn assert_told(args: &[&str], exchanges: &[(Vec<u8>, Result<String, String>)]) {
    let lines: Vec<&[u8]> = exchanges.iter().map(|(line, _)| line.as_slice()).collect();
    let output = run(args, lines.join(&b'\n')).ended_well();
    let expected: Vec<&str> = exchanges
        .iter()
        .flat_map(|(_, told)| told.as_deref())
        .collect();
    for (reply, expected) in output.lines().iter().zip(&expected) {
        assert_eq!(reply, expected);
    }
    assert_eq!(output.lines().len(), expected.len());
    let warned: Vec<String> = exchanges
        .iter()
        .filter_map(|(_, told)| told.as_ref().err())
        .map(|text| format!(" WARN {text}"))
        .collect();
    for (line, expected) in output.stderr.lines().zip(&warned) {
        assert_eq!(line, expected);
    }
    assert_eq!(output.stderr.lines().count(), warned.len());
}

type Exchanges = Vec<(Vec<u8>, Result<String, String>)>;

/// The faults of the table, with the line that each makes of its fields, behind a line that can be read. `told` makes
/// the expected reply, or the line on stderr, of the text and the fault.
fn exchanges(
    first: (&str, &str),
    around: (&str, &str),
    told: impl Fn(String, &Fault) -> Result<String, String>,
) -> Exchanges {
    let mut exchanges = vec![(first.0.as_bytes().to_vec(), Ok(first.1.to_owned()))];
    for (index, fault) in FAULTS.iter().enumerate() {
        let line = [around.0.as_bytes(), fault.fields, around.1.as_bytes()].concat();
        let (number, byte) = (index + 2, around.0.len() + fault.byte);
        let text = format!("line {number}: {} at byte {byte} of the line", fault.why);
        exchanges.push((line, told(text, fault)));
    }
    exchanges
}

/// A good line that shows a stream to be one of envelopes, and its answer.
fn envelope() -> (String, String) {
    (message(SENTINEL), reply(SENTINEL_ANSWER))
}

const BARE: (&str, &str) = (r#"{"type":"echo","msg_id":7,"#, "}");
const SENDER_BEFORE: (&str, &str) = (
    r#"{"src":"c1","dest":"n1","body":{"type":"echo","msg_id":7,"#,
    "}}",
);
const SENDER_BEHIND: (&str, &str) = (
    r#"{"body":{"type":"echo","msg_id":7,"#,
    r#"},"src":"c1","dest":"n1"}"#,
);

#[test]
fn there_are_at_least_forty_faults() {
    assert!(FAULTS.len() >= 40, "{}", FAULTS.len());
}

#[test]
fn a_sender_who_stands_before_the_fault_is_told_on_any_stream() {
    let to_sender = |text: String, _: &Fault| Ok(reply(error(Some(7), &text)));
    let (good, answer) = envelope();
    for first in [
        (good.as_str(), answer.as_str()),
        (SENTINEL, SENTINEL_ANSWER),
    ] {
        assert_told(DEFAULTS, &exchanges(first, SENDER_BEFORE, to_sender));
    }
}

#[test]
fn a_sender_behind_the_fault_is_told_with_a_bare_error_on_a_bare_stream_alone() {
    // Of a message that is JSON but for bytes that are no text, the sender can be read all the same.
    let is_readable = |fault: &Fault| fault.why == NO_TEXT && !fault.fields.ends_with(b"NaN");
    let (good, answer) = envelope();
    let behind = exchanges((&good, &answer), SENDER_BEHIND, |text, fault| {
        if is_readable(fault) {
            Ok(reply(error(Some(7), &text)))
        } else {
            Err(text)
        }
    });
    assert_told(DEFAULTS, &behind);
    let behind = exchanges((SENTINEL, SENTINEL_ANSWER), SENDER_BEHIND, |text, fault| {
        let error = error(Some(7), &text);
        Ok(if is_readable(fault) {
            reply(error)
        } else {
            error
        })
    });
    assert_told(DEFAULTS, &behind);
}

#[test]
fn a_faulty_bare_body_is_told_on_a_bare_stream() {
    let bare = |text: String, _: &Fault| Ok(error(Some(7), &text));
    assert_told(
        DEFAULTS,
        &exchanges((SENTINEL, SENTINEL_ANSWER), BARE, bare),
    );
}

#[test]
fn a_faulty_bare_body_on_a_stream_of_envelopes_is_told_nobody() {
    let (good, answer) = envelope();
    let nobody = |text: String, _: &Fault| Err(text);
    assert_told(DEFAULTS, &exchanges((&good, &answer), BARE, nobody));
}

#[test]
fn with_replies_as_bodies_every_fault_is_told_with_a_bare_error() {
    let bare = |text: String, _: &Fault| Ok(error(Some(7), &text));
    let args = &["--reply-format", "body"];
    let first = message(SENTINEL);
    for around in [BARE, SENDER_BEFORE, SENDER_BEHIND] {
        assert_told(args, &exchanges((&first, SENTINEL_ANSWER), around, bare));
    }
}

#[test]
fn before_anything_could_be_read_a_stream_is_taken_for_a_bare_one() {
    let lines = LINES.iter().enumerate().map(|(index, (line, why))| {
        let text = format!("line {}: {why}", index + 1);
        (line.to_vec(), Ok(error(None, &text)))
    });
    assert_told(DEFAULTS, &lines.collect::<Vec<_>>());
}

#[test]
fn what_is_no_object_is_told_on_a_bare_stream_and_nobody_on_one_of_envelopes() {
    let (good, answer) = envelope();
    for (first, is_bare) in [
        ((SENTINEL, SENTINEL_ANSWER), true),
        ((&*good, &*answer), false),
    ] {
        let mut exchanges = vec![(first.0.as_bytes().to_vec(), Ok(first.1.to_owned()))];
        for (index, (line, why)) in LINES.iter().enumerate() {
            let text = format!("line {}: {why}", index + 2);
            let told = if is_bare {
                Ok(error(None, &text))
            } else {
                Err(text)
            };
            exchanges.push((line.to_vec(), told));
        }
        assert_told(DEFAULTS, &exchanges);
    }
}

#[test]
fn a_message_without_a_sender_is_told_with_its_number_on_a_bare_stream_alone() {
    let (good, answer) = envelope();
    for (first, is_bare) in [
        ((SENTINEL, SENTINEL_ANSWER), true),
        ((&*good, &*answer), false),
    ] {
        let mut exchanges = vec![(first.0.as_bytes().to_vec(), Ok(first.1.to_owned()))];
        for (index, line) in WITHOUT_SENDER.iter().enumerate() {
            let text = format!("line {}: {NEITHER}", index + 2);
            let told = if is_bare {
                Ok(error(Some(7), &text))
            } else {
                Err(text)
            };
            exchanges.push((line.replace("BODY", BODY).into_bytes(), told));
        }
        assert_told(DEFAULTS, &exchanges);
    }
}

#[test]
fn a_name_that_is_no_text_leads_to_nobody() {
    let (good, answer) = envelope();
    let body = r#","body":{"type":"stats","msg_id":7}}"#;
    for names in [
        &b"\"src\":\"c\xff\",\"dest\":\"n1\""[..],
        b"\"src\":\"c1\",\"dest\":\"n\xff\"",
        b"\"src\":\"\0\",\"dest\":\"\0\"",
    ] {
        let line = [b"{", names, body.as_bytes()].concat();
        let output = run(DEFAULTS, [good.as_bytes(), &line].join(&b'\n')).ended_well();
        assert_eq!(output.lines(), [&*answer]);
        assert!(
            output
                .stderr
                .starts_with(" WARN line 2: every string must be UTF-8"),
            "{}",
            output.stderr
        );
        let output = run(DEFAULTS, [SENTINEL.as_bytes(), &line].join(&b'\n')).ended_well();
        assert!(output.lines()[1].starts_with(r#"{"type":"error","in_reply_to":7,"#));
    }
}

#[test]
fn the_latest_message_that_could_be_read_says_whether_a_stream_is_bare() {
    let (good, answer) = envelope();
    let ok = |line: &str, answer: &str| (line.as_bytes().to_vec(), Ok(answer.to_owned()));
    let faulty = |told| (b"x".to_vec(), told);
    let text = |line: usize| format!("line {line}: not JSON: expected value at byte 1 of the line");
    // Somebody's reply is a message, too.
    let reply_to = |body: &str| (body.as_bytes().to_vec(), Err(String::new()));
    let silent = |exchanges: &mut Exchanges, line: &str| exchanges.push(reply_to(line));
    let mut exchanges = vec![
        faulty(Ok(error(None, &text(1)))),
        ok(&good, &answer),
        faulty(Err(text(3))),
        ok(SENTINEL, SENTINEL_ANSWER),
        faulty(Ok(error(None, &text(5)))),
    ];
    silent(
        &mut exchanges,
        &message(r#"{"type":"echo_ok","in_reply_to":1}"#),
    );
    exchanges.push(faulty(Err(text(7))));
    silent(&mut exchanges, r#"{"type":"echo_ok","in_reply_to":1}"#);
    exchanges.push(faulty(Ok(error(None, &text(9)))));
    let replies = exchanges
        .iter()
        .filter(|(_, told)| *told == Err(String::new()));
    assert_eq!(replies.count(), 2);

    let lines: Vec<&[u8]> = exchanges.iter().map(|(line, _)| line.as_slice()).collect();
    let output = run(DEFAULTS, lines.join(&b'\n')).ended_well();
    let told: Vec<&str> = exchanges
        .iter()
        .flat_map(|(_, told)| told.as_deref())
        .collect();
    assert_eq!(output.lines(), told);
    assert_eq!(
        output.stderr,
        format!(" WARN {}\n WARN {}\n", text(3), text(7))
    );
}

#[test]
fn somebodys_reply_is_not_answered_however_faulty_it_is() {
    for reply in [
        r#"{"type":"echo_ok","in_reply_to":1,"echo":NaN}"#,
        r#"{"src":"c1","dest":"n1","body":{"type":"echo_ok","in_reply_to":1,"echo":NaN}}"#,
        r#"{"body":{"type":"echo_ok","in_reply_to":1}}"#,
    ] {
        let output = run(DEFAULTS, reply).ended_well();
        assert_eq!(output.lines(), [""; 0], "{reply}");
        assert_eq!(output.stderr.lines().count(), 1, "{}", output.stderr);
    }
    let no_text = b"{\"type\":\"echo_ok\",\"in_reply_to\":1,\"echo\":\"\xff\"}";
    let output = run(DEFAULTS, no_text.to_vec()).ended_well();
    assert_eq!((output.lines(), &*output.stderr), (vec![], ""));
}

#[test]
fn somebodys_reply_that_is_no_text_says_whether_a_stream_is_bare_too() {
    let bare: &[u8] = b"{\"type\":\"echo_ok\",\"in_reply_to\":1,\"echo\":\"\xff\"}";
    let enveloped = [br#"{"src":"c1","dest":"n1","body":"#, bare, b"}"].concat();
    let (good, answer) = envelope();
    let behind_a_bare_one = [good.as_bytes(), bare, b"x"].join(&b'\n');
    let output = run(DEFAULTS, behind_a_bare_one).ended_well();
    let text = "line 3: not JSON: expected value at byte 1 of the line";
    assert_eq!(output.lines(), [answer, error(None, text)]);
    let behind_an_envelope = [SENTINEL.as_bytes(), &enveloped, b"x"].join(&b'\n');
    let output = run(DEFAULTS, behind_an_envelope).ended_well();
    assert_eq!(output.lines(), [SENTINEL_ANSWER]);
    assert_eq!(output.stderr, format!(" WARN {text}\n"));
}

/// A message of `length` bytes whose echo is padded.
fn padded(before: &str, after: &str, length: usize) -> String {
    let padding = "x".repeat(length - before.len() - after.len());
    format!("{before}{padding}{after}")
}

#[test]
fn of_a_line_that_is_too_long_the_first_four_kibibytes_say_whom_to_tell() {
    let args = &["--max-line-bytes", "5000"];
    let text = "line 2: longer than 5000 bytes, which is the limit of a message";
    let (good, answer) = envelope();
    let before = format!(r#"{}"echo":""#, SENDER_BEFORE.0);
    let bare = format!(r#"{}"echo":""#, BARE.0);
    let far = format!(r#"{{"x":"{}","#, "y".repeat(4096));
    let behind = far.clone() + &before[1..];
    // The number is cut after its first digit.
    let cut = r#"{"src":"c1","dest":"n1","body":{"type":"echo","echo":"","msg_id":"#;
    let cut = cut.replace(
        r#""""#,
        &format!(r#""{}""#, "z".repeat(4096 - cut.len() - 1)),
    );
    let cut = cut + "7" + &"7".repeat(5000);
    for length in [5001, 70_000, 200_000] {
        let stream = |first: (&str, &str), line: String, told| {
            let first = (first.0.as_bytes().to_vec(), Ok(first.1.to_owned()));
            assert_told(args, &[first, (line.into_bytes(), told)]);
        };
        let envelopes = (good.as_str(), answer.as_str());
        let bodies = (SENTINEL, SENTINEL_ANSWER);
        let told = Ok(reply(error(Some(7), text)));
        stream(envelopes, padded(&before, "\"}}", length), told.clone());
        stream(bodies, padded(&before, "\"}}", length), told);
        stream(
            bodies,
            padded(&bare, "\"}", length),
            Ok(error(Some(7), text)),
        );
        stream(
            envelopes,
            padded(&bare, "\"}", length),
            Err(text.to_owned()),
        );
        stream(
            envelopes,
            padded(&behind, "\"}}", length.max(6000)),
            Err(text.to_owned()),
        );
        stream(
            bodies,
            padded(&behind, "\"}}", length.max(6000)),
            Ok(error(None, text)),
        );
        stream(bodies, cut.clone(), Ok(reply(error(None, text))));
    }
}

#[test]
fn an_error_repeats_nothing_of_a_faulty_line() {
    for line in [
        r#"{"type":"validate_session","session_id":"5ecret"x}"#,
        r#"{"type":"validate_session","session_id":5ecret}"#,
        "5ecret",
        r#""5ecret" 5ecret"#,
        r#"{"5ecret":5ecret}"#,
        "{\"type\":\"validate_session\",\n\"session_id\":\"5ecret\"\n5ecret}",
    ] {
        let output = run(DEFAULTS, line).ended_well();
        let replies = String::from_utf8(output.stdout.clone()).expect("UTF-8");
        assert!(!output.lines().is_empty());
        assert!(
            !replies.contains("5ecret") && !output.stderr.contains("5ecret"),
            "{replies}"
        );
    }
}

#[test]
fn what_python_and_javascript_may_send_by_mistake_is_answered_and_the_next_line_served() {
    let nan = r#"{"type":"create_session","msg_id":1,"user_id":"alice","data":{"score":NaN}}"#;
    let output = run(DEFAULTS, format!("{nan}\n{SENTINEL}\n")).ended_well();
    let replies: Vec<Value> = output
        .lines()
        .iter()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let at = nan.find("NaN").expect("it is there") + 1;
    let text = format!("line 1: not JSON: expected value at byte {at} of the line");
    assert_eq!(
        replies[0],
        json!({"type": "error", "in_reply_to": 1, "code": 12, "text": text})
    );
    assert_eq!(replies[1]["in_reply_to"], 99);
}
