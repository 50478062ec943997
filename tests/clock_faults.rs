//! A system clock that is set back, set forward, frozen, or jumps about, under a real process: what has ended never comes
//! back, and the node goes on.
#![cfg(target_os = "linux")]

mod common;

use std::collections::HashMap;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use common::fake_time::FakeTime;
use common::{Node, command, text};

const NOW: u64 = 1_795_500_000;
const HOUR: u64 = 3600;
const YEAR: u64 = 365 * 24 * HOUR;
const TTL: u64 = 100;

fn start(clock: &FakeTime, arguments: &[&str]) -> Node {
    let mut command = command(&["--ttl", "100"]);
    command.args(arguments);
    clock.rule(&mut command);
    Node::spawn(&mut command)
}

fn create(node: &mut Node) -> (String, u64) {
    let reply = node.ask(json!({"type": "create_session", "user_id": "alice"}));
    let expires_at = reply["expires_at"].as_u64().expect("a time");
    (text(&reply, "session_id"), expires_at)
}

/// For how long a session is still valid; nothing when it is not.
fn validate(node: &mut Node, id: &str) -> Option<u64> {
    let reply = node.ask(json!({"type": "validate_session", "session_id": id}));
    reply["expires_in"].as_u64()
}

#[test]
fn a_clock_set_back_an_hour_brings_nothing_back_and_lengthens_no_life() {
    let Some(clock) = FakeTime::at("clock-back", NOW) else {
        return;
    };
    let mut node = start(&clock, &["--idle-timeout", "80"]);
    let (first, expires_at) = create(&mut node);
    assert_eq!(expires_at, NOW + 80);
    clock.set(NOW + 60);
    assert_eq!(validate(&mut node, &first), Some(40));

    clock.set(NOW + 60 - HOUR);
    assert_eq!(validate(&mut node, &first), Some(40));
    let (second, expires_at) = create(&mut node);
    assert_eq!(expires_at, NOW + 60 + 80);

    clock.set(NOW + TTL - 1);
    assert_eq!(validate(&mut node, &first), Some(1));
    clock.set(NOW + TTL);
    assert_eq!(validate(&mut node, &first), None);
    clock.set(NOW - HOUR);
    assert_eq!(validate(&mut node, &first), None);
    assert_eq!(validate(&mut node, &second), Some(60));
    clock.set(NOW + 60 + TTL);
    assert_eq!(validate(&mut node, &second), None);
    node.finish().ended_well();
}

#[test]
fn a_clock_set_forward_a_year_ends_everything_for_good() {
    let Some(clock) = FakeTime::at("clock-forward", NOW) else {
        return;
    };
    let mut node = start(&clock, &[]);
    let ids: Vec<_> = (0..100).map(|_| create(&mut node).0).collect();
    clock.set(NOW + YEAR);
    assert!(ids.iter().all(|id| validate(&mut node, id).is_none()));
    clock.set(NOW);
    assert!(ids.iter().all(|id| validate(&mut node, id).is_none()));
    let stats = node.ask(json!({"type": "stats"}));
    assert_eq!(
        (&stats["sessions"], &stats["expired"]),
        (&json!(0), &json!(100))
    );
    // Its time stays where it was until the system's has caught up.
    let (id, expires_at) = create(&mut node);
    assert_eq!(expires_at, NOW + YEAR + TTL);
    assert_eq!(validate(&mut node, &id), Some(TTL));
    node.finish().ended_well();
}

#[test]
fn a_frozen_clock_ends_nothing_and_stops_nothing() {
    let Some(clock) = FakeTime::at("clock-frozen", NOW) else {
        return;
    };
    let mut node = start(&clock, &[]);
    let ids: Vec<_> = (0..500).map(|_| create(&mut node).0).collect();
    assert!(ids.iter().all(|id| validate(&mut node, id) == Some(TTL)));
    let (gone, left) = ids.split_at(250);
    for id in gone {
        node.ask(json!({"type": "destroy_session", "session_id": id}));
    }
    assert!(gone.iter().all(|id| validate(&mut node, id).is_none()));
    assert!(left.iter().all(|id| validate(&mut node, id) == Some(TTL)));
    node.finish().ended_well();
}

#[test]
fn a_clock_that_jumps_about_revives_no_session_and_shortens_none() {
    let Some(clock) = FakeTime::at("clock-jumps", NOW) else {
        return;
    };
    let mut random = StdRng::seed_from_u64(1);
    let mut node = start(&clock, &[]);
    // The latest time that the node has seen is its time.
    let mut latest = NOW;
    let mut ends: HashMap<String, u64> = HashMap::new();
    let mut ids = Vec::new();
    for step in 0..2000 {
        let jump = *[1, 30, HOUR, YEAR].choose(&mut random).expect("some");
        let time = if random.random_bool(0.6) {
            latest.saturating_sub(random.random_range(0..=jump))
        } else {
            latest + random.random_range(0..=jump.min(60))
        };
        clock.set(time);
        latest = latest.max(time);
        if random.random_bool(0.4) {
            let (id, expires_at) = create(&mut node);
            assert_eq!(expires_at, latest + TTL, "step {step}");
            ends.insert(id.clone(), expires_at);
            ids.push(id);
        } else if let Some(id) = ids.choose(&mut random) {
            let left = ends[id].checked_sub(latest).filter(|left| *left > 0);
            assert_eq!(validate(&mut node, id), left, "step {step}");
        }
    }
    node.finish().ended_well();
}

#[cfg(feature = "sqlite")]
#[test]
fn a_node_that_starts_again_in_the_past_knows_what_it_had_said_to_have_ended() {
    let Some(clock) = FakeTime::at("clock-restart", NOW) else {
        return;
    };
    let place = common::place::Place::new("clock-restart-file");
    let store = format!("sqlite:{}", place.file().display());
    let arguments = ["--store", &store];
    let mut node = start(&clock, &arguments);
    let ids: [_; 3] = std::array::from_fn(|_| create(&mut node).0);
    let [expired, destroyed, regenerated] = &ids;
    clock.set(NOW + 50);
    let ask = |node: &mut Node, request: Value| node.ask(request)["type"].clone();
    ask(
        &mut node,
        json!({"type": "destroy_session", "session_id": destroyed}),
    );
    let request = json!({"type": "regenerate_session", "old_session_id": regenerated});
    assert_eq!(ask(&mut node, request), "session_regenerated");
    clock.set(NOW + TTL);
    assert_eq!(validate(&mut node, expired), None);
    node.finish().ended_well();

    clock.set(NOW - HOUR);
    let mut node = start(&clock, &arguments);
    for id in [expired, destroyed, regenerated] {
        assert_eq!(validate(&mut node, id), None);
    }
    node.finish().ended_well();
}
