//! The audit of a node that serves a socket names the process that had connected.
#![cfg(target_os = "linux")]

use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Child;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use session_node_testing::socket::{SocketNode, calling, socket_place};
use session_node_testing::wait;

fn events(audit: &Path) -> Vec<Value> {
    let text = fs::read_to_string(audit).expect("the audit");
    let event = |line| serde_json::from_str(line).expect("JSON");
    text.lines().map(event).collect()
}

fn create(user: &str) -> String {
    json!({"type": "create_session", "user_id": user}).to_string()
}

/// Another process that has asked, and whose input goes on.
fn caller(node: &SocketNode, input: &str) -> Child {
    let mut caller = calling(&node.path).spawn().expect("it starts");
    let stdin = caller.stdin.as_mut().expect("stdin is a pipe");
    stdin.write_all(input.as_bytes()).expect("it reads");
    caller
}

#[test]
fn an_event_names_the_process_that_had_connected() {
    let place = socket_place();
    let audit = place.0.join("audit");
    let node = SocketNode::start(&["--audit", audit.to_str().expect("UTF-8")]);
    let mut connections = node.connect_many(2);
    connections[0].ask(create("here"));
    let there = create("there");
    let mut caller = caller(
        &node,
        &format!(r#"{{"src":"c7","dest":"n","body":{there}}}"#),
    );
    drop(caller.stdin.take());
    assert!(wait(&mut caller).success());
    connections[1].ask(create("here"));
    let uid = fs::metadata(&audit).expect("a file").uid();
    let (events, ours) = (events(&audit), std::process::id());
    let expected = [("here", ours), ("there", caller.id()), ("here", ours)];
    assert_eq!(events.len(), expected.len());
    for (event, (user, pid)) in events.iter().zip(expected) {
        let told = (&event["user"], &event["uid"], &event["pid"]);
        assert_eq!(told, (&user.into(), &uid.into(), &pid.into()), "{event}");
    }
    assert_eq!(events[1]["src"], "c7");
}

#[test]
fn events_of_one_round_name_each_its_own_process() {
    const CALLERS: usize = 5;
    let place = socket_place();
    let audit = place.0.join("audit");
    let node = SocketNode::start(&["--audit", audit.to_str().expect("UTF-8")]);
    let mut connections = node.connect_many(2);
    for connection in &mut connections {
        connection.ask(r#"{"type":"stats"}"#);
    }
    // Most requests arrive while the node rests, so that one round takes them up.
    node.signal("STOP");
    let request = |pid: u32| {
        let create = create(&pid.to_string());
        let echo = r#"{"type":"echo","echo":1}"#;
        format!("{echo}\n{{]\n{create}\n{echo}\n{create}\n")
    };
    let mut callers: Vec<Child> = (0..CALLERS).map(|_| caller(&node, "")).collect();
    for caller in &mut callers {
        let input = request(caller.id());
        let mut stdin = caller.stdin.take().expect("stdin is a pipe");
        stdin.write_all(input.as_bytes()).expect("it reads");
    }
    for connection in &mut connections {
        connection.write(request(std::process::id()));
    }
    thread::sleep(Duration::from_millis(200));
    node.signal("CONT");
    for caller in &mut callers {
        assert_eq!(wait(caller).code(), Some(3));
    }
    for connection in &mut connections {
        (0..5).for_each(|_| drop(connection.recv()));
    }
    let events = events(&audit);
    let created: Vec<_> = events
        .iter()
        .filter(|one| one["event"] == "created")
        .collect();
    for event in &created {
        assert_eq!(event["user"], event["pid"].to_string(), "{event}");
    }
    assert_eq!(created.len(), 2 * (2 + CALLERS));
}
