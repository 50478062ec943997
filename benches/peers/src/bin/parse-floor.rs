//! The floor of work: reads, splits and parses every request with `serde_json` into borrowed structs and writes
//! a reply of the size of session-node's, but keeps and looks up nothing. What no node on this parser can beat.

use serde::Deserialize;
use session_node_peers::answer_batches;

#[derive(Deserialize)]
struct Message<'a> {
    src: &'a str,
    dest: &'a str,
    #[serde(borrow)]
    body: Body<'a>,
}

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    msg_id: u64,
    user_id: Option<&'a str>,
    session_id: Option<&'a str>,
    old_session_id: Option<&'a str>,
}

fn main() -> std::io::Result<()> {
    let mut ids = 0;
    answer_batches(|line, replies| {
        let message: Message<'_> =
            serde_json::from_slice(line).expect("the driver sends well-formed requests");
        answer(&message, &mut ids, replies);
    })
}

fn answer(message: &Message<'_>, ids: &mut u64, out: &mut Vec<u8>) {
    let body = &message.body;
    put(out, r#"{"src":""#);
    put(out, message.dest);
    put(out, r#"","dest":""#);
    put(out, message.src);
    put(out, r#"","body":{"type":""#);
    put(out, reply_type(body.kind));
    put(out, r#"","in_reply_to":"#);
    put_number(out, body.msg_id);
    match body.kind {
        "create_session" => {
            assert!(body.user_id.is_some());
            put(out, r#","session_id":""#);
            put_id(out, ids);
            put(out, r#"","expires_at":1790000000"#);
        }
        "validate_session" => {
            assert!(body.session_id.is_some());
            put(out, r#","user_id":"user00000000","expires_in":3600"#);
        }
        "regenerate_session" => {
            assert!(body.old_session_id.is_some());
            put(out, r#","new_session_id":""#);
            put_id(out, ids);
            put(out, "\"");
        }
        "destroy_session" => {
            assert!(body.session_id.is_some());
            put(out, r#","message":"Session destroyed""#);
        }
        _ => {}
    }
    put(out, "}}\n");
}

fn reply_type(kind: &str) -> &'static str {
    match kind {
        "create_session" => "session_created",
        "validate_session" => "session_valid",
        "regenerate_session" => "session_regenerated",
        "destroy_session" => "session_destroyed",
        "init" => "init_ok",
        _ => "error",
    }
}

fn put(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
}

/// By hand, since `write!` would cost this floor more than its parser leaves it.
fn put_number(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + u8::try_from(number % 10).expect("a digit");
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

/// A text of a session id's length that has not been handed out before.
fn put_id(out: &mut Vec<u8>, ids: &mut u64) {
    *ids += 1;
    let mut text = *b"00000000-0000-4000-8000-000000000000";
    let mut left = *ids;
    for digit in text[24..].iter_mut().rev() {
        *digit = b"0123456789abcdef"[(left % 16) as usize];
        left /= 16;
    }
    out.extend_from_slice(&text);
}
