//! A file of sessions when things go wrong: the node is killed, the disk is full, the file is not what it should be.
#![cfg(all(unix, feature = "sqlite"))]

use std::fs;
use std::io::BufReader;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rusqlite::Connection;

use session_node_testing::place::Place;
use session_node_testing::witness::Witness;
use session_node_testing::{Node, command, text, wait};

fn url(path: &Path) -> String {
    format!("sqlite:{}", path.display())
}

#[test]
fn a_node_killed_at_any_moment_loses_nothing_answered_and_revives_nothing_ended() {
    let place = Place::new("killed");
    let url = place.url();
    let args = ["--store", &url];
    let mut random = StdRng::seed_from_u64(7);
    let mut peer = Witness::default();
    let mut answered = 0;
    for _ in 0..40 {
        let mut child = command(&args).spawn().expect("the node starts");
        let pid = child.id().to_string();
        let delay = Duration::from_millis(random.random_range(5..150));
        let killer = thread::spawn(move || {
            thread::sleep(delay);
            let status = Command::new("kill").args(["-9", &pid]).status();
            assert!(status.expect("kill(1) runs").success());
        });
        let stdin = child.stdin.take().expect("stdin is a pipe");
        let stdout = BufReader::new(child.stdout.take().expect("stdout is a pipe"));
        answered += peer.work_until_killed(stdin, stdout, 100, &mut random);
        killer.join().expect("the node is killed");
        wait(&mut child);
        peer.check(|requests| session_node_testing::replies(&args, requests));
    }
    assert!(answered > 1000, "only {answered} answers: this was no load");
    assert!(peer.has_seen_both());
}

/// A node that may write no file beyond so many bytes.
fn start_limited(url: &str, bytes: u64) -> Node {
    let limit = format!(
        "ulimit -S -f {}; trap '' XFSZ; exec \"$0\" \"$@\"",
        bytes / 512
    );
    let inner = command(&[]);
    let program = inner.get_program().to_str().expect("a path in UTF-8");
    Node::spawn(
        Command::new("sh")
            .args(["-c", &limit, program, "--store", url])
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped()),
    )
}

#[test]
fn a_full_disk_is_answered_truly_and_the_node_serves_again_when_there_is_room() {
    let place = Place::new("full");
    let url = place.url();
    let mut node = start_limited(&url, 1024 * 1024);
    let data = "x".repeat(3000);
    let create =
        format!(r#"{{"type":"create_session","user_id":"alice","data":{{"x":"{data}"}}}}"#);
    let (mut created, mut maybe, mut refused) = (Vec::new(), 0, 0);
    for _ in 0..600 {
        let answer = node.ask(&create);
        match answer["code"].as_u64() {
            None => created.push(text(&answer, "session_id")),
            Some(11) => refused += 1,
            Some(13) => maybe += 1,
            Some(code) => panic!("error {code}"),
        }
    }
    assert!(refused + maybe > 100, "{refused} refused, {maybe} in doubt");
    assert!(created.len() > 100, "{}", created.len());

    // What was there before is still served.
    let validate = |id: &str| format!(r#"{{"type":"validate_session","session_id":"{id}"}}"#);
    for id in &created {
        assert_eq!(text(&node.ask(validate(id)), "type"), "session_valid");
    }
    let sessions = |node: &mut Node| node.ask(r#"{"type":"stats"}"#)["sessions"].as_u64();
    let there = sessions(&mut node).expect("the store can tell");
    let sure = created.len() as u64;
    assert!(
        (sure..=sure + maybe).contains(&there),
        "{sure}, {maybe}: {there}"
    );

    let pid = node.child.id().to_string();
    let raised = Command::new("prlimit")
        .args(["--pid", &pid, "--fsize=unlimited"])
        .status();
    assert!(raised.expect("prlimit(1) runs").success());
    for _ in 0..20 {
        assert_eq!(text(&node.ask(&create), "type"), "session_created");
    }
    assert_eq!(sessions(&mut node), Some(there + 20));
    node.finish().ended_well();

    // And after a restart it is the same.
    let mut node = Node::start(&["--store", &url]);
    assert_eq!(sessions(&mut node), Some(there + 20));
    for id in &created {
        assert_eq!(text(&node.ask(validate(id)), "type"), "session_valid");
    }
}

#[track_caller]
fn assert_refused(mut command: Command, path: &Path, reason: &str) {
    let output = command.output().expect("the node runs");
    let stderr = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(stderr.contains(path.to_str().expect("UTF-8")), "{stderr}");
    assert!(stderr.contains(reason), "{stderr}");
    assert!(output.stdout.is_empty());
}

fn on(path: &Path) -> Command {
    let mut command = command(&["--store", &url(path)]);
    command.stdin(Stdio::null());
    command
}

#[test]
fn a_file_that_cannot_be_used_is_refused_with_one_line_that_says_why() {
    let place = Place::new("refused");
    let path = place.file();

    fs::write(
        &path,
        "not a database, and long enough not to be taken for one ".repeat(20),
    )
    .expect("a file");
    assert_refused(on(&path), &path, "it is not a database");

    fs::remove_file(&path).expect("the file goes");
    let other = Connection::open(&path).expect("a database");
    other
        .execute_batch("CREATE TABLE notes (text)")
        .expect("a table");
    assert_refused(on(&path), &path, "it is a database of another program");
    let notes = other.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0));
    assert_eq!(notes, Ok(1), "nothing was added to it");

    assert_refused(on(&place.0), &place.0, "it is a directory");
    let missing = place.0.join("no/such/sessions.db");
    assert_refused(on(&missing), &missing, "does not exist");
}

#[test]
fn a_file_of_a_newer_version_is_refused_and_left_alone() {
    let place = Place::new("newer");
    let path = place.file();
    session_node_testing::replies(
        &["--store", &place.url()],
        r#"{"type":"create_session","user_id":"a"}"#,
    );
    let newer = Connection::open(&path).expect("a database");
    newer
        .execute_batch("PRAGMA user_version = 99")
        .expect("a change");
    drop(newer);
    let before = fs::read(&path).expect("the file");
    assert_refused(
        on(&path),
        &path,
        "it is of version 99, which a newer session-node wrote",
    );
    assert!(fs::read(&path).expect("the file") == before);
}

#[test]
fn a_file_that_is_read_only_is_refused() {
    // Not below the target directory, which another user may have no way into.
    let place = Place(std::env::temp_dir().join(format!("session-node-ro-{}", std::process::id())));
    fs::create_dir_all(&place.0).expect("a directory");
    fs::set_permissions(&place.0, fs::Permissions::from_mode(0o755)).expect("the owner may");
    let path = place.file();
    session_node_testing::replies(
        &["--store", &place.url()],
        r#"{"type":"create_session","user_id":"a"}"#,
    );
    fs::set_permissions(&path, fs::Permissions::from_mode(0o444)).expect("the owner may");

    let mut command = on(&path);
    if fs::OpenOptions::new().write(true).open(&path).is_ok() {
        // The superuser may write all files: let somebody else try, with a program within their reach.
        let program = place.0.join("session-node");
        fs::copy(command.get_program(), &program).expect("the program can be copied");
        command = Command::new(program);
        command.args(["--store", &place.url()]).env_clear();
        command.stdin(Stdio::null()).uid(65534).gid(65534);
    }
    assert_refused(command, &path, "it is read-only");
}
