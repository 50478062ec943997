//! The log-in of a visitor, whose session becomes a user's.

use serde_json::{Value, json};
use session_node_testing::responder::Responder;
use session_node_testing::text;

use super::{GRACE, Topic, error, invalid, pause, with};
use crate::backends::Nodes;

const EVICT: &[&str] = &["--rotation-grace", "1h", "--max-sessions-per-user", "2"];
const REJECT: &[&str] = &[
    "--rotation-grace",
    "1h",
    "--max-sessions-per-user",
    "2",
    "--on-user-limit",
    "reject",
];

pub const TOPICS: &[Topic] = &[
    (GRACE, a_visitors_session_becomes_the_users),
    (GRACE, no_earlier_id_is_of_use_after_a_log_in),
    (GRACE, a_retired_id_logs_nobody_in),
    (GRACE, its_own_user_authenticates_again),
    (GRACE, a_log_in_needs_the_binding),
    (GRACE, a_log_in_may_set_the_lifetime),
    (EVICT, a_log_in_ends_the_users_oldest_session),
    (REJECT, a_log_in_beyond_the_limit_changes_nothing),
    (REJECT, a_limit_refuses_no_log_in_that_is_none),
];

fn log_in(id: &str, user: &str) -> Value {
    json!({"type": "regenerate_session", "old_session_id": id, "user_id": user})
}

fn a_visitors_session_becomes_the_users(nodes: &mut Nodes) {
    let cart = json!({"cart": [1, 2]});
    let older = nodes.create(json!({"user_id": "alice"}));
    let visitor = nodes.create(json!({"user_id": "visitor", "data": cart, "ttl": 600}));
    let other = nodes.create(json!({"user_id": "visitor"}));
    nodes.create(json!({"user_id": "alice"}));
    let before = nodes.list("visitor").remove(0);
    let expected = [nodes.handles("alice"), vec![text(&before, "handle")]].concat();
    pause();
    let reply = nodes.ask(with(&log_in(&visitor, "alice"), "detail", true));
    let new = text(&reply, "new_session_id");
    let valid = nodes.validate(&new);
    assert_eq!(
        (&valid["user_id"], &valid["data"]),
        (&json!("alice"), &cart)
    );
    let detail = &reply["detail"];
    for name in ["handle", "created_at"] {
        assert_eq!(detail[name], before[name]);
    }
    assert!(
        detail["auth_time"].as_u64() > before["auth_time"].as_u64(),
        "{reply}"
    );
    let ends_at = detail["auth_time"].as_u64().map(|time| time + 600);
    assert_eq!(detail["ends_at"].as_u64(), ends_at, "{reply}");

    // It was the visitor's oldest session, and is the user's latest.
    assert_eq!(nodes.handles("alice"), expected);
    assert_eq!(nodes.list("visitor").len(), 1);
    assert!(nodes.is_live(&older) && nodes.is_live(&other));
    nodes.ask(json!({"type": "destroy_session", "session_id": other}));
    assert!(nodes.list("visitor").is_empty());
    let all = json!({"type": "destroy_user_sessions", "user_id": "visitor"});
    assert_eq!(nodes.ask(all)["count"], 0);
    let all = json!({"type": "destroy_user_sessions", "user_id": "alice"});
    assert_eq!(nodes.ask(all)["count"], 3);
    assert!(!nodes.is_live(&new));
}

