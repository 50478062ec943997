//! A node on one file that serves many peers and is killed: what was answered is there after a restart.
#![cfg(feature = "sqlite")]

use std::io::BufReader;
use std::thread;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;

use session_node_testing::place::Place;
use session_node_testing::socket::{Connection, SocketNode, socket_place};
use session_node_testing::witness::Witness;
use session_node_testing::{text, turns};

const PEERS: usize = 16;
const ROUNDS: usize = 8;

fn replies(connection: &mut Connection, requests: &str) -> Vec<String> {
    let writer = connection.write_beside(requests);
    let replies = requests.lines().map(|_| connection.recv()).collect();
    writer.join().expect("no panic").expect("all was written");
    replies
}

/// The node is killed while the peers work. Returns how many answers they got.
fn work_until_killed(node: &mut SocketNode, peers: &mut [Witness], random: &mut StdRng) -> usize {
    let delay = Duration::from_millis(random.random_range(20..300));
    thread::scope(|scope| {
        let mut workers = Vec::new();
        for peer in peers {
            let stream = node.connect().stream;
            let replies = BufReader::new(stream.try_clone().expect("a descriptor"));
            let mut random = StdRng::seed_from_u64(random.random());
            workers.push(
                scope.spawn(move || peer.work_until_killed(stream, replies, 20, &mut random)),
            );
        }
        thread::sleep(delay);
        node.kill();
        let answers = workers.into_iter().map(|one| one.join().expect("no panic"));
        answers.sum()
    })
}

#[test]
fn a_node_killed_under_the_load_of_many_peers_loses_nothing_answered_and_revives_nothing_ended() {
    let _turn = turns::busy();
    let (place, sockets) = (Place::new("socket-killed"), socket_place());
    let (url, path) = (place.url(), sockets.0.join("s"));
    let mut random = StdRng::seed_from_u64(11);
    let mut peers: Vec<Witness> = (0..PEERS).map(|_| Witness::default()).collect();
    let mut answered = 0;
    let mut node = SocketNode::start_at(&path, &["--store", &url]);
    for _ in 0..ROUNDS {
        answered += work_until_killed(&mut node, &mut peers, &mut random);
        node = SocketNode::start_at(&path, &["--store", &url]);
        let mut connection = node.connect();
        for peer in &peers {
            peer.check(|requests| replies(&mut connection, &requests));
        }
    }
    assert!(answered > 1000, "only {answered} answers: this was no load");
    assert!(peers.iter().all(Witness::has_seen_both));
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
