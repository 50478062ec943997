//! What peers that mean well see: one store for all, and a connection that is nobody else's.

use std::thread;

use serde_json::{Value, json};

use session_node_testing::socket::{Connection, SocketNode};
use session_node_testing::{DEFAULTS, PRELOADED, message, text, turns};

use super::conversation;

const VALIDATE: &str = r#"{"type":"validate_session","session_id":"abc123"}"#;

fn create(connection: &mut Connection, user: &str) -> String {
    let created = connection.ask(json!({"type": "create_session", "user_id": user}));
    text(&created, "session_id")
}

fn validate(id: &str) -> String {
    json!({"type": "validate_session", "session_id": id}).to_string()
}

#[test]
fn all_connections_share_the_sessions() {
    let node = SocketNode::start(DEFAULTS);
    let mut connections = node.connect_many(10);
    let ids: Vec<String> = connections
        .iter_mut()
        .map(|one| create(one, "alice"))
        .collect();
    for connection in &mut connections {
        for id in &ids {
            assert_eq!(connection.ask(validate(id))["user_id"], "alice");
        }
    }
    connections[3].ask(json!({"type": "destroy_session", "session_id": ids[7]}));
    // A session outlives the connection that has begun it.
    drop(connections);
    let mut late = node.connect();
    assert_eq!(late.ask(validate(&ids[7]))["type"], "session_invalid");
    let ended = late.ask(json!({"type": "destroy_user_sessions", "user_id": "alice"}));
    assert_eq!(ended["count"], 9);
    assert_eq!(node.stop(), "");
}

