//! Peers that mean ill, or are broken: a reader that stops reading, half a line for ever, lines without end or without
//! sense, guessed ids, users with ten thousand sessions. Each alone, and then all on one stream.
#![cfg(target_os = "linux")]

use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{Child, ChildStdin, ChildStdout};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, RwLockWriteGuard};
use std::thread::{self, JoinHandle, sleep};
use std::time::Duration;

use serde_json::{Value, json};

use session_node_testing::{Node, PRELOADED, body, command, peak_memory_kib, turns, wait};

/// What a node without sessions takes, and as much again.
const LITTLE_KIB: u64 = 20 * 1024;

/// What the node takes as one line, and a bit more.
const TOO_LONG: usize = (1 << 20) + 100;

/// What a peer sends, and the node's answers, read only when they are asked for.
struct Stream {
    child: Child,
    replies: Lines<BufReader<ChildStdout>>,
    /// Ends with the node's input still open.
    writer: JoinHandle<ChildStdin>,
    written: Arc<AtomicUsize>,
    _turn: RwLockWriteGuard<'static, ()>,
}

impl Stream {
    /// A node that holds the session `abc123`, and a thread that writes `pieces` as fast as the node takes them.
    fn of(pieces: impl Iterator<Item = String> + Send + 'static) -> Self {
        let turn = turns::busy();
        let mut command = command(PRELOADED);
        // Each bad line is worth a warning, and there are a million here.
        command.args(["--log", "error"]);
        let mut child = command.spawn().expect("the node starts");
        let mut stdin = child.stdin.take().expect("stdin is a pipe");
        let stdout = child.stdout.take().expect("stdout is a pipe");
        let written = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&written);
        let writer = thread::spawn(move || {
            for piece in pieces {
                for part in piece.as_bytes().chunks(4096) {
                    stdin.write_all(part).expect("the node reads");
                    counter.fetch_add(part.len(), Ordering::Relaxed);
                }
            }
            stdin
        });
        Self {
            child,
            replies: BufReader::new(stdout).lines(),
            writer,
            written,
            _turn: turn,
        }
    }

    fn next(&mut self) -> Value {
        let line = self.replies.next().expect("a reply");
        body(&line.expect("a reply is UTF-8"))
    }

    /// Reads nothing until the node has stopped taking input. Returns how much it has taken.
    fn clog(&self) -> usize {
        let mut seen = 0;
        loop {
            sleep(Duration::from_millis(500));
            let now = self.written.load(Ordering::Relaxed);
            if now > 0 && now == seen {
                return now;
            }
            seen = now;
        }
    }

    /// Reads the reply to the last request, and ends the input and with it the node. Returns the most memory
    /// that it took, in KiB.
    fn finish(mut self, last: &Value) -> u64 {
        assert_eq!(self.next(), *last);
        let peak = peak_memory_kib(&self.child);
        drop(self.writer.join().expect("everything was written"));
        assert!(self.replies.next().is_none(), "more replies than requests");
        assert_eq!(wait(&mut self.child).code(), Some(0));
        peak
    }
}

fn line(request: &Value) -> String {
    format!("{request}\n")
}

fn echo(number: usize) -> String {
    line(&json!({"type": "echo", "echo": number}))
}

fn echoed(number: usize) -> Value {
    json!({"type": "echo_ok", "echo": number})
}

/// An id of the right form that the node did not make.
fn guess(number: usize) -> String {
    let id = format!("00000000-0000-4000-8000-{number:012x}");
    line(&json!({"type": "validate_session", "session_id": id}))
}

fn validate_preloaded() -> String {
    line(&json!({"type": "validate_session", "session_id": "abc123"}))
}

fn create(user: &str) -> String {
    line(&json!({"type": "create_session", "user_id": user}))
}

/// Faulty lines, or nothing at all.
fn tiny(number: usize) -> &'static str {
    ["\n", "{\n", "1\n", "[]\n", " \r\n", "x\n", "\"\"\n", "\0\n"][number % 8]
}

/// Of eight such lines, how many are answered.
const FAULTY_OF_EIGHT: usize = 6;

#[test]
fn a_reader_that_stops_reading_stops_the_node_which_then_goes_on_where_it_was() {
    let requests = 400_000;
    let pieces = (0..requests).step_by(1000);
    let mut stream = Stream::of(pieces.map(|first| (first..first + 1000).map(echo).collect()));
    for number in 0..1000 {
        assert_eq!(stream.next(), echoed(number));
    }
    let taken = stream.clog();
    assert!(taken < 1 << 20, "{taken} bytes were taken for nobody");
    let peak = peak_memory_kib(&stream.child);
    assert!(peak < LITTLE_KIB, "{peak} KiB while nobody reads");
    for number in 1000..requests - 1 {
        assert_eq!(stream.next(), echoed(number));
    }
    stream.finish(&echoed(requests - 1));
}

