//! `--strict`: a request may have no field which it does not know, so that what is misspelt does not fail open.

use session_node_testing::errors::{assert_error, refusals};
use session_node_testing::{PRELOADED, body, message, replies};

/// Each request with every field that it knows beside `type` and `msg_id`.
const REQUESTS: &[(&str, &[&str])] = &[
    (
        "create_session",
        &[
            r#""user_id":"alice""#,
            r#""ttl":60"#,
            r#""idle_timeout":60"#,
            r#""data":{"unknown":1}"#,
            r#""binding":"b""#,
            r#""max_sessions_per_user":9"#,
            r#""detail":true"#,
        ],
    ),
    (
        "validate_session",
        &[
            r#""session_id":"abc123""#,
            r#""binding":"b""#,
            r#""max_age":600"#,
            r#""touch":false"#,
            r#""detail":true"#,
        ],
    ),
    (
        "regenerate_session",
        &[
            r#""old_session_id":"x""#,
            r#""reauthenticated":true"#,
            r#""user_id":"alice""#,
            r#""ttl":60"#,
            r#""idle_timeout":60"#,
            r#""max_sessions_per_user":9"#,
            r#""data":{}"#,
            r#""binding":"b""#,
            r#""new_binding":"b""#,
            r#""detail":true"#,
        ],
    ),
    (
        "update_session",
        &[
            r#""session_id":"abc123""#,
            r#""data":{}"#,
            r#""binding":"b""#,
            r#""expected_data":null"#,
            r#""detail":true"#,
        ],
    ),
    (
        "list_sessions",
        &[
            r#""user_id":"alice""#,
            r#""session_id":"abc123""#,
            r#""limit":5"#,
            r#""order":"newest""#,
            r#""cursor":"AAAAAAAAAAAAAAAAAAAAAA""#,
            r#""data":false"#,
        ],
    ),
    (
        "list_users",
        &[r#""limit":5"#, r#""cursor":"AAAAAAAAAAAAAAAAAAAAAA""#],
    ),
    (
        "destroy_session",
        &[
            r#""user_id":"alice""#,
            r#""handle":"h""#,
            r#""detail":true"#,
        ],
    ),
    (
        "destroy_user_sessions",
        &[r#""user_id":"user123""#, r#""except_session_id":"abc123""#],
    ),
    ("destroy_all_sessions", &[]),
    ("stats", &[]),
    ("init", &[r#""node_id":"n1""#, r#""node_ids":["n1"]"#]),
    ("echo", &[r#""echo":{"unknown":1}"#]),
];

const EVERY_FIELD: &[&str] = &[
    "user_id",
    "ttl",
    "idle_timeout",
    "data",
    "binding",
    "session_id",
    "max_age",
    "old_session_id",
    "reauthenticated",
    "limit",
    "handle",
    "except_session_id",
    "node_id",
    "node_ids",
    "echo",
    "touch",
    "detail",
    "new_binding",
    "expected_data",
    "max_sessions_per_user",
    "order",
    "cursor",
];

fn strict(args: &[&'static str]) -> Vec<&'static str> {
    [PRELOADED, &["--strict"], args].concat()
}

fn body_of(kind: &str, fields: &[&str]) -> String {
    let kind = format!(r#""type":"{kind}""#);
    let all = [&[kind.as_str(), r#""msg_id":4"#], fields].concat();
    format!("{{{}}}", all.join(","))
}

#[test]
fn a_request_with_every_field_that_it_knows_is_carried_out() {
    for (kind, fields) in REQUESTS {
        let request = body_of(kind, fields);
        // The envelope is not ours: Maelstrom's has an `id`, and others may have more.
        let enveloped =
            format!(r#"{{"id":7,"src":"c1","dest":"n1","trace":{{}},"body":{request}}}"#);
        for line in [
            request.clone(),
            enveloped,
            request.replace(r#""type""#, r#""\u0074ype""#),
        ] {
            let answers = replies(&strict(&[]), &*line);
            assert_ne!(body(&answers[0])["type"], "error", "{line}: {answers:?}");
        }
    }
}

#[test]
fn a_field_that_no_request_knows_is_refused_by_its_place() {
    for (kind, fields) in REQUESTS {
        // At every place but those of `type` and `msg_id`.
        for place in 0..=fields.len() {
            let mut with: Vec<&str> = fields.to_vec();
            with.insert(place, r#""5ecret-1d":"5ecret-1d""#);
            let request = body_of(kind, &with);
            let deep = format!(r#"{{"body":{request},"dest":"n1","x":1,"src":"c1"}}"#);
            let lines = [message(&request), deep].map(String::into_bytes);
            for error in refusals(&strict(&[]), &lines) {
                let name = format!("{kind}: field {} of the body", place + 3);
                assert_error(&error, 12, Some(4), &[&name, "type, msg_id"]);
                let text = error["text"].as_str().expect("a text");
                for field in *fields {
                    let name = field.split('"').nth(1).expect("a name");
                    assert!(text.contains(name), "{name} is known: {text}");
                }
            }
        }
    }
}

#[test]
fn a_field_that_only_another_request_knows_is_refused_too() {
    for (kind, fields) in REQUESTS {
        for name in EVERY_FIELD {
            let is_known = fields
                .iter()
                .any(|field| field.starts_with(&format!("\"{name}\"")));
            let is_id_or_handle = *kind == "destroy_session" && *name == "session_id";
            if is_known || is_id_or_handle {
                continue;
            }
            let stray = format!(r#""{name}":1"#);
            let with = [fields, &[stray.as_str()][..]].concat();
            let line = message(body_of(kind, &with)).into_bytes();
            let error = &refusals(&strict(&[]), &[line])[0];
            let place = format!("{kind}: field {} of the body", fields.len() + 3);
            assert_error(error, 12, Some(4), &[&place]);
        }
    }
}

#[test]
fn what_is_misspelt_does_not_fail_open() {
    for (request, place) in [
        (
            r#"{"type":"validate_session","session_id":"abc123","maxage":0}"#,
            3,
        ),
        (
            r#"{"type":"validate_session","session_id":"abc123","max-age":0}"#,
            3,
        ),
        (
            r#"{"type":"validate_session","Binding":"b","session_id":"abc123"}"#,
            2,
        ),
        (
            r#"{"idleTimeout":60,"type":"create_session","user_id":"alice"}"#,
            1,
        ),
    ] {
        let answers = replies(&strict(&["--reply-format", "body"]), request);
        let error = body(&answers[0]);
        assert_error(&error, 12, None, &[&format!("field {place} of the body")]);
        // Without the option they are ignored, as Maelstrom's peers expect.
        assert_ne!(body(&replies(PRELOADED, request)[0])["type"], "error");
    }
}

#[test]
fn bare_bodies_may_have_a_sender() {
    let request = r#"{"src":"c1","type":"validate_session","session_id":"abc123","dest":"n1"}"#;
    let answers = replies(&strict(&[]), request);
    assert_eq!(body(&answers[0])["type"], "session_valid");
    let error = body(&replies(&strict(&[]), request.replace("dest", "destination"))[0]);
    assert_error(&error, 12, None, &["field 4 of the body"]);
}

#[test]
fn what_is_wrong_in_another_way_is_said_first() {
    for (request, text) in [
        (
            r#"{"type":"validate_session","unknown":1}"#,
            "session_id must be",
        ),
        (r#"{"type":"nonsense","unknown":1}"#, "type must be one of"),
        (
            r#"{"type":"echo","echo":1,"unknown":1,"msg_id":1.5}"#,
            "msg_id must be",
        ),
    ] {
        let error = body(&replies(&strict(&[]), request)[0]);
        assert!(
            error["text"]
                .as_str()
                .is_some_and(|said| said.contains(text)),
            "{error}"
        );
    }
}
