//! Seeing a user's sessions and ending them: one, all, all but the own, everybody's.

use serde_json::json;
use session_node::session::Policy;
use session_node_testing::responder::Responder;
use session_node_testing::timed::{START, TimedNode};

fn node() -> TimedNode {
    TimedNode::new(Policy::default())
}

#[test]
fn a_list_shows_a_users_sessions_oldest_first() {
    let mut node = node();
    let first = node.create(json!({"user_id": "alice", "data": {"device": "phone"}}));
    node.wait(10_000);
    let second = node.create(json!({"user_id": "alice", "ttl": 60}));
    node.create(json!({"user_id": "bob"}));
    node.wait(10_000);
    node.validate(&first);
    let own = node.regenerate(&second);

    let list = node.ask(json!({"type": "list_sessions", "user_id": "alice", "session_id": own}));
    let handles = node.handles("alice");
    assert_eq!(
        list,
        json!({"type": "session_list", "sessions": [
            {
                "handle": handles[0], "created_at": START, "last_seen_at": START + 20,
                "auth_time": START, "expires_at": START + 3600, "ends_at": START + 3600,
                "data": {"device": "phone"}
            },
            {
                "handle": handles[1], "created_at": START + 10, "last_seen_at": START + 20,
                "auth_time": START + 10, "expires_at": START + 70, "ends_at": START + 70,
                "current": true
            },
        ]})
    );
}

#[test]
fn the_keys_of_a_list_come_in_the_promised_order() {
    let mut node = node();
    let id = node.create(json!({"user_id": "alice", "data": {}}));
    let handle = &node.handles("alice")[0];
    let request =
        json!({"type": "list_sessions", "user_id": "alice", "session_id": id, "limit": 1});
    let (end, now) = (START + 3600, START);
    node.create(json!({"user_id": "alice"}));
    assert_eq!(
        node.answer(request),
        format!(
            r#"{{"type":"session_list","sessions":[{{"handle":"{handle}","created_at":{now},"last_seen_at":{now},"#
        ) + &format!(
            r#""auth_time":{now},"expires_at":{end},"ends_at":{end},"data":{{}},"current":true}}],"more":true,"cursor":"AAAAAAAAAAAAAAABAAAAAQ"}}"#
        )
    );
}

#[test]
fn a_user_without_sessions_has_an_empty_list() {
    let mut node = node();
    let expired = node.create(json!({"user_id": "alice", "ttl": 1}));
    node.wait(1_000);
    for id in [expired.as_str(), "unknown"] {
        let request = json!({"type": "list_sessions", "user_id": "alice", "session_id": id});
        assert_eq!(
            node.answer(request),
            r#"{"type":"session_list","sessions":[]}"#
        );
    }
}

#[test]
fn a_list_shows_100_sessions_or_as_many_as_were_asked_for_and_says_when_there_are_more() {
    let mut node = node();
    for _ in 0..101 {
        node.create(json!({"user_id": "alice"}));
    }
    for (limit, shown, more) in [
        (None, 100, true),
        (Some(1), 1, true),
        (Some(100), 100, true),
        (Some(101), 101, false),
        (Some(1000), 101, false),
    ] {
        let mut request = json!({"type": "list_sessions", "user_id": "alice"});
        if let Some(limit) = limit {
            request["limit"] = limit.into();
        }
        let list = node.ask(request);
        assert_eq!(list["sessions"].as_array().map(Vec::len), Some(shown));
        assert_eq!(list.get("more").is_some(), more, "{limit:?}");
    }
}

#[test]
fn a_handle_stays_the_same_and_opens_nothing() {
    let mut node = node();
    let mut id = node.create(json!({"user_id": "alice"}));
    let handle = node.handles("alice").remove(0);
    for _ in 0..3 {
        id = node.regenerate(&id);
        assert_eq!(node.handles("alice"), [handle.as_str()]);
        assert!(!node.is_live(&handle));
        assert!(!id.contains(&handle) && !handle.contains(&id));
    }
}

