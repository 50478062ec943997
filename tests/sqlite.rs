//! Sessions in a SQLite file: the same as in memory, beyond the end of the process, and for several nodes at once.
#![cfg(feature = "sqlite")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rusqlite::Connection;
use session_node::session::{Binding, OnReuse, OnUserLimit, SessionKey, Timestamp};
use session_node::store::{
    Changes, Conditions, EventKind, Extras, MemoryStore, Operation, Outcome, Outcomes, Policy,
    Record, SqliteStore, Store, StoreError,
};

use common::{Node, text};

const START: Timestamp = Timestamp::from_millis(1_790_000_000_250);
const HOUR: Duration = Duration::from_secs(3600);

/// A directory with one file of sessions, which goes with the test.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let path = path.join(format!("{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a directory");
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("sessions.db")
    }

    fn url(&self) -> String {
        format!("sqlite:{}", self.file().display())
    }

    fn open(&self) -> SqliteStore {
        self.open_with(Policy::default())
    }

    fn open_with(&self, policy: Policy) -> SqliteStore {
        SqliteStore::open(&self.file(), policy).expect("a file of sessions")
    }

    fn number(&self, sql: &str) -> i64 {
        let connection = Connection::open(self.file()).expect("the file opens");
        let number = connection.query_row(sql, [], |row| row.get(0));
        number.expect("a number")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn create(id: &str, idle_timeout: Option<Duration>) -> Operation<'static> {
    Operation::Create {
        key: SessionKey::of(id),
        user: "alice".into(),
        ttl: HOUR,
        idle_timeout,
        extras: None,
    }
}

fn validate(id: &str) -> Operation<'static> {
    Operation::Validate {
        key: SessionKey::of(id),
        conditions: None,
    }
}

fn apply(store: &mut impl Store, millis: u64, operation: Operation<'static>) -> Outcomes {
    let mut outcomes = Outcomes::new();
    let now = START + Duration::from_millis(millis);
    store.apply(now, &[operation], &mut outcomes);
    assert!(matches!(outcomes.list(), [Ok(_)]), "{outcomes:?}");
    outcomes
}

fn is_valid(store: &mut impl Store, millis: u64, id: &str) -> bool {
    let outcomes = apply(store, millis, validate(id));
    matches!(outcomes.list(), [Ok(Outcome::Valid { .. })])
}

#[test]
fn a_use_that_was_not_written_puts_the_idle_timeout_off_to_the_millisecond() {
    let place = Place::new("idle");
    let minute = Some(Duration::from_secs(60));
    let mut store = place.open();
    for id in ["a", "b"] {
        apply(&mut store, 0, create(id, minute));
        let before = place.number("SELECT sum(last_used_at) FROM sessions");
        assert!(is_valid(&mut store, 999, id));
        let after = place.number("SELECT sum(last_used_at) FROM sessions");
        assert_eq!(before, after, "a use within a sixtieth is not written");
    }
    assert!(is_valid(&mut store, 60_998, "a"));
    assert!(!is_valid(&mut store, 60_999, "b"));
}

#[test]
fn a_use_is_written_when_a_sixtieth_of_the_idle_timeout_has_passed() {
    let place = Place::new("written");
    let mut store = place.open();
    let written = || place.number("SELECT last_used_at FROM sessions");
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
    let mut store = place.open();
    for id in ["a", "b"] {
        apply(&mut store, 0, create(id, Some(Duration::from_secs(60))));
        assert!(is_valid(&mut store, 999, id));
    }
    drop(store);
    let mut store = place.open();
    assert!(is_valid(&mut store, 60_998, "a"));
    // A sixtieth later than the last use that is known is the latest that any use can have been.
    assert!(!is_valid(&mut store, 61_000, "b"));
}

#[test]
fn a_session_never_ends_early_because_a_use_was_seen_by_another_node() {
    let place = Place::new("other");
    let (mut one, mut other) = (place.open(), place.open());
    for id in ["a", "b"] {
        apply(&mut one, 0, create(id, Some(Duration::from_secs(60))));
        assert!(is_valid(&mut other, 100, id));
        assert!(is_valid(&mut one, 900, id));
        assert!(is_valid(&mut other, 950, id));
    }
    assert_eq!(
        place.number("SELECT max(last_used_at) - min(created_at) FROM sessions"),
        100,
        "only the first use by another node is written"
    );
    assert!(is_valid(&mut one, 60_949, "a"));
    assert!(!is_valid(&mut other, 61_100, "b"));
}

