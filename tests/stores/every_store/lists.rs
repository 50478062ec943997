//! Lists of sessions and of users. `paging.rs` has long ones, whose sessions come and go.

use std::collections::BTreeMap;

use serde_json::json;
use session_node_testing::responder::Responder;
use session_node_testing::text;

use super::{Topic, error};
use crate::backends::Nodes;

pub const TOPICS: &[Topic] = &[
    (&[], a_list_has_an_order_and_an_end),
    (&[], a_list_says_when_a_session_ends_at_the_latest),
    (&[], a_list_may_leave_out_the_data),
    (&[], a_cursor_must_be_one),
    (&[], users_are_listed_with_their_sessions),
];

/// The handles of a list in pages of two.
fn in_pages(nodes: &mut Nodes, order: &str) -> Vec<String> {
    let request = json!({"type": "list_sessions", "user_id": "alice", "limit": 2, "order": order});
    let mut handles = Vec::new();
    nodes.page_through(request, |_, page| {
        handles.extend(page.iter().map(|one| text(one, "handle")));
    });
    handles
}

fn a_list_has_an_order_and_an_end(nodes: &mut Nodes) {
    assert!(in_pages(nodes, "oldest").is_empty());
    let mut handles = Vec::new();
    let mut ids = Vec::new();
    for user in ["alice", "bob", "alice", "alice", "bob", "alice", "alice"] {
        let create = json!({"type": "create_session", "user_id": user, "detail": true});
        let created = nodes.ask(create);
        if user == "alice" {
            handles.push(text(&created["detail"], "handle"));
            ids.push(text(&created, "session_id"));
        }
    }
    // A regenerated session keeps its place, and a destroyed one leaves it.
    nodes.regenerate(&ids[0]);
    nodes.ask(json!({"type": "destroy_session", "session_id": ids[3]}));
    handles.remove(3);
    assert_eq!(nodes.handles("alice"), handles);
    assert_eq!(in_pages(nodes, "oldest"), handles);
    handles.reverse();
    assert_eq!(in_pages(nodes, "newest"), handles);
    let newest =
        json!({"type": "list_sessions", "user_id": "alice", "order": "newest", "limit": 4});
    let newest = nodes.ask(newest);
    assert_eq!(newest.get("more"), None);
    assert_eq!(newest["sessions"][0]["handle"], handles[0].as_str());
}

fn a_list_says_when_a_session_ends_at_the_latest(nodes: &mut Nodes) {
    for (ttl, idle_timeout, expires) in [(7200, 0, 7200), (7200, 600, 600), (600, 7200, 600)] {
        let user = format!("{ttl} {idle_timeout}");
        nodes.create(json!({"user_id": user, "ttl": ttl, "idle_timeout": idle_timeout}));
        let listed = nodes.list(&user).remove(0);
        let at = |name: &str| listed[name].as_u64().expect("a time");
        assert_eq!(at("expires_at"), at("created_at") + expires, "{listed}");
        assert_eq!(at("ends_at"), at("created_at") + ttl, "{listed}");
    }
}

fn a_list_may_leave_out_the_data(nodes: &mut Nodes) {
    let data = json!({"device": "phone"});
    nodes.create(json!({"user_id": "alice", "data": data}));
    nodes.create(json!({"user_id": "alice"}));
    let mut with_data = nodes.list("alice");
    assert_eq!(with_data[0]["data"], data);
    assert_eq!(with_data[1].get("data"), None);
    let request = json!({"type": "list_sessions", "user_id": "alice", "data": true});
    assert_eq!(nodes.ask(request)["sessions"], json!(with_data));
    with_data[0]
        .as_object_mut()
        .expect("an object")
        .remove("data");
    let request = json!({"type": "list_sessions", "user_id": "alice", "data": false});
    assert_eq!(nodes.ask(request)["sessions"], json!(with_data));
}

fn a_cursor_must_be_one(nodes: &mut Nodes) {
    nodes.create(json!({"user_id": "alice"}));
    for (kind, cursors) in [
        ("list_sessions", &["", "=", "é", "AAAA"][..]),
        ("list_users", &["", "=", "é"]),
    ] {
        for cursor in cursors {
            let request = json!({"type": kind, "user_id": "alice", "cursor": cursor});
            let must_be = format!("{kind}: cursor must be the cursor of a list of the same kind");
            assert_eq!(nodes.ask(request), error(12, &must_be), "{cursor}");
        }
    }
}

fn users_are_listed_with_their_sessions(nodes: &mut Nodes) {
    let mut expected = BTreeMap::new();
    for number in 0..30_u64 {
        let user = format!("user {number}");
        let sessions = 1 + number % 3;
        for _ in 0..sessions {
            nodes.create(json!({"user_id": user}));
        }
        expected.insert(user, sessions);
    }
    let gone = nodes.create(json!({"user_id": "gone"}));
    nodes.ask(json!({"type": "destroy_session", "session_id": gone}));
    for limit in [1, 7, 1000] {
        // On Redis, a list may show a user twice.
        let mut seen: BTreeMap<String, u64> = BTreeMap::new();
        let request = json!({"type": "list_users", "limit": limit});
        nodes.page_through(request, |_, page| {
            for user in page {
                let sessions = user["sessions"].as_u64().expect("a count");
                seen.insert(text(&user, "user_id"), sessions);
            }
        });
        assert_eq!(seen, expected, "in pages of {limit}");
    }
}