#[test]
fn a_session_is_ended_by_its_handle_for_its_own_user_only() {
    let mut node = node();
    let first = node.create(json!({"user_id": "alice"}));
    let second = node.create(json!({"user_id": "alice"}));
    let handle = node.handles("alice").remove(0);
    let first = node.regenerate(&first);
    for (user, named) in [
        ("bob", handle.as_str()),
        ("alice", "unknown"),
        ("alice", &second),
    ] {
        let request = json!({"type": "destroy_session", "user_id": user, "handle": named});
        assert_eq!(node.ask(request)["type"], "session_destroyed");
        assert!(node.is_live(&first) && node.is_live(&second));
    }
    let request = json!({"type": "destroy_session", "user_id": "alice", "handle": handle});
    for _ in 0..2 {
        assert_eq!(
            node.answer(&request),
            r#"{"type":"session_destroyed","message":"Session destroyed"}"#
        );
        assert!(!node.is_live(&first) && node.is_live(&second));
    }
}

#[test]
fn all_sessions_of_a_user_end_at_once() {
    let mut node = node();
    let of_alice: Vec<_> = (0..5)
        .map(|_| node.create(json!({"user_id": "alice"})))
        .collect();
    let expired = node.create(json!({"user_id": "alice", "ttl": 1}));
    let of_bob = node.create(json!({"user_id": "bob"}));
    node.wait(1_000);
    let request = json!({"type": "destroy_user_sessions", "user_id": "alice"});
    assert_eq!(
        node.answer(&request),
        r#"{"type":"user_sessions_destroyed","count":5}"#
    );
    assert!(
        of_alice
            .iter()
            .chain([&expired])
            .all(|id| !node.is_live(id))
    );
    assert!(node.is_live(&of_bob));
    assert_eq!(node.ask(&request)["count"], 0);
}

#[test]
fn the_callers_own_session_is_spared_if_it_is_the_users() {
    let mut node = node();
    let own = node.create(json!({"user_id": "alice"}));
    let other = node.create(json!({"user_id": "alice"}));
    let of_bob = node.create(json!({"user_id": "bob"}));
    let except = |id: &str| json!({"type": "destroy_user_sessions", "user_id": "alice", "except_session_id": id});
    assert_eq!(node.ask(except(&own))["count"], 1);
    assert!(node.is_live(&own) && !node.is_live(&other));
    for dead in [&of_bob, &other, "never"] {
        assert_eq!(node.answer(except(dead)), r#"{"type":"session_invalid"}"#);
    }
    assert!(node.is_live(&own) && node.is_live(&of_bob));
}

#[test]
fn everybodys_sessions_end_at_once() {
    let mut node = node();
    let ids: Vec<_> = (0..100)
        .map(|n| node.create(json!({"user_id": format!("user{}", n % 10)})))
        .collect();
    node.create(json!({"user_id": "late", "ttl": 1}));
    node.wait(1_000);
    let request = json!({"type": "destroy_all_sessions"});
    assert_eq!(
        node.answer(&request),
        r#"{"type":"all_sessions_destroyed","count":100}"#
    );
    assert!(ids.iter().all(|id| !node.is_live(id)));
    assert_eq!(node.ask(&request)["count"], 0);
    let id = node.create(json!({"user_id": "user1"}));
    assert_eq!(node.list("user1").len(), 1);
    assert!(node.is_live(&id));
}

#[test]
fn many_lists_asked_for_at_once_do_not_pile_up_in_memory() {
    let mut node = session_node_testing::Node::start(session_node_testing::DEFAULTS);
    let data = "x".repeat(4000);
    for _ in 0..100 {
        node.ask(json!({"type": "create_session", "user_id": "alice", "data": {"d": data}}));
    }
    let before = node.peak_memory_kib();
    // 400 kB each, and 200 of them in one write.
    let request =
        session_node_testing::message(json!({"type": "list_sessions", "user_id": "alice"}));
    let lists = 200;
    node.write(format!("{request}\n").repeat(lists));
    for _ in 0..lists {
        assert!(node.recv().len() > 400_000);
    }
    let grown = node.peak_memory_kib() - before;
    assert!(grown < 20_000, "{grown} KiB");
}