#[test]
fn a_batch_that_only_reads_leaves_the_file_alone() {
    let place = Place::new("reads");
    let mut store = place.open();
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

/// Random operations on few sessions of few users, as their ids would be presented.
struct Script {
    random: StdRng,
    made: u32,
    idle_timeouts: bool,
}

impl Script {
    fn key(&mut self) -> SessionKey {
        let newest = self.made.max(1);
        let number = self.random.random_range(newest.saturating_sub(30)..=newest);
        SessionKey::of(&number.to_string())
    }

    fn new_key(&mut self) -> SessionKey {
        self.made += 1;
        SessionKey::of(&self.made.to_string())
    }

    fn user(&mut self) -> &'static str {
        ["alice", "bob", "π \u{0} \"", "dave"][self.random.random_range(0..4)]
    }

    fn data(&mut self) -> Option<std::borrow::Cow<'static, str>> {
        let number = self.random.random_range(0..3);
        (number > 0).then(|| format!(r#"{{"n":{number}}}"#).into())
    }

    fn binding(&mut self) -> Option<Binding> {
        [None, None, Some(Binding::to("x")), Some(Binding::to("y"))][self.random.random_range(0..4)]
    }

    fn seconds(&mut self, most: u64) -> Duration {
        Duration::from_secs(self.random.random_range(1..=most))
    }

    fn handle(&mut self) -> Option<session_node::session::Handle> {
        let key = self.key();
        self.random.random_bool(0.9).then(|| key.handle())
    }

    fn operation(&mut self) -> Operation<'static> {
        match self.random.random_range(0..40) {
            0..12 => Operation::Create {
                key: self.new_key(),
                user: self.user().into(),
                ttl: self.seconds(300),
                idle_timeout: self.idle_timeouts.then(|| self.seconds(120)),
                extras: Some(Box::new(Extras {
                    data: self.data(),
                    binding: self.binding(),
                })),
            },
            12..22 => Operation::Validate {
                key: self.key(),
                conditions: Some(Box::new(Conditions {
                    binding: self.binding(),
                    max_age: self.random.random_bool(0.2).then_some(60),
                })),
            },
            22..28 => Operation::Regenerate {
                old: self.key(),
                new: self.new_key(),
                changes: Some(Box::new(Changes {
                    reauthenticated: self.random.random_bool(0.3),
                    data: self.data(),
                })),
            },
            28..30 => Operation::Update {
                key: self.key(),
                data: "{}".into(),
            },
            30..34 => Operation::List {
                user: self.user().into(),
                caller: self.random.random_bool(0.5).then(|| self.key()),
                limit: self.random.random_range(0..5),
            },
            34..36 => Operation::Destroy { key: self.key() },
            36 => Operation::DestroyByHandle {
                user: self.user().into(),
                handle: self.handle(),
            },
            37 => Operation::DestroyUser {
                user: self.user().into(),
                except: self.random.random_bool(0.5).then(|| self.key()),
            },
            38 if self.random.random_bool(0.1) => Operation::DestroyAll,
            _ => Operation::Stats,
        }
    }
}

