//! The optional fields of requests: one that is there has to be right.

use session_node_testing::errors::{SECRET, assert_error, refusals};
use session_node_testing::{DEFAULTS, message};

/// A good request, its optional field, what it may be and what it may not, and what must be said then.
type Row = (
    &'static str,
    &'static str,
    &'static [&'static str],
    &'static [&'static str],
    &'static str,
);

const CREATE: &str = r#""type":"create_session","user_id":"alice""#;
const VALIDATE: &str = r#""type":"validate_session","session_id":"5ecret-1d""#;
const REGENERATE: &str = r#""type":"regenerate_session","old_session_id":"5ecret-1d""#;
const REAUTHENTICATE: &str =
    r#""type":"regenerate_session","old_session_id":"5ecret-1d","reauthenticated":true"#;
const LOG_IN: &str =
    r#""type":"regenerate_session","old_session_id":"5ecret-1d","user_id":"alice""#;
const RESTARTS: &str = "absent unless reauthenticated or user_id restarts the lifetime";
const UPDATE: &str = r#""type":"update_session","session_id":"5ecret-1d""#;
const UPDATE_ALL: &str = r#""type":"update_session","session_id":"5ecret-1d","data":{}"#;
const DESTROY_ID: &str = r#""type":"destroy_session","session_id":"5ecret-1d""#;
const LIST: &str = r#""type":"list_sessions","user_id":"alice""#;
const LIST_USERS: &str = r#""type":"list_users""#;
const DESTROY: &str = r#""type":"destroy_session","user_id":"alice""#;
const DESTROY_USER: &str = r#""type":"destroy_user_sessions","user_id":"alice""#;

