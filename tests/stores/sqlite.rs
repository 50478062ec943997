//! Sessions in a SQLite file: beyond the end of the process, and for several nodes at once.
#![cfg(all(unix, feature = "sqlite"))]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rusqlite::Connection;
use session_node::session::{SessionKey, Timestamp};
use session_node::store::{
    CreateOptions, Operation, Outcome, Outcomes, Policy, SqliteStore, Store, StoreError,
};
use session_node::testing::bench::{create_as, validate};

use session_node_testing::place::Place;
use session_node_testing::ruled::Ruled;
use session_node_testing::{Node, text};

const START: Timestamp = Timestamp::from_millis(1_790_000_000_250);
const HOUR: Duration = Duration::from_secs(3600);

fn open(place: &Place) -> Ruled<SqliteStore> {
    let store = SqliteStore::open(&place.file()).expect("a file of sessions");
    Ruled::new(store, Policy::default())
}

fn number(place: &Place, sql: &str) -> i64 {
    let connection = Connection::open(place.file()).expect("the file opens");
    let number = connection.query_row(sql, [], |row| row.get(0));
    number.expect("a number")
}

fn create(id: &str, idle_timeout: Option<Duration>) -> Operation<'static> {
    let options = CreateOptions {
        ttl: Some(HOUR),
        idle_timeout,
        ..CreateOptions::default()
    };
    create_as(id, "alice", options)
}

fn apply(store: &mut Ruled<SqliteStore>, millis: u64, operation: Operation<'static>) -> Outcomes {
    let now = START + Duration::from_millis(millis);
    let outcomes = store.apply(now, &[operation]);
    assert!(matches!(outcomes.all(), [Ok(_)]), "{outcomes:?}");
    outcomes
}

fn is_valid(store: &mut Ruled<SqliteStore>, millis: u64, id: &str) -> bool {
    let outcomes = apply(store, millis, validate(id));
    matches!(outcomes.all(), [Ok(Outcome::Valid { .. })])
}

#[test]
fn a_use_that_was_not_written_puts_the_idle_timeout_off_to_the_millisecond() {
    let place = Place::new("idle");
    let minute = Some(Duration::from_secs(60));
    let mut store = open(&place);
    for id in ["a", "b"] {
        apply(&mut store, 0, create(id, minute));
        let before = number(&place, "SELECT sum(last_used_at) FROM sessions");
        assert!(is_valid(&mut store, 999, id));
        let after = number(&place, "SELECT sum(last_used_at) FROM sessions");
        assert_eq!(before, after, "a use within a sixtieth is not written");
    }
    assert!(is_valid(&mut store, 60_998, "a"));
    assert!(!is_valid(&mut store, 60_999, "b"));
}

#[test]
fn a_use_is_written_when_a_sixtieth_of_the_idle_timeout_has_passed() {
    let place = Place::new("written");
    let mut store = open(&place);
    let written = || number(&place, "SELECT last_used_at FROM sessions");
    apply(&mut store, 0, create("a", Some(Duration::from_secs(60))));
    let created_at = written();
    for (millis, expected) in [(999, 0), (1000, 1000), (1999, 1000), (2000, 2000)] {
        assert!(is_valid(&mut store, millis, "a"));
        assert_eq!(written() - created_at, expected);
    }
}

#[test]
fn a_session_never_ends_early_because_a_use_was_lost_with_the_process() {
    let place = Place::new("lost");
    let mut store = open(&place);
    for id in ["a", "b"] {
        apply(&mut store, 0, create(id, Some(Duration::from_secs(60))));
        assert!(is_valid(&mut store, 999, id));
    }
    drop(store);
    let mut store = open(&place);
    assert!(is_valid(&mut store, 60_998, "a"));
    // A sixtieth later than the last use that is known is the latest that any use can have been.
    assert!(!is_valid(&mut store, 61_000, "b"));
}

