//! A wall clock that is set back, set forward, frozen, or jumps about, under a real process: what has ended never comes
//! back, no session lives longer than promised, and the node goes on.
#![cfg(target_os = "linux")]

use std::thread;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, IteratorRandom};
use rand::{RngExt, SeedableRng};
use serde_json::json;

use session_node_testing::fake_time::FakeTime;
use session_node_testing::needs;
use session_node_testing::wrong_clock::{Ruled, Session};

const NOW: u64 = 1_795_500_000;
const HOUR: u64 = 3600;
const YEAR: u64 = 365 * 24 * HOUR;
const TTL: u64 = 100;

#[test]
fn a_clock_set_back_an_hour_brings_nothing_back_and_lengthens_no_life() {
    needs!(LIBFAKETIME);
    let clock = FakeTime::at("clock-back", NOW);
    let mut node = Ruled::start(&clock, &[]);
    let mut first = node.create("alice", TTL, Some(80));
    clock.set(NOW + 60);
    assert!(node.is_valid(&mut first));

    clock.set(NOW + 60 - HOUR);
    assert!(node.is_valid(&mut first));
    let mut second = node.create("alice", TTL, Some(80));

    clock.set(NOW + TTL + 1);
    assert!(!node.is_valid(&mut first));
    clock.set(NOW - HOUR);
    assert!(!node.is_valid(&mut first));
    assert!(node.is_valid(&mut second));
    clock.set(NOW + 60 + 2 * TTL);
    assert!(!node.is_valid(&mut second));
    node.node.finish().ended_well();
}

#[test]
fn a_session_ends_in_time_while_the_clock_is_set_back() {
    needs!(LIBFAKETIME);
    let clock = FakeTime::at("clock-back-end", NOW);
    let mut node = Ruled::start(&clock, &[]);
    let before = node.create("alice", 3, None);
    clock.set(NOW - 60);
    let after = node.create("alice", 3, None);
    node.outlive(before);
    node.outlive(after);
    node.node.finish().ended_well();
}

#[test]
fn an_idle_timeout_goes_on_while_the_clock_is_set_back() {
    needs!(LIBFAKETIME);
    let clock = FakeTime::at("clock-back-idle", NOW);
    let mut node = Ruled::start(&clock, &[]);
    let mut used = node.create("alice", TTL, Some(2));
    let mut unused = node.create("bob", TTL, Some(2));
    clock.set(NOW - HOUR);
    let end = unused.expires();
    loop {
        node.is_valid(&mut used);
        // A list is no use of what it lists.
        let (list, now) = node.ask(json!({"type": "list_sessions", "user_id": "bob"}));
        let is_listed = list["sessions"] != json!([]);
        assert!(is_listed || end.earliest <= now.latest, "ended early");
        assert!(!is_listed || end.latest > now.earliest, "lives on");
        if !is_listed {
            break;
        }
        thread::sleep(Duration::from_millis(10));
    }
    assert!(!node.is_valid(&mut unused));
    node.is_valid(&mut used);
    node.node.finish().ended_well();
}

#[test]
fn a_clock_set_forward_a_year_ends_everything_for_good() {
    needs!(LIBFAKETIME);
    let clock = FakeTime::at("clock-forward", NOW);
    let mut node = Ruled::start(&clock, &[]);
    let mut sessions: Vec<_> = (0..100).map(|_| node.create("alice", TTL, None)).collect();
    for time in [NOW + YEAR, NOW] {
        clock.set(time);
        for session in &mut sessions {
            assert!(!node.is_valid(session));
        }
    }
    let (stats, _) = node.ask(json!({"type": "stats"}));
    assert_eq!(
        (&stats["sessions"], &stats["expired"]),
        (&json!(0), &json!(100))
    );
    node.node.finish().ended_well();
}

#[test]
fn a_clock_set_forward_and_corrected_at_once_lengthens_no_later_session() {
    needs!(LIBFAKETIME);
    let clock = FakeTime::at("clock-corrected", NOW);
    let mut node = Ruled::start(&clock, &[]);
    let mut before = node.create("alice", TTL, None);
    clock.set(NOW + HOUR);
    // It ends early, by no more than the jump.
    assert!(!node.is_valid(&mut before));
    clock.set(NOW);
    let later = node.create("alice", 2, None);
    let ahead = later.expires().earliest / 1000 - NOW;
    assert!(ahead >= HOUR, "its time is ahead by the jump: {ahead}");
    node.outlive(later);
    node.node.finish().ended_well();
}

#[test]
fn a_frozen_clock_freezes_no_session_and_stops_nothing() {
    needs!(LIBFAKETIME);
    let clock = FakeTime::at("clock-frozen", NOW);
    let mut node = Ruled::start(&clock, &[]);
    let short = node.create("alice", 2, None);
    let mut sessions: Vec<_> = (0..500).map(|_| node.create("alice", HOUR, None)).collect();
    assert!(sessions.iter_mut().all(|it| node.is_valid(it)));
    let left = sessions.split_off(250);
    for session in &sessions {
        node.ask(json!({"type": "destroy_session", "session_id": session.id}));
    }
    for session in sessions {
        let request = json!({"type": "validate_session", "session_id": session.id});
        assert_eq!(node.ask(request).0["type"], "session_invalid");
    }
    node.outlive(short);
    for mut session in left {
        assert!(node.is_valid(&mut session));
    }
    node.node.finish().ended_well();
}

#[test]
fn a_clock_that_jumps_about_revives_no_session_and_changes_no_life() {
    needs!(LIBFAKETIME);
    let clock = FakeTime::at("clock-jumps", NOW);
    let mut random = StdRng::seed_from_u64(1);
    let mut node = Ruled::start(&clock, &[]);
    let mut sessions: Vec<Session> = Vec::new();
    let (mut valid, mut invalid) = (0, 0);
    for _ in 0..2000 {
        let (_, now) = node.ask(json!({"type": "echo", "echo": null}));
        let now = now.latest / 1000;
        let jump = *[1, 30, HOUR, YEAR].choose(&mut random).expect("some");
        clock.set(if random.random_bool(0.6) {
            now - random.random_range(0..=jump)
        } else {
            now + random.random_range(0..=jump.min(60))
        });
        if random.random_bool(0.4) {
            sessions.push(node.create("alice", TTL, None));
        } else if let Some(index) = (0..sessions.len()).choose(&mut random) {
            // Checks that the answer is the right one by the node's time.
            let is_valid = node.is_valid(&mut sessions[index]);
            *(if is_valid { &mut valid } else { &mut invalid }) += 1;
        }
    }
    assert!(valid > 10 && invalid > 100, "{valid} valid, {invalid} not");
    node.node.finish().ended_well();
}