/// Whoever knows the visitor's ids is neither logged in with them nor able to log the user out.
fn no_earlier_id_is_of_use_after_a_log_in(nodes: &mut Nodes) {
    let first = nodes.create(json!({"user_id": "visitor"}));
    let second = nodes.regenerate(&first);
    assert!(nodes.is_live(&first));
    let new = text(&nodes.ask(log_in(&second, "alice")), "new_session_id");
    for old in [&first, &second] {
        for request in [
            json!({"type": "validate_session", "session_id": old}),
            json!({"type": "update_session", "session_id": old, "data": {}}),
            json!({"type": "regenerate_session", "old_session_id": old}),
            log_in(old, "alice"),
            log_in(old, "bob"),
        ] {
            assert_eq!(nodes.ask(&request), invalid(), "{request}");
        }
        for user in ["alice", "visitor"] {
            let all_but = json!({
                "type": "destroy_user_sessions", "user_id": user, "except_session_id": old
            });
            assert_eq!(nodes.ask(all_but), invalid());
        }
        let list = json!({"type": "list_sessions", "user_id": "alice", "session_id": old});
        assert_eq!(nodes.ask(list)["sessions"][0].get("current"), None);
        let destroy = json!({"type": "destroy_session", "session_id": old, "detail": true});
        assert_eq!(nodes.ask(destroy)["ended"], false);
    }
    let valid = nodes.validate(&new);
    assert_eq!(
        (&valid["user_id"], valid.get("data")),
        (&json!("alice"), None)
    );
    // Later ids are retired as ever.
    let newest = nodes.regenerate(&new);
    assert!(nodes.is_live(&new) && nodes.is_live(&newest));
}

fn a_retired_id_logs_nobody_in(nodes: &mut Nodes) {
    let old = nodes.create(json!({"user_id": "visitor"}));
    let new = nodes.regenerate(&old);
    let refusal = error(
        22,
        "regenerate_session: this id was regenerated a moment ago",
    );
    for user in ["alice", "visitor"] {
        assert_eq!(nodes.ask(log_in(&old, user)), refusal);
    }
    assert!(nodes.list("alice").is_empty());
    for id in [&old, &new] {
        assert_eq!(nodes.validate(id)["user_id"], "visitor");
    }
}

fn its_own_user_authenticates_again(nodes: &mut Nodes) {
    let old = nodes.create(json!({"user_id": "alice"}));
    nodes.create(json!({"user_id": "alice"}));
    let before = nodes.list("alice");
    pause();
    let new = text(&nodes.ask(log_in(&old, "alice")), "new_session_id");
    let after = nodes.list("alice");
    assert_eq!(after.len(), 2);
    assert_eq!(after[0]["handle"], before[0]["handle"]);
    for name in ["auth_time", "ends_at"] {
        assert!(after[0][name].as_u64() > before[0][name].as_u64(), "{name}");
    }
    // The old id is retired as usual, and proves no more than it did.
    assert!(nodes.is_live(&old) && nodes.is_live(&new));
    let step_up = json!({"type": "validate_session", "session_id": old, "max_age": 1});
    assert_eq!(nodes.ask(step_up)["type"], "reauthentication_required");
}

fn a_log_in_needs_the_binding(nodes: &mut Nodes) {
    let visitor = nodes.create(json!({"user_id": "visitor", "binding": "x", "data": {"n": 1}}));
    let request = log_in(&visitor, "alice");
    assert_eq!(nodes.ask(&request), invalid());
    assert_eq!(nodes.ask(with(&request, "binding", "y")), invalid());
    let alices = text(&nodes.ask(with(&request, "binding", "x")), "new_session_id");
    let use_of = |id: &str, binding: &str| json!({"type": "validate_session", "session_id": id, "binding": binding});
    assert_eq!(nodes.validate(&alices), invalid());
    assert_eq!(nodes.ask(use_of(&alices, "x"))["data"], json!({"n": 1}));

    // The request may change the binding and the data, too.
    let bobs = nodes.regenerate_with(json!({
        "old_session_id": alices, "user_id": "bob", "binding": "x", "new_binding": "y",
        "data": {"n": 2}
    }));
    assert_eq!(nodes.ask(use_of(&bobs, "x")), invalid());
    let valid = nodes.ask(use_of(&bobs, "y"));
    assert_eq!(
        (&valid["user_id"], &valid["data"]),
        (&json!("bob"), &json!({"n": 2}))
    );
}