/// What can be seen of a batch. When a session that has expired is removed is left to the store.
fn seen(
    store: &mut dyn Store,
    now: Timestamp,
    batch: &[Operation<'_>],
    exact: bool,
) -> Vec<String> {
    let mut outcomes = Outcomes::recording(Record::Everything);
    store.apply(now, batch, &mut outcomes);
    let mut seen = Vec::new();
    for outcome in outcomes.list() {
        let shown = match outcome.as_ref().expect("the store works") {
            Outcome::Valid {
                user,
                data,
                expires_at,
            } => {
                let data = data.as_ref().map(|data| outcomes.text(data));
                format!("valid {} {data:?} {expires_at:?}", outcomes.text(user))
            }
            Outcome::ReauthenticationRequired { user, auth_age } => {
                format!("reauthenticate {} {auth_age}", outcomes.text(user))
            }
            Outcome::Sessions { listed, more } => {
                for listed in outcomes.listed(listed) {
                    let data = listed.data.as_ref().map(|data| outcomes.text(data));
                    let mut life = listed.lifetime;
                    if !exact {
                        life.last_used_at = life.created_at;
                    }
                    seen.push(format!(
                        "{} {life:?} {data:?} {}",
                        listed.handle, listed.is_current
                    ));
                }
                format!("more: {more}")
            }
            Outcome::Stats {
                sessions, users, ..
            } if !exact => format!("stats {sessions:?} {users:?}"),
            other => format!("{other:?}"),
        };
        seen.push(shown);
    }
    for event in outcomes.events() {
        if event.kind != EventKind::Expired {
            let user = event.user.as_ref().map(|user| outcomes.text(user));
            let handle = event.handle.map(|handle| handle.to_string());
            seen.push(format!(
                "{} {:?} {user:?} {handle:?}",
                event.operation, event.kind
            ));
        }
    }
    seen
}

fn policies() -> Vec<Policy> {
    let grace = Duration::from_secs(20);
    let of = |max_sessions, per_user, on_user_limit, rotation_grace, on_reuse| Policy {
        max_sessions,
        max_sessions_per_user: per_user,
        on_user_limit,
        rotation_grace,
        on_reuse,
    };
    vec![
        Policy::default(),
        of(12, None, OnUserLimit::Reject, grace, OnReuse::Ignore),
        of(
            100,
            Some(3),
            OnUserLimit::EvictOldest,
            grace,
            OnReuse::Revoke,
        ),
        of(
            100,
            Some(2),
            OnUserLimit::Reject,
            Duration::ZERO,
            OnReuse::Revoke,
        ),
    ]
}

/// Runs the same batches on a store in memory and on stores on one file in turn.
fn compare(name: &str, nodes: usize, idle_timeouts: bool) {
    for (number, policy) in policies().into_iter().enumerate() {
        let place = Place::new(&format!("{name}-{number}"));
        let mut memory = MemoryStore::new(policy.clone());
        let mut stores: Vec<_> = (0..nodes)
            .map(|_| place.open_with(policy.clone()))
            .collect();
        let seed = u64::try_from(number).expect("small");
        let mut script = Script {
            random: StdRng::seed_from_u64(seed),
            made: 0,
            idle_timeouts,
        };
        let mut now = START;
        for step in 0..600 {
            let length = script.random.random_range(1..5);
            let batch: Vec<_> = (0..length).map(|_| script.operation()).collect();
            let expected = seen(&mut memory, now, &batch, nodes == 1);
            let answered = seen(&mut stores[step % nodes], now, &batch, nodes == 1);
            assert_eq!(answered, expected, "policy {number}, step {step}");
            now = now + Duration::from_millis(script.random.random_range(0..9000));
        }
    }
}

#[test]
fn a_store_in_a_file_answers_what_the_store_in_memory_answers() {
    compare("same", 1, true);
}

#[test]
fn nodes_on_one_file_answer_together_what_one_store_answers() {
    compare("together", 2, false);
}

#[test]
fn a_store_that_cannot_write_still_knows_its_sessions_and_writes_again_when_it_can() {
    let place = Place::new("locked");
    let mut store = place.open();
    apply(&mut store, 0, create("a", None));
    let other = Connection::open(place.file()).expect("the file opens");
    other.execute_batch("BEGIN IMMEDIATE").expect("a lock");
    // A use that would be written, since the last that was is a minute ago.
    assert!(is_valid(&mut store, 60_000, "a"));
    let mut outcomes = Outcomes::new();
    let batch = [create("b", None), validate("a"), validate("b")];
    store.apply(START, &batch, &mut outcomes);
    let has_no_effect = |outcome: &Result<_, _>| matches!(outcome, Err(StoreError::NoEffect(_)));
    assert_eq!(outcomes.list().len(), 3);
    assert!(outcomes.list().iter().all(has_no_effect), "{outcomes:?}");

    other.execute_batch("ROLLBACK").expect("no lock");
    assert!(!is_valid(&mut store, 60_000, "b"));
    apply(&mut store, 60_000, create("b", None));
    assert!(is_valid(&mut store, 60_000, "b"));
}

#[test]
fn the_file_does_not_grow_for_ever_under_churn() {
    let place = Place::new("churn");
    let mut store = place.open();
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
            .map(|id| Operation::Create {
                key: SessionKey::of(id),
                user: id.into(),
                ttl: Duration::from_secs(20),
                idle_timeout: None,
                extras: Some(Box::new(Extras {
                    data: Some(r#"{"some":"data"}"#.into()),
                    binding: None,
                })),
            })
            .collect();
        store.apply(now, &batch, &mut Outcomes::new());
        if second % 50 == 49 {
            assert!(place.number("SELECT count(*) FROM sessions") <= 200 * 21);
            pages.push(place.number("PRAGMA page_count"));
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
fn a_preloaded_session_exists_at_every_start() {
    let place = Place::new("preload");
    let url = place.url();
    for _ in 0..2 {
        let args = ["--store", &url, "--preload", "abc123=user123"];
        let mut node = Node::start(&args);
        let valid = node.ask(r#"{"type":"validate_session","session_id":"abc123"}"#);
        assert_eq!(text(&valid, "user_id"), "user123");
        assert_eq!(node.ask(r#"{"type":"stats"}"#)["sessions"], 1);
        node.finish().ended_well();
    }
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
        let request = format!(r#"{{"type":"regenerate_session","old_session_id":"{id}"}}"#);
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
