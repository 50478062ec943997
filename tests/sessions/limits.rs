//! How many sessions a user, and a node, may have; and what is counted.

use serde_json::{Value, json};
use session_node::session::{OnReuse, OnUserLimit, Policy};
use session_node_testing::errors::assert_error;
use session_node_testing::responder::Responder;
use session_node_testing::timed::TimedNode;

fn node(max_sessions_per_user: usize, on_user_limit: OnUserLimit) -> TimedNode {
    TimedNode::new(Policy {
        max_sessions: 5,
        max_sessions_per_user: Some(max_sessions_per_user),
        on_user_limit,
        ..Policy::default()
    })
}

fn refused(node: &mut TimedNode, user: &str) -> Value {
    node.ask(json!({"type": "create_session", "user_id": user}))
}

#[test]
fn a_user_beyond_the_limit_loses_the_session_that_was_created_first() {
    let mut node = node(2, OnUserLimit::EvictOldest);
    let oldest = node.create(json!({"user_id": "alice"}));
    let of_bob = node.create(json!({"user_id": "bob"}));
    let second = node.create(json!({"user_id": "alice"}));
    // Neither a use nor a new id makes it younger.
    let oldest = node.regenerate(&oldest);
    assert!(node.is_live(&oldest));
    let third = node.create(json!({"user_id": "alice"}));
    assert!(!node.is_live(&oldest));
    assert!([&second, &third, &of_bob].iter().all(|id| node.is_live(id)));
}

#[test]
fn or_the_new_session_is_refused() {
    let mut node = node(2, OnUserLimit::Reject);
    let first = node.create(json!({"user_id": "alice", "ttl": 10}));
    node.create(json!({"user_id": "alice"}));
    let expected = "create_session: the user already has the limit of 2 live sessions";
    assert_error(&refused(&mut node, "alice"), 11, None, &[expected]);
    node.create(json!({"user_id": "bob"}));
    node.wait(9_999);
    assert_error(&refused(&mut node, "alice"), 11, None, &[expected]);
    node.wait(1);
    node.create(json!({"user_id": "alice"}));
    assert!(!node.is_live(&first));
}

#[test]
fn a_session_that_has_expired_does_not_count() {
    let mut node = node(2, OnUserLimit::EvictOldest);
    let kept = node.create(json!({"user_id": "alice"}));
    node.create(json!({"user_id": "alice", "idle_timeout": 1}));
    node.wait(1_000);
    node.create(json!({"user_id": "alice"}));
    assert!(node.is_live(&kept));
}

#[test]
fn a_create_that_evicts_needs_no_room_in_the_node() {
    let mut node = node(2, OnUserLimit::EvictOldest);
    for user in ["alice", "alice", "bob", "bob", "carol"] {
        node.create(json!({"user_id": user}));
    }
    assert_error(
        &refused(&mut node, "carol"),
        11,
        None,
        &["limit of 5 live sessions"],
    );
    node.create(json!({"user_id": "alice"}));
    assert_eq!(node.list("alice").len(), 2);
    assert_error(
        &refused(&mut node, "dave"),
        11,
        None,
        &["limit of 5 live sessions"],
    );
}

#[test]
fn stats_count_what_there_is_and_what_there_was() {
    let mut node = TimedNode::new(Policy {
        max_sessions_per_user: Some(2),
        on_reuse: OnReuse::Revoke,
        ..Policy::default()
    });
    let ids: Vec<_> = (0..3)
        .map(|_| node.create(json!({"user_id": "alice"})))
        .collect();
    node.create(json!({"user_id": "bob", "ttl": 1}));
    let stolen = node.create(json!({"user_id": "carol"}));
    node.create(json!({"user_id": "dave"}));
    node.regenerate(&stolen);
    assert!(!node.is_live(&stolen));
    assert!(!node.is_live(&ids[0]));
    assert!(node.is_live(&ids[1]));
    for _ in 0..2 {
        node.ask(json!({"type": "destroy_session", "session_id": ids[2]}));
    }
    node.ask(json!({"type": "create_session"}));
    node.ask(json!({"type": "nonsense"}));
    node.wait(1_000);
    // Evicted, revoked and logged out: three destroyed.
    assert_eq!(
        node.answer(json!({"type": "stats"})),
        r#"{"type":"stats","sessions":2,"users":2,"created":6,"validated":1,"invalid":2,"regenerated":1,"#
            .to_owned()
            + r#""destroyed":3,"expired":1,"errors":2,"version":""#
            + env!("CARGO_PKG_VERSION")
            + r#"","protocol":2}"#
    );
    node.ask(json!({"type": "destroy_user_sessions", "user_id": "alice"}));
    node.ask(json!({"type": "destroy_all_sessions"}));
    let stats = node.ask(json!({"type": "stats"}));
    assert_eq!(
        (&stats["sessions"], &stats["users"]),
        (&json!(0), &json!(0))
    );
    assert_eq!(stats["destroyed"], 5);
}
