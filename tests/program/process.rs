//! How the node ends: with its input, with its reader, by a signal, by a full disk.
#![cfg(unix)]

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle, sleep};
use std::time::{Duration, Instant};

use session_node_testing::{DEADLINE, DEFAULTS, Node, command, message, replies, reply, wait};

fn request(msg_id: u64) -> String {
    message(format!(r#"{{"type":"echo","msg_id":{msg_id},"echo":"e"}}"#)) + "\n"
}

fn answer(msg_id: u64) -> String {
    reply(format!(
        r#"{{"type":"echo_ok","in_reply_to":{msg_id},"echo":"e"}}"#
    ))
}

fn signal(child: &Child, name: &str) {
    let status = Command::new("kill")
        .args([format!("-{name}"), child.id().to_string()])
        .status();
    assert!(status.expect("kill(1) runs").success());
}

fn stderr(child: &mut Child) -> String {
    let mut text = String::new();
    let mut pipe = child.stderr.take().expect("stderr is a pipe");
    pipe.read_to_string(&mut text).expect("stderr is UTF-8");
    text
}

/// Writes requests 1, 2, 3, … as fast as the node takes them, until it takes no more. Counts the bytes.
fn pump(mut stdin: ChildStdin) -> (JoinHandle<()>, Arc<AtomicUsize>) {
    // No multiple of a line's length or of a page's, so that the node's reads end within lines.
    const PIECE_BYTES: usize = 5003;
    let written = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&written);
    let writer = thread::spawn(move || {
        for first in (1..).step_by(1000) {
            let batch: String = (first..first + 1000).map(request).collect();
            for piece in batch.as_bytes().chunks(PIECE_BYTES) {
                if stdin.write_all(piece).is_err() {
                    return;
                }
                counter.fetch_add(piece.len(), Ordering::Relaxed);
            }
        }
    });
    (writer, written)
}

/// Pumps requests until the node is stuck in a write, since nobody reads its replies.
#[expect(clippy::zombie_processes, reason = "the caller waits for it")]
fn start_and_clog() -> (Child, JoinHandle<()>) {
    let mut child = command(DEFAULTS).spawn().expect("the node starts");
    let (writer, written) = pump(child.stdin.take().expect("stdin is a pipe"));
    let start = Instant::now();
    let mut seen = 0;
    loop {
        // Half a second without progress: both pipes are full.
        sleep(Duration::from_millis(500));
        let now = written.load(Ordering::Relaxed);
        if now > 0 && now == seen {
            return (child, writer);
        }
        seen = now;
        assert!(
            start.elapsed() < DEADLINE,
            "the node takes requests without bound"
        );
    }
}

/// Reads to the end: replies 1, 2, 3, … without a gap, each one whole. Returns how many there were.
fn read_gapless(stdout: impl Read, already_read: u64) -> u64 {
    let mut stdout = BufReader::new(stdout);
    let mut count = already_read;
    let mut line = String::new();
    loop {
        line.clear();
        if stdout.read_line(&mut line).expect("replies are UTF-8") == 0 {
            return count;
        }
        count += 1;
        assert_eq!(line, answer(count) + "\n");
    }
}

#[test]
fn everything_read_is_answered_before_the_node_ends_with_its_input() {
    let input: String = (1..=50_000).map(request).collect();
    let expected: Vec<String> = (1..=50_000).map(answer).collect();
    assert!(replies(DEFAULTS, input) == expected);
}

#[test]
fn a_reader_that_goes_away_ends_the_node_quietly() {
    let mut child = command(DEFAULTS).spawn().expect("the node starts");
    let mut stdin = child.stdin.take().expect("stdin is a pipe");
    drop(child.stdout.take());
    // One request leads to one write; stdin stays open until the node has ended.
    stdin
        .write_all(request(1).as_bytes())
        .expect("the node reads");
    assert_eq!(wait(&mut child).code(), Some(0));
    assert_eq!(stderr(&mut child), "");
    drop(stdin);
}

#[test]
fn a_reader_that_goes_away_under_load_ends_the_node_quietly() {
    let mut child = command(DEFAULTS).spawn().expect("the node starts");
    let (writer, _) = pump(child.stdin.take().expect("stdin is a pipe"));
    let mut stdout = child.stdout.take().expect("stdout is a pipe");
    stdout.read_exact(&mut vec![0; 100_000]).expect("replies");
    drop(stdout);
    assert_eq!(wait(&mut child).code(), Some(0));
    writer.join().expect("the writer ends with the node");
    assert_eq!(stderr(&mut child), "");
}

#[test]
fn a_signal_ends_an_idle_node() {
    for name in ["TERM", "INT"] {
        let mut node = Node::start(DEFAULTS);
        node.write(request(1));
        assert_eq!(node.recv(), answer(1));
        signal(&node.child, name);
        let output = node.collect().ended_well();
        assert_eq!(output.lines(), [""; 0], "SIG{name}");
        assert_eq!(output.stderr, "", "SIG{name}");
    }
}

#[test]
fn a_signal_ends_a_node_that_has_read_half_a_line() {
    let mut node = Node::start(DEFAULTS);
    let half = &request(2)[..20];
    node.write(request(1) + half);
    assert_eq!(node.recv(), answer(1));
    signal(&node.child, "TERM");
    assert_eq!(node.collect().ended_well().lines(), [""; 0]);
}

#[test]
fn a_signal_under_load_lets_the_requests_taken_up_be_answered() {
    for name in ["TERM", "INT"] {
        let mut child = command(DEFAULTS).spawn().expect("the node starts");
        let (writer, _) = pump(child.stdin.take().expect("stdin is a pipe"));
        let mut stdout = BufReader::new(child.stdout.take().expect("stdout is a pipe"));
        for count in 1..=5000 {
            let mut line = String::new();
            stdout.read_line(&mut line).expect("replies are UTF-8");
            assert_eq!(line, answer(count) + "\n");
        }
        signal(&child, name);
        read_gapless(stdout, 5000);
        assert_eq!(wait(&mut child).code(), Some(0), "SIG{name}");
        writer.join().expect("the writer ends with the node");
        assert_eq!(stderr(&mut child), "", "SIG{name}");
    }
}

#[test]
fn a_signal_while_the_reader_rests_loses_no_reply_that_was_due() {
    let (mut child, writer) = start_and_clog();
    signal(&child, "TERM");
    let stdout = child.stdout.take().expect("stdout is a pipe");
    let answered = read_gapless(stdout, 0);
    assert!(answered > 0);
    assert_eq!(wait(&mut child).code(), Some(0));
    writer.join().expect("the writer ends with the node");
    // The line that was arriving is nobody's mistake.
    assert_eq!(stderr(&mut child), "");
}

#[test]
fn a_second_signal_ends_a_node_that_cannot_write() {
    let (mut child, writer) = start_and_clog();
    signal(&child, "TERM");
    // Time to be taken up: two signals that are pending together are one.
    sleep(Duration::from_millis(300));
    // The node may have ended already, which is as good.
    if child
        .try_wait()
        .expect("the child can be waited for")
        .is_none()
    {
        signal(&child, "TERM");
    }
    wait(&mut child);
    writer.join().expect("the writer ends with the node");
}

/// As a shell without job control starts `session-node &`.
#[cfg(target_os = "linux")]
#[test]
fn a_signal_that_was_ignored_from_the_start_is_ignored() {
    for (ignored, other) in [("INT", "TERM"), ("TERM", "INT")] {
        let node = command(DEFAULTS);
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!(r#"trap "" {ignored}; exec "$0""#)]);
        shell.arg(node.get_program());
        for pipe in [Command::stdin, Command::stdout, Command::stderr] {
            pipe(&mut shell, Stdio::piped());
        }
        let mut node = Node::spawn(&mut shell);
        node.write(request(1));
        assert_eq!(node.recv(), answer(1));
        // Twice, since a second one ends a node that obeys.
        for msg_id in 2..4 {
            signal(&node.child, ignored);
            sleep(Duration::from_millis(100));
            node.write(request(msg_id));
            assert_eq!(node.recv(), answer(msg_id), "SIG{ignored}");
        }
        signal(&node.child, other);
        node.collect().ended_well();
    }
}

#[test]
fn a_slow_reader_gets_every_reply() {
    let mut child = command(DEFAULTS).spawn().expect("the node starts");
    let mut stdin = child.stdin.take().expect("stdin is a pipe");
    let writer = thread::spawn(move || {
        let input: String = (1..=20_000).map(request).collect();
        stdin.write_all(input.as_bytes()).expect("the node reads");
    });
    sleep(Duration::from_millis(300));
    let stdout = child.stdout.take().expect("stdout is a pipe");
    assert_eq!(read_gapless(stdout, 0), 20_000);
    assert_eq!(wait(&mut child).code(), Some(0));
    writer.join().expect("everything was written");
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_ends_the_node_with_one_clear_line() {
    let full = OpenOptions::new().write(true).open("/dev/full");
    let mut child = command(DEFAULTS)
        .stdout(full.expect("/dev/full opens"))
        .spawn()
        .expect("the node starts");
    let mut stdin = child.stdin.take().expect("stdin is a pipe");
    stdin
        .write_all(request(1).as_bytes())
        .expect("the node reads");
    assert_complaint(&mut child, "stdout");
    drop(stdin);
}

#[test]
fn an_input_that_cannot_be_read_ends_the_node_with_one_clear_line() {
    let directory = File::open(env!("CARGO_MANIFEST_DIR")).expect("the directory opens");
    let mut child = command(DEFAULTS)
        .stdin(directory)
        .spawn()
        .expect("the node starts");
    assert_complaint(&mut child, "stdin");
}

/// The node ends with status 1 and one line on stderr that names the stream at fault.
fn assert_complaint(child: &mut Child, stream: &str) {
    assert_eq!(wait(child).code(), Some(1));
    let complaint = stderr(child);
    assert_eq!(complaint.lines().count(), 1, "{complaint}");
    assert!(complaint.contains(stream), "{complaint}");
    assert!(!complaint.contains("panicked"), "{complaint}");
}
