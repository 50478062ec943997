//! Peers that mean ill, or are broken, beside one that means well: it is answered, and the node's memory stays bounded.
#![cfg(target_os = "linux")]

use std::net::Shutdown;
use std::process::{Command, Stdio};
use std::sync::RwLockWriteGuard;
use std::time::Instant;

use serde_json::{Value, json};

use session_node_testing::socket::{Connection, Flood, SocketNode, listening, socket_place};
use session_node_testing::{DEADLINE, PRELOADED, memory_kib, peak_memory_kib, turns};

/// What a node without sessions takes with its buffers for a round of connections, and some more.
const LITTLE_KIB: u64 = 32 * 1024;

/// What the node takes as one line, and a bit more.
const TOO_LONG: usize = (1 << 20) + 100;

const VALIDATE: &str = r#"{"type":"validate_session","session_id":"abc123"}"#;

/// A node, and a peer of it that means well.
struct Stage {
    node: SocketNode,
    good: Connection,
    /// How many sockets the node has with this one peer.
    sockets: usize,
    _turn: RwLockWriteGuard<'static, ()>,
}

impl Stage {
    fn new() -> Self {
        let turn = turns::busy();
        // Each bad line is worth a warning, and there are many here.
        let args = ["--log", "error", "--max-connections", "5000"];
        let node = SocketNode::start(&[PRELOADED, &args].concat());
        let mut good = node.connect();
        good.ask(VALIDATE);
        let sockets = open_sockets(&node);
        Self {
            node,
            good,
            sockets,
            _turn: turn,
        }
    }

    /// The peer that means well is answered, also if it is new.
    fn assert_answers(&mut self, times: usize) {
        for _ in 0..times {
            assert_eq!(self.good.ask(VALIDATE)["type"], "session_valid");
        }
        assert_eq!(self.node.connect().ask(VALIDATE)["type"], "session_valid");
    }

    fn assert_memory_below(&self, kib: u64) {
        let peak = peak_memory_kib(&self.node.child);
        assert!(peak < kib, "{peak} KiB");
    }

    /// The node keeps nothing of a peer that has gone.
    fn assert_has_closed_all_others(&self) {
        let start = Instant::now();
        while open_sockets(&self.node) > self.sockets {
            assert!(start.elapsed() < DEADLINE, "connections are left open");
        }
    }

    /// All is well, and nothing of the peers is left.
    fn finish(mut self, kib: u64) {
        self.assert_answers(10);
        self.assert_memory_below(kib);
        self.assert_has_closed_all_others();
        assert_eq!(self.node.stop(), "");
    }
}

fn open_sockets(node: &SocketNode) -> usize {
    let directory = format!("/proc/{}/fd", node.child.id());
    let entries = std::fs::read_dir(directory).expect("it runs");
    let links = entries.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
    links
        .filter(|link| link.to_string_lossy().starts_with("socket:"))
        .count()
}

fn echo(number: usize) -> String {
    format!("{{\"type\":\"echo\",\"msg_id\":{number},\"echo\":1}}\n")
}

fn echoed(number: usize) -> String {
    format!(r#"{{"type":"echo_ok","in_reply_to":{number},"echo":1}}"#)
}

fn line(request: &Value) -> String {
    format!("{request}\n")
}

/// Faulty lines, or nothing at all.
fn tiny(number: usize) -> &'static str {
    ["\n", "{\n", "1\n", "[]\n", " \r\n", "x\n", "\"\"\n", "\0\n"][number % 8]
}

/// Of eight such lines, how many are answered.
const FAULTY_OF_EIGHT: usize = 6;

#[test]
fn a_thousand_peers_that_say_nothing_harm_nobody() {
    let mut stage = Stage::new();
    let silent = stage.node.connect_many(1000);
    stage.assert_answers(100);
    drop(silent);
    stage.finish(LITTLE_KIB);
}

#[test]
fn a_connection_that_waits_costs_less_than_a_kibibyte() {
    const CONNECTIONS: usize = 1000;
    let stage = Stage::new();
    let resident = |stage: &Stage| memory_kib(&stage.node.child, "VmRSS");
    // The buffers for a full round are made once. These connections stay, so that no other has their memory.
    let mut first = stage.node.connect_many(100);
    for connection in &mut first {
        connection.send(VALIDATE);
    }
    for connection in &mut first {
        connection.recv();
    }
    let before = resident(&stage);
    let mut connections = stage.node.connect_many(CONNECTIONS);
    for connection in &mut connections {
        assert_eq!(connection.ask(VALIDATE)["type"], "session_valid");
    }
    let grown = resident(&stage).saturating_sub(before);
    println!("{CONNECTIONS} connections that wait take {grown} KiB in the node");
    assert!(grown <= CONNECTIONS as u64, "{grown} KiB");
    drop((first, connections));
    stage.finish(LITTLE_KIB);
}

