//! Requests that are malformed or cannot be carried out: each is refused with the promised code, in a text that
//! says what was expected and repeats nothing, and the next request is served.

use serde_json::Value;
use session_node_testing::errors::{SECRET, SENTINEL, assert_error, refusal, refusals};
use session_node_testing::{DEFAULTS, Node, PRELOADED, body, message, replies};

/// Each request with a field that it requires to be a string, the rest of a good request, and whether the string has
/// to be of 1 to 256 bytes. Ids may be of any length and form.
const STRING_FIELDS: &[(&str, &str, &str, bool)] = &[
    ("create_session", "user_id", "", true),
    ("validate_session", "session_id", "", false),
    ("regenerate_session", "old_session_id", "", false),
    ("update_session", "session_id", r#","data":{}"#, false),
    ("destroy_session", "session_id", "", false),
    ("list_sessions", "user_id", "", true),
    ("destroy_user_sessions", "user_id", "", true),
    ("init", "node_id", r#","node_ids":["n1"]"#, true),
];

/// What no string is, as JSON.
fn no_strings() -> Vec<String> {
    vec![
        "null".to_owned(),
        "true".to_owned(),
        "7331".to_owned(),
        format!(r#"["{SECRET}"]"#),
        format!(r#"{{"{SECRET}":"{SECRET}"}}"#),
    ]
}

/// What is no text of 1 to 256 bytes, as JSON.
fn wrong_strings() -> Vec<String> {
    let quoted = |text: String| format!(r#""{text}""#);
    vec![
        r#""""#.to_owned(),
        quoted(format!("{SECRET:x<257}")),
        // The limit is on bytes, not on characters; and on what an escape means, not on its length.
        quoted("é".repeat(129)),
        quoted(r"\u00e9".repeat(129)),
        quoted(format!(r"{SECRET}\ud800")),
        quoted(format!(r"\udc00\ud800{SECRET}")),
    ]
}

#[test]
fn a_required_string_that_is_missing_or_wrong_or_repeated_is_malformed() {
    for (request, field, rest, is_bounded) in STRING_FIELDS {
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
        let mut values = no_strings();
        if *is_bounded {
            values.extend(wrong_strings());
        }
        let values = values.iter();
        lines.extend(values.map(|value| with(&format!(r#","{field}":{value}"#))));
        let expected = if *is_bounded {
            "a string of 1 to 256 bytes"
        } else {
            "a string"
        };
        for error in refusals(PRELOADED, &lines) {
            let text = error["text"].as_str().expect("a text");
            assert_error(&error, 12, Some(4), &[request, field, "must be"]);
            assert!(text.ends_with(expected), "{text}");
        }
    }
}

#[test]
fn a_required_string_may_have_256_bytes() {
    for (request, field, rest, _) in STRING_FIELDS {
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
            &["create_session", "limit of 2 live sessions"],
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