fn a_log_in_may_set_the_lifetime(nodes: &mut Nodes) {
    for user in ["alice", "visitor"] {
        let visitor = nodes.create(json!({"user_id": "visitor", "ttl": 600, "idle_timeout": 60}));
        let reply = nodes.ask(json!({
            "type": "regenerate_session", "old_session_id": visitor, "user_id": user,
            "ttl": 7200, "idle_timeout": 1200, "detail": true
        }));
        let at = |name: &str| reply["detail"][name].as_u64().expect("a time");
        assert_eq!(at("ends_at"), at("auth_time") + 7200, "{reply}");
        assert_eq!(at("expires_at"), at("auth_time") + 1200, "{reply}");
    }
    let id = nodes.create(json!({"user_id": "alice"}));
    let no_restart = json!({"type": "regenerate_session", "old_session_id": id, "ttl": 7200});
    let refusal = nodes.ask(no_restart);
    assert_eq!(refusal["code"], 12, "{refusal}");
    assert!(nodes.is_live(&id));
}

/// Two sessions of a user who may have no more, and one of a visitor.
fn full_user(nodes: &mut Nodes) -> ([String; 2], String) {
    let live = [0, 1].map(|_| nodes.create(json!({"user_id": "alice"})));
    let visitor = nodes.create(json!({"user_id": "visitor", "data": {"cart": []}}));
    (live, visitor)
}

fn a_log_in_ends_the_users_oldest_session(nodes: &mut Nodes) {
    let ([oldest, older], visitor) = full_user(nodes);
    let new = text(&nodes.ask(log_in(&visitor, "alice")), "new_session_id");
    assert!(!nodes.is_live(&oldest) && nodes.is_live(&older) && nodes.is_live(&new));
    // The session that logged in is the youngest, whenever it began.
    nodes.create(json!({"user_id": "alice"}));
    assert!(!nodes.is_live(&older) && nodes.is_live(&new));
    let another = nodes.create(json!({"user_id": "visitor"}));
    let limited = with(&log_in(&another, "alice"), "max_sessions_per_user", 1);
    let only = text(&nodes.ask(limited), "new_session_id");
    assert!(!nodes.is_live(&new) && nodes.is_live(&only));
    assert_eq!(nodes.list("alice").len(), 1);
}

fn a_log_in_beyond_the_limit_changes_nothing(nodes: &mut Nodes) {
    let ([oldest, older], visitor) = full_user(nodes);
    let before = ["alice", "visitor"].map(|user| nodes.list(user));
    let refusal = "regenerate_session: the user already has the limit of 2 live sessions";
    assert_eq!(nodes.ask(log_in(&visitor, "alice")), error(11, refusal));
    assert_eq!(["alice", "visitor"].map(|user| nodes.list(user)), before);
    let valid = nodes.validate(&visitor);
    assert_eq!(
        (&valid["user_id"], &valid["data"]),
        (&json!("visitor"), &json!({"cart": []}))
    );
    assert!(nodes.is_live(&oldest) && nodes.is_live(&older));
    // With room, the same id does.
    nodes.ask(json!({"type": "destroy_session", "session_id": older}));
    let new = text(&nodes.ask(log_in(&visitor, "alice")), "new_session_id");
    assert!(nodes.is_live(&oldest) && nodes.is_live(&new) && !nodes.is_live(&visitor));
}

fn a_limit_refuses_no_log_in_that_is_none(nodes: &mut Nodes) {
    let ([oldest, older], visitor) = full_user(nodes);
    let present = nodes.regenerate(&visitor);
    assert_eq!(nodes.ask(log_in("never", "alice")), invalid());
    let refusal = error(
        22,
        "regenerate_session: this id was regenerated a moment ago",
    );
    assert_eq!(nodes.ask(log_in(&visitor, "alice")), refusal);
    // The user's own session needs no room.
    let again = text(&nodes.ask(log_in(&oldest, "alice")), "new_session_id");
    for id in [&oldest, &older, &again] {
        assert_eq!(nodes.validate(id)["user_id"], "alice");
    }
    assert_eq!(nodes.validate(&present)["user_id"], "visitor");
}
