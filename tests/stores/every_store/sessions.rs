//! What a request may say of a session, and expect of it.

use std::slice::from_ref;

use serde_json::json;
use session_node_testing::responder::Responder;
use session_node_testing::text;

use super::{Topic, error, invalid, pause, with};
use crate::backends::Nodes;

const LONG_NAMES: &[&str] = &["--max-user-id-bytes", "1000"];
const REJECT: &[&str] = &["--max-sessions-per-user", "2", "--on-user-limit", "reject"];

pub const TOPICS: &[Topic] = &[
    (&[], a_binding_is_asked_for_at_each_use),
    (&[], a_new_binding_replaces_the_old_one),
    (&[], a_detail_tells_what_the_list_tells),
    (&[], an_end_is_told_once),
    (&[], a_look_is_no_use),
    (&[], an_update_happens_only_to_the_expected_data),
    (&[], a_create_may_set_the_limit_of_its_user),
    (REJECT, a_create_may_set_the_limit_that_refuses_it),
    (&[], stats_count_what_happened),
    (LONG_NAMES, a_name_may_be_as_long_as_the_option_says),
];

fn a_binding_is_asked_for_at_each_use(nodes: &mut Nodes) {
    let id = nodes.create(json!({"user_id": "alice", "binding": "x", "data": {"n": 1}}));
    let uses = [
        json!({"type": "validate_session", "session_id": id}),
        json!({"type": "update_session", "session_id": id, "data": {"n": 2}}),
        json!({"type": "regenerate_session", "old_session_id": id, "data": {"n": 3}}),
    ];
    for request in &uses {
        assert_eq!(nodes.ask(request), invalid());
        assert_eq!(nodes.ask(with(request, "binding", "y")), invalid());
    }
    let valid = nodes.ask(with(&uses[0], "binding", "x"));
    assert_eq!(valid["data"], json!({"n": 1}));
    assert_eq!(
        nodes.ask(with(&uses[1], "binding", "x"))["type"],
        "session_updated"
    );
    let new = text(&nodes.ask(with(&uses[2], "binding", "x")), "new_session_id");
    assert_eq!(nodes.validate(&new), invalid());
    let bound = json!({"type": "validate_session", "session_id": new, "binding": "x"});
    assert_eq!(nodes.ask(&bound)["data"], json!({"n": 3}));
    // A log-out always works.
    nodes.ask(json!({"type": "destroy_session", "session_id": new}));
    assert_eq!(nodes.ask(&bound), invalid());
}

fn a_new_binding_replaces_the_old_one(nodes: &mut Nodes) {
    let unbound = nodes.create(json!({"user_id": "alice"}));
    let any = json!({"type": "validate_session", "session_id": unbound, "binding": "any"});
    assert_eq!(nodes.ask(any)["type"], "session_valid");
    let bind = json!({"old_session_id": unbound, "new_binding": "x"});
    let bound = nodes.regenerate_with(bind);
    assert_eq!(nodes.validate(&bound), invalid());
    let rebind = json!({
        "type": "regenerate_session", "old_session_id": bound, "binding": "y", "new_binding": "y"
    });
    assert_eq!(nodes.ask(&rebind), invalid());
    let rebound = text(&nodes.ask(with(&rebind, "binding", "x")), "new_session_id");
    for (binding, expected) in [("x", "session_invalid"), ("y", "session_valid")] {
        let request =
            json!({"type": "validate_session", "session_id": rebound, "binding": binding});
        assert_eq!(nodes.ask(request)["type"], expected);
        let request = json!({
            "type": "update_session", "session_id": rebound, "binding": binding, "data": {}
        });
        let is_updated = nodes.ask(request)["type"] == "session_updated";
        assert_eq!(is_updated, binding == "y");
    }
}

