//! Requests of one browser that regenerate its session at the same time, on several nodes: with a grace, one of them
//! wins, and the work of the others goes on. (One node answers one after another, as the contract suite tests.)
#![cfg(any(feature = "sqlite", feature = "redis"))]

use std::sync::Barrier;
use std::thread;

use serde_json::{Value, json};
use session_node_testing::Node;

const ROUNDS: usize = 20;

/// Races one request of each node in every round. All nodes share a store.
fn race(nodes: &mut [Node]) {
    for round in 0..ROUNDS {
        let user = format!("user{round}");
        let created = nodes[0].ask(json!({"type": "create_session", "user_id": user}));
        let old = created["session_id"].clone();
        let other =
            nodes[0].ask(json!({"type": "create_session", "user_id": user}))["session_id"].clone();
        let request = json!({"type": "regenerate_session", "old_session_id": old}).to_string();
        let start = Barrier::new(nodes.len());
        let replies: Vec<Value> = thread::scope(|scope| {
            let (start, request) = (&start, &request);
            let racing = nodes.iter_mut().map(|node| {
                scope.spawn(move || {
                    start.wait();
                    node.ask(request)
                })
            });
            let racing: Vec<_> = racing.collect();
            let replies = racing.into_iter().map(thread::ScopedJoinHandle::join);
            replies.map(|reply| reply.expect("no panic")).collect()
        });
        let is_winner = |reply: &&Value| reply["type"] == "session_regenerated";
        let winners: Vec<&Value> = replies.iter().filter(is_winner).collect();
        assert_eq!(winners.len(), 1, "{replies:?}");
        let late = replies.iter().filter(|reply| reply["code"] == 22).count();
        assert_eq!(late, nodes.len() - 1, "{replies:?}");

        // Whatever comes in flight with the old id is done, on any node.
        let new = &winners[0]["new_session_id"];
        for (number, node) in nodes.iter_mut().enumerate() {
            let data = json!({"by": number});
            let update = json!({"type": "update_session", "session_id": old, "data": data});
            assert_eq!(node.ask(update)["type"], "session_updated");
            for id in [&old, new] {
                let valid = node.ask(json!({"type": "validate_session", "session_id": id}));
                assert_eq!((&valid["user_id"], &valid["data"]), (&json!(user), &data));
            }
        }
        let last = nodes.last_mut().expect("several nodes");
        let others = last.ask(json!({
            "type": "destroy_user_sessions", "user_id": user, "except_session_id": old
        }));
        assert_eq!(others["count"], 1, "{others}");
        let gone = last.ask(json!({"type": "validate_session", "session_id": other}));
        assert_eq!(gone["type"], "session_invalid");
        last.ask(json!({"type": "destroy_session", "session_id": old}));
        for node in &mut *nodes {
            for id in [&old, new] {
                let gone = node.ask(json!({"type": "validate_session", "session_id": id}));
                assert_eq!(gone["type"], "session_invalid");
            }
        }
    }
}

fn nodes_on(store: &str) -> Vec<Node> {
    let args = ["--store", store, "--rotation-grace", "1m"];
    (0..4).map(|_| Node::start(&args)).collect()
}

#[cfg(feature = "sqlite")]
#[test]
fn on_one_file_the_second_is_told_so() {
    let place = session_node_testing::place::Place::new("rotation-race");
    race(&mut nodes_on(&place.url()));
}

#[cfg(feature = "redis")]
#[test]
fn on_one_server_the_second_is_told_so() {
    use session_node_testing::redis_server::RedisServer;
    session_node_testing::needs!(REDIS_SERVER);
    let server = RedisServer::start();
    race(&mut nodes_on(&server.url()));
}

#[cfg(feature = "redis")]
#[test]
fn on_a_cluster_the_second_is_told_so() {
    use session_node_testing::redis_server::Cluster;
    session_node_testing::needs!(REDIS_SERVER);
    let cluster = Cluster::start();
    race(&mut nodes_on(&cluster.url()));
}