#[test]
fn a_thousand_peers_that_ask_at_once_are_all_answered() {
    let mut stage = Stage::new();
    let mut connections = stage.node.connect_many(1000);
    for round in 0..5 {
        for connection in &mut connections {
            connection.write((0..20).map(|n| echo(100 * round + n)).collect::<String>());
        }
        stage.assert_answers(5);
        for connection in &mut connections {
            for number in 0..20 {
                assert_eq!(connection.recv(), echoed(100 * round + number));
            }
        }
    }
    drop(connections);
    stage.finish(LITTLE_KIB);
}

#[test]
fn half_lines_of_a_thousand_peers_take_little_more_than_their_length() {
    let mut stage = Stage::new();
    let mut connections = stage.node.connect_many(1000);
    for connection in &mut connections {
        for byte in VALIDATE[..20].bytes() {
            connection.write([byte]);
        }
    }
    stage.assert_answers(100);
    let peak = peak_memory_kib(&stage.node.child);
    for connection in &mut connections {
        connection.write(format!("{}\n", &VALIDATE[20..]));
    }
    for connection in &mut connections {
        assert!(connection.recv().contains("session_valid"));
    }
    assert!(peak < LITTLE_KIB, "{peak} KiB");
    drop(connections);
    stage.finish(LITTLE_KIB);
}

#[test]
fn a_peer_may_close_either_half_at_any_time() {
    let mut stage = Stage::new();
    for round in 0..100 {
        for (input, half) in [
            ("", Shutdown::Write),
            ("", Shutdown::Read),
            ("", Shutdown::Both),
            (VALIDATE, Shutdown::Write),
            ("{\"type\":\"ec", Shutdown::Read),
            (VALIDATE, Shutdown::Both),
            ("{\"type\":\n", Shutdown::Both),
        ] {
            let mut connection = stage.node.connect();
            connection.write(input);
            connection.stream.shutdown(half).expect("it is open");
            if (input, half) == (VALIDATE, Shutdown::Write) {
                assert_eq!(connection.rest().len(), 1, "round {round}");
            }
        }
        stage.assert_answers(1);
    }
    stage.finish(LITTLE_KIB);
}

#[test]
fn a_peer_that_cannot_be_answered_is_closed() {
    let mut stage = Stage::new();
    let mut connection = stage.node.connect();
    connection
        .stream
        .shutdown(Shutdown::Read)
        .expect("it is open");
    connection.write(format!("{VALIDATE}\n"));
    stage.assert_answers(1);
    // The connection is still open at this end.
    stage.assert_has_closed_all_others();
    drop(connection);
    stage.finish(LITTLE_KIB);
}