#[test]
fn a_session_that_was_said_to_have_ended_stays_so_after_a_restart() {
    let place = Place::new("stays-ended");
    let mut store = open(&place);
    apply(&mut store, 0, create("a", Some(Duration::from_secs(60))));
    assert!(!is_valid(&mut store, 60_000, "a"));
    drop(store);
    // A node that does not know of uses would let it live for a sixtieth longer.
    assert!(!is_valid(&mut open(&place), 60_001, "a"));
}

#[test]
fn a_session_never_ends_early_because_a_use_was_seen_by_another_node() {
    let place = Place::new("other");
    let (mut one, mut other) = (open(&place), open(&place));
    for id in ["a", "b"] {
        apply(&mut one, 0, create(id, Some(Duration::from_secs(60))));
        assert!(is_valid(&mut other, 100, id));
        assert!(is_valid(&mut one, 900, id));
        assert!(is_valid(&mut other, 950, id));
    }
    assert_eq!(
        number(
            &place,
            "SELECT max(last_used_at) - min(created_at) FROM sessions"
        ),
        100,
        "only the first use by another node is written"
    );
    assert!(is_valid(&mut one, 60_949, "a"));
    assert!(!is_valid(&mut other, 61_100, "b"));
}

#[test]
fn a_batch_that_only_reads_leaves_the_file_alone() {
    let place = Place::new("reads");
    let mut store = open(&place);
    apply(&mut store, 0, create("a", None));
    let observer = Connection::open(place.file()).expect("the file opens");
    let version = || -> i64 {
        let version = observer.query_row("PRAGMA data_version", [], |row| row.get(0));
        version.expect("a number")
    };
    let before = version();
    for millis in 0..1000 {
        assert!(is_valid(&mut store, millis * 59, "a"));
        assert!(!is_valid(&mut store, millis * 59, "b"));
        apply(&mut store, millis * 59, Operation::Stats);
    }
    assert_eq!(version(), before);
    assert!(is_valid(&mut store, 60_000, "a"));
    assert_ne!(version(), before, "the observer sees writes");
}

#[test]
fn every_batch_that_writes_leaves_its_time_in_the_file_and_no_other_does() {
    let place = Place::new("written-at");
    let mut store = open(&place);
    let written_at = || number(&place, "SELECT written_at FROM totals").unsigned_abs();
    assert_eq!(written_at(), 0);
    let mut leaves_its_time = |millis: u64, operation| {
        apply(&mut store, millis, operation);
        let now = START + Duration::from_millis(millis);
        written_at() == now.as_millis()
    };
    let regenerate = || Operation::Regenerate {
        old: SessionKey::of("a"),
        new: SessionKey::of("b"),
        changes: None,
    };
    let destroy = |id| Operation::Destroy {
        key: SessionKey::of(id),
        detail: false,
    };
    let minute = Some(Duration::from_secs(60));
    assert!(leaves_its_time(10, create("a", minute)));
    assert!(!leaves_its_time(20, validate("a")));
    assert!(!leaves_its_time(30, validate("nobody")));
    assert!(!leaves_its_time(40, destroy("nobody")));
    assert!(!leaves_its_time(50, Operation::Stats));
    assert!(leaves_its_time(60, regenerate()));
    assert!(!leaves_its_time(70, regenerate()));
    // A use that is written.
    assert!(leaves_its_time(1100, validate("b")));
    assert!(leaves_its_time(1200, destroy("b")));
    assert!(leaves_its_time(1300, create("c", minute)));
    // The end that is found when the session is asked for, or when all sessions are counted.
    assert!(leaves_its_time(61_300, validate("c")));
    assert!(leaves_its_time(61_400, create("d", minute)));
    assert!(leaves_its_time(121_400, Operation::Stats));
    // A clock that is behind.
    assert!(!leaves_its_time(1000, create("e", None)));
    drop(store);
    let latest = START + Duration::from_millis(121_400);
    assert_eq!(written_at(), latest.as_millis());
    assert_eq!(open(&place).store.earliest_now(), latest);
}

