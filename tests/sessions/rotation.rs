//! Ids that a regeneration has retired: their grace, and what follows when one turns up later.

use std::time::Duration;

use serde_json::{Value, json};
use session_node::session::{MAX_RETIRED_IDS, OnReuse, Policy};
use session_node_testing::responder::Responder;
use session_node_testing::timed::TimedNode;

fn node(grace_seconds: u64, on_reuse: OnReuse) -> TimedNode {
    TimedNode::new(Policy {
        rotation_grace: Duration::from_secs(grace_seconds),
        on_reuse,
        ..Policy::default()
    })
}

/// Every request that presents an id.
fn presenting(id: &str) -> [Value; 6] {
    [
        json!({"type": "validate_session", "session_id": id}),
        json!({"type": "regenerate_session", "old_session_id": id}),
        json!({"type": "update_session", "session_id": id, "data": {}}),
        json!({"type": "destroy_session", "session_id": id}),
        json!({"type": "list_sessions", "user_id": "somebody", "session_id": id}),
        json!({"type": "destroy_user_sessions", "user_id": "somebody", "except_session_id": id}),
    ]
}

#[test]
fn without_a_grace_a_retired_id_is_invalid_at_once_and_harms_nothing() {
    let mut node = node(0, OnReuse::Ignore);
    let old = node.create(json!({"user_id": "alice"}));
    let new = node.regenerate(&old);
    for request in presenting(&old) {
        assert_ne!(node.ask(&request)["type"], "session_valid", "{request}");
        assert!(node.is_live(&new), "after {request}");
    }
}

#[test]
fn a_retired_id_validates_until_its_grace_is_over() {
    let mut node = node(5, OnReuse::Ignore);
    let old = node.create(json!({"user_id": "alice"}));
    let new = node.regenerate(&old);
    node.wait(4_999);
    assert!(node.is_live(&old) && node.is_live(&new));
    node.wait(1);
    assert!(!node.is_live(&old));
    assert!(node.is_live(&new));
}

#[test]
fn within_its_grace_a_retired_id_does_all_but_regenerate() {
    for on_reuse in [OnReuse::Ignore, OnReuse::Revoke] {
        let mut node = node(5, on_reuse);
        let old = node.create(json!({"user_id": "alice"}));
        let new = node.regenerate(&old);
        let again =
            json!({"type": "regenerate_session", "msg_id": 7, "old_session_id": old, "data": {}});
        assert_eq!(
            node.answer(again),
            r#"{"type":"error","in_reply_to":7,"code":22,"text":"regenerate_session: this id was regenerated a moment ago"}"#
        );
        assert!(node.is_live(&new) && node.is_live(&old));
        assert!(node.validate(&new).get("data").is_none());
        let update = json!({"type": "update_session", "session_id": old, "data": {"by": "old"}});
        assert_eq!(node.answer(update), r#"{"type":"session_updated"}"#);
        assert_eq!(node.validate(&new)["data"], json!({"by": "old"}));
    }
}

#[test]
fn a_retired_id_passes_no_step_up_that_it_did_not_pass_before() {
    let mut node = node(60, OnReuse::Ignore);
    let old = node.create(json!({"user_id": "alice"}));
    node.wait(10_000);
    let again =
        json!({"type": "regenerate_session", "old_session_id": old, "reauthenticated": true});
    let new = node.ask(again)["new_session_id"].clone();
    let step_up = |id: &Value| json!({"type": "validate_session", "session_id": id, "max_age": 9});
    assert_eq!(node.ask(step_up(&new))["type"], "session_valid");
    let stolen = node.answer(step_up(&old.into()));
    assert_eq!(
        stolen,
        r#"{"type":"reauthentication_required","user_id":"alice","auth_age":10}"#
    );
}

#[test]
fn a_log_out_with_a_retired_id_is_not_lost_within_its_grace() {
    let mut node = node(5, OnReuse::Ignore);
    let old = node.create(json!({"user_id": "alice"}));
    let new = node.regenerate(&old);
    node.wait(4_999);
    node.ask(json!({"type": "destroy_session", "session_id": old}));
    assert!(!node.is_live(&new) && !node.is_live(&old));
}

#[test]
fn after_its_grace_a_log_out_with_a_retired_id_ends_nothing() {
    let mut node = node(5, OnReuse::Ignore);
    let old = node.create(json!({"user_id": "alice"}));
    let new = node.regenerate(&old);
    node.wait(5_000);
    node.ask(json!({"type": "destroy_session", "session_id": old}));
    assert!(node.is_live(&new));
}

#[test]
fn within_its_grace_a_retired_id_names_its_users_own_session() {
    let mut node = node(5, OnReuse::Ignore);
    let old = node.create(json!({"user_id": "alice"}));
    let other = node.create(json!({"user_id": "alice"}));
    let new = node.regenerate(&old);
    let list = node.ask(json!({"type": "list_sessions", "user_id": "alice", "session_id": old}));
    assert_eq!(list["sessions"][0]["current"], true);
    assert!(list["sessions"][1].get("current").is_none());
    let request =
        json!({"type": "destroy_user_sessions", "user_id": "alice", "except_session_id": old});
    assert_eq!(node.ask(&request)["count"], 1);
    assert!(node.is_live(&new) && !node.is_live(&other));
    node.wait(5_000);
    let newest = node.create(json!({"user_id": "alice"}));
    assert_eq!(node.answer(&request), r#"{"type":"session_invalid"}"#);
    assert!(node.is_live(&new) && node.is_live(&newest));
}

#[test]
fn a_stolen_id_ends_the_session_it_became_whatever_it_is_presented_for() {
    for (number, request) in presenting("").iter().enumerate() {
        for grace in [0, 5] {
            let mut node = node(grace, OnReuse::Revoke);
            let old = node.create(json!({"user_id": "alice"}));
            let other = node.create(json!({"user_id": "alice"}));
            let new = node.regenerate(&old);
            node.wait(grace * 1000);
            assert!(node.is_live(&new));
            let reply = node.ask(&presenting(&old)[number]);
            assert_ne!(reply["type"], "session_valid");
            assert!(!node.is_live(&new), "after {request}");
            assert!(node.is_live(&other), "after {request}");
        }
    }
}

#[test]
fn a_stolen_id_is_recognised_after_any_later_rotations() {
    let mut node = node(0, OnReuse::Revoke);
    let first = node.create(json!({"user_id": "alice"}));
    let mut latest = first.clone();
    for _ in 0..MAX_RETIRED_IDS {
        latest = node.regenerate(&latest);
    }
    assert!(node.is_live(&latest));
    assert!(!node.is_live(&first));
    assert!(!node.is_live(&latest));
}

#[test]
fn a_session_remembers_only_so_many_retired_ids() {
    let mut node = node(3600, OnReuse::Revoke);
    let first = node.create(json!({"user_id": "alice"}));
    let second = node.regenerate(&first);
    let mut latest = second.clone();
    for _ in 0..MAX_RETIRED_IDS {
        latest = node.regenerate(&latest);
    }
    assert!(!node.is_live(&first));
    assert!(node.is_live(&second) && node.is_live(&latest));
}

#[test]
fn a_session_that_has_ended_takes_its_retired_ids_with_it() {
    let mut node = node(10_000, OnReuse::Ignore);
    let old = node.create(json!({"user_id": "alice", "ttl": 60}));
    node.regenerate(&old);
    node.wait(59_999);
    assert!(node.is_live(&old));
    node.wait(1);
    assert!(!node.is_live(&old));
}
