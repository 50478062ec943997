//! What the node writes to stderr: nobody has to read it, and whoever does finds every line, or how many are missing.
#![cfg(unix)]

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Read, Write};
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use session_node_testing::{DEADLINE, command, message, wait};

const AUDIT: &[&str] = &["--audit", "-"];

/// A node whose stderr is a pipe that nobody reads, unless the test does.
struct Unread {
    child: Child,
    replies: Receiver<String>,
}

impl Unread {
    fn start(args: &[&str], stderr: impl Into<Stdio>) -> Self {
        let mut child = command(args).stderr(stderr).spawn().expect("it starts");
        let replies = lines_of(child.stdout.take().expect("stdout is a pipe"));
        Self { child, replies }
    }

    /// Sends all lines at once, and waits for `expected` replies.
    fn exchange(&mut self, lines: impl Iterator<Item = String>, expected: usize) {
        let input: String = lines.map(|line| line + "\n").collect();
        let mut stdin = self.child.stdin.take().expect("stdin is a pipe");
        let writer = thread::spawn(move || {
            stdin.write_all(input.as_bytes()).expect("the node reads");
            stdin
        });
        for count in 0..expected {
            let reply = self.replies.recv_timeout(DEADLINE);
            assert!(reply.is_ok(), "reply {count} of {expected} did not come");
        }
        self.child.stdin = Some(writer.join().expect("everything was written"));
    }

    /// Sends the creates of the users with these numbers at once.
    fn create(&mut self, users: Range<usize>) {
        let expected = users.len();
        self.exchange(users.map(create), expected);
    }

    /// The lines of stderr, which is read from now on.
    fn read_stderr(&mut self) -> Receiver<String> {
        lines_of(self.child.stderr.take().expect("stderr is a pipe"))
    }

    fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args([format!("-{name}"), self.child.id().to_string()])
            .status();
        assert!(status.expect("kill(1) runs").success());
    }

    fn end_with_its_input(&mut self) {
        drop(self.child.stdin.take());
        assert_eq!(wait(&mut self.child).code(), Some(0));
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The lines that come from `stream`, which a thread reads to its end.
fn lines_of(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stream).lines() {
            let _ = sender.send(line.expect("lines are UTF-8"));
        }
    });
    lines
}

fn create(user: usize) -> String {
    message(json!({"type": "create_session", "user_id": format!("user{user}")}))
}

/// How many lines this line says are missing.
fn missing(line: &str) -> Option<usize> {
    let (count, _) = line
        .strip_prefix(" WARN ")?
        .split_once(" lines are missing here: ")?;
    Some(count.parse().expect("a number"))
}

/// Reads the lines with these numbers, and hands each to `check`. A line that reports missing ones stands for as many
/// numbers. Returns how many are missing.
fn read_all(lines: &Receiver<String>, numbers: Range<usize>, check: impl Fn(usize, &str)) -> usize {
    let (mut next, mut all_missing) = (numbers.start, 0);
    while next < numbers.end {
        let line = lines.recv_timeout(DEADLINE).expect("a line in time");
        if let Some(missing) = missing(&line) {
            next += missing;
            all_missing += missing;
        } else {
            check(next, &line);
            next += 1;
        }
    }
    assert_eq!(next, numbers.end, "{all_missing} are reported as missing");
    all_missing
}

/// Checks that a line is, as a whole, the audit of the create of this user.
fn assert_audit_of(user: usize, line: &str) {
    let entry: Value = serde_json::from_str(line).expect("an entry is whole");
    assert_eq!(entry["user"], format!("user{user}"));
}

#[test]
fn a_node_whose_stderr_nobody_reads_answers_request_after_request_and_ends_at_one_signal() {
    let mut node = Unread::start(AUDIT, Stdio::piped());
    for user in 0..5_000 {
        node.create(user..user + 1);
    }
    node.signal("TERM");
    assert_eq!(wait(&mut node.child).code(), Some(0));
}

#[test]
fn a_node_whose_stderr_nobody_reads_answers_all_that_is_piped_and_ends_with_its_input() {
    let mut node = Unread::start(AUDIT, Stdio::piped());
    node.create(0..5_000);
    node.end_with_its_input();
}

#[test]
fn a_second_signal_ends_a_node_that_nobody_reads() {
    let mut child = command(AUDIT).spawn().expect("the node starts");
    let mut stdin = child.stdin.take().expect("stdin is a pipe");
    let writer = thread::spawn(move || {
        // Until the node has ended: both of its outputs are full long before.
        let batch: String = (0..1000).map(|user| create(user) + "\n").collect();
        while stdin.write_all(batch.as_bytes()).is_ok() {}
    });
    // From the first reply on, the node answers to signals; a moment later nothing more fits into its stdout.
    let mut stdout = child.stdout.take().expect("stdout is a pipe");
    stdout.read_exact(&mut [0]).expect("a reply");
    thread::sleep(Duration::from_millis(300));
    let start = Instant::now();
    while child.try_wait().expect("it can be waited for").is_none() {
        let _ = Command::new("kill")
            .args(["-TERM", &child.id().to_string()])
            .status();
        thread::sleep(Duration::from_millis(300));
        if start.elapsed() > DEADLINE {
            let _ = child.kill();
            panic!("no signal ends the node");
        }
    }
    writer.join().expect("the writer ends with the node");
    let status = wait(&mut child);
    assert!(status.code().is_some(), "it ended itself: {status}");
}