const NUMBERS: &[&str] = &["1", "60", "2592000"];
const WRONG_NUMBERS: &[&str] = &[
    "null",
    "true",
    "\"60\"",
    "1.0",
    "1e3",
    "-1",
    "2592001",
    "99999999999999999999",
    "[1]",
    "{}",
];
const STRING: &str = "a string of 1 to 256 bytes";
const STRINGS: &[&str] = &[r#""x""#, r#""\u00e9 \ud83d\ude00""#];
const WRONG_STRINGS: &[&str] = &[
    "null",
    "1",
    "true",
    r#""""#,
    r#"["5ecret-1d"]"#,
    r#""\ud800""#,
];
/// An id, or a handle, may be of any length and form.
const NO_STRINGS: &[&str] = &["null", "1", "true", r#"["5ecret-1d"]"#];
const ANY_STRING: &str = "a string";
const ANY_STRINGS: &[&str] = &[r#""x""#, r#""""#, r#""\ud800""#, r#""\u0000""#];
const FLAG: &str = "true or false";
const FLAGS: &[&str] = &["true", "false"];
const NO_FLAGS: &[&str] = &["null", "0", "\"true\"", "{}"];
const CURSOR: &str = "the cursor of a list of the same kind";
const CURSORS: &[&str] = &[r#""AAAAAAAAAAAAAAAAAAAAAA""#];
const NO_CURSORS: &[&str] = &[
    "null",
    "1",
    r#""""#,
    r#""5ecret-1d""#,
    r#""=""#,
    r#""AAAAAAAAAAAAAAAAAAAAAA==""#,
    r#""\ud800""#,
];
const OBJECT: &str = "a JSON object of at most 4096 bytes";
const OBJECTS: &[&str] = &["{}", r#"{"a":1}"#, r#"{"a":"\ud83d\ude00 \\ud800"}"#];
const WRONG_OBJECTS: &[&str] = &[
    "null",
    "1",
    r#""5ecret-1d""#,
    "[]",
    "[{}]",
    "true",
    // Not every parser could read these back.
    r#"{"a":"\ud800"}"#,
    r#"{"a":["\udc00"]}"#,
    r#"{"\ud800\ud800\udc00":1}"#,
    r#"{"a":"\ud800x\udc00"}"#,
    r#"{"a":"\ud800\n"}"#,
];

const ROWS: &[Row] = &[
    (
        CREATE,
        "ttl",
        NUMBERS,
        WRONG_NUMBERS,
        "an integer from 1 to 2592000",
    ),
    (
        CREATE,
        "ttl",
        &[],
        &["0", "-0"],
        "an integer from 1 to 2592000",
    ),
    (
        CREATE,
        "idle_timeout",
        NUMBERS,
        WRONG_NUMBERS,
        "an integer from 0 to 2592000",
    ),
    (CREATE, "idle_timeout", &["0", "-0"], &[], ""),
    (CREATE, "data", OBJECTS, WRONG_OBJECTS, OBJECT),
    (CREATE, "binding", STRINGS, WRONG_STRINGS, STRING),
    (VALIDATE, "binding", STRINGS, WRONG_STRINGS, STRING),
    (
        VALIDATE,
        "max_age",
        &["0", "1", "18446744073709551615"],
        &["null", "-1", "1.5", "18446744073709551616", "\"1\""],
        "an integer from 0 to 18446744073709551615",
    ),
    (
        REGENERATE,
        "reauthenticated",
        &["true", "false"],
        &["null", "1", "\"true\"", "{}"],
        "true or false",
    ),
    (
        REAUTHENTICATE,
        "ttl",
        NUMBERS,
        WRONG_NUMBERS,
        "an integer from 1 to 2592000",
    ),
    (
        REAUTHENTICATE,
        "idle_timeout",
        NUMBERS,
        WRONG_NUMBERS,
        "an integer from 0 to 2592000",
    ),
    (
        LOG_IN,
        "max_sessions_per_user",
        &["1", "18446744073709551615"],
        &["0", "null"],
        "an integer from 1 to 18446744073709551615",
    ),
    (REGENERATE, "ttl", &[], NUMBERS, RESTARTS),
    (REGENERATE, "idle_timeout", &[], NUMBERS, RESTARTS),
    (
        REAUTHENTICATE,
        "max_sessions_per_user",
        &[],
        NUMBERS,
        "absent without user_id",
    ),
    (REGENERATE, "data", OBJECTS, WRONG_OBJECTS, OBJECT),
    (REGENERATE, "user_id", STRINGS, WRONG_STRINGS, STRING),
    (REGENERATE, "binding", STRINGS, WRONG_STRINGS, STRING),
    (REGENERATE, "new_binding", STRINGS, WRONG_STRINGS, STRING),
    (
        VALIDATE,
        "touch",
        &["true", "false"],
        &["null", "0", "\"false\"", "{}"],
        "true or false",
    ),
    (
        CREATE,
        "max_sessions_per_user",
        &["1", "18446744073709551615"],
        &["0", "-1", "null", "1.0", "18446744073709551616", "\"1\""],
        "an integer from 1 to 18446744073709551615",
    ),
    (UPDATE, "data", OBJECTS, WRONG_OBJECTS, OBJECT),
    (UPDATE_ALL, "binding", STRINGS, WRONG_STRINGS, STRING),
    (
        UPDATE_ALL,
        "expected_data",
        OBJECTS,
        WRONG_OBJECTS.split_at(1).1,
        "a JSON object without lone surrogates, or null",
    ),
    (UPDATE_ALL, "expected_data", &["null"], &[], ""),
    (CREATE, "detail", FLAGS, NO_FLAGS, FLAG),
    (VALIDATE, "detail", FLAGS, NO_FLAGS, FLAG),
    (REGENERATE, "detail", FLAGS, NO_FLAGS, FLAG),
    (UPDATE_ALL, "detail", FLAGS, NO_FLAGS, FLAG),
    (DESTROY_ID, "detail", FLAGS, NO_FLAGS, FLAG),
    (LIST, "session_id", ANY_STRINGS, NO_STRINGS, ANY_STRING),
    (
        LIST,
        "limit",
        &["1", "1000"],
        &["0", "1001", "null", "\"1\""],
        "an integer from 1 to 1000",
    ),
    (LIST, "data", FLAGS, NO_FLAGS, FLAG),
    (
        LIST,
        "order",
        &[r#""oldest""#, r#""new\u0065st""#],
        &["null", "true", r#""Oldest""#, r#""5ecret-1d""#, "[]"],
        r#""oldest" or "newest""#,
    ),
    (LIST, "cursor", CURSORS, NO_CURSORS, CURSOR),
    (LIST_USERS, "cursor", CURSORS, NO_CURSORS, CURSOR),
    (
        LIST_USERS,
        "limit",
        &["1", "1000"],
        &["0", "1001", "null", "\"1\""],
        "an integer from 1 to 1000",
    ),
    (DESTROY, "handle", ANY_STRINGS, NO_STRINGS, ANY_STRING),
    (
        DESTROY_USER,
        "except_session_id",
        ANY_STRINGS,
        NO_STRINGS,
        ANY_STRING,
    ),
];

fn line(request: &str, field: &str, value: &str) -> Vec<u8> {
    message(format!(r#"{{"msg_id":4,{request},"{field}":{value}}}"#)).into_bytes()
}

fn kind(request: &str) -> &str {
    request.split('"').nth(3).expect("a type")
}

#[test]
fn an_optional_field_that_is_wrong_is_malformed() {
    for (request, field, _, wrong, expected) in ROWS {
        let lines: Vec<_> = wrong
            .iter()
            .map(|value| line(request, field, value))
            .collect();
        let name = format!("{}: {field} must be {expected}", kind(request));
        for error in refusals(DEFAULTS, &lines) {
            assert_error(&error, 12, Some(4), &[&name]);
        }
    }
}

#[test]
fn an_optional_field_that_is_right_is_taken() {
    for (request, field, right, _, _) in ROWS {
        for value in *right {
            let replies = session_node_testing::replies(
                DEFAULTS,
                [line(request, field, value), b"\n".to_vec()].concat(),
            );
            assert!(
                !replies[0].contains("error"),
                "{field} {value}: {}",
                replies[0]
            );
        }
    }
}

#[test]
fn an_optional_field_that_is_given_twice_is_malformed() {
    for (request, field, right, ..) in ROWS.iter().filter(|row| !row.2.is_empty()) {
        let twice = format!(r#"{},"{field}":{}"#, right[0], right[0]);
        for error in refusals(DEFAULTS, &[line(request, field, &twice)]) {
            let name = format!("{}: {field} must be given once only", kind(request));
            assert_error(&error, 12, Some(4), &[&name]);
        }
    }
}

#[test]
fn what_a_request_needs_may_not_be_missing() {
    for (request, missing) in [
        (UPDATE, "update_session: data must be"),
        (
            r#""type":"update_session","data":{}"#,
            "update_session: session_id must be",
        ),
        (
            r#""type":"list_sessions""#,
            "list_sessions: user_id must be",
        ),
        (
            r#""type":"destroy_session""#,
            "destroy_session: session_id must be",
        ),
        (DESTROY, "destroy_session: session_id must be"),
        (
            r#""type":"destroy_session","handle":"h""#,
            "destroy_session: user_id must be",
        ),
        (
            r#""type":"destroy_user_sessions""#,
            "destroy_user_sessions: user_id must be",
        ),
        (
            r#""type":"destroy_session","user_id":"u","handle":"h","session_id":"s""#,
            "destroy_session: session_id must be absent when there is a handle",
        ),
    ] {
        let line = message(format!(r#"{{"msg_id":4,{request}}}"#)).into_bytes();
        for error in refusals(DEFAULTS, &[line]) {
            assert_error(&error, 12, Some(4), &[missing]);
        }
    }
}

#[test]
fn the_options_set_the_bounds() {
    let args = ["--max-ttl", "2h", "--max-data-bytes", "10"];
    let lines = [
        line(CREATE, "ttl", "7201"),
        line(CREATE, "idle_timeout", "7201"),
        line(CREATE, "data", r#"{"a":12345}"#),
    ];
    let errors = refusals(&args, &lines);
    assert_error(&errors[0], 12, Some(4), &["from 1 to 7200"]);
    assert_error(&errors[1], 12, Some(4), &["from 0 to 7200"]);
    assert_error(&errors[2], 12, Some(4), &["at most 10 bytes"]);
    let fits = [
        line(CREATE, "ttl", "7200"),
        line(CREATE, "data", r#"{"a":1234}"#),
    ];
    for reply in session_node_testing::replies(&args, fits.join(&b'\n')) {
        assert!(reply.contains("session_created"), "{reply}");
    }
}

#[test]
fn a_name_that_belongs_to_another_request_is_ignored() {
    let strange =
        r#""limit":0,"handle":1,"reauthenticated":"no","max_age":null,"except_session_id":[]"#;
    let request = message(format!("{{{CREATE},{strange}}}"));
    assert!(session_node_testing::replies(DEFAULTS, request)[0].contains("session_created"));
    let request = message(format!(
        r#"{{"type":"stats","user_id":{{}},"session_id":"{SECRET}"}}"#
    ));
    assert!(session_node_testing::replies(DEFAULTS, request)[0].contains(r#""sessions":0"#));
}
