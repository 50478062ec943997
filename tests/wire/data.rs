//! What an application keeps in a session: it comes back as it was, goes with the session, and never brings one
//! back.

use serde_json::json;
use session_node::session::Policy;
use session_node_testing::errors::assert_error;
use session_node_testing::responder::Responder;
use session_node_testing::timed::TimedNode;

fn node() -> TimedNode {
    TimedNode::new(Policy::default())
}

fn create_with(node: &mut TimedNode, data: &str) -> String {
    let request = format!(r#"{{"type":"create_session","user_id":"alice","data":{data}}}"#);
    session_node_testing::text(&node.ask(request), "session_id")
}

fn validate(node: &mut TimedNode, id: &str) -> String {
    node.answer(json!({"type": "validate_session", "session_id": id}))
}

fn valid_with(data: &str) -> String {
    format!(r#"{{"type":"session_valid","user_id":"alice","expires_in":3600,"data":{data}}}"#)
}

#[test]
fn data_comes_back_as_it_was() {
    let deep = format!("{{\"deep\":{}{}}}", "[".repeat(1000), "]".repeat(1000));
    for data in [
        "{}",
        r#"{"b":1,"a":2,"b":3}"#,
        r#"{"big":123456789012345678901234567890,"small":-0.10e-400,"one":1.0}"#,
        r#"{"empty":[],"object":{},"null":null,"no":false}"#,
        r#"{"escapes":"\u00e9\/\ud83d\ude00\n","raw":"é😀"," spaces ":" a  b "}"#,
        &deep,
    ] {
        let mut node = node();
        let id = create_with(&mut node, data);
        assert_eq!(validate(&mut node, &id), valid_with(data));
        let listed = node.answer(json!({"type": "list_sessions", "user_id": "alice"}));
        assert!(listed.contains(&format!(r#","data":{data}}}"#)), "{listed}");
    }
}

#[test]
fn white_space_between_the_tokens_is_left_out() {
    let mut node = node();
    let id = create_with(&mut node, "{ \"a\" :\t[ 1 , \" \" ] }");
    assert_eq!(validate(&mut node, &id), valid_with(r#"{"a":[1," "]}"#));
}

#[test]
fn a_session_without_data_says_nothing_of_any() {
    let mut node = node();
    let id = node.create(json!({"user_id": "alice"}));
    assert!(node.validate(&id).get("data").is_none());
    assert!(node.list("alice")[0].get("data").is_none());
}

#[test]
fn a_regeneration_carries_data_over_or_replaces_it() {
    let mut node = node();
    let id = create_with(&mut node, r#"{"cart":[1]}"#);
    let id = node.regenerate(&id);
    assert_eq!(validate(&mut node, &id), valid_with(r#"{"cart":[1]}"#));
    let request = json!({"type": "regenerate_session", "old_session_id": id, "data": {"cart": []}});
    let id = session_node_testing::text(&node.ask(request), "new_session_id");
    assert_eq!(validate(&mut node, &id), valid_with(r#"{"cart":[]}"#));
}

#[test]
fn an_update_replaces_the_whole() {
    let mut node = node();
    for data in [r#"{"a":1,"b":2}"#, r#"{"c":3}"#, "{}"] {
        let id = node.create(json!({"user_id": "alice"}));
        let request = format!(r#"{{"type":"update_session","session_id":"{id}","data":{data}}}"#);
        assert_eq!(node.answer(request), r#"{"type":"session_updated"}"#);
        assert_eq!(validate(&mut node, &id), valid_with(data));
    }
}

#[test]
fn an_update_brings_no_session_back() {
    let mut node = node();
    let destroyed = node.create(json!({"user_id": "alice"}));
    node.ask(json!({"type": "destroy_session", "session_id": destroyed}));
    let expired = node.create(json!({"user_id": "alice", "ttl": 1}));
    let retired = node.create(json!({"user_id": "alice"}));
    let live = node.regenerate(&retired);
    node.wait(1_000);
    for id in [destroyed.as_str(), &expired, &retired, "unknown"] {
        let request = json!({"type": "update_session", "session_id": id, "data": {"a": 1}});
        assert_eq!(node.answer(request), r#"{"type":"session_invalid"}"#);
        assert!(!node.is_live(id));
    }
    assert!(node.validate(&live).get("data").is_none());
}

#[test]
fn data_may_have_4096_bytes_of_compact_json() {
    let mut node = node();
    let data = |length: usize| format!(r#"{{"a":"{}"}}"#, "x".repeat(length - 8));
    let id = create_with(&mut node, &data(4096).replace(':', " : "));
    assert_eq!(validate(&mut node, &id), valid_with(&data(4096)));
    for request in [
        r#"{"type":"create_session","user_id":"alice","data":DATA}"#.to_owned(),
        format!(r#"{{"type":"update_session","session_id":"{id}","data":DATA}}"#),
        format!(r#"{{"type":"regenerate_session","old_session_id":"{id}","data":DATA}}"#),
    ] {
        let error = node.ask(request.replace("DATA", &data(4097)));
        let what = "data must be a JSON object of at most 4096 bytes, without lone surrogates";
        assert_error(&error, 12, None, &[what]);
    }
    assert_eq!(validate(&mut node, &id), valid_with(&data(4096)));
}
