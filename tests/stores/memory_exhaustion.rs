//! What happens when the system gives no more memory: what needs some is refused, and everything else goes on.
//!
//! The limit is one on the address space of a real process.
#![cfg(target_os = "linux")]

use std::io::Write;
use std::ops::Range;
use std::process::{Command, Stdio};

use regex::Regex;
use serde_json::{Value, json};

use session_node_testing::{DEFAULTS, Node, body, command, text, turns};

const BENCHMARKS: &str = include_str!("../../docs/benchmarks.md");

/// More than the node needs for anything but sessions. Half of it is addresses that glibc reserves for two threads,
/// 64 MiB for each.
const LIMIT_KIB: u32 = 290_000;

/// Requests that are sent before their replies are read: their replies fit into a pipe.
const AT_ONCE: usize = 100;

/// A node whose limit on sessions is far beyond its memory.
fn start_with_little_memory() -> Node {
    let node = command(DEFAULTS);
    let mut shell = Command::new("sh");
    shell.args(["-c", r#"ulimit -v "$0" && exec "$@""#]);
    shell.arg(LIMIT_KIB.to_string()).arg(node.get_program());
    shell.args(["--max-sessions", "100000000"]);
    for (name, value) in node.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    for pipe in [Command::stdin, Command::stdout, Command::stderr] {
        pipe(&mut shell, Stdio::piped());
    }
    Node::spawn(&mut shell)
}

/// The replies to many requests.
fn ask_all(node: &mut Node, requests: &[Value]) -> Vec<Value> {
    let mut replies = Vec::new();
    for piece in requests.chunks(AT_ONCE) {
        let mut lines = Vec::new();
        for request in piece {
            writeln!(lines, "{request}").expect("a vector takes everything");
        }
        node.write(lines);
        replies.extend(piece.iter().map(|_| body(&node.recv())));
    }
    replies
}

fn user(number: usize) -> String {
    format!("{number:0200}")
}

fn data(number: usize) -> Value {
    json!({"of": number, "filler": "x".repeat(3000)})
}

fn create(number: usize) -> Value {
    json!({"type": "create_session", "user_id": user(number), "data": data(number)})
}

fn validate(id: &str) -> Value {
    json!({"type": "validate_session", "session_id": id})
}

fn assert_out_of_memory(reply: &Value) {
    assert_eq!(reply["code"], 11, "{reply}");
    assert_eq!(reply["text"], "the node is out of memory");
}

/// Creates sessions until there is no memory for another one. Returns their ids.
fn fill(node: &mut Node) -> Vec<String> {
    let mut ids = Vec::new();
    loop {
        let first = ids.len();
        let requests: Vec<_> = (first..first + AT_ONCE).map(create).collect();
        for reply in ask_all(node, &requests) {
            if reply["type"] != "session_created" {
                assert_out_of_memory(&reply);
                return ids;
            }
            ids.push(text(&reply, "session_id"));
        }
        assert!(ids.len() < 1_000_000, "the limit is no limit");
    }
}

#[test]
fn creates_without_memory_are_refused_and_all_else_goes_on() {
    let _turn = turns::busy();
    let mut node = start_with_little_memory();
    let ids = fill(&mut node);
    assert!(ids.len() > 10_000, "{} sessions are too few", ids.len());

    let every_session: Vec<_> = ids.iter().map(|id| validate(id)).collect();
    for (number, reply) in ask_all(&mut node, &every_session).iter().enumerate() {
        assert_eq!(reply["user_id"], user(number), "{reply}");
        assert_eq!(reply["data"], data(number), "{reply}");
    }

    let destroyed = 1000;
    let requests: Vec<_> = ids[..destroyed]
        .iter()
        .map(|id| json!({"type": "destroy_session", "session_id": id}))
        .collect();
    ask_all(&mut node, &requests);
    let requests: Vec<_> = (0..destroyed / 2).map(create).collect();
    for reply in ask_all(&mut node, &requests) {
        assert_eq!(reply["type"], "session_created", "{reply}");
    }

    let stats = node.ask(r#"{"type":"stats"}"#);
    assert_eq!(stats["sessions"], ids.len() - destroyed / 2);
    assert_eq!(stats["users"], ids.len() - destroyed / 2);
    let all = node.ask(r#"{"type":"destroy_all_sessions"}"#);
    assert_eq!(all["count"], ids.len() - destroyed / 2);
    // What has ended is still being given back; the next one counts beside it.
    assert_eq!(
        ask_all(&mut node, &[create(0)])[0]["type"],
        "session_created"
    );

    // The memory of all of them serves again, as soon as it has been given back piece by piece.
    ask_all(&mut node, &vec![validate("unknown"); 10_000]);
    let again = fill(&mut node);
    assert!(
        again.len() > ids.len() / 2,
        "{} of {}",
        again.len(),
        ids.len()
    );
    let output = node.finish().ended_well();
    // When it begins and when it is over, not at every refusal.
    let times = |what| output.stderr.matches(what).count();
    assert_eq!(
        times("out of memory"),
        times("there is memory again") + 1,
        "{}",
        output.stderr
    );
}

#[test]
fn data_without_memory_is_refused_and_the_old_data_stays() {
    let _turn = turns::busy();
    let mut node = start_with_little_memory();
    let requests: Vec<_> = (0..80_000)
        .map(|number| json!({"type": "create_session", "user_id": number.to_string(), "data": {}}))
        .collect();
    let ids: Vec<_> = ask_all(&mut node, &requests)
        .iter()
        .map(|reply| text(reply, "session_id"))
        .collect();
    let updates: Vec<_> = ids
        .iter()
        .enumerate()
        .map(|(number, id)| json!({"type": "update_session", "session_id": id, "data": data(number)}))
        .collect();
    let first_refused = updates
        .chunks(AT_ONCE)
        .flat_map(|some| ask_all(&mut node, some))
        .position(|reply| reply["type"] != "session_updated");
    let first_refused = first_refused.expect("80,000 times 3,000 bytes are more than there is");

    let id = &ids[first_refused];
    let regeneration =
        json!({"type": "regenerate_session", "old_session_id": id, "data": data(first_refused)});
    for request in [&updates[first_refused], &regeneration] {
        assert_out_of_memory(&node.ask(request));
        assert_eq!(node.ask(validate(id))["data"], json!({}));
    }
    assert_eq!(
        node.ask(validate(&ids[first_refused - 1]))["data"],
        data(first_refused - 1)
    );
    node.finish().ended_well();
}

#[test]
fn a_session_takes_the_memory_that_the_documents_say() {
    let _turn = turns::busy();
    let row = Regex::new(r"\n\| 1,000,000 \| [^|]+ \| (\d+) \|").expect("a pattern");
    let documented: u64 = row.captures(BENCHMARKS).expect("a figure")[1]
        .parse()
        .expect("a number");
    let mut node = Node::start(DEFAULTS);
    let mut create = |numbers: Range<u64>| {
        let requests: Vec<_> = numbers
            .map(|number| json!({"type": "create_session", "user_id": format!("user{number:08}")}))
            .collect();
        ask_all(&mut node, &requests);
        node.peak_memory_kib()
    };
    // The first ones bring in what is not theirs: the program's own pages, the buffers, the allocator's reserve.
    let first = create(0..50_000);
    let later = create(50_000..250_000);
    let bytes = (later - first) * 1024 / 200_000;
    assert!(
        bytes < documented * 5 / 4,
        "{bytes} bytes, not {documented}"
    );
    assert!(bytes > documented / 2, "{bytes} bytes: the figure is old");
}
