//! Ids as hostile clients present them, in every request that takes one: no string makes an error of an application's
//! request, since a cookie may hold anything. It is simply no live session's.

use serde_json::{Value, json};
use session_node_testing::{DEFAULTS, Node, message, reply};

/// JSON strings of every length and form that ids do not have.
fn hostile() -> Vec<String> {
    let mut strings: Vec<String> = (0..60)
        .chain([255, 256, 257, 1000, 4095, 4096, 5000, 100_000, 900_000])
        .map(|length| format!("\"{}\"", "f".repeat(length)))
        .collect();
    strings.extend(
        [
            // Forms of a UUID that the node does not make.
            r#""4BF92F35-77B3-4DA6-A3CE-929D0E0E4736""#,
            r#""4bf92f3577b34da6a3ce929d0e0e4736""#,
            r#""{4bf92f35-77b3-4da6-a3ce-929d0e0e4736}""#,
            r#""urn:uuid:4bf92f35-77b3-4da6-a3ce-929d0e0e4736""#,
            r#""00000000-0000-0000-0000-000000000000""#,
            r#"" 4bf92f35-77b3-4da6-a3ce-929d0e0e4736""#,
            r#""4bf92f35-77b3-4da6-a3ce-929d0e0e4736\n""#,
            // Of a token.
            r#""AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=""#,
            r#""++++///////////////////////////////////////""#,
            // Characters.
            r#""\u0000""#,
            r#""abc\u0000123""#,
            r#""\u007f\u001b[2J""#,
            r#""é ü 😀 \ud83d\ude00""#,
            r#""\ud800""#,
            r#""\udc00\ud800""#,
            r#""\uffff\ufffe\ufeff""#,
            // What breaks out of other languages.
            r#""' OR 1=1 --""#,
            r#""\"}\n{\"type\":\"destroy_all_sessions\"}""#,
            r#""../../etc/passwd""#,
            r#""$(reboot)""#,
            r#""true""#,
            r#""null""#,
        ]
        .map(String::from),
    );
    strings
}

/// Requests that take an id, with the reply to one that is no live session's.
const REQUESTS: &[(&str, &str)] = &[
    (
        r#""type":"validate_session","session_id":ID"#,
        "session_invalid",
    ),
    (
        r#""type":"regenerate_session","old_session_id":ID"#,
        "session_invalid",
    ),
    (
        r#""type":"update_session","data":{},"session_id":ID"#,
        "session_invalid",
    ),
    (
        r#""type":"destroy_session","session_id":ID"#,
        "session_destroyed",
    ),
    (
        r#""type":"destroy_session","user_id":"alice","handle":ID"#,
        "session_destroyed",
    ),
    (
        r#""type":"list_sessions","user_id":"alice","session_id":ID"#,
        "session_list",
    ),
    (
        r#""type":"destroy_user_sessions","user_id":"bob","except_session_id":ID"#,
        "session_invalid",
    ),
];

/// Holds a node to it, which keeps its sessions in memory or elsewhere.
fn hold(args: &[&str]) {
    let mut node = Node::start(args);
    let created = node.ask(json!({"type": "create_session", "user_id": "alice"}));
    let id = created["session_id"].clone();
    for (request, answer) in REQUESTS {
        for hostile in hostile() {
            let request = request.replace("ID", &hostile);
            node.send(message(format!(r#"{{"msg_id":5,{request}}}"#)));
            let received = node.recv();
            let body: Value = session_node_testing::body(&received);
            assert_eq!(body["type"], *answer, "{request:.200}: {body}");
            assert_eq!(body["in_reply_to"], 5);
        }
    }
    let valid = node.ask(json!({"type": "validate_session", "session_id": id}));
    assert_eq!(valid["user_id"], "alice");
    assert_eq!(node.finish().ended_well().stderr, "");
}

#[test]
fn a_string_that_is_no_id_is_no_live_session() {
    hold(DEFAULTS);
    hold(&[
        "--id-format",
        "token",
        "--on-reuse",
        "revoke",
        "--rotation-grace",
        "60",
        "--strict",
    ]);
}

#[cfg(feature = "sqlite")]
#[test]
fn nor_is_it_in_a_file() {
    let place = session_node_testing::place::Place::new("hostile-ids");
    hold(&["--store", &format!("sqlite:{}", place.file().display())]);
}

#[cfg(feature = "redis")]
#[test]
fn nor_is_it_on_a_server() {
    session_node_testing::needs!(REDIS_SERVER);
    let server = session_node_testing::redis_server::RedisServer::start();
    hold(&["--store", &server.url()]);
}

#[test]
fn an_id_that_makes_the_line_too_long_is_answered_too() {
    let mut node = Node::start(DEFAULTS);
    let id = "f".repeat(1_100_000);
    node.send(message(format!(
        r#"{{"type":"validate_session","msg_id":5,"session_id":"{id}"}}"#
    )));
    let text = "line 1: longer than 1048576 bytes, which is the limit of a message";
    let error = json!({"type": "error", "in_reply_to": 5, "code": 12, "text": text});
    let expected: Value = serde_json::from_str(&reply(&error)).expect("JSON");
    assert_eq!(
        serde_json::from_str::<Value>(&node.recv()).expect("JSON"),
        expected
    );
    // A client that sends its number last hears of it all the same.
    let number_last = format!(r#"{{"type":"validate_session","session_id":"{id}","msg_id":6}}"#);
    node.send(number_last);
    let error: Value = serde_json::from_str(&node.recv()).expect("JSON");
    assert_eq!(
        (&error["code"], error.get("in_reply_to")),
        (&json!(12), None)
    );
}