#[test]
fn peers_that_vanish_in_the_middle_of_a_line_or_of_a_reply_leave_nothing_behind() {
    let mut stage = Stage::new();
    let long = format!(r#"{{"type":"echo","echo":"{}"}}"#, "x".repeat(500_000));
    for round in 0..30 {
        for input in [&VALIDATE[..30], &long[..300_000], &format!("{long}\n")] {
            let mut connection = stage.node.connect();
            // With replies that it has not read, a closed connection is reset.
            connection.write(format!("{VALIDATE}\n").repeat(round));
            connection.write(input);
            drop(connection);
        }
        stage.assert_answers(1);
    }
    stage.finish(LITTLE_KIB);
}

#[test]
fn a_line_without_end_takes_bounded_memory() {
    let mut stage = Stage::new();
    let mut endless = stage.node.connect();
    let piece = "[".repeat(64 * 1024);
    for _ in 0..20 * TOO_LONG / piece.len() {
        endless.write(&piece);
        stage.assert_answers(1);
    }
    endless.write("\n");
    let error: Value = serde_json::from_str(&endless.recv()).expect("JSON");
    assert_eq!(error["code"], 12);
    assert_eq!(endless.ask(VALIDATE)["type"], "session_valid");
    drop(endless);
    stage.finish(LITTLE_KIB);
}

#[test]
fn a_flood_whose_replies_nobody_reads_stops_and_then_goes_on_where_it_was() {
    const REQUESTS: usize = 100_000;
    let mut stage = Stage::new();
    let mut flooder = stage.node.connect();
    let flood = Flood::of(&flooder, (0..REQUESTS).map(echo));
    stage.assert_answers(1000);
    let taken = flood.clog();
    assert!(taken < 4 << 20, "{taken} bytes were taken for nobody");
    stage.assert_answers(1000);
    stage.assert_memory_below(LITTLE_KIB);
    for number in 0..REQUESTS {
        assert_eq!(flooder.recv(), echoed(number));
    }
    flood.join();
    drop(flooder);
    stage.finish(LITTLE_KIB);
}

#[test]
fn floods_of_many_peers_that_read_nothing_are_bounded_and_end_with_their_peers() {
    const FLOODERS: usize = 20;
    let mut stage = Stage::new();
    let flooders = stage.node.connect_many(FLOODERS);
    let floods: Vec<_> = flooders
        .iter()
        .map(|one| Flood::of(one, (0..).map(echo)))
        .collect();
    stage.assert_answers(300);
    Flood::clog_all(&floods);
    stage.assert_answers(300);
    stage.assert_memory_below(LITTLE_KIB);
    for flooder in &flooders {
        flooder.stream.shutdown(Shutdown::Both).expect("it is open");
    }
    drop(flooders);
    floods.into_iter().for_each(Flood::join);
    stage.finish(LITTLE_KIB);
}

#[test]
fn a_flood_that_is_read_keeps_nobody_from_being_answered() {
    const REQUESTS: usize = 300_000;
    let mut stage = Stage::new();
    let mut flooder = stage.node.connect();
    let pieces = (0..REQUESTS).step_by(1000).map(|first| {
        let tiny: String = (first..first + 1000).map(tiny).collect();
        tiny + &echo(first)
    });
    let flood = Flood::of(&flooder, pieces);
    for first in (0..REQUESTS).step_by(1000) {
        for _ in 0..1000 / 8 * FAULTY_OF_EIGHT {
            assert!(flooder.recv().contains(r#""code":12,"#));
        }
        assert_eq!(flooder.recv(), echoed(first));
        stage.assert_answers(1);
    }
    flood.join();
    drop(flooder);
    stage.finish(LITTLE_KIB);
}

#[test]
fn guesses_leave_nothing_behind_and_long_lists_are_bounded() {
    let mut stage = Stage::new();
    let mut guesser = stage.node.connect();
    let guess = |number: usize| {
        let id = format!("00000000-0000-4000-8000-{number:012x}");
        line(&json!({"type": "validate_session", "session_id": id}))
    };
    let flood = Flood::of(&guesser, (0..50_000).map(guess));
    for number in 0..50_000 {
        assert_eq!(guesser.recv(), r#"{"type":"session_invalid"}"#);
        if number % 1000 == 0 {
            stage.assert_answers(1);
        }
    }
    flood.join();
    let create = line(&json!({"type": "create_session", "user_id": "mallory"}));
    let creates = Flood::of(&guesser, std::iter::repeat_n(create, 5000));
    (0..5000).for_each(|_| assert!(guesser.recv().contains("session_created")));
    creates.join();
    let list = line(&json!({"type": "list_sessions", "user_id": "mallory", "limit": 1000}));
    let mut listers = stage.node.connect_many(10);
    // Nobody reads the lists at first.
    let floods: Vec<_> = listers
        .iter()
        .map(|one| Flood::of(one, std::iter::repeat_n(list.clone(), 50)))
        .collect();
    stage.assert_answers(100);
    // Each peer may hold a mebibyte of replies, and a list more.
    stage.assert_memory_below(LITTLE_KIB + 10 * 2048);
    for lister in &mut listers {
        (0..50).for_each(|_| assert!(lister.recv().contains(r#""more":true"#)));
    }
    floods.into_iter().for_each(Flood::join);
    drop((guesser, listers));
    stage.finish(LITTLE_KIB + 10 * 2048);
}

#[test]
fn a_node_without_descriptors_serves_whom_it_has_and_takes_up_the_others_later() {
    let _turn = turns::busy();
    let place = socket_place();
    let path = place.0.join("s");
    let inner = listening(&path, PRELOADED);
    let mut shell = Command::new("sh");
    shell.args(["-c", r#"ulimit -n 30; exec "$0" "$@""#]);
    shell.arg(inner.get_program()).args(inner.get_args());
    for pipe in [Command::stdin, Command::stdout, Command::stderr] {
        pipe(&mut shell, Stdio::piped());
    }
    let node = SocketNode::spawn(&mut shell, &path);
    let mut first = node.connect();
    first.ask(VALIDATE);
    let mut others = node.connect_many(50);
    for other in &mut others {
        other.send(VALIDATE);
    }
    for _ in 0..2000 {
        assert_eq!(first.ask(VALIDATE)["type"], "session_valid");
    }
    // Whoever has been answered makes room for another.
    for mut other in others {
        assert!(other.recv().contains("session_valid"));
    }
    let stderr = node.stop();
    let lines = stderr.lines().count();
    assert!(stderr.contains("cannot accept connections"), "{stderr}");
    assert!(lines < 5, "{lines} lines about one failure");
}
