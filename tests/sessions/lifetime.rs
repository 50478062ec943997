//! When a session ends: its lifetime, its idle timeout, and what it takes to put them off. Each boundary from
//! both sides.

use std::time::Duration;

use serde_json::json;
use session_node::session::Policy;
use session_node_testing::responder::Responder;
use session_node_testing::timed::{START, TimedNode};

fn node() -> TimedNode {
    TimedNode::new(Policy::default())
}

fn node_with_idle_timeout(seconds: u64) -> TimedNode {
    TimedNode::new(Policy {
        idle_timeout: Some(Duration::from_secs(seconds)),
        ..Policy::default()
    })
}

#[test]
fn a_session_lives_for_the_ttl_that_it_asked_for() {
    let mut node = node();
    let short = node.create(json!({"user_id": "alice", "ttl": 10}));
    let remembered = node.create(json!({"user_id": "alice", "ttl": 2_592_000}));
    let usual = node.create(json!({"user_id": "alice"}));
    node.wait(9_999);
    assert!(node.is_live(&short));
    node.wait(1);
    assert!(!node.is_live(&short));
    node.wait(3_589_999);
    assert!(node.is_live(&usual));
    node.wait(1);
    assert!(!node.is_live(&usual));
    node.wait(2_588_399_999);
    assert!(node.is_live(&remembered));
    node.wait(1);
    assert!(!node.is_live(&remembered));
}

#[test]
fn a_session_that_is_not_used_for_its_idle_timeout_ends() {
    for (mut node, fields) in [
        (node(), json!({"user_id": "alice", "idle_timeout": 60})),
        (node_with_idle_timeout(60), json!({"user_id": "alice"})),
    ] {
        let id = node.create(fields);
        for _ in 0..3 {
            node.wait(59_999);
            assert!(node.is_live(&id));
        }
        node.wait(60_000);
        assert!(!node.is_live(&id));
    }
}

#[test]
fn an_idle_timeout_of_zero_is_none_whatever_the_option_says() {
    let mut node = node_with_idle_timeout(60);
    let id = node.create(json!({"user_id": "alice", "idle_timeout": 0}));
    let longer = node.create(json!({"user_id": "alice", "idle_timeout": 120}));
    node.wait(119_999);
    assert!(node.is_live(&longer));
    node.wait(3_480_000);
    assert!(node.is_live(&id));
    assert!(!node.is_live(&longer));
}

#[test]
fn no_use_puts_the_end_of_the_lifetime_off() {
    let mut node = node();
    let id = node.create(json!({"user_id": "alice", "ttl": 100, "idle_timeout": 60}));
    node.wait(50_000);
    assert_eq!(node.validate(&id)["expires_in"], 50);
    node.wait(49_999);
    assert_eq!(node.validate(&id)["expires_in"], 1);
    node.wait(1);
    assert!(!node.is_live(&id));
}

#[test]
fn times_say_when_the_session_ends_if_it_is_not_used_again() {
    let mut node = node();
    let created =
        node.ask(json!({"type": "create_session", "user_id": "a", "ttl": 100, "idle_timeout": 60}));
    assert_eq!(created["expires_at"], START + 60);
    let id = session_node_testing::text(&created, "session_id");
    assert_eq!(node.validate(&id)["expires_in"], 60);
    node.wait(50_000);
    assert_eq!(node.validate(&id)["expires_in"], 50);
    assert_eq!(node.list("a")[0]["expires_at"], START + 100);
}

#[test]
fn validating_updating_and_regenerating_are_uses() {
    for request in [
        json!({"type": "validate_session"}),
        json!({"type": "update_session", "data": {}}),
        json!({"type": "regenerate_session"}),
    ] {
        let mut node = node_with_idle_timeout(60);
        let id = node.create(json!({"user_id": "alice"}));
        node.wait(59_999);
        let mut request = request;
        request["session_id"] = id.as_str().into();
        request["old_session_id"] = id.as_str().into();
        let reply = node.ask(&request);
        let id = reply["new_session_id"].as_str().unwrap_or(&id).to_owned();
        node.wait(59_999);
        assert_eq!(node.list("alice")[0]["last_seen_at"], START + 60);
        assert!(node.is_live(&id), "after {request}");
        node.wait(60_000);
        assert!(!node.is_live(&id));
    }
}

#[test]
fn what_shows_or_refuses_a_session_is_no_use_of_it() {
    for (request, answer) in [
        (
            json!({"type": "list_sessions", "user_id": "alice"}),
            "session_list",
        ),
        (json!({"type": "stats"}), "stats"),
        (
            json!({"type": "validate_session", "binding": "device", "max_age": 1}),
            "reauthentication_required",
        ),
        (
            json!({"type": "validate_session", "binding": "other"}),
            "session_invalid",
        ),
        (json!({"type": "validate_session"}), "session_invalid"),
    ] {
        let mut node = node_with_idle_timeout(60);
        let id = node.create(json!({"user_id": "alice", "binding": "device"}));
        node.wait(30_000);
        let mut request = request;
        request["session_id"] = id.as_str().into();
        assert_eq!(node.ask(&request)["type"], answer, "{request}");
        node.wait(30_000);
        let valid =
            node.ask(json!({"type": "validate_session", "session_id": id, "binding": "device"}));
        assert_eq!(valid["type"], "session_invalid", "after {request}");
    }
}

#[test]
fn a_session_that_is_used_all_the_time_is_removed_all_the_same_when_it_ends() {
    let mut node = node();
    let id = node.create(json!({"user_id": "alice", "ttl": 20, "idle_timeout": 2}));
    for _ in 0..19 {
        node.wait(1_000);
        assert!(node.is_live(&id));
    }
    node.wait(1_000);
    let stats = node.ask(json!({"type": "stats"}));
    assert_eq!(stats["sessions"], 0);
    assert_eq!(stats["users"], 0);
    assert_eq!(stats["expired"], 1);
}
