//! A wall clock that is wrong when a node opens a file of sessions: the file remembers how late it was, and no node
//! that opens it begins earlier.
#![cfg(all(target_os = "linux", feature = "sqlite"))]

use std::time::{SystemTime, UNIX_EPOCH};

use rusqlite::Connection;
use serde_json::json;

use session_node_testing::fake_time::FakeTime;
use session_node_testing::place::Place;
use session_node_testing::wrong_clock::{Ruled, Session};
use session_node_testing::{needs, text};

const NOW: u64 = 1_795_500_000;
const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;
const TTL: u64 = 100;

/// The latest time at which the file was written, in milliseconds since 1970.
fn written_at(place: &Place) -> u64 {
    let connection = Connection::open(place.file()).expect("the file opens");
    let sql = "SELECT written_at FROM totals";
    let millis = connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    millis.expect("a time").unsigned_abs()
}

fn number_of_sessions(place: &Place) -> i64 {
    let connection = Connection::open(place.file()).expect("the file opens");
    let count = connection.query_row("SELECT count(*) FROM sessions", [], |row| row.get(0));
    count.expect("a number")
}

#[test]
fn a_node_that_starts_again_in_the_past_revives_nothing() {
    needs!(LIBFAKETIME);
    let clock = FakeTime::at("restart", NOW);
    let place = Place::new("restart-file");
    let url = place.url();
    let args = ["--store", &url];
    let mut node = Ruled::start(&clock, &args);
    let mut expired = node.create("alice", TTL, None);
    let mut unasked: Vec<_> = (0..20).map(|_| node.create("alice", TTL, None)).collect();
    let mut unused = node.create("alice", HOUR, Some(80));
    let mut live = node.create("alice", HOUR, None);
    let [destroyed, regenerated] = [0; 2].map(|_| node.create("alice", HOUR, None).id);
    node.ask(json!({"type": "destroy_session", "session_id": destroyed}));
    let request = json!({"type": "regenerate_session", "old_session_id": regenerated});
    assert_eq!(node.ask(request).0["type"], "session_regenerated");
    clock.set(NOW + TTL + 1);
    assert!(!node.is_valid(&mut expired));
    // Writes the file, and removes a few of those that have expired, but not all.
    node.create("alice", HOUR, None);
    node.node.finish().ended_well();
    assert!(number_of_sessions(&place) > 10);

    clock.set(NOW - HOUR);
    let mut node = Ruled::start_from(written_at(&place), &clock, &args);
    for session in unasked.iter_mut().chain([&mut expired, &mut unused]) {
        assert!(!node.is_valid(session));
    }
    for id in [destroyed, regenerated] {
        let request = json!({"type": "validate_session", "session_id": id});
        assert_eq!(node.ask(request).0["type"], "session_invalid");
    }
    // And it lives no longer than it was to live.
    assert!(node.is_valid(&mut live));
    let short = node.create("alice", 2, None);
    node.outlive(short);
    node.node.finish().ended_well();
}

#[test]
fn nodes_with_different_clocks_never_let_the_time_of_their_file_go_backwards() {
    needs!(LIBFAKETIME);
    let clock = FakeTime::at("behind", NOW);
    let ahead = FakeTime::at("ahead", NOW + HOUR);
    let place = Place::new("different-clocks");
    let url = place.url();
    let args = ["--store", &url];
    let mut behind = Ruled::start(&clock, &args);
    let mut ahead = Ruled::start(&ahead, &args);
    let mut latest = 0;
    let mut written = || {
        let before = latest;
        latest = written_at(&place);
        assert!(latest >= before, "{latest} after {before}");
        latest
    };
    behind.create("alice", TTL, None);
    assert!(written() < (NOW + HOUR) * 1000);
    for _ in 0..5 {
        ahead.create("alice", TTL, None);
        assert!(written() >= (NOW + HOUR) * 1000);
        // One changes the totals, the other does not.
        let old = behind.create("alice", TTL, None).id;
        written();
        behind.ask(json!({"type": "regenerate_session", "old_session_id": old}));
        written();
    }
    behind.node.finish().ended_well();
    ahead.node.finish().ended_well();

    let mut node = Ruled::start_from(written(), &clock, &args);
    let session = node.create("alice", TTL, None);
    assert!(session.expires().earliest >= (NOW + HOUR + TTL) * 1000);
    node.node.finish().ended_well();
}

/// Everything on stderr of a node that starts, does nothing and ends.
fn complaints(clock: &FakeTime, place: &Place) -> String {
    let node = Ruled::start(clock, &["--store", &place.url()]);
    node.node.finish().ended_well().stderr
}

#[test]
fn a_file_that_is_more_than_a_minute_ahead_is_worth_one_warning() {
    needs!(LIBFAKETIME);
    let clock = FakeTime::at("warning", NOW + HOUR);
    let place = Place::new("warning-file");
    let mut node = Ruled::start(&clock, &["--store", &place.url()]);
    node.create("alice", TTL, None);
    assert_eq!(node.node.finish().ended_well().stderr, "");

    clock.set(NOW + HOUR - 30);
    assert_eq!(complaints(&clock, &place), "");
    clock.set(NOW);
    let stderr = complaints(&clock, &place);
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    let file = place.file();
    let start = format!(
        " WARN --store: {} was last written 1h",
        file.to_str().expect("UTF-8")
    );
    assert!(stderr.starts_with(&start), "{stderr}");
}

/// The statements by which docs/operations.md takes a file back from the future.
fn documented_reset() -> String {
    let text = include_str!("../../docs/operations.md");
    let (_, after) = text.split_once("<!-- reset -->").expect("the marker");
    let command = after.split_once("sqlite3 sessions.db \"");
    let (sql, _) = command
        .and_then(|(_, rest)| rest.split_once('"'))
        .expect("a command");
    sql.to_owned()
}

#[test]
fn the_documented_reset_takes_a_file_back_from_the_future() {
    // SQLite looks at the real clock here.
    let today = SystemTime::now().duration_since(UNIX_EPOCH);
    let today = today.expect("a time after 1970").as_secs();
    needs!(LIBFAKETIME);
    let clock = FakeTime::at("reset", today - HOUR);
    let place = Place::new("reset-file");
    let url = place.url();
    let args = ["--store", &url];
    let mut node = Ruled::start(&clock, &args);
    let mut before = node.create("alice", 20 * DAY, None);
    let mut used = node.create("alice", 20 * DAY, None);
    clock.set(today + 10 * DAY);
    let meanwhile = node.create("alice", 20 * DAY, None);
    assert!(node.is_valid(&mut used));
    node.node.finish().ended_well();

    let connection = Connection::open(place.file()).expect("the file opens");
    connection
        .execute_batch(&documented_reset())
        .expect("statements");
    drop(connection);
    clock.set(today + 1);
    assert_eq!(complaints(&clock, &place), "");
    let mut node = Ruled::start(&clock, &args);
    assert!(node.is_valid(&mut before));
    let has_ended = |node: &mut Ruled<'_>, session: Session| {
        let request = json!({"type": "validate_session", "session_id": session.id});
        text(&node.ask(request).0, "type") == "session_invalid"
    };
    assert!(has_ended(&mut node, meanwhile));
    assert!(has_ended(&mut node, used));
    let (stats, _) = node.ask(json!({"type": "stats"}));
    assert_eq!(
        (&stats["sessions"], &stats["users"]),
        (&json!(1), &json!(1))
    );
    let short = node.create("alice", 2, None);
    node.outlive(short);
    node.node.finish().ended_well();
}
