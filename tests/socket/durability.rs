//! A node on one file that serves many peers and is killed: what was answered is there after a restart.
#![cfg(feature = "sqlite")]

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use session_node_testing::place::Place;
use session_node_testing::socket::{Connection, SocketNode, socket_place};
use session_node_testing::{body, text, turns};

const PEERS: u64 = 16;
const ROUNDS: u64 = 8;

/// What a peer knows of the sessions that it has asked for.
#[derive(Default)]
struct Peer {
    /// Ids that are live, with their users.
    live: HashMap<String, String>,
    /// Ids that were destroyed or regenerated.
    ended: Vec<String>,
    made: usize,
    answered: usize,
}

/// What a peer has asked, and is to note when it is answered.
enum Asked {
    Create { user: String },
    Regenerate { id: String, user: String },
    Destroy { id: String },
}

impl Peer {
    /// Something to ask. A session that is asked to end is in doubt until the answer comes.
    fn ask(&mut self, name: u64, random: &mut StdRng) -> (Value, Asked) {
        let some_id = self.live.keys().next().cloned();
        match (some_id, random.random_range(0..10)) {
            (Some(id), 0..3) => {
                let user = self.live.remove(&id).expect("it is live");
                let request = json!({"type": "regenerate_session", "old_session_id": id});
                (request, Asked::Regenerate { id, user })
            }
            (Some(id), 3..6) => {
                self.live.remove(&id);
                let request = json!({"type": "destroy_session", "session_id": id});
                (request, Asked::Destroy { id })
            }
            _ => {
                self.made += 1;
                let user = format!("user-{name}-{}", self.made);
                let request = json!({"type": "create_session", "user_id": user});
                (request, Asked::Create { user })
            }
        }
    }

    fn note(&mut self, asked: Asked, answer: &Value) {
        self.answered += 1;
        match asked {
            Asked::Create { user } => {
                self.live.insert(text(answer, "session_id"), user);
            }
            Asked::Regenerate { id, user } => {
                self.live.insert(text(answer, "new_session_id"), user);
                self.ended.push(id);
            }
            Asked::Destroy { id } => {
                assert_eq!(answer["type"], "session_destroyed");
                self.ended.push(id);
            }
        }
    }

    /// Asks in batches until the node is gone. What it answered before can still be read then.
    fn work(&mut self, name: u64, mut stream: UnixStream, random: &mut StdRng) {
        let mut replies = BufReader::new(stream.try_clone().expect("a descriptor"));
        loop {
            let (requests, asked): (Vec<_>, Vec<_>) = (0..random.random_range(1..20))
                .map(|_| self.ask(name, random))
                .unzip();
            let lines: String = requests.iter().map(|one| format!("{one}\n")).collect();
            let _ = stream.write_all(lines.as_bytes());
            for asked in asked {
                let mut line = String::new();
                if replies.read_line(&mut line).is_err() || !line.ends_with('\n') {
                    return;
                }
                self.note(asked, &body(line.trim_end()));
            }
        }
    }

    /// Asks after every session that the peer is sure of.
    fn check(&self, connection: &mut Connection) {
        let validate = |id: &String| {
            format!(
                "{}\n",
                json!({"type": "validate_session", "session_id": id})
            )
        };
        let requests: String = self.live.keys().chain(&self.ended).map(validate).collect();
        let writer = connection.write_beside(requests);
        for user in self.live.values() {
            let reply = body(&connection.recv());
            assert_eq!(reply["type"], "session_valid", "a session was lost");
            assert_eq!(&text(&reply, "user_id"), user);
        }
        for _ in &self.ended {
            let reply = body(&connection.recv());
            assert_eq!(reply["type"], "session_invalid", "a session came back");
        }
        writer.join().expect("no panic").expect("all was written");
    }
}

#[test]
fn a_node_killed_under_the_load_of_many_peers_loses_nothing_answered_and_revives_nothing_ended() {
    let _turn = turns::busy();
    let (place, sockets) = (Place::new("socket-killed"), socket_place());
    let (url, path) = (place.url(), sockets.0.join("s"));
    let mut random = StdRng::seed_from_u64(11);
    let mut peers: Vec<Peer> = (0..PEERS).map(|_| Peer::default()).collect();
    for round in 0..ROUNDS {
        let mut node = SocketNode::start_at(&path, &["--store", &url]);
        let mut connection = node.connect();
        for peer in &peers {
            peer.check(&mut connection);
        }
        let streams: Vec<_> = peers.iter().map(|_| node.connect().stream).collect();
        let delay = Duration::from_millis(random.random_range(20..300));
        thread::scope(|scope| {
            for (name, (peer, stream)) in (0..).zip(peers.iter_mut().zip(streams)) {
                let mut random = StdRng::seed_from_u64(round * PEERS + name);
                scope.spawn(move || peer.work(name, stream, &mut random));
            }
            thread::sleep(delay);
            node.kill();
        });
    }
    let node = SocketNode::start_at(&path, &["--store", &url]);
    let mut connection = node.connect();
    for peer in &peers {
        peer.check(&mut connection);
        assert!(peer.answered > 0 && !peer.ended.is_empty(), "no load");
    }
    let answered: usize = peers.iter().map(|peer| peer.answered).sum();
    println!("{answered} answers in {ROUNDS} rounds");
    assert!(answered > 1000, "only {answered} answers: this was no load");
    assert_eq!(node.stop(), "");
}

#[test]
fn a_node_that_is_asked_to_stop_and_started_again_goes_on_with_all_sessions() {
    let (place, sockets) = (Place::new("socket-stopped"), socket_place());
    let (url, path) = (place.url(), sockets.0.join("s"));
    let mut ids = Vec::new();
    for _ in 0..3 {
        let node = SocketNode::start_at(&path, &["--store", &url]);
        for mut connection in node.connect_many(5) {
            let created = connection.ask(json!({"type": "create_session", "user_id": "alice"}));
            ids.push(text(&created, "session_id"));
            for id in &ids {
                let request = json!({"type": "validate_session", "session_id": id});
                assert_eq!(connection.ask(request)["user_id"], "alice");
            }
        }
        assert_eq!(node.stop(), "");
    }
}
