//! The file of the socket, from the node's start to its end: who may open it, who may replace it, and what is left.

use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use session_node_testing::socket::{
    Connection, Flood, SocketNode, listening, signal, socket_place,
};
use session_node_testing::{DEADLINE, PRELOADED, command, turns, wait};

const VALIDATE: &str = r#"{"type":"validate_session","session_id":"abc123"}"#;

fn assert_serves(node: &SocketNode) {
    assert_eq!(node.connect().ask(VALIDATE)["type"], "session_valid");
}

/// Leaves the file of a socket behind on which nobody listens.
fn leave_stale(path: &Path) {
    SocketNode::start_at(path, PRELOADED).kill();
    assert!(UnixStream::connect(path).is_err(), "nobody listens");
    assert!(path.exists(), "a killed node removes nothing");
}

/// Runs a node that must end by itself. Returns its status, and what it wrote to stderr.
fn run(command: &mut Command) -> (Option<i32>, String) {
    let mut child = command.stdin(Stdio::null()).spawn().expect("it starts");
    let status = wait(&mut child);
    let output = child.wait_with_output().expect("stderr can be read");
    assert!(output.stdout.is_empty());
    let stderr = String::from_utf8(output.stderr).expect("stderr is UTF-8");
    (status.code(), stderr)
}