fn a_detail_tells_what_the_list_tells(nodes: &mut Nodes) {
    let create = json!({
        "type": "create_session", "user_id": "alice", "ttl": 7200, "idle_timeout": 600,
        "detail": true
    });
    let created = nodes.ask(&create);
    let detail = created["detail"].clone();
    assert_eq!(nodes.list("alice"), from_ref(&detail));
    let at = |name: &str| detail[name].as_u64().expect("a time");
    assert_eq!(at("last_seen_at"), at("created_at"));
    assert_eq!(at("auth_time"), at("created_at"));
    assert_eq!(at("expires_at"), at("created_at") + 600);
    assert_eq!(at("ends_at"), at("created_at") + 7200);
    assert_eq!(created["expires_at"], detail["expires_at"]);

    let id = text(&created, "session_id");
    for request in [
        json!({"type": "validate_session", "session_id": id}),
        json!({"type": "update_session", "session_id": id, "data": {}}),
        json!({"type": "regenerate_session", "old_session_id": id}),
    ] {
        let detailed = nodes.ask(with(&request, "detail", true));
        for name in ["handle", "created_at", "auth_time", "ends_at"] {
            assert_eq!(detailed["detail"][name], detail[name], "{detailed}");
        }
        assert_eq!(nodes.ask(request).get("detail"), None);
    }
}

fn an_end_is_told_once(nodes: &mut Nodes) {
    let id = nodes.create(json!({"user_id": "alice"}));
    nodes.create(json!({"user_id": "alice"}));
    let handle = nodes.handles("alice").remove(1);
    let by_id = json!({"type": "destroy_session", "session_id": id});
    let by_handle = json!({"type": "destroy_session", "user_id": "alice", "handle": handle});
    let of_bob = with(&by_handle, "user_id", "bob");
    let untold = json!({"type": "session_destroyed", "message": "Session destroyed"});
    for (request, ended) in [
        (&by_id, true),
        (&by_id, false),
        (&of_bob, false),
        (&by_handle, true),
        (&by_handle, false),
    ] {
        let told = nodes.ask(with(request, "detail", true));
        assert_eq!(told, with(&untold, "ended", ended), "{request}");
    }
    assert_eq!(nodes.ask(with(&by_id, "detail", false)), untold);
    assert_eq!(nodes.ask(&by_handle), untold);
    assert!(nodes.list("alice").is_empty());
}

fn a_look_is_no_use(nodes: &mut Nodes) {
    let create = json!({"user_id": "alice", "idle_timeout": 600});
    let id = nodes.create(create);
    let before = nodes.list("alice").remove(0);
    pause();
    let use_it = json!({"type": "validate_session", "session_id": id, "detail": true});
    let look = with(&use_it, "touch", false);
    for _ in 0..2 {
        let seen = nodes.ask(&look);
        assert_eq!(seen["type"], "session_valid");
        assert_eq!(seen["detail"], before);
        assert!(seen["expires_in"].as_u64() < Some(600), "{seen}");
    }
    assert_eq!(nodes.list("alice"), from_ref(&before));
    let used = nodes.ask(use_it);
    for name in ["last_seen_at", "expires_at"] {
        assert!(
            used["detail"][name].as_u64() > before[name].as_u64(),
            "{used}"
        );
    }
    assert_eq!(used["detail"]["ends_at"], before["ends_at"]);
}

