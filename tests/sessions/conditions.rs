//! Requests that say under which conditions they are to be carried out, or how.

use serde_json::{Value, json};
use session_node::session::Policy;
use session_node_testing::responder::Responder;
use session_node_testing::timed::{START, TimedNode};

fn node() -> TimedNode {
    TimedNode::new(Policy::default())
}

#[test]
fn a_look_without_touch_moves_nothing() {
    let mut node = node();
    let id = node.create(json!({"user_id": "alice", "idle_timeout": 10}));
    let look = json!({"type": "validate_session", "session_id": id, "touch": false});
    node.wait(9_000);
    assert_eq!(node.ask(&look)["expires_in"], 1);
    let seen = &node.list("alice")[0]["last_seen_at"];
    assert_eq!(*seen, START);
    let touch = json!({"type": "validate_session", "session_id": id, "touch": true});
    assert_eq!(node.ask(&touch)["expires_in"], 10);
    node.wait(9_999);
    assert_eq!(node.ask(&look)["expires_in"], 1);
    node.wait(1);
    assert_eq!(node.answer(&look), r#"{"type":"session_invalid"}"#);
}

#[test]
fn an_update_that_expects_other_data_is_told_so() {
    let mut node = node();
    let id = node.create(json!({"user_id": "alice"}));
    let mut update = |expected: &str, data: &str| {
        node.answer(format!(
            r#"{{"type":"update_session","msg_id":1,"session_id":"{id}","data":{data},"expected_data":{expected}}}"#
        ))
    };
    let updated = r#"{"type":"session_updated","in_reply_to":1}"#;
    let conflict = r#"{"type":"error","in_reply_to":1,"code":22,"text":"update_session: the session's data is not the expected data"}"#;
    assert_eq!(update("{}", "{}"), conflict);
    assert_eq!(update("null", r#"{"n":1}"#), updated);
    assert_eq!(update("null", r#"{"n":2}"#), conflict);
    // White space makes no difference, and the order of fields does.
    assert_eq!(update(r#"{ "n" : 1 }"#, r#"{"a":1,"b":2}"#), updated);
    assert_eq!(update(r#"{"b":2,"a":1}"#, "{}"), conflict);
    assert_eq!(update(r#"{"a":1,"b":2}"#, "{}"), updated);
    for wrong in ["1", "[]", r#""{}""#, r#"{"a":"\ud800"}"#] {
        let error = update(wrong, "{}");
        let text =
            "update_session: expected_data must be a JSON object without lone surrogates, or null";
        assert!(
            error.contains(r#""code":12"#) && error.contains(text),
            "{error}"
        );
    }
}

#[test]
fn a_create_may_set_the_limit_of_its_user() {
    let mut node = node();
    let create = |limit: Value| json!({"user_id": "alice", "max_sessions_per_user": limit});
    let first = node.create(create(1.into()));
    let second = node.create(create(1.into()));
    assert!(!node.is_live(&first) && node.is_live(&second));
    node.create(json!({"user_id": "alice"}));
    node.create(create(u64::MAX.into()));
    assert_eq!(node.list("alice").len(), 3);
    node.create(create(2.into()));
    assert_eq!(node.list("alice").len(), 2);
    for wrong in [json!(0), json!(-1), json!("1"), json!(null)] {
        let mut request = create(wrong);
        request["type"] = "create_session".into();
        assert_eq!(node.ask(request)["code"], 12);
    }
}

#[test]
fn names_of_users_may_be_as_long_as_the_option_says() {
    for max_user_id_bytes in [1, 256, 1024] {
        let mut node = TimedNode::new(Policy {
            max_user_id_bytes,
            ..Policy::default()
        });
        let longest = "é".repeat(max_user_id_bytes / 2) + &"x".repeat(max_user_id_bytes % 2);
        let id = node.create(json!({"user_id": longest}));
        assert_eq!(node.validate(&id)["user_id"], longest);
        assert_eq!(node.list(&longest).len(), 1);
        let longer = format!("{longest}x");
        let expected = format!("user_id must be a string of 1 to {max_user_id_bytes} bytes");
        for request in [
            json!({"type": "create_session", "user_id": longer}),
            json!({"type": "list_sessions", "user_id": longer}),
            json!({"type": "destroy_session", "user_id": longer, "handle": "h"}),
            json!({"type": "destroy_user_sessions", "user_id": longer}),
        ] {
            let error = node.ask(request);
            assert_eq!(error["code"], 12);
            let text = error["text"].as_str().expect("a text");
            assert!(text.ends_with(&expected), "{text}");
        }
        let request = json!({"type": "destroy_user_sessions", "user_id": longest});
        assert_eq!(node.ask(request)["count"], 1);
    }
}

#[test]
fn whoever_asks_for_detail_is_told_the_times_of_the_session() {
    let mut node = node();
    let created = node.ask(json!({
        "type": "create_session", "user_id": "alice", "ttl": 100, "idle_timeout": 10, "detail": true
    }));
    let id = created["session_id"].clone();
    let handle = node.list("alice")[0]["handle"].clone();
    let detail = |now: u64| {
        json!({
            "handle": handle, "created_at": START, "last_seen_at": START + now, "auth_time": START,
            "expires_at": START + now + 10, "ends_at": START + 100
        })
    };
    assert_eq!(created["detail"], detail(0));
    node.wait(3_000);
    let validate = json!({"type": "validate_session", "session_id": id, "detail": true});
    let handle = handle.as_str().expect("a handle");
    let (now, end) = (START + 3, START + 100);
    assert_eq!(
        node.answer(&validate),
        format!(
            r#"{{"type":"session_valid","user_id":"alice","expires_in":10,"detail":{{"handle":"{handle}","#
        ) + &format!(
            r#""created_at":{START},"last_seen_at":{now},"auth_time":{START},"expires_at":{},"ends_at":{end}}}}}"#,
            now + 10
        )
    );
    node.wait(1_000);
    let update = json!({"type": "update_session", "session_id": id, "data": {}, "detail": true});
    assert_eq!(node.ask(update)["detail"], detail(4));
    node.wait(1_000);
    let regenerate = json!({"type": "regenerate_session", "old_session_id": id, "detail": true});
    let regenerated = node.ask(regenerate);
    assert_eq!(regenerated["detail"], detail(5));
    // The old id is nobody's any more.
    assert_eq!(node.answer(&validate), r#"{"type":"session_invalid"}"#);

    let new = &regenerated["new_session_id"];
    let destroy = json!({"type": "destroy_session", "session_id": new, "detail": true});
    let ended = |ended: bool| {
        format!(r#"{{"type":"session_destroyed","message":"Session destroyed","ended":{ended}}}"#)
    };
    assert_eq!(node.answer(&destroy), ended(true));
    assert_eq!(node.answer(&destroy), ended(false));
    node.create(json!({"user_id": "bob"}));
    let handle = node.list("bob")[0]["handle"].clone();
    let destroy =
        json!({"type": "destroy_session", "user_id": "bob", "handle": handle, "detail": true});
    assert_eq!(node.answer(&destroy), ended(true));
    assert_eq!(node.answer(&destroy), ended(false));
}