/// The modes of the file, the log and its index while a node runs that creates its files under this umask.
fn modes(place: &Place, umask: &str) -> [u32; 3] {
    let program = session_node_testing::command(&[]).get_program().to_owned();
    let run = format!("umask {umask}; exec \"$0\" \"$@\"");
    let mut node = Node::spawn(
        Command::new("sh")
            .args(["-c", &run])
            .arg(program)
            .args(["--store", &place.url()])
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped()),
    );
    node.ask(r#"{"type":"create_session","user_id":"alice"}"#);
    let modes = ["", "-wal", "-shm"].map(|end| {
        let file = place.0.join(format!("sessions.db{end}"));
        mode(&file)
    });
    node.finish().ended_well();
    modes
}

fn mode(path: &Path) -> u32 {
    let metadata = fs::metadata(path).expect("the file is there");
    metadata.permissions().mode() & 0o777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("the owner may");
}

#[test]
fn only_its_owner_may_read_a_new_file_and_an_existing_one_keeps_its_mode() {
    let place = Place::new("modes");
    assert_eq!(modes(&place, "022"), [0o600; 3]);
    set_mode(&place.file(), 0o640);
    assert_eq!(modes(&place, "022"), [0o640; 3]);

    let place = Place::new("modes-of-empty");
    fs::write(place.file(), "").expect("a file");
    set_mode(&place.file(), 0o660);
    assert_eq!(modes(&place, "077"), [0o660; 3]);
}