#[test]
fn a_late_reader_finds_the_earlier_lines_how_many_are_missing_and_the_later_ones() {
    let mut node = Unread::start(AUDIT, Stdio::piped());
    node.create(0..60_000);
    let lines = node.read_stderr();
    let missing = read_all(&lines, 0..60_000, assert_audit_of);
    assert!(missing > 0, "more was written than fits");
    assert!(missing < 40_000, "4 MiB are there");
    node.create(60_000..61_000);
    assert_eq!(read_all(&lines, 60_000..61_000, assert_audit_of), 0);
    node.end_with_its_input();
    assert!(lines.recv_timeout(DEADLINE).is_err(), "nothing is left");
}

#[test]
fn a_reader_that_keeps_pace_misses_nothing() {
    let mut node = Unread::start(AUDIT, Stdio::piped());
    let lines = node.read_stderr();
    // Twice what fits into the queue, but never more than a part of it at a time.
    for first in (0..60_000).step_by(5_000) {
        let users = first..first + 5_000;
        node.create(users.clone());
        assert_eq!(read_all(&lines, users, assert_audit_of), 0);
    }
}

#[test]
fn what_was_written_last_is_read_after_the_node_has_ended() {
    let mut node = Unread::start(AUDIT, Stdio::piped());
    node.create(0..100);
    node.end_with_its_input();
    assert_eq!(read_all(&node.read_stderr(), 0..100, assert_audit_of), 0);
}

#[test]
fn warnings_about_a_stream_of_faulty_lines_hold_up_nobody() {
    let mut node = Unread::start(&[], Stdio::piped());
    let lines = (0..100_000).flat_map(|number| {
        let good = (number % 100 == 0).then(|| create(number));
        good.into_iter().chain(["no JSON".to_owned()])
    });
    node.exchange(lines, 1_000);
    #[cfg(target_os = "linux")]
    assert!(session_node_testing::peak_memory_kib(&node.child) < 16 * 1024);
    let stderr = node.read_stderr();
    let missing = read_all(&stderr, 0..100_000, |number, line| {
        let number = number + number / 100 + 2;
        let complaint = "not JSON: expected ident at byte 2 of the line";
        assert_eq!(line, format!(" WARN line {number}: {complaint}"));
    });
    assert!(missing > 0, "more was written than fits");
    node.end_with_its_input();
}

#[test]
fn a_reader_of_stderr_that_goes_away_is_not_missed() {
    let mut node = Unread::start(AUDIT, Stdio::piped());
    drop(node.child.stderr.take());
    for first in (0..5_000).step_by(1_000) {
        node.create(first..first + 1_000);
    }
    node.end_with_its_input();
}

#[test]
fn another_reader_of_a_named_pipe_gets_what_is_written_from_then_on() {
    let pipe = std::env::temp_dir().join(format!("stderr-{}", std::process::id()));
    let _ = std::fs::remove_file(&pipe);
    let made = Command::new("mkfifo").arg(&pipe).status();
    assert!(made.expect("mkfifo(1) runs").success());
    let open = |options: &mut OpenOptions| options.open(&pipe).expect("the pipe opens");
    // Both ends at once, so that neither waits for the other.
    let both = open(OpenOptions::new().read(true).write(true));
    let mut node = Unread::start(AUDIT, open(OpenOptions::new().append(true)));
    let mut first = BufReader::new(both);
    node.create(0..1);
    let mut line = String::new();
    first.read_line(&mut line).expect("stderr is UTF-8");
    assert_audit_of(0, line.trim_end());

    drop(first);
    for user in 1..100 {
        node.create(user..user + 1);
    }
    let second = lines_of(open(OpenOptions::new().read(true)));
    std::fs::remove_file(&pipe).expect("it is ours");
    let start = Instant::now();
    loop {
        node.create(100..101);
        let line = second.recv_timeout(Duration::from_millis(10));
        // The node may not have noticed yet that the first reader went.
        if line.is_ok_and(|line| line.contains(r#""user":"user100""#)) {
            break;
        }
        assert!(start.elapsed() < DEADLINE, "nothing is written");
    }
    node.end_with_its_input();
}

/// As Node.js gives them to its children.
#[test]
fn a_descriptor_that_does_not_wait_for_its_reader_gets_every_line() {
    let (nodes, ours) = UnixStream::pair().expect("a pair of sockets");
    nodes.set_nonblocking(true).expect("it can be set");
    let mut node = Unread::start(AUDIT, OwnedFd::from(nodes));
    node.create(0..10_000);
    let lines = lines_of(ours);
    assert_eq!(read_all(&lines, 0..10_000, assert_audit_of), 0);
    node.end_with_its_input();
}