/// The node refuses to start, with one line that has these parts.
#[track_caller]
fn assert_refused(command: &mut Command, parts: &[&str]) {
    let (status, stderr) = run(command);
    assert_eq!(status, Some(1), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
    for part in parts {
        assert!(stderr.contains(part), "{part} in {stderr}");
    }
}

fn mode(path: &Path) -> u32 {
    let found = fs::symlink_metadata(path).expect("the socket is there");
    assert!(found.file_type().is_socket());
    found.permissions().mode() & 0o7777
}

#[test]
fn only_the_owner_may_connect_unless_the_mode_says_otherwise() {
    for (args, expected) in [
        (&[][..], 0o600),
        (&["--listen-mode", "660"], 0o660),
        (&["--listen-mode", "0606"], 0o606),
    ] {
        let node = SocketNode::start(&[PRELOADED, args].concat());
        assert_eq!(mode(&node.path), expected, "{args:?}");
        assert_serves(&node);
        assert_eq!(node.stop(), "");
    }
}

#[test]
fn the_umask_changes_nothing() {
    for umask in ["0", "777", "177", "022"] {
        let place = socket_place();
        let path = place.0.join("s");
        let inner = listening(&path, &["--listen-mode", "640"]);
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!(r#"umask {umask}; exec "$0" "$@""#)]);
        shell.arg(inner.get_program()).args(inner.get_args());
        for pipe in [Command::stdin, Command::stdout, Command::stderr] {
            pipe(&mut shell, Stdio::piped());
        }
        let node = SocketNode::spawn(&mut shell, &path);
        assert_eq!(mode(&path), 0o640, "umask {umask}");
        assert_eq!(node.stop(), "");
    }
}

#[test]
fn the_file_of_a_killed_node_is_replaced() {
    let place = socket_place();
    let path = place.0.join("s");
    for _ in 0..3 {
        leave_stale(&path);
    }
    let node = SocketNode::start_at(&path, PRELOADED);
    assert_serves(&node);
    assert_eq!(node.stop(), "");
    assert!(!path.exists());
}

#[test]
fn a_node_that_serves_is_not_replaced() {
    let first = SocketNode::start(PRELOADED);
    let mut connection = first.connect();
    connection.ask(VALIDATE);
    let name = first.path.to_str().expect("a path in UTF-8");
    for _ in 0..3 {
        assert_refused(&mut listening(&first.path, &[]), &[name, "listens"]);
    }
    assert_eq!(connection.ask(VALIDATE)["type"], "session_valid");
    assert_serves(&first);
    assert_eq!(first.stop(), "");
}

#[test]
fn what_is_no_socket_is_left_alone() {
    let place = socket_place();
    let file = place.0.join("file");
    fs::write(&file, "mine").expect("a file");
    let directory = place.0.join("directory");
    fs::create_dir(&directory).expect("a directory");
    let link = place.0.join("link");
    std::os::unix::fs::symlink(place.0.join("nowhere"), &link).expect("a link");
    for path in [&file, &directory, &link] {
        let name = path.to_str().expect("a path in UTF-8");
        assert_refused(&mut listening(path, &[]), &[name, "not a socket"]);
    }
    assert_eq!(fs::read_to_string(&file).expect("it is there"), "mine");
    assert!(directory.is_dir() && link.is_symlink());
}

#[test]
fn a_path_that_cannot_be_is_refused_with_one_line() {
    let place = socket_place();
    let long = place.0.join("l".repeat(120));
    assert_refused(
        &mut listening(&long, &[]),
        &[long.to_str().expect("UTF-8"), "too long"],
    );
    let missing = place.0.join("no/such/s");
    let directory = place.0.join("no/such");
    assert_refused(
        &mut listening(&missing, &[]),
        &[directory.to_str().expect("UTF-8"), "No such file"],
    );
    assert_eq!(fs::read_dir(&place.0).expect("it is there").count(), 0);
}

#[test]
fn a_path_relative_to_the_working_directory_will_do() {
    let place = socket_place();
    let mut node = command(PRELOADED);
    node.args(["--listen", "unix:s"]).current_dir(&place.0);
    let node = SocketNode::spawn(&mut node, &place.0.join("s"));
    assert_serves(&node);
    assert_eq!(node.stop(), "");
    assert!(!place.0.join("s").exists());
}

#[test]
fn a_signal_ends_the_node_and_removes_the_file() {
    for name in ["TERM", "INT"] {
        let node = SocketNode::start(PRELOADED);
        let mut idle = node.connect();
        let mut half = node.connect();
        half.write(&VALIDATE[..10]);
        assert_serves(&node);
        let path = node.path.clone();
        node.signal(name);
        let (status, stderr) = node.collect();
        assert_eq!((status.code(), &*stderr), (Some(0), ""), "SIG{name}");
        assert!(!path.exists(), "SIG{name}");
        assert_eq!(idle.reply(), None);
        assert_eq!(half.reply(), None, "half a line is no request");
    }
}

fn echo(number: usize) -> String {
    format!("{{\"type\":\"echo\",\"msg_id\":{number},\"echo\":1}}\n")
}

fn echoed(number: usize) -> String {
    format!(r#"{{"type":"echo_ok","in_reply_to":{number},"echo":1}}"#)
}

#[test]
fn a_signal_under_load_lets_the_requests_taken_up_be_answered() {
    for name in ["TERM", "INT"] {
        let node = SocketNode::start(PRELOADED);
        let mut connections = node.connect_many(5);
        let input: String = (0..200_000).map(echo).collect();
        let writers = connections.iter().map(|one| one.write_beside(&*input));
        let writers: Vec<_> = writers.collect();
        for connection in &mut connections {
            for number in 0..1000 {
                assert_eq!(connection.recv(), echoed(number));
            }
        }
        node.signal(name);
        // Each reply to the end is whole and the next one. All peers read, or the node would wait for them.
        thread::scope(|scope| {
            for connection in &mut connections {
                scope.spawn(|| {
                    for (number, reply) in (1000..).zip(connection.rest()) {
                        assert_eq!(reply, echoed(number));
                    }
                });
            }
        });
        let (status, stderr) = node.collect();
        assert_eq!((status.code(), &*stderr), (Some(0), ""), "SIG{name}");
        for writer in writers {
            // Whether all was written depends on who was faster.
            let _ = writer.join().expect("the writer does not panic");
        }
    }
}

#[test]
fn requests_that_have_arrived_before_the_signal_are_answered() {
    let node = SocketNode::start(PRELOADED);
    let mut connections = node.connect_many(200);
    for connection in &mut connections {
        connection.ask(VALIDATE);
    }
    // The node rests while it is stopped, and then finds the requests and the signal at once.
    node.signal("STOP");
    for connection in &mut connections {
        connection.send(VALIDATE);
    }
    node.signal("TERM");
    node.signal("CONT");
    for connection in &mut connections {
        assert!(connection.recv().contains("session_valid"));
        assert_eq!(connection.reply(), None);
    }
    assert_eq!(node.collect().0.code(), Some(0));
}

#[test]
fn a_peer_that_takes_no_replies_does_not_keep_the_node_from_ending() {
    let node = SocketNode::start(PRELOADED);
    let connection = node.connect();
    let flood = Flood::of(&connection, (0..).map(echo));
    flood.clog();
    node.signal("TERM");
    let (status, stderr) = node.collect();
    assert_eq!(status.code(), Some(0), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(
        stderr.contains("did not take all their replies"),
        "{stderr}"
    );
}

#[test]
fn a_second_signal_ends_the_node_at_once() {
    let mut node = SocketNode::start(PRELOADED);
    let connection = node.connect();
    Flood::of(&connection, (0..).map(echo)).clog();
    node.signal("TERM");
    // Time to be taken up: two signals that are pending together are one.
    thread::sleep(Duration::from_millis(300));
    // The node may have ended already, which is as good.
    if node.child.try_wait().expect("a child").is_none() {
        node.signal("TERM");
    }
    let code = node.collect().0.code();
    assert!([Some(0), Some(128 + 15)].contains(&code), "{code:?}");
}

#[test]
fn what_somebody_else_has_put_at_the_path_stays() {
    let place = socket_place();
    let path = place.0.join("s");
    let node = SocketNode::start_at(&path, PRELOADED);
    fs::remove_file(&path).expect("it is there");
    fs::write(&path, "mine").expect("a file");
    assert_eq!(node.stop(), "");
    assert_eq!(fs::read_to_string(&path).expect("it is there"), "mine");
}

#[test]
fn a_node_that_has_taken_the_path_over_keeps_it() {
    let place = socket_place();
    let path = place.0.join("s");
    let first = SocketNode::start_at(&path, PRELOADED);
    fs::remove_file(&path).expect("it is there");
    let second = SocketNode::start_at(&path, PRELOADED);
    assert_eq!(first.stop(), "");
    assert_serves(&second);
    assert_eq!(second.stop(), "");
    assert!(!path.exists());
}

#[test]
fn a_hang_up_reopens_the_audit() {
    let node_place = socket_place();
    let audit = node_place.0.join("audit");
    let node = SocketNode::start(&["--audit", audit.to_str().expect("UTF-8")]);
    let mut connection = node.connect();
    let create = r#"{"type":"create_session","user_id":"alice"}"#;
    connection.ask(create);
    let old = node_place.0.join("audit.1");
    fs::rename(&audit, &old).expect("it is there");
    node.signal("HUP");
    let start = Instant::now();
    let mut created = 1;
    while !fs::read_to_string(&audit).is_ok_and(|text| text.ends_with('\n')) {
        assert!(start.elapsed() < DEADLINE, "no new file");
        connection.ask(create);
        created += 1;
    }
    let lines = |path: &Path| fs::read_to_string(path).expect("a file").lines().count();
    assert_eq!(lines(&old) + lines(&audit), created, "none is lost");
    assert_eq!(node.stop(), "");
}

#[test]
fn of_nodes_started_at_once_on_a_stale_path_exactly_one_serves() {
    let _turn = turns::busy();
    let place = socket_place();
    let path = place.0.join("s");
    for _ in 0..15 {
        leave_stale(&path);
        let start = || listening(&path, PRELOADED).spawn().expect("it starts");
        let mut nodes: Vec<Child> = (0..4).map(|_| start()).collect();
        let begin = Instant::now();
        while nodes.len() > 1 {
            assert!(begin.elapsed() < DEADLINE, "{} nodes serve", nodes.len());
            nodes.retain_mut(|node| match node.try_wait().expect("a child") {
                None => true,
                Some(status) => {
                    assert_eq!(status.code(), Some(1));
                    false
                }
            });
        }
        let stream = UnixStream::connect(&path).expect("one serves");
        let answer = Connection::new(stream).ask(VALIDATE);
        assert_eq!(answer["type"], "session_valid");
        signal(&nodes[0], "KILL");
        wait(&mut nodes[0]);
    }
}
