//! Ids that were retired a moment ago.

use serde_json::json;
use session_node_testing::responder::Responder;

use super::{GRACE, Topic, error, invalid, pause};
use crate::backends::Nodes;

pub const TOPICS: &[Topic] = &[
    (GRACE, a_retired_id_names_its_session),
    (GRACE, a_retired_id_regenerates_nothing),
    (GRACE, a_retired_id_spares_its_session),
    (GRACE, a_dead_id_spares_nothing_and_ends_nothing),
    (GRACE, a_retired_id_passes_no_step_up),
    (&[], without_a_grace_a_retired_id_is_invalid),
];

fn a_retired_id_names_its_session(nodes: &mut Nodes) {
    let old = nodes.create(json!({"user_id": "alice"}));
    nodes.create(json!({"user_id": "alice"}));
    let new = nodes.regenerate(&old);
    assert!(nodes.is_live(&old) && nodes.is_live(&new));
    let data = json!({"by": "the old id"});
    let update = json!({"type": "update_session", "session_id": old, "data": data});
    assert_eq!(nodes.ask(update), json!({"type": "session_updated"}));
    assert_eq!(nodes.validate(&new)["data"], data);
    for id in [&old, &new] {
        let list = json!({"type": "list_sessions", "user_id": "alice", "session_id": id});
        let list = nodes.ask(list);
        assert_eq!(list["sessions"][0]["current"], true, "{list}");
        assert_eq!(list["sessions"][1].get("current"), None, "{list}");
    }
    let destroy = json!({"type": "destroy_session", "session_id": old, "detail": true});
    assert_eq!(nodes.ask(&destroy)["ended"], true);
    assert_eq!(nodes.ask(&destroy)["ended"], false);
    assert!(!nodes.is_live(&old) && !nodes.is_live(&new));
    assert_eq!(nodes.list("alice").len(), 1);
}

fn a_retired_id_regenerates_nothing(nodes: &mut Nodes) {
    let first = nodes.create(json!({"user_id": "alice"}));
    let second = nodes.regenerate(&first);
    let third = nodes.regenerate(&second);
    for retired in [&first, &second] {
        let again = json!({
            "type": "regenerate_session", "old_session_id": retired, "data": {"by": retired},
            "new_binding": "x", "reauthenticated": true
        });
        let refusal = "regenerate_session: this id was regenerated a moment ago";
        assert_eq!(nodes.ask(again), error(22, refusal));
    }
    for id in [&first, &second, &third] {
        let valid = nodes.validate(id);
        assert_eq!(valid["user_id"], "alice");
        assert_eq!(valid.get("data"), None, "{valid}");
    }
    assert_eq!(nodes.list("alice").len(), 1);
}

fn a_retired_id_spares_its_session(nodes: &mut Nodes) {
    let old = nodes.create(json!({"user_id": "alice"}));
    let others = [0, 1].map(|_| nodes.create(json!({"user_id": "alice"})));
    let new = nodes.regenerate(&old);
    let all_but =
        json!({"type": "destroy_user_sessions", "user_id": "alice", "except_session_id": old});
    let ended = json!({"type": "user_sessions_destroyed", "count": 2});
    assert_eq!(nodes.ask(all_but), ended);
    assert!(others.iter().all(|other| !nodes.is_live(other)));
    assert!(nodes.is_live(&old) && nodes.is_live(&new));
}

fn a_dead_id_spares_nothing_and_ends_nothing(nodes: &mut Nodes) {
    let live = [0, 1].map(|_| nodes.create(json!({"user_id": "alice"})));
    let of_bob = nodes.create(json!({"user_id": "bob"}));
    let ended = nodes.create(json!({"user_id": "alice"}));
    let retired_before = nodes.regenerate(&ended);
    nodes.ask(json!({"type": "destroy_session", "session_id": retired_before}));
    for dead in [&of_bob, &ended, &retired_before, "never"] {
        let all_but =
            json!({"type": "destroy_user_sessions", "user_id": "alice", "except_session_id": dead});
        assert_eq!(nodes.ask(all_but), invalid());
    }
    assert!(live.iter().all(|id| nodes.is_live(id)) && nodes.is_live(&of_bob));
}

fn a_retired_id_passes_no_step_up(nodes: &mut Nodes) {
    let old = nodes.create(json!({"user_id": "alice"}));
    pause();
    let again = json!({"old_session_id": old, "reauthenticated": true});
    let new = nodes.regenerate_with(again);
    let mut within = |id: &str, max_age: u64| {
        nodes.ask(json!({"type": "validate_session", "session_id": id, "max_age": max_age}))
    };
    // By the user's latest authentication, the old id would pass the second, and its age would be one second.
    for max_age in [0, 1] {
        let required = within(&old, max_age);
        assert_eq!(required["type"], "reauthentication_required", "{required}");
        assert_eq!(required["user_id"], "alice");
        assert!(required["auth_age"].as_u64() >= Some(2), "{required}");
    }
    assert_eq!(within(&old, 3600)["type"], "session_valid");
    assert_eq!(within(&new, 3600)["type"], "session_valid");
}

fn without_a_grace_a_retired_id_is_invalid(nodes: &mut Nodes) {
    let old = nodes.create(json!({"user_id": "alice"}));
    let new = nodes.regenerate(&old);
    assert_eq!(nodes.validate(&old), invalid());
    let again = json!({"type": "regenerate_session", "old_session_id": old});
    assert_eq!(nodes.ask(again), invalid());
    let destroy = json!({"type": "destroy_session", "session_id": old, "detail": true});
    assert_eq!(nodes.ask(destroy)["ended"], false);
    assert!(nodes.is_live(&new));
}