#[test]
fn a_path_is_a_path_even_where_sqlite_would_take_it_for_something_else() {
    let place = Place::new("odd-names");
    let target = place.0.join("target.db");
    symlink(&target, place.file()).expect("a link to what is not there yet");
    drop(open(&place));
    assert_eq!(mode(&target), 0o600);
    for name in [":memory:", "file:sessions?mode=ro"] {
        let mut command = session_node_testing::command(&["--store", &format!("sqlite:{name}")]);
        let mut node = Node::spawn(command.current_dir(&place.0));
        node.ask(r#"{"type":"create_session","user_id":"alice"}"#);
        assert_eq!(mode(&place.0.join(name)), 0o600);
        node.finish().ended_well();
    }
}

#[test]
fn a_store_that_cannot_write_still_knows_its_sessions_and_writes_again_when_it_can() {
    let place = Place::new("locked");
    let mut store = open(&place);
    apply(&mut store, 0, create("a", None));
    let other = Connection::open(place.file()).expect("the file opens");
    other.execute_batch("BEGIN IMMEDIATE").expect("a lock");
    // A use that would be written, since the last that was is a minute ago.
    assert!(is_valid(&mut store, 60_000, "a"));
    let batch = [create("b", None), validate("a"), validate("b")];
    let outcomes = store.apply(START, &batch);
    let has_no_effect = |outcome: &Result<_, _>| matches!(outcome, Err(StoreError::NoEffect(_)));
    assert_eq!(outcomes.all().len(), 3);
    assert!(outcomes.all().iter().all(has_no_effect), "{outcomes:?}");

    other.execute_batch("ROLLBACK").expect("no lock");
    assert!(!is_valid(&mut store, 60_000, "b"));
    apply(&mut store, 60_000, create("b", None));
    assert!(is_valid(&mut store, 60_000, "b"));
}

#[test]
fn the_file_does_not_grow_for_ever_under_churn() {
    let place = Place::new("churn");
    let mut store = open(&place);
    let mut made = 0_u32;
    let mut pages = Vec::new();
    for second in 0..300 {
        let now = START + Duration::from_secs(second);
        let ids: Vec<_> = (0..200)
            .map(|_| {
                made += 1;
                made.to_string()
            })
            .collect();
        let batch: Vec<_> = ids
            .iter()
            .map(|id| {
                let options = CreateOptions {
                    ttl: Some(Duration::from_secs(20)),
                    data: Some(r#"{"some":"data"}"#.into()),
                    ..CreateOptions::default()
                };
                create_as(id, id, options)
            })
            .collect();
        store.apply(now, &batch);
        if second % 50 == 49 {
            assert!(number(&place, "SELECT count(*) FROM sessions") <= 200 * 21);
            pages.push(number(&place, "PRAGMA page_count"));
        }
    }
    let (first, last) = (pages[0], pages[5]);
    assert!(last * 10 <= first * 13, "{pages:?}");
    let log = fs::metadata(place.0.join("sessions.db-wal")).expect("the log");
    assert!(log.len() < 80 * 1024 * 1024, "{}", log.len());
}

#[test]
fn sessions_outlive_the_process() {
    let place = Place::new("restart");
    let url = place.url();
    let args = ["--store", &url];
    let mut node = Node::start(&args);
    let created = node.ask(r#"{"type":"create_session","user_id":"alice","data":{"k":"v"}}"#);
    let id = text(&created, "session_id");
    node.finish().ended_well();

    let mut node = Node::start(&args);
    let valid = node.ask(format!(
        r#"{{"type":"validate_session","session_id":"{id}"}}"#
    ));
    assert_eq!(text(&valid, "user_id"), "alice");
    assert_eq!(valid["data"]["k"], "v");
    let stats = node.ask(r#"{"type":"stats"}"#);
    assert_eq!(stats["sessions"], 1);
    assert_eq!(stats["users"], 1);
}

#[test]
fn no_session_is_put_into_a_file_under_an_id_that_may_have_ended() {
    let place = Place::new("preload");
    let url = place.url();
    let output = Node::start(&["--store", &url, "--preload", "5ecret=user123"]).finish();
    assert_eq!(output.status.code(), Some(2));
    let why = "--preload goes with --store memory: alone";
    assert!(output.stderr.contains(why), "{}", output.stderr);
    assert!(!output.stderr.contains("5ecret"), "{}", output.stderr);
    assert!(!place.file().exists());
}

#[test]
fn nodes_on_one_file_see_each_others_sessions_at_once() {
    let place = Place::new("second");
    let url = place.url();
    let args = ["--store", &url];
    let (mut one, mut other) = (Node::start(&args), Node::start(&args));
    for _ in 0..50 {
        let created = one.ask(r#"{"type":"create_session","user_id":"alice"}"#);
        let old = text(&created, "session_id");
        let request = format!(r#"{{"type":"regenerate_session","old_session_id":"{old}"}}"#);
        let new = text(&other.ask(request), "new_session_id");
        let validate = |id: &str| format!(r#"{{"type":"validate_session","session_id":"{id}"}}"#);
        assert_eq!(text(&one.ask(validate(&old)), "type"), "session_invalid");
        assert_eq!(text(&one.ask(validate(&new)), "type"), "session_valid");
        one.ask(format!(
            r#"{{"type":"destroy_session","session_id":"{new}"}}"#
        ));
        assert_eq!(text(&other.ask(validate(&new)), "type"), "session_invalid");
    }
    assert_eq!(one.ask(r#"{"type":"stats"}"#)["sessions"], 0);
}

#[test]
fn no_id_stands_in_the_file_or_its_log() {
    let place = Place::new("secret");
    let url = place.url();
    let mut node = Node::start(&["--store", &url, "--rotation-grace", "1h"]);
    let mut ids = Vec::new();
    for _ in 0..20 {
        let request = r#"{"type":"create_session","user_id":"alice","binding":"a-certificate"}"#;
        let id = text(&node.ask(request), "session_id");
        let request = format!(
            r#"{{"type":"regenerate_session","old_session_id":"{id}","binding":"a-certificate"}}"#
        );
        ids.extend([text(&node.ask(request), "new_session_id"), id]);
    }
    let mut files = Vec::new();
    for name in ["sessions.db", "sessions.db-wal", "sessions.db-shm"] {
        files.extend(fs::read(place.0.join(name)).expect("the file is there"));
    }
    let has = |needle: &[u8]| memchr::memmem::find(&files, needle).is_some();
    assert!(has(b"alice"), "the user is in the file");
    assert!(!has(b"a-certificate"));
    for id in ids {
        let raw = uuid::Uuid::parse_str(&id).expect("a UUID");
        assert!(!has(id.as_bytes()) && !has(raw.as_bytes()));
        assert!(
            has(SessionKey::of(&id).as_bytes()),
            "the key is in the file"
        );
    }
}
