//! A node is a deterministic function of its input, clock, id generator and store.

use std::time::Duration;

use session_node::clock::ManualClock;
use session_node::session::Timestamp;
use session_node::testing::wire::IdGenerator;
use session_node::{IdFormat, Node, Options, SessionAuthority};

/// A node with a session that was preloaded.
fn node(seed: u8, clock: &ManualClock, ttl: Duration, max_sessions: usize) -> Node {
    let mut authority = SessionAuthority::builder()
        .ttl(ttl)
        .max_sessions(max_sessions)
        .clock(clock.clone())
        .seed([seed; 32])
        .build()
        .expect("the policy is right");
    let preloaded = authority.preload("abc123", "user123");
    preloaded.expect("there is room");
    Node::new(authority, Options::default())
}

/// Runs a transcript of every request on a node with a hand-moved clock and a seeded generator, in pieces of
/// `piece` lines with a second between two pieces.
fn run(seed: u8, piece: usize) -> String {
    let clock = ManualClock::at(Timestamp::from_millis(1_790_000_000_999));
    let mut node = node(seed, &clock, Duration::from_secs(3), 100);

    let mut replies = Vec::new();
    let lines: Vec<&str> = REQUESTS.lines().collect();
    for lines in lines.chunks(piece) {
        let input = lines.join("\n");
        node.run(input.as_bytes(), &mut replies)
            .expect("memory can be read and written");
        clock.advance(Duration::from_secs(1));
    }
    String::from_utf8(replies).expect("replies are UTF-8")
}

const REQUESTS: &str = r#"{"src":"c1","dest":"n1","body":{"type":"init","msg_id":1,"node_id":"n1","node_ids":["n1"]}}
{"src":"c1","dest":"n1","body":{"type":"create_session","msg_id":2,"user_id":"alice"}}
{"src":"c1","dest":"n1","body":{"type":"validate_session","msg_id":3,"session_id":"abc123"}}
{"src":"c1","dest":"n1","body":{"type":"regenerate_session","msg_id":4,"old_session_id":"abc123"}}
{"src":"c1","dest":"n1","body":{"type":"validate_session","msg_id":5,"session_id":"abc123"}}
{"type":"destroy_session","session_id":"abc123"}
{"type":"nonsense"}
"#;

#[test]
fn the_same_input_clock_and_seed_give_the_same_bytes() {
    assert_eq!(run(1, 2), run(1, 2));
    assert_ne!(run(1, 2), run(2, 2));
}

#[test]
fn a_transcript_is_answered_byte_for_byte() {
    let id = |n| {
        let mut ids = IdGenerator::from_seed(IdFormat::Uuid, [1; 32]);
        (0..n)
            .map(|_| ids.generate().expose().to_owned())
            .last()
            .expect("n > 0")
    };
    let (first, second) = (id(1), id(2));
    let expected = format!(
        r#"{{"src":"n1","dest":"c1","body":{{"type":"init_ok","in_reply_to":1}}}}
{{"src":"n1","dest":"c1","body":{{"type":"session_created","in_reply_to":2,"session_id":"{first}","expires_at":1790000003}}}}
{{"src":"n1","dest":"c1","body":{{"type":"session_valid","in_reply_to":3,"user_id":"user123","expires_in":3}}}}
{{"src":"n1","dest":"c1","body":{{"type":"session_regenerated","in_reply_to":4,"new_session_id":"{second}"}}}}
{{"src":"n1","dest":"c1","body":{{"type":"session_invalid","in_reply_to":5}}}}
{{"type":"session_destroyed","message":"Session destroyed"}}
{{"type":"error","code":10,"text":"message: type must be one of create_session, validate_session, regenerate_session, update_session, list_sessions, list_users, destroy_session, destroy_user_sessions, destroy_all_sessions, stats, init, echo"}}
"#
    );
    assert_eq!(run(1, 100), expected);
}

#[test]
fn how_the_input_is_cut_into_batches_does_not_show_in_the_replies() {
    let still = |piece| {
        let whole = run(1, piece);
        // The clock moves between pieces, so only what does not tell the time can be compared.
        whole.replace("\"expires_in\":2", "\"expires_in\":3")
    };
    assert_eq!(still(3), still(100));
}

#[test]
fn a_preloaded_session_lives_from_the_start_of_the_node() {
    let clock = ManualClock::at(Timestamp::from_millis(5_000_000));
    let mut node = node(1, &clock, Duration::from_secs(3600), 1);
    clock.advance(Duration::from_millis(999));

    let mut ask = |expected: &str| {
        let mut replies = Vec::new();
        let request: &[u8] = br#"{"type":"validate_session","session_id":"abc123"}"#;
        node.run(request, &mut replies)
            .expect("memory can be read and written");
        assert_eq!(
            String::from_utf8(replies).expect("UTF-8"),
            format!("{expected}\n")
        );
    };
    ask(r#"{"type":"session_valid","user_id":"user123","expires_in":3600}"#);
    clock.advance(Duration::from_secs(3599));
    ask(r#"{"type":"session_valid","user_id":"user123","expires_in":1}"#);
    clock.advance(Duration::from_millis(1));
    ask(r#"{"type":"session_invalid"}"#);
}
