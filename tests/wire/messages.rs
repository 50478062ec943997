//! The wire: what a message is and how each request of the core is answered, byte for byte where
//! the contract fixes the bytes.

use std::collections::HashSet;
use std::thread::sleep;
use std::time::{Duration, SystemTime};

use regex::Regex;
use serde_json::{Value, json};
use session_node_testing::{
    DEFAULTS, Node, PRELOADED, assert_answers, body, message, replies, reply, run, text,
};

const VALIDATE: &str = r#"{"type":"validate_session","msg_id":1,"session_id":"abc123"}"#;
const VALID: &str =
    r#"{"type":"session_valid","in_reply_to":1,"user_id":"user123","expires_in":3600}"#;

fn echo(msg_id: impl std::fmt::Display) -> (String, String) {
    (
        message(format!(r#"{{"type":"echo","msg_id":{msg_id},"echo":"e"}}"#)),
        reply(format!(
            r#"{{"type":"echo_ok","in_reply_to":{msg_id},"echo":"e"}}"#
        )),
    )
}

fn validate(node: &mut Node, id: &str) -> Value {
    node.ask(json!({"type": "validate_session", "session_id": id}))
}

fn create(node: &mut Node, user: &str) -> String {
    let created = node.ask(json!({"type": "create_session", "user_id": user}));
    assert_eq!(created["type"], "session_created");
    text(&created, "session_id")
}

fn unix_seconds() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.expect("the clock is past 1970").as_secs()
}

#[test]
fn a_reply_swaps_src_and_dest_before_and_after_init() {
    // The name that `init` gives the node is not what the reply is signed with.
    let request = format!(r#"{{"src":"api","dest":"session","body":{VALIDATE}}}"#);
    let init = r#"{"type":"init","msg_id":5,"node_id":"n1","node_ids":["n1","n2"]}"#;
    let answer = format!(r#"{{"src":"session","dest":"api","body":{VALID}}}"#);
    let input = format!("{request}\n{}\n{request}\n", message(init));
    let init_ok = reply(r#"{"type":"init_ok","in_reply_to":5}"#);
    assert_eq!(
        replies(PRELOADED, input),
        [answer.clone(), init_ok, answer.clone()]
    );
}

#[test]
fn init_may_come_again_and_without_msg_id() {
    let init = r#"{"type":"init","node_id":"n1","node_ids":[]}"#;
    let init_ok = r#"{"type":"init_ok"}"#;
    assert_answers(DEFAULTS, &[(init, init_ok), (init, init_ok)]);
}

#[test]
fn any_two_names_come_back_as_they_were_given() {
    let long = "n".repeat(5000);
    let names = ["", "n\"1\\", "ünï", "a/b\n", &long];
    for (src, dest) in names.iter().zip(names.iter().rev()) {
        let request = json!({"src": src, "dest": dest, "body": {"type": "echo", "echo": 0}});
        let answer: Value =
            serde_json::from_str(&replies(DEFAULTS, format!("{request}\n"))[0]).expect("JSON");
        assert_eq!(
            answer,
            json!({"src": dest, "dest": src, "body": {"type": "echo_ok", "echo": 0}})
        );
    }
}

#[test]
fn a_request_without_msg_id_is_carried_out_and_answered_without_in_reply_to() {
    assert_answers(
        PRELOADED,
        &[
            (
                r#"{"type":"destroy_session","session_id":"abc123"}"#,
                r#"{"type":"session_destroyed","message":"Session destroyed"}"#,
            ),
            (
                r#"{"type":"validate_session","session_id":"abc123"}"#,
                r#"{"type":"session_invalid"}"#,
            ),
        ],
    );
}

#[test]
fn any_64_bit_integer_is_a_msg_id() {
    let ids = [
        "0",
        "-1",
        "9007199254740993",
        "9223372036854775807",
        "-9223372036854775808",
        "18446744073709551615",
    ];
    let (requests, answers): (Vec<_>, Vec<_>) = ids.map(echo).into_iter().unzip();
    assert_eq!(replies(DEFAULTS, requests.join("\n")), answers);
}

#[test]
fn a_bare_body_is_answered_with_a_bare_body() {
    let input = format!("{VALIDATE}\n{}\n", message(VALIDATE));
    assert_eq!(replies(PRELOADED, input), [VALID.to_owned(), reply(VALID)]);
}

#[test]
fn a_bare_body_that_is_malformed_is_answered_with_a_bare_error() {
    for request in [r#"{"type":"create_session"}"#, r#"{"type":"no_such"}"#] {
        let answers = replies(DEFAULTS, request);
        assert_eq!(answers.len(), 1);
        assert!(answers[0].starts_with(r#"{"type":"error","code":1"#));
    }
}

#[test]
fn a_bare_body_with_src_and_dest_is_still_bare() {
    let request = r#"{"src":"c1","dest":"n1","type":"echo","msg_id":1,"echo":2}"#;
    let answer = r#"{"type":"echo_ok","in_reply_to":1,"echo":2}"#;
    assert_eq!(replies(DEFAULTS, request), [answer]);
}

#[test]
fn the_body_reply_format_answers_every_request_with_a_bare_body() {
    let args = [PRELOADED, &["--reply-format", "body"]].concat();
    let malformed = message(r#"{"type":"create_session","msg_id":2}"#);
    let input = format!("{}\n{VALIDATE}\n{malformed}\n", message(VALIDATE));
    let answers = replies(&args, input);
    assert_eq!(answers[..2], [VALID, VALID]);
    assert!(answers[2].starts_with(r#"{"type":"error","in_reply_to":2,"code":12,"#));
    assert_eq!(answers.len(), 3);
}

#[test]
fn replies_are_compact_with_their_keys_in_the_order_of_the_contract() {
    let uuid = "[0-9a-f-]{36}";
    let shapes = [
        (
            r#"{"type":"create_session","msg_id":1,"user_id":"u"}"#,
            format!(
                r#"\{{"type":"session_created","in_reply_to":1,"session_id":"{uuid}","expires_at":[0-9]+\}}"#
            ),
        ),
        (VALIDATE, VALID.replace('{', r"\{").replace('}', r"\}")),
        (
            r#"{"type":"regenerate_session","msg_id":2,"old_session_id":"abc123"}"#,
            format!(r#"\{{"type":"session_regenerated","in_reply_to":2,"new_session_id":"{uuid}"\}}"#),
        ),
        (
            r#"{"type":"regenerate_session","msg_id":3,"old_session_id":"abc123"}"#,
            r#"\{"type":"session_invalid","in_reply_to":3\}"#.to_owned(),
        ),
        (
            r#"{"type":"destroy_session","msg_id":4,"session_id":"abc123"}"#,
            r#"\{"type":"session_destroyed","in_reply_to":4,"message":"Session destroyed"\}"#.to_owned(),
        ),
        (
            r#"{"type":"create_session","msg_id":5}"#,
            r#"\{"type":"error","in_reply_to":5,"code":12,"text":"create_session: user_id must be a string of 1 to 256 bytes"\}"#.to_owned(),
        ),
    ];
    let input: String = shapes
        .iter()
        .map(|(request, _)| message(request) + "\n")
        .collect();
    let answers = replies(PRELOADED, input);
    assert_eq!(answers.len(), shapes.len());
    for (answer, (_, shape)) in answers.iter().zip(&shapes) {
        let pattern = format!(r#"\A\{{"src":"n1","dest":"c1","body":{shape}\}}\z"#);
        let pattern = Regex::new(&pattern).expect("a pattern");
        assert!(pattern.is_match(answer), "{answer}\nis not {pattern}");
    }
}

#[test]
fn a_message_that_is_somebodys_reply_is_ignored() {
    let bodies = [
        r#"{"type":"session_created","in_reply_to":1}"#,
        r#"{"type":"validate_session","msg_id":1,"session_id":"abc123","in_reply_to":null}"#,
        r#"{"in_reply_to":"x","type":"no_such"}"#,
        r#"{"in_reply_to":7}"#,
        r#"{"type":"error","in_reply_to":7,"code":12,"text":"no"}"#,
    ];
    let enveloped = bodies.map(message).join("\n");
    let bare = [bodies[0], bodies[1], bodies[2], bodies[4]].join("\n");
    let input = format!("{enveloped}\n{bare}\n{VALIDATE}\n");
    assert_eq!(replies(PRELOADED, input), [VALID]);
}

#[test]
fn unknown_keys_are_ignored_wherever_they_stand() {
    let request = r#"{"id":4,"src":"c1","via":{"x":[1]},"dest":"n1","via":2,"body":{"a":[],"type":"validate_session","Type":"x",
        "msg_id":1,"a":{"session_id":"no"},"user_id":9,"session_id":"abc123","z":null}}"#;
    let request = request.replace('\n', " ");
    assert_eq!(replies(PRELOADED, request), [reply(VALID)]);
}

#[test]
fn a_message_with_a_body_has_no_field_of_a_body() {
    let body = r#""body":{"type":"validate_session","msg_id":1,"session_id":"abc123"}"#;
    let fields = r#""type":"destroy_session","msg_id":9,"session_id":"xyz""#;
    for fields in [format!("{fields},{body}"), format!("{body},{fields}")] {
        let request = format!(r#"{{"src":"c1","dest":"n1",{fields}}}"#);
        assert_eq!(
            replies(PRELOADED, request.as_str()),
            [reply(VALID)],
            "{request}"
        );
        // What the fast way leaves to the general one.
        let request = request.replacen("e_s", r"e\u005fs", 1);
        assert_eq!(
            replies(PRELOADED, request.as_str()),
            [reply(VALID)],
            "{request}"
        );
    }
}

#[test]
fn keys_may_come_in_any_order_and_with_escapes() {
    let request = r#"{"body":{"session_id":"\u0061bc123","msg_id":1,"\u0074ype":"validate\u005fsession"},"\u0064est":"n1","src":"c1"}"#;
    assert_eq!(replies(PRELOADED, request), [reply(VALID)]);
}

#[test]
fn lines_may_end_in_either_way_and_may_be_blank() {
    let (first, first_answer) = echo(1);
    let (second, second_answer) = echo(2);
    let expected = [first_answer, second_answer];
    for input in [
        format!("{first}\n{second}\n"),
        format!("{first}\r\n{second}\r\n"),
        format!("{first}\n{second}"),
        format!("\n\r\n \t \n{first}\n\n\n \r\n{second}\n\n"),
        format!("\u{feff}{first}\n{second}\n"),
        format!("\u{feff}\r\n  {first}  \r\n\t{second}\t\n"),
    ] {
        assert_eq!(replies(DEFAULTS, input.clone()), expected, "{input:?}");
    }
}

#[test]
fn no_input_gives_no_output() {
    for input in ["", "\n", "\r\n\r\n", "\u{feff}"] {
        assert_eq!(replies(DEFAULTS, input), [""; 0]);
    }
}

#[test]
fn a_byte_order_mark_is_skipped_only_before_the_first_line() {
    let (request, answer) = echo(1);
    let output = run(
        DEFAULTS,
        format!("{request}\n\u{feff}{request}\n{request}\n"),
    )
    .ended_well();
    assert_eq!(output.lines(), [&answer, &answer]);
    assert!(output.stderr.contains("line 2"), "{}", output.stderr);
}

#[test]
fn echo_comes_back_verbatim() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let deep_objects = format!("{}1{}", r#"{"a":"#.repeat(100_000), "}".repeat(100_000));
    for value in [
        "null",
        "true",
        "0",
        "-0",
        "1.0",
        "1E+400",
        "123456789012345678901234567890.10",
        r#""""#,
        r#""Please echo 67""#,
        r#""\u0041\/\u00e9é\n\"\\""#,
        r#""\ud83d\ude00 \\ud800 \ud834\udd1e\ud834\uDD1E""#,
        r#""\u0000""#,
        r#""[ { , : } ]  ""#,
        "\"\u{7f}\u{2028}😀\"",
        "[]",
        "{}",
        r#"[[],{},[{}],""]"#,
        r#"{"a":1,"a":2,"":3,"in_reply_to":4,"type":5,"body":{"msg_id":6}}"#,
        &deep,
        &deep_objects,
    ] {
        let request = message(format!(r#"{{"type":"echo","msg_id":1,"echo":{value}}}"#));
        let answer = reply(format!(
            r#"{{"type":"echo_ok","in_reply_to":1,"echo":{value}}}"#
        ));
        assert!(
            replies(DEFAULTS, request) == [answer],
            "not verbatim: {value:.80}"
        );
    }
}

#[test]
fn echo_comes_back_compact() {
    let request = "{\"type\":\"echo\" ,\"echo\": { \"a b\" : [ 1 ,\t2 , [ ] ] ,\
                   \r \"c\" : \" \\\" : , \" , \"d\" : { } } }";
    let answer = r#"{"type":"echo_ok","echo":{"a b":[1,2,[]],"c":" \" : , ","d":{}}}"#;
    assert_answers(DEFAULTS, &[(request, answer)]);
}

#[test]
fn a_session_lives_from_creation_through_regeneration_to_its_end() {
    let mut node = Node::start(DEFAULTS);
    let valid = json!({"type": "session_valid", "user_id": "ada", "expires_in": 3600});
    let invalid = json!({"type": "session_invalid"});
    let destroyed = json!({"type": "session_destroyed", "message": "Session destroyed"});

    let first = create(&mut node, "ada");
    let bystander = create(&mut node, "ada");
    assert_eq!(validate(&mut node, &first), valid);

    let regenerate = json!({"type": "regenerate_session", "old_session_id": first});
    let second = text(&node.ask(&regenerate), "new_session_id");
    assert_ne!(first, second);
    assert_eq!(validate(&mut node, &first), invalid);
    assert_eq!(validate(&mut node, &second), valid);
    assert_eq!(node.ask(&regenerate), invalid);

    // The old id ends nothing any more.
    let destroy = |id: &str| json!({"type": "destroy_session", "session_id": id});
    assert_eq!(node.ask(destroy(&first)), destroyed);
    assert_eq!(validate(&mut node, &second), valid);

    assert_eq!(node.ask(destroy(&second)), destroyed);
    assert_eq!(validate(&mut node, &second), invalid);
    assert_eq!(node.ask(destroy(&second)), destroyed);
    let regenerate = json!({"type": "regenerate_session", "old_session_id": second});
    assert_eq!(node.ask(regenerate), invalid);

    assert_eq!(validate(&mut node, &bystander), valid);
    assert_eq!(node.finish().ended_well().stderr, "");
}

#[test]
fn a_users_name_comes_back_as_it_was_given() {
    let mut node = Node::start(DEFAULTS);
    let longest = "é".repeat(128);
    for user in [
        "u",
        " ",
        "a\"b\\c\n\t/\u{1}\u{7f}",
        "😀 ü \u{2028}",
        &longest,
    ] {
        let id = create(&mut node, user);
        assert_eq!(validate(&mut node, &id)["user_id"], user);
    }
}

#[test]
fn a_new_session_ends_a_lifetime_from_now() {
    for (args, ttl) in [(DEFAULTS, 3600), (&["--ttl", "90m"], 5400)] {
        let before = unix_seconds();
        let mut node = Node::start(args);
        let created = node.ask(r#"{"type":"create_session","user_id":"u"}"#);
        let expires_at = created["expires_at"].as_u64().expect("whole seconds");
        // A part of a second may be rounded up.
        assert!((before + ttl..=unix_seconds() + ttl + 1).contains(&expires_at));
        let valid = validate(&mut node, &text(&created, "session_id"));
        assert_eq!(valid["expires_in"], ttl);
    }
}

#[test]
fn a_regenerated_session_keeps_its_end_of_life() {
    let mut node = Node::start(PRELOADED);
    // Longer than the second during which a fresh session would say 3600 too.
    sleep(Duration::from_millis(1100));
    let regenerated = node.ask(r#"{"type":"regenerate_session","old_session_id":"abc123"}"#);
    let valid = validate(&mut node, &text(&regenerated, "new_session_id"));
    assert_eq!(valid["user_id"], "user123");
    assert!(valid["expires_in"].as_u64() < Some(3600), "{valid}");
}

#[test]
fn a_session_whose_lifetime_is_over_is_invalid() {
    let mut node = Node::start(&["--ttl", "1", "--preload", "abc123=user123"]);
    let id = create(&mut node, "ada");
    sleep(Duration::from_millis(1100));
    for id in [id.as_str(), "abc123"] {
        assert_eq!(validate(&mut node, id)["type"], "session_invalid");
        let regenerated = node.ask(json!({"type": "regenerate_session", "old_session_id": id}));
        assert_eq!(regenerated["type"], "session_invalid");
    }
}

#[test]
fn ten_thousand_ids_are_version_4_uuids_and_all_different() {
    assert_ids(
        DEFAULTS,
        r"\A[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\z",
    );
}

#[test]
fn ten_thousand_tokens_have_43_characters_and_are_all_different() {
    assert_ids(&["--id-format", "token"], r"\A[A-Za-z0-9_-]{43}\z");
}

fn assert_ids(args: &[&str], pattern: &str) {
    const COUNT: usize = 10_000;
    let pattern = Regex::new(pattern).expect("a pattern");
    let request = message(r#"{"type":"create_session","user_id":"u"}"#) + "\n";
    let answers = replies(args, request.repeat(COUNT));
    let ids: HashSet<String> = answers
        .iter()
        .map(|line| text(&body(line), "session_id"))
        .inspect(|id| assert!(pattern.is_match(id), "{id}"))
        .collect();
    assert_eq!(ids.len(), COUNT);

    let mut node = Node::start(&[PRELOADED, args].concat());
    let regenerated = node.ask(r#"{"type":"regenerate_session","old_session_id":"abc123"}"#);
    assert!(pattern.is_match(&text(&regenerated, "new_session_id")));
}

#[test]
fn an_id_that_the_client_proposes_is_not_taken() {
    let mut node = Node::start(PRELOADED);
    for request in [
        r#"{"type":"create_session","user_id":"u","session_id":"mine","new_session_id":"mine","id":"mine"}"#,
        r#"{"type":"regenerate_session","old_session_id":"abc123","session_id":"mine","new_session_id":"mine"}"#,
    ] {
        let answer = node.ask(request);
        assert!(!answer.to_string().contains("mine"), "{answer}");
        assert_eq!(validate(&mut node, "mine")["type"], "session_invalid");
    }
}

#[test]
fn a_lone_request_is_answered_while_stdin_stays_open() {
    let mut node = Node::start(DEFAULTS);
    for msg_id in 1..=3 {
        let (request, answer) = echo(msg_id);
        node.send(request);
        assert_eq!(node.recv(), answer);
    }
}

#[test]
fn a_reply_does_not_wait_for_the_rest_of_a_half_read_line() {
    let mut node = Node::start(DEFAULTS);
    let (first, first_answer) = echo(1);
    let (second, second_answer) = echo(2);
    let (half, rest) = second.split_at(30);
    node.write(format!("{first}\n{half}"));
    assert_eq!(node.recv(), first_answer);
    node.write(format!("{rest}\n"));
    assert_eq!(node.recv(), second_answer);
}

#[test]
fn a_line_may_come_byte_by_byte() {
    let mut node = Node::start(DEFAULTS);
    let (request, answer) = echo(1);
    for byte in format!("\u{feff}{request}\r\n").bytes() {
        node.write([byte]);
    }
    assert_eq!(node.recv(), answer);
}

#[test]
fn ten_thousand_requests_at_once_are_answered_in_order() {
    let (requests, answers): (Vec<_>, Vec<_>) = (1..=10_000).map(echo).unzip();
    assert_eq!(replies(DEFAULTS, requests.join("\n")), answers);
}