#[test]
fn each_connection_has_its_own_form_of_replies_and_its_own_lines() {
    let node = SocketNode::start(PRELOADED);
    let (mut bare, mut enveloped, mut fresh) = (node.connect(), node.connect(), node.connect());
    let echo = r#"{"type":"echo","msg_id":1,"echo":1}"#;
    let echoed = r#"{"type":"echo_ok","in_reply_to":1,"echo":1}"#;
    bare.send(echo);
    assert_eq!(bare.recv(), echoed);
    for _ in 0..3 {
        enveloped.send(message(echo));
        assert_eq!(enveloped.recv(), session_node_testing::reply(echoed));
        // Not readable: the peer that uses bare bodies is answered, the other one is not.
        bare.send("{]");
        enveloped.send("{]");
        fresh.send("{]");
        assert!(bare.recv().starts_with(r#"{"type":"error","code":12"#));
        assert!(fresh.recv().starts_with(r#"{"type":"error","code":12"#));
        bare.send(echo);
        assert_eq!(bare.recv(), echoed);
    }
    enveloped.send(message(echo));
    assert_eq!(enveloped.recv(), session_node_testing::reply(echoed));
    // Each connection counts its own lines.
    enveloped.send(r#"{"src":"c1","dest":"n1","body":{"type":"echo","msg_id":1}"#);
    enveloped.send("]");
    let error = enveloped.recv();
    assert!(error.contains("line 8:"), "{error}");
    // What could not be answered has a line, and so has the second half of the message.
    let stderr = node.stop();
    assert_eq!(stderr.lines().count(), 4, "{stderr}");
}

#[test]
fn half_a_message_of_one_peer_is_not_continued_by_another() {
    let node = SocketNode::start(PRELOADED);
    let (mut first, mut second) = (node.connect(), node.connect());
    first.write("{\"type\":\n");
    assert_eq!(second.ask(VALIDATE)["type"], "session_valid");
    first.write(r#""validate_session","#);
    second.write("{\"type\":");
    first.write("\n\"session_id\":\"abc123\"\n}\n");
    assert!(first.recv().contains("session_valid"));
    second.write("\"echo\",\"echo\":2}\n");
    assert_eq!(second.recv(), r#"{"type":"echo_ok","echo":2}"#);
}

#[test]
fn replies_come_in_order_on_each_of_many_pipelining_connections() {
    const CONNECTIONS: usize = 50;
    const REQUESTS: usize = 2000;
    let _turn = turns::busy();
    let node = SocketNode::start(DEFAULTS);
    thread::scope(|scope| {
        for number in 0..CONNECTIONS {
            let mut connection = node.connect();
            scope.spawn(move || {
                let request = |msg_id: usize| match msg_id % 3 {
                    0 => json!({"type": "create_session", "user_id": format!("u{number}"), "msg_id": msg_id}),
                    1 => json!({"type": "validate_session", "session_id": "no", "msg_id": msg_id}),
                    _ => json!({"type": "echo", "echo": number, "msg_id": msg_id}),
                };
                let lines: Vec<_> = (0..REQUESTS).map(|id| format!("{}\n", request(id))).collect();
                let writer = connection.write_beside(lines.concat());
                for msg_id in 0..REQUESTS {
                    let reply: Value = serde_json::from_str(&connection.recv()).expect("JSON");
                    assert_eq!(reply["in_reply_to"], msg_id);
                    let kind = ["session_created", "session_invalid", "echo_ok"][msg_id % 3];
                    assert_eq!(reply["type"], kind);
                    assert!(msg_id % 3 < 2 || reply["echo"] == number, "of another: {reply}");
                }
                writer.join().expect("no panic").expect("all was written");
                let list = json!({"type": "destroy_user_sessions", "user_id": format!("u{number}")});
                assert_eq!(connection.ask(list)["count"], REQUESTS.div_ceil(3));
            });
        }
    });
    assert_eq!(node.stop(), "");
}

/// What a node answers through one connection to an input that then ends.
fn replies(args: &[&str], input: &str) -> Vec<String> {
    let node = SocketNode::start(args);
    let mut connection = node.connect();
    let writer = connection.write_beside(input);
    let replies = thread::scope(|scope| {
        let sender = connection.stream.try_clone().expect("a descriptor");
        scope.spawn(move || {
            writer.join().expect("no panic").expect("all was written");
            sender
                .shutdown(std::net::Shutdown::Write)
                .expect("it is open");
        });
        connection.rest()
    });
    assert_eq!(node.stop(), "");
    replies
}

#[test]
fn every_conversation_is_the_same_as_through_stdin() {
    let names = conversation::names();
    assert!(names.len() > 5);
    for name in names {
        conversation::hold(&name, &replies);
    }
}

#[test]
fn bytes_may_come_one_by_one() {
    let node = SocketNode::start(PRELOADED);
    let mut connection = node.connect();
    let mut other = node.connect();
    let request = format!(
        "{}\r\n",
        message("{\"type\":\"echo\",\"msg_id\":7,\"echo\":\"é\"}")
    );
    for round in 0..3 {
        for byte in request.bytes() {
            connection.write([byte]);
            if round == 0 {
                // The node has surely seen each byte alone.
                assert_eq!(other.ask(VALIDATE)["type"], "session_valid");
            }
        }
        let echoed = r#"{"type":"echo_ok","in_reply_to":7,"echo":"é"}"#;
        assert_eq!(connection.recv(), session_node_testing::reply(echoed));
    }
}

#[test]
fn a_last_line_needs_no_ending_and_its_reply_is_the_last() {
    let node = SocketNode::start(PRELOADED);
    for pieces in [
        &[VALIDATE][..],
        &[VALIDATE, "\n", VALIDATE],
        &["\n", "{\"type\":", "\n"],
        &[],
    ] {
        let mut connection = node.connect();
        for piece in pieces {
            connection.write(piece);
        }
        connection.end_input();
        let replies = connection.rest();
        let (valid, faulty): (Vec<_>, Vec<_>) = replies
            .iter()
            .partition(|one| one.contains("session_valid"));
        assert_eq!(
            valid.len(),
            pieces.iter().filter(|one| **one == VALIDATE).count()
        );
        assert_eq!(
            faulty.len(),
            usize::from(pieces.len() == 3 && pieces[0] == "\n")
        );
    }
    // The end may come long after the line, and together with it.
    let (mut connection, mut other) = (node.connect(), node.connect());
    connection.write(VALIDATE);
    assert_eq!(other.ask(VALIDATE)["type"], "session_valid");
    connection.end_input();
    assert_eq!(connection.rest().len(), 1);
    assert_eq!(node.stop(), "");
}

#[cfg(target_os = "linux")]
#[test]
fn many_lists_do_not_pile_up_in_memory_and_others_are_answered_meanwhile() {
    const LISTS: usize = 200;
    let node = SocketNode::start(DEFAULTS);
    let (mut connection, mut other) = (node.connect(), node.connect());
    let data = "x".repeat(4000);
    for _ in 0..100 {
        connection.ask(json!({"type": "create_session", "user_id": "a", "data": {"d": data}}));
    }
    let before = session_node_testing::peak_memory_kib(&node.child);
    // 400 kB each, and all of them in one write.
    let list = json!({"type": "list_sessions", "user_id": "a"});
    connection.write(format!("{list}\n").repeat(LISTS));
    for number in 0..LISTS {
        assert!(connection.recv().len() > 400_000, "list {number}");
        assert_eq!(other.ask(VALIDATE)["type"], "session_invalid");
    }
    let grown = session_node_testing::peak_memory_kib(&node.child) - before;
    assert!(grown < 20_000, "{grown} KiB");
    assert_eq!(node.stop(), "");
}

#[test]
fn connections_beyond_the_limit_are_refused_until_one_ends() {
    let node = SocketNode::start(&[PRELOADED, &["--max-connections", "2"]].concat());
    let mut connections = node.connect_many(2);
    for connection in &mut connections {
        connection.ask(VALIDATE);
    }
    for _ in 0..3 {
        let mut third = node.connect();
        let error: Value = serde_json::from_str(&third.recv()).expect("JSON");
        assert_eq!(error["code"], 11, "{error}");
        assert_eq!(third.reply(), None);
        for connection in &mut connections {
            assert_eq!(connection.ask(VALIDATE)["type"], "session_valid");
        }
        let mut leaving = connections.remove(0);
        leaving.end_input();
        assert_eq!(leaving.reply(), None, "the node has closed it");
        let mut next = node.connect();
        assert_eq!(next.ask(VALIDATE)["type"], "session_valid");
        connections.push(next);
    }
    let stderr = node.stop();
    assert_eq!(stderr.lines().count(), 3, "{stderr}");
    assert!(stderr.contains("limit of 2 connections"), "{stderr}");
}