#[test]
fn half_a_line_costs_nothing_for_as_long_as_it_waits_for_the_rest() {
    let mut node = Node::start(PRELOADED);
    let request = validate_preloaded();
    node.ask(request.trim());
    let (first, rest) = request.split_at(request.len() / 2);
    node.write(first);
    sleep(Duration::from_millis(100));
    let before = cpu_ticks(&node.child);
    sleep(Duration::from_secs(1));
    let used = cpu_ticks(&node.child) - before;
    assert!(
        used <= 1,
        "{used} hundredths of a second of work for nothing"
    );
    for byte in rest.bytes() {
        node.write([byte]);
    }
    assert_eq!(body(&node.recv())["type"], "session_valid");
}

/// The processor's time that a process has used, in hundredths of a second.
fn cpu_ticks(child: &Child) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).expect("it runs");
    let (_, fields) = stat.rsplit_once(')').expect("a name");
    let ticks = |at| {
        fields
            .split_whitespace()
            .nth(at)
            .and_then(|n| n.parse::<u64>().ok())
    };
    ticks(11).expect("its own time") + ticks(12).expect("the system's")
}

#[test]
fn a_million_tiny_lines_keep_nobody_from_being_answered() {
    let lines = 1_000_000;
    let step = 1000;
    let pieces = (0..lines).step_by(step).map(move |first| {
        let tiny: String = (first..first + step).map(tiny).collect();
        tiny + &echo(first)
    });
    let mut stream = Stream::of(pieces);
    for number in (0..lines).step_by(step) {
        for _ in 0..step / 8 * FAULTY_OF_EIGHT {
            assert_eq!(stream.next()["code"], 12);
        }
        if number + step < lines {
            assert_eq!(stream.next(), echoed(number));
        }
    }
    let peak = stream.finish(&echoed(lines - step));
    assert!(peak < LITTLE_KIB, "{peak} KiB");
}

#[test]
fn ids_guessed_at_full_speed_are_invalid_and_leave_nothing_behind() {
    let guesses = 300_000;
    let pieces = (0..guesses).step_by(1000).map(|first| {
        let guesses: String = (first..first + 1000).map(guess).collect();
        guesses + &validate_preloaded()
    });
    let mut stream = Stream::of(pieces.chain([echo(0)]));
    for _ in (0..guesses).step_by(1000) {
        for _ in 0..1000 {
            assert_eq!(stream.next(), json!({"type": "session_invalid"}));
        }
        assert_eq!(stream.next()["user_id"], "user123");
    }
    let peak = stream.finish(&echoed(0));
    assert!(peak < LITTLE_KIB, "{peak} KiB");
}

#[test]
fn a_list_of_ten_thousand_sessions_is_bounded_and_says_so() {
    let users = ["mallory", "trent"];
    let sessions = 10_000;
    let creates = (0..sessions).map(move |_| users.map(create).concat());
    let list = |user| line(&json!({"type": "list_sessions", "user_id": user, "limit": 1000}));
    let lists = (0..50).map(move |_| users.map(list).concat());
    let ends = users.map(|user| line(&json!({"type": "destroy_user_sessions", "user_id": user})));
    let rest = [validate_preloaded(), ends.concat(), echo(0)];
    let mut stream = Stream::of(creates.chain(lists).chain(rest));
    for _ in 0..2 * sessions {
        assert_eq!(stream.next()["type"], "session_created");
    }
    for _ in 0..2 * 50 {
        let reply = stream.next();
        assert_eq!(reply["sessions"].as_array().map(Vec::len), Some(1000));
        assert_eq!(reply["more"], true);
    }
    assert_eq!(stream.next()["type"], "session_valid");
    for _ in users {
        assert_eq!(stream.next()["count"], sessions);
    }
    let peak = stream.finish(&echoed(0));
    assert!(peak < LITTLE_KIB, "{peak} KiB");
}

#[test]
fn all_of_it_at_once_harms_nobody_who_shares_the_stream() {
    const ROUNDS: usize = 50;
    const OF_A_KIND: usize = 1000;
    let round = |round: usize| {
        let user = format!("mallory{}", round % 5);
        let mut piece: String = (0..20 * OF_A_KIND).map(tiny).collect();
        piece += &("[".repeat(TOO_LONG) + "\n");
        for number in 0..OF_A_KIND {
            piece += &guess(number);
            piece += &create(&user);
        }
        piece += &line(&json!({"type": "list_sessions", "user_id": user}));
        piece += &validate_preloaded();
        piece
    };
    let mut stream = Stream::of((0..ROUNDS).map(round).chain([echo(0)]));
    for round in 0..ROUNDS {
        // The tiny lines, and the one that is too long.
        for _ in 0..=20 * OF_A_KIND / 8 * FAULTY_OF_EIGHT {
            assert_eq!(stream.next()["code"], 12);
        }
        for number in 0..OF_A_KIND {
            assert_eq!(stream.next(), json!({"type": "session_invalid"}));
            assert_eq!(stream.next()["type"], "session_created");
            if (round, number) == (ROUNDS / 2, OF_A_KIND / 2) {
                stream.clog();
            }
        }
        let list = stream.next();
        assert_eq!(list["sessions"].as_array().map(Vec::len), Some(100));
        assert_eq!(list["more"], true);
        assert_eq!(stream.next()["user_id"], "user123");
    }
    // Fifty thousand sessions, at 160 bytes each, are a part of it.
    let peak = stream.finish(&echoed(0));
    assert!(peak < 2 * LITTLE_KIB, "{peak} KiB");
}
