//! A node that is started again with a shorter `--max-ttl` ends the sessions that an earlier one made.
#![cfg(any(feature = "sqlite", feature = "redis"))]

use std::thread::sleep;
use std::time::Duration;

use serde_json::json;
use session_node_testing::{Node, text};

/// Creates sessions under one policy, and asks for them under a stricter one, on both sides of their new end.
fn restart(store: &str) {
    let mut before = Node::start(&["--store", store, "--max-ttl", "1h", "--ttl", "1h"]);
    let mut create = || {
        let created = before.ask(json!({"type": "create_session", "user_id": "alice"}));
        text(&created, "session_id")
    };
    let (old, moved) = (create(), create());
    before.finish().ended_well();

    let mut after = Node::start(&["--store", store, "--max-ttl", "6s", "--ttl", "6s"]);
    let valid = after.ask(json!({"type": "validate_session", "session_id": old}));
    let left = valid["expires_in"].as_u64().expect("the session is live");
    assert!((1..=6).contains(&left), "{valid}");
    sleep(Duration::from_millis(4500));
    let again = json!({
        "type": "regenerate_session", "old_session_id": moved, "reauthenticated": true
    });
    let moved = text(&after.ask(again), "new_session_id");
    sleep(Duration::from_secs(2));
    let is_live = |node: &mut Node, id: &str| {
        let reply = node.ask(json!({"type": "validate_session", "session_id": id}));
        reply["type"] == "session_valid"
    };
    assert!(!is_live(&mut after, &old));
    assert!(is_live(&mut after, &moved), "its user authenticated again");
    sleep(Duration::from_millis(4500));
    assert!(!is_live(&mut after, &moved));
    after.finish().ended_well();

    // A more generous policy brings none of them back.
    let mut later = Node::start(&["--store", store, "--max-ttl", "1h", "--ttl", "1h"]);
    assert!(!is_live(&mut later, &old) && !is_live(&mut later, &moved));
    let list = later.ask(json!({"type": "list_sessions", "user_id": "alice"}));
    assert_eq!(list["sessions"], json!([]));
}

#[cfg(feature = "sqlite")]
#[test]
fn in_a_file() {
    let place = session_node_testing::place::Place::new("stricter-policy");
    restart(&place.url());
}

#[cfg(feature = "redis")]
#[test]
fn on_a_server() {
    use session_node_testing::redis_server::RedisServer;
    session_node_testing::needs!(REDIS_SERVER);
    let server = RedisServer::start();
    restart(&server.url());
}
