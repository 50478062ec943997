//! `session-node call`: a client for people and scripts.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixListener;
use std::process::{Child, Command};
use std::thread;

use session_node_testing::socket::{SocketNode, calling, socket_place};
use session_node_testing::{PRELOADED, command, message, wait};

const VALIDATE: &str = r#"{"type":"validate_session","session_id":"abc123"}"#;
const STATS: &str = r#"{"type":"stats"}"#;

/// Runs a call. Returns its status, its stdout and its stderr.
fn run(call: &mut Command, input: &str) -> (Option<i32>, String, String) {
    let mut child = call.spawn().expect("the call starts");
    let mut stdin = child.stdin.take().expect("stdin is a pipe");
    let input = input.to_owned();
    // A call that cannot go on does not read all of it.
    let writer = thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().expect("the call runs");
    let _ = writer.join().expect("the writer does not panic");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    let (stdout, stderr) = (text(output.stdout), text(output.stderr));
    (output.status.code(), stdout, stderr)
}

fn stderr(child: &mut Child) -> String {
    let mut text = String::new();
    let pipe = child.stderr.as_mut().expect("stderr is a pipe");
    pipe.read_to_string(&mut text).expect("stderr is UTF-8");
    text
}

#[test]
fn replies_are_printed_and_the_status_is_0() {
    let node = SocketNode::start(PRELOADED);
    let stdin_input = format!("{VALIDATE}\n\n{}", message(VALIDATE));
    let (status, stdout, stderr) = run(&mut calling(&node.path), &stdin_input);
    assert_eq!((status, &*stderr), (Some(0), ""));
    let lines: Vec<_> = stdout.lines().collect();
    assert_eq!(lines.len(), 2);
    assert!(
        lines[0].starts_with(r#"{"type":"session_valid","#),
        "{stdout}"
    );
    assert!(
        lines[1].starts_with(r#"{"src":"n1","dest":"c1","body":{"#),
        "{stdout}"
    );
    assert!(stdout.ends_with('\n'));
    let nothing = run(&mut calling(&node.path), "");
    assert_eq!(nothing, (Some(0), String::new(), String::new()));
    assert_eq!(node.stop(), "");
}

#[test]
fn the_socket_may_be_named_in_the_environment() {
    let node = SocketNode::start(PRELOADED);
    let mut call = command(&["call"]);
    call.env("SESSION_NODE_SOCKET", &node.path);
    let (status, stdout, stderr) = run(&mut call, VALIDATE);
    assert_eq!((status, &*stderr), (Some(0), ""));
    assert!(stdout.contains("session_valid"));
}

#[test]
fn a_reply_that_is_an_error_makes_the_status_3() {
    let node = SocketNode::start(PRELOADED);
    let unknown = r#"{"type":"7331"}"#;
    for input in [
        unknown.to_owned(),
        message(unknown),
        format!("{unknown}\n{VALIDATE}"),
        format!("{VALIDATE}\n{{]"),
    ] {
        let (status, stdout, stderr) = run(&mut calling(&node.path), &input);
        assert_eq!((status, &*stderr), (Some(3), ""), "{input}");
        assert_eq!(stdout.matches(r#""type":"error""#).count(), 1, "{stdout}");
    }
    // An answer that speaks of an error is none.
    let echo = r#"{"type":"echo","echo":{"type":"error"}}"#;
    assert_eq!(run(&mut calling(&node.path), echo).0, Some(0));
}

#[test]
fn a_connection_that_is_refused_is_not_taken_for_success() {
    let node = SocketNode::start(&["--max-connections", "1"]);
    let mut connection = node.connect();
    connection.ask(STATS);
    for _ in 0..20 {
        let (status, stdout, _) = run(&mut calling(&node.path), STATS);
        assert!([Some(1), Some(3)].contains(&status), "{status:?}");
        assert!(stdout.contains("limit of 1 connections"), "{stdout}");
    }
}

#[test]
fn without_a_node_there_is_one_line_and_the_status_is_1() {
    let place = socket_place();
    let stale = place.0.join("stale");
    SocketNode::start_at(&stale, &[]).kill();
    let file = place.0.join("file");
    std::fs::write(&file, "").expect("a file");
    for path in [
        stale,
        file,
        place.0.join("missing"),
        place.0.join("l".repeat(200)),
    ] {
        let (status, stdout, stderr) = run(&mut calling(&path), STATS);
        assert_eq!((status, &*stdout), (Some(1), ""), "{stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        assert!(stderr.contains(path.to_str().expect("UTF-8")), "{stderr}");
    }
}

#[test]
fn a_node_that_dies_meanwhile_makes_the_status_1() {
    let mut node = SocketNode::start(PRELOADED);
    let mut call = calling(&node.path).spawn().expect("the call starts");
    let mut stdin = call.stdin.take().expect("stdin is a pipe");
    let mut stdout = BufReader::new(call.stdout.take().expect("stdout is a pipe"));
    stdin
        .write_all(format!("{STATS}\n").as_bytes())
        .expect("it reads");
    let mut line = String::new();
    stdout.read_line(&mut line).expect("a reply");
    node.kill();
    assert_eq!(wait(&mut call).code(), Some(1));
    let stderr = stderr(&mut call);
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(
        stderr.contains(node.path.to_str().expect("UTF-8")),
        "{stderr}"
    );
}

#[test]
fn a_node_that_dies_under_load_makes_the_status_1() {
    for _ in 0..10 {
        let mut node = SocketNode::start(PRELOADED);
        let mut call = calling(&node.path).spawn().expect("the call starts");
        let mut stdin = call.stdin.take().expect("stdin is a pipe");
        let writer = thread::spawn(move || {
            let batch = format!("{STATS}\n").repeat(1000);
            while stdin.write_all(batch.as_bytes()).is_ok() {}
        });
        let stdout = BufReader::new(call.stdout.take().expect("stdout is a pipe"));
        let mut lines = stdout.lines();
        (0..2000).for_each(|_| drop(lines.next().expect("a reply")));
        node.kill();
        // What has been answered is still printed.
        lines.for_each(|line| drop(line.expect("UTF-8")));
        assert_eq!(wait(&mut call).code(), Some(1));
        assert_eq!(stderr(&mut call).lines().count(), 1);
        writer.join().expect("the writer does not panic");
    }
}

#[test]
fn a_request_that_nobody_has_read_is_not_taken_for_success() {
    let place = socket_place();
    let path = place.0.join("s");
    let listener = UnixListener::bind(&path).expect("a socket");
    for takes in [0, 5] {
        let mut call = calling(&path).spawn().expect("the call starts");
        let mut stdin = call.stdin.take().expect("stdin is a pipe");
        stdin.write_all(STATS.as_bytes()).expect("it reads");
        drop(stdin);
        let (mut stream, _) = listener.accept().expect("the call connects");
        stream.read_exact(&mut vec![0; takes]).expect("its request");
        drop(stream);
        assert_eq!(wait(&mut call).code(), Some(1), "{takes} bytes were taken");
        assert_eq!(stderr(&mut call).lines().count(), 1);
    }
}

#[test]
fn an_input_that_cannot_be_read_makes_the_status_1() {
    let node = SocketNode::start(PRELOADED);
    let directory = File::open(env!("CARGO_MANIFEST_DIR")).expect("the directory opens");
    let mut call = calling(&node.path);
    let output = call.stdin(directory).output().expect("the call runs");
    let stderr = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(stderr.contains("standard input"), "{stderr}");
}

#[test]
fn a_wrong_command_line_makes_the_status_2_and_is_not_repeated() {
    for args in [
        &["call"][..],
        &["call", "--socket"],
        &["call", "Secret7331"],
        &["call", "--socket", "/tmp/s", "Secret7331"],
        &["call", "--socket", "/tmp/s", "--Secret7331"],
        &["call", "--socket", "/tmp/s", "--ttl", "7331s"],
        &["--socket", "/tmp/Secret7331", "call"],
        &["Secret7331", "call"],
    ] {
        let (status, stdout, stderr) = run(&mut command(args), STATS);
        assert_eq!((status, &*stdout), (Some(2), ""), "{args:?}: {stderr}");
        assert!(!stderr.is_empty() && !stderr.contains("7331"), "{stderr}");
    }
}

#[test]
fn a_long_input_goes_through_while_replies_are_read() {
    const REQUESTS: usize = 200_000;
    let node = SocketNode::start(PRELOADED);
    let echo = |number: usize| format!("{{\"type\":\"echo\",\"msg_id\":{number},\"echo\":1}}\n");
    let input: String = (0..REQUESTS).map(echo).collect();
    let (status, stdout, stderr) = run(&mut calling(&node.path), &input);
    assert_eq!((status, &*stderr), (Some(0), ""));
    let expected = |number| format!(r#"{{"type":"echo_ok","in_reply_to":{number},"echo":1}}"#);
    assert!((0..REQUESTS).map(expected).eq(stdout.lines()));
}

#[test]
fn a_reader_that_goes_away_ends_the_call_quietly() {
    let node = SocketNode::start(PRELOADED);
    for ends_input in [false, true] {
        let mut call = calling(&node.path).spawn().expect("the call starts");
        drop(call.stdout.take());
        let mut stdin = call.stdin.take().expect("stdin is a pipe");
        stdin
            .write_all(format!("{STATS}\n").as_bytes())
            .expect("it reads");
        let open = (!ends_input).then_some(stdin);
        assert_eq!(wait(&mut call).code(), Some(0), "input ends: {ends_input}");
        assert_eq!(stderr(&mut call), "");
        drop(open);
    }
    assert_eq!(node.stop(), "");
}