fn an_update_happens_only_to_the_expected_data(nodes: &mut Nodes) {
    let id = nodes.create(json!({"user_id": "alice"}));
    let refused = error(
        22,
        "update_session: the session's data is not the expected data",
    );
    let updated = json!({"type": "session_updated"});
    for (data, expected, reply) in [
        (r#"{"n":0}"#, "{}", &refused),
        (r#"{"n":1,"m":[]}"#, "null", &updated),
        (r#"{"n":0}"#, "null", &refused),
        (r#"{"n":0}"#, r#"{"n":1}"#, &refused),
        // As text: the same object in another order is another text, and white space is none.
        (r#"{"n":0}"#, r#"{"m":[],"n":1}"#, &refused),
        (r#"{"n":2}"#, r#"{ "n": 1, "m": [ ] }"#, &updated),
        (r#"{"n":0}"#, r#"{"n":1,"m":[]}"#, &refused),
        (r#"{"n":3}"#, r#"{"n":2}"#, &updated),
    ] {
        let request = format!(
            r#"{{"type":"update_session","session_id":"{id}","data":{data},"expected_data":{expected}}}"#
        );
        assert_eq!(nodes.ask(&request), *reply, "{request}");
    }
    assert_eq!(nodes.validate(&id)["data"], json!({"n": 3}));
    nodes.ask(json!({"type": "destroy_session", "session_id": id}));
    let late = json!({
        "type": "update_session", "session_id": id, "data": {}, "expected_data": {"n": 3}
    });
    assert_eq!(nodes.ask(late), invalid());
}

fn a_create_may_set_the_limit_of_its_user(nodes: &mut Nodes) {
    let ids = [0, 1, 2].map(|_| nodes.create(json!({"user_id": "alice"})));
    let of_bob = nodes.create(json!({"user_id": "bob"}));
    let limited = json!({"user_id": "alice", "max_sessions_per_user": 2});
    let fourth = nodes.create(limited);
    let live = ids.map(|id| nodes.is_live(&id));
    assert_eq!(live, [false, false, true]);
    assert!(nodes.is_live(&fourth) && nodes.is_live(&of_bob));
    // It is the limit of that one request.
    nodes.create(json!({"user_id": "alice"}));
    assert_eq!(nodes.list("alice").len(), 3);
}

fn a_create_may_set_the_limit_that_refuses_it(nodes: &mut Nodes) {
    let create = json!({"type": "create_session", "user_id": "alice"});
    let refused = |limit| {
        let text = format!("the user already has the limit of {limit} live sessions");
        error(11, &format!("create_session: {text}"))
    };
    for (limit, live_before, is_refused) in [
        (None, 0, false),
        (Some(1), 1, true),
        (None, 1, false),
        (None, 2, true),
        (Some(3), 2, false),
        (Some(3), 3, true),
    ] {
        assert_eq!(nodes.list("alice").len(), live_before);
        let own = limit.map(|limit| with(&create, "max_sessions_per_user", limit));
        let reply = nodes.ask(own.as_ref().unwrap_or(&create));
        if is_refused {
            assert_eq!(reply, refused(limit.unwrap_or(2)));
        } else {
            assert_eq!(reply["type"], "session_created", "{reply}");
        }
    }
    assert_eq!(nodes.list("alice").len(), 3);
}

fn stats_count_what_happened(nodes: &mut Nodes) {
    let ids = ["alice", "alice", "bob"].map(|user| nodes.create(json!({"user_id": user})));
    let [first, second, _] = &ids;
    let new = nodes.regenerate(first);
    assert!(!nodes.is_live(first));
    assert!(nodes.is_live(&new));
    nodes.ask(json!({"type": "destroy_session", "session_id": second}));
    nodes.ask(json!({"type": "unknown"}));
    let stats = nodes.ask_each(&json!({"type": "stats"}));
    for one in &stats {
        assert_eq!(one["version"], env!("CARGO_PKG_VERSION"));
        assert_eq!(one["protocol"], 2);
        let live = nodes.counts_sessions.then_some((2, 2));
        assert_eq!(
            one["sessions"].as_u64().zip(one["users"].as_u64()),
            live,
            "{one}"
        );
    }
    for (name, count) in [
        ("created", 3),
        ("validated", 1),
        ("invalid", 1),
        ("regenerated", 1),
        ("destroyed", 1),
        ("expired", 0),
        ("errors", 1),
    ] {
        let counts = stats.iter().map(|one| one[name].as_u64().expect("a count"));
        assert_eq!(counts.sum::<u64>(), count, "{name}");
    }
}

fn a_name_may_be_as_long_as_the_option_says(nodes: &mut Nodes) {
    // Two bytes each.
    let name = "é".repeat(500);
    let visitor = nodes.create(json!({"user_id": "visitor"}));
    let created = nodes.create(json!({"user_id": name}));
    let logged_in = nodes.regenerate_with(json!({"old_session_id": visitor, "user_id": name}));
    for id in [&created, &logged_in] {
        assert_eq!(nodes.validate(id)["user_id"], name);
    }
    assert_eq!(nodes.list(&name).len(), 2);
    let mut users = Vec::new();
    let list = json!({"type": "list_users", "limit": 10});
    nodes.page_through(list, |_, page| users.extend(page));
    assert_eq!(users, [json!({"user_id": name, "sessions": 2})]);
    let longer = format!("{name}x");
    for (kind, request) in [
        ("create_session", json!({})),
        ("regenerate_session", json!({"old_session_id": created})),
        ("list_sessions", json!({})),
        ("destroy_session", json!({"handle": "any"})),
        ("destroy_user_sessions", json!({})),
    ] {
        let request = with(&with(&request, "type", kind), "user_id", longer.as_str());
        let must_be = format!("{kind}: user_id must be a string of 1 to 1000 bytes");
        assert_eq!(nodes.ask(request), error(12, &must_be));
    }
    let all = nodes.ask(json!({"type": "destroy_user_sessions", "user_id": name}));
    assert_eq!(all["count"], 2);
    assert!(!nodes.is_live(&created) && !nodes.is_live(&logged_in));
}
