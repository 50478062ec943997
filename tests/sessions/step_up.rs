//! How long ago the user authenticated, and what the session is bound to.

use serde_json::{Value, json};
use session_node::session::Policy;
use session_node_testing::responder::Responder;
use session_node_testing::timed::{START, TimedNode};

fn node() -> TimedNode {
    TimedNode::new(Policy::default())
}

fn validate(node: &mut TimedNode, id: &str, max_age: u64) -> Value {
    node.ask(json!({"type": "validate_session", "session_id": id, "max_age": max_age}))
}

#[test]
fn a_user_has_to_authenticate_again_when_more_than_max_age_has_passed() {
    let mut node = node();
    let id = node.create(json!({"user_id": "alice"}));
    node.wait(300_000);
    assert_eq!(validate(&mut node, &id, 300)["type"], "session_valid");
    node.wait(1);
    assert_eq!(
        validate(&mut node, &id, 300),
        json!({"type": "reauthentication_required", "user_id": "alice", "auth_age": 301})
    );
    assert_eq!(validate(&mut node, &id, 301)["type"], "session_valid");
    assert!(node.is_live(&id));
}

#[test]
fn a_max_age_of_zero_asks_for_an_authentication_at_this_very_moment() {
    let mut node = node();
    let id = node.create(json!({"user_id": "alice"}));
    assert_eq!(validate(&mut node, &id, 0)["type"], "session_valid");
    node.wait(1);
    assert_eq!(validate(&mut node, &id, 0)["auth_age"], 1);
}

#[test]
fn authenticating_again_starts_the_lifetime_afresh_with_the_sessions_own_ttl() {
    let mut node = node();
    let id = node.create(json!({"user_id": "alice", "ttl": 100}));
    node.wait(90_000);
    let reply = node
        .ask(json!({"type": "regenerate_session", "old_session_id": id, "reauthenticated": true}));
    let id = session_node_testing::text(&reply, "new_session_id");
    let listed = &node.list("alice")[0];
    assert_eq!(listed["created_at"], START);
    assert_eq!(listed["auth_time"], START + 90);
    assert_eq!(listed["expires_at"], START + 190);
    assert_eq!(validate(&mut node, &id, 0)["expires_in"], 100);
    node.wait(99_999);
    assert!(node.is_live(&id));
    node.wait(1);
    assert!(!node.is_live(&id));
}

#[test]
fn a_regeneration_without_it_changes_neither_auth_time_nor_end() {
    for fields in [json!({}), json!({"reauthenticated": false})] {
        let mut node = node();
        let id = node.create(json!({"user_id": "alice", "ttl": 100}));
        node.wait(60_000);
        let mut request = session_node_testing::responder::with_type("regenerate_session", fields);
        request["old_session_id"] = id.into();
        let id = session_node_testing::text(&node.ask(request), "new_session_id");
        assert_eq!(node.list("alice")[0]["auth_time"], START);
        node.wait(39_999);
        assert!(node.is_live(&id));
        node.wait(1);
        assert!(!node.is_live(&id));
    }
}

#[test]
fn a_bound_session_is_valid_with_the_same_binding_only() {
    let mut node = node();
    let id = node.create(json!({"user_id": "alice", "binding": "certificate 1"}));
    let mut with = |binding: Option<&str>| {
        let mut request = json!({"type": "validate_session", "session_id": id});
        if let Some(binding) = binding {
            request["binding"] = binding.into();
        }
        node.answer(request)
    };
    assert!(with(Some("certificate 1")).contains("session_valid"));
    for wrong in [None, Some("certificate 2"), Some("certificate 1 ")] {
        assert_eq!(with(wrong), r#"{"type":"session_invalid"}"#, "{wrong:?}");
    }
}

fn validate_bound(id: &Value, binding: &str) -> Value {
    json!({"type": "validate_session", "session_id": id, "binding": binding})
}

#[test]
fn a_bound_session_is_used_with_its_binding_only() {
    let mut node = node();
    let old = node.create(json!({"user_id": "alice", "binding": "b"}));
    let regenerate = |binding: Value| json!({"type": "regenerate_session", "old_session_id": old, "binding": binding});
    let update = |binding: Value| json!({"type": "update_session", "session_id": old, "data": {}, "binding": binding});
    let without = [
        json!({"type": "regenerate_session", "old_session_id": old}),
        json!({"type": "update_session", "session_id": old, "data": {}}),
    ];
    for request in without
        .iter()
        .chain([&regenerate("c".into()), &update("c".into())])
    {
        assert_eq!(node.answer(request), r#"{"type":"session_invalid"}"#);
    }
    assert_eq!(node.ask(update("b".into()))["type"], "session_updated");
    let new = node.ask(regenerate("b".into()))["new_session_id"].clone();
    assert_eq!(node.ask(validate_bound(&new, "b"))["type"], "session_valid");
    assert_eq!(
        node.ask(validate_bound(&new, "c"))["type"],
        "session_invalid"
    );

    let request = json!({
        "type": "regenerate_session", "old_session_id": new, "binding": "b", "new_binding": "c"
    });
    let newest = node.ask(request)["new_session_id"].clone();
    assert_eq!(
        node.ask(validate_bound(&newest, "b"))["type"],
        "session_invalid"
    );
    assert_eq!(
        node.ask(validate_bound(&newest, "c"))["type"],
        "session_valid"
    );
    let free = node.create(json!({"user_id": "alice"}));
    assert_eq!(
        node.ask(validate_bound(&free.into(), "b"))["type"],
        "session_valid"
    );
    // A log-out always works.
    node.ask(json!({"type": "destroy_session", "session_id": newest}));
    assert_eq!(
        node.ask(validate_bound(&newest, "c"))["type"],
        "session_invalid"
    );
}

#[test]
fn a_wrong_binding_is_refused_before_the_age_is_looked_at() {
    let mut node = node();
    let id = node.create(json!({"user_id": "alice", "binding": "b"}));
    node.wait(10_000);
    let request =
        json!({"type": "validate_session", "session_id": id, "binding": "c", "max_age": 1});
    assert_eq!(node.answer(request), r#"{"type":"session_invalid"}"#);
}
