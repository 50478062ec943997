//! Servers that are absent, hang, die, change their role or refuse: what the node answers, and that it goes on.
#![cfg(feature = "redis")]

use std::collections::BTreeMap;
use std::process::Command;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use session_node_testing::redis_server::{Cluster, RedisServer, wait_until};
use session_node_testing::{Node, body, message, needs, run, text, turns};

/// A node with short timeouts, so that the tests are.
fn node(url: &str, arguments: &[&str]) -> Node {
    let mut all = vec!["--store", url, "--log", "info"];
    all.extend(["--redis-connect-timeout", "500ms"]);
    all.extend(["--redis-response-timeout", "500ms"]);
    all.extend(arguments);
    Node::start(&all)
}

fn create(node: &mut Node, user: &str) -> Value {
    node.ask(format!(r#"{{"type":"create_session","user_id":"{user}"}}"#))
}

fn created(node: &mut Node, user: &str) -> String {
    text(&create(node, user), "session_id")
}

fn validate(node: &mut Node, id: &str) -> Value {
    node.ask(format!(
        r#"{{"type":"validate_session","session_id":"{id}"}}"#
    ))
}

fn destroy(node: &mut Node, id: &str) -> Value {
    node.ask(format!(
        r#"{{"type":"destroy_session","session_id":"{id}"}}"#
    ))
}

fn is_valid(node: &mut Node, id: &str) -> bool {
    validate(node, id)["type"] == "session_valid"
}

fn code(reply: &Value) -> Option<u64> {
    reply["code"].as_u64()
}

/// Asks again and again until the node serves.
fn wait_until_it_serves(node: &mut Node) {
    wait_until("the node serves again", || {
        code(&create(node, "probe")).is_none()
    });
}

#[test]
fn a_node_that_finds_no_server_ends_with_a_line_that_names_it() {
    let url = "redis://me:5ecret@127.0.0.1:1/0";
    let output = run(&["--store", url], "");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(output.stderr.lines().count(), 1, "{}", output.stderr);
    assert!(output.stderr.contains("127.0.0.1:1"), "{}", output.stderr);
    assert!(!output.stderr.contains("5ecret"), "{}", output.stderr);
}

#[test]
fn a_server_that_hangs_costs_the_requests_on_their_way_and_is_used_again_afterwards() {
    needs!(REDIS_SERVER);
    let _turn = turns::punctual();
    let server = RedisServer::start();
    let mut node = node(&server.url(), &[]);
    let id = created(&mut node, "alice");
    server.pause();
    assert_eq!(code(&destroy(&mut node, &id)), Some(13));
    for _ in 0..3 {
        assert_eq!(code(&validate(&mut node, &id)), Some(11));
    }
    server.resume();
    wait_until_it_serves(&mut node);
    // It was on its way, and the server got it.
    assert_eq!(validate(&mut node, &id)["type"], "session_invalid");
}

#[test]
fn a_server_that_was_restarted_meanwhile_costs_no_request() {
    needs!(REDIS_SERVER);
    let _turn = turns::punctual();
    let mut server = RedisServer::start_with(&["--appendonly", "yes", "--appendfsync", "always"]);
    let mut node = node(&server.url(), &[]);
    let (kept, ended) = (created(&mut node, "alice"), created(&mut node, "alice"));
    destroy(&mut node, &ended);
    server.kill();
    server.restart();
    // After a while without use the node tries its connection first.
    thread::sleep(Duration::from_millis(1100));
    assert!(is_valid(&mut node, &kept));
    assert!(!is_valid(&mut node, &ended));
}

#[test]
fn while_there_is_no_server_requests_get_error_11() {
    needs!(REDIS_SERVER);
    let _turn = turns::punctual();
    let mut server = RedisServer::start();
    let mut node = node(&server.url(), &[]);
    created(&mut node, "alice");
    server.kill();
    let first = code(&create(&mut node, "alice"));
    assert!(matches!(first, Some(11 | 13)), "{first:?}");
    for _ in 0..5 {
        assert_eq!(code(&create(&mut node, "alice")), Some(11));
    }
    server.restart();
    wait_until_it_serves(&mut node);
    let stderr = node.finish().ended_well().stderr;
    // One line when it begins and one when it ends, not one for every request.
    assert_eq!(
        stderr.matches("are answered with errors").count(),
        1,
        "{stderr}"
    );
    assert_eq!(stderr.matches("works again").count(), 1, "{stderr}");
}

#[test]
fn connections_that_break_all_the_time_leave_every_request_with_one_true_reply() {
    needs!(REDIS_SERVER);
    let _turn = turns::punctual();
    let server = RedisServer::start();
    let mut node = node(&server.url(), &[]);
    let mut witness = self::node(&server.url(), &[]);
    let ids: Vec<_> = (0..3000)
        .map(|n| created(&mut node, &format!("u{n}")))
        .collect();
    let mut replies = Vec::new();
    for (place, ids) in ids.chunks(100).enumerate() {
        for id in ids {
            node.send(message(format!(
                r#"{{"type":"destroy_session","session_id":"{id}"}}"#
            )));
        }
        if place % 2 == 0 {
            server.say("CLIENT KILL TYPE normal");
        }
        replies.extend(ids.iter().map(|_| session_node_testing::body(&node.recv())));
    }
    let mut seen = BTreeMap::new();
    for (id, reply) in ids.iter().zip(replies) {
        // The server's own command may have broken the witness's connection, too.
        wait_until_it_serves(&mut witness);
        let lives = is_valid(&mut witness, id);
        match code(&reply) {
            None => assert!(!lives, "it was reported ended"),
            Some(11) => assert!(lives, "it was reported to have had no effect"),
            Some(13) => {}
            _ => panic!("{reply}"),
        }
        *seen.entry(code(&reply)).or_insert(0) += 1;
    }
    assert!(seen.contains_key(&None), "{seen:?}");
    assert!(seen.contains_key(&Some(13)), "nothing broke: {seen:?}");
}

#[test]
fn scripts_that_were_flushed_are_loaded_again() {
    needs!(REDIS_SERVER);
    let _turn = turns::punctual();
    let server = RedisServer::start();
    let mut node = node(&server.url(), &[]);
    let id = created(&mut node, "alice");
    server.say("SCRIPT FLUSH");
    assert!(is_valid(&mut node, &id));
}

#[test]
fn what_found_no_script_is_not_made_up_for_after_what_came_later() {
    needs!(REDIS_SERVER);
    let _turn = turns::punctual();
    let server = RedisServer::start();
    let mut node = node(&server.url(), &[]);
    created(&mut node, "alice");
    // As nodes load it.
    let destroy_user = concat!(
        "#!lua flags=allow-oom\n",
        include_str!("../../src/store/redis/shared.lua"),
        "\n",
        include_str!("../../src/store/redis/destroy_user.lua")
    );
    let digest = redis::Script::new(destroy_user).get_hash().to_owned();
    let is_loaded = redis::Value::Array(vec![redis::Value::Int(1)]);
    assert_eq!(server.say(&format!("SCRIPT EXISTS {digest}")), is_loaded);
    server.say("SCRIPT FLUSH");
    server.run(redis::cmd("SCRIPT").arg("LOAD").arg(destroy_user));

    let create = message(r#"{"type":"create_session","user_id":"bob"}"#);
    let destroy = message(r#"{"type":"destroy_user_sessions","user_id":"bob"}"#);
    node.write(format!("{create}\n{destroy}\n"));
    assert_eq!(code(&body(&node.recv())), Some(11));
    assert_eq!(body(&node.recv())["count"], 0);
    let list = node.ask(r#"{"type":"list_sessions","user_id":"bob"}"#);
    assert_eq!(list["sessions"], Value::Array(Vec::new()));
    assert!(code(&self::create(&mut node, "bob")).is_none());
}

#[test]
fn a_full_server_takes_no_new_session_and_serves_those_that_it_has() {
    needs!(REDIS_SERVER);
    let _turn = turns::punctual();
    let server = RedisServer::start();
    let mut node = node(&server.url(), &["--idle-timeout", "60"]);
    let (kept, ended) = (created(&mut node, "alice"), created(&mut node, "alice"));
    server.say("CONFIG SET maxmemory 1");
    assert_eq!(code(&create(&mut node, "alice")), Some(11));
    assert!(is_valid(&mut node, &kept));
    assert_eq!(destroy(&mut node, &ended)["type"], "session_destroyed");
    assert!(!is_valid(&mut node, &ended));
    server.say("CONFIG SET maxmemory 0");
    assert_eq!(create(&mut node, "alice")["type"], "session_created");
}

#[test]
fn a_server_that_evicts_is_warned_of() {
    needs!(REDIS_SERVER);
    let _turn = turns::punctual();
    let server = RedisServer::start_with(&["--maxmemory-policy", "allkeys-lru"]);
    let stderr = run(&["--store", &server.url()], "").ended_well().stderr;
    assert!(
        stderr.contains("allkeys-lru") && stderr.contains("noeviction"),
        "{stderr}"
    );
    let server = RedisServer::start();
    assert_eq!(run(&["--store", &server.url()], "").ended_well().stderr, "");
}

#[test]
fn nobody_is_recognised_by_a_server_that_has_become_a_replica() {
    needs!(REDIS_SERVER);
    let _turn = turns::punctual();
    let (server, other) = (RedisServer::start(), RedisServer::start());
    let mut node = node(&server.url(), &[]);
    let id = created(&mut node, "alice");
    server.say(&format!("REPLICAOF 127.0.0.1 {}", other.port));
    assert_eq!(code(&validate(&mut node, &id)), Some(11));
    server.say("REPLICAOF NO ONE");
    wait_until_it_serves(&mut node);
}

/// A server and one that follows it.
fn with_replica() -> (RedisServer, RedisServer) {
    let server = RedisServer::start();
    let master = format!("127.0.0.1 {}", server.port);
    let replica =
        RedisServer::start_with(&["--replicaof", &master, "--repl-diskless-sync-delay", "0"]);
    wait_until("the replica follows", || replica.follows());
    (server, replica)
}

#[test]
fn what_replicas_were_waited_for_survives_a_failover() {
    needs!(REDIS_SERVER);
    let _turn = turns::punctual();
    let waiting = ["--redis-wait-replicas", "1", "--redis-wait-timeout", "5s"];
    let (mut server, replica) = with_replica();
    let mut node = node(&server.url(), &waiting);
    let ids: Vec<_> = (0..200)
        .map(|n| created(&mut node, &format!("u{n}")))
        .collect();
    for id in &ids[..100] {
        assert_eq!(destroy(&mut node, id)["type"], "session_destroyed");
    }
    server.kill();
    replica.say("REPLICAOF NO ONE");
    let mut after = self::node(&replica.url(), &[]);
    for (place, id) in ids.iter().enumerate() {
        assert_eq!(is_valid(&mut after, id), place >= 100, "session {place}");
    }
}

#[test]
fn without_enough_replicas_a_change_is_reported_as_uncertain() {
    needs!(REDIS_SERVER);
    let _turn = turns::punctual();
    let server = RedisServer::start();
    let waiting = [
        "--redis-wait-replicas",
        "1",
        "--redis-wait-timeout",
        "100ms",
    ];
    let mut node = node(&server.url(), &waiting);
    let reply = create(&mut node, "alice");
    assert_eq!(code(&reply), Some(13), "{reply}");
    assert!(text(&reply, "text").contains("0 of 1 replicas"), "{reply}");
    // Nothing that changes nothing has to wait.
    assert!(!is_valid(&mut node, "unknown"));
}

#[test]
fn requests_follow_the_slots_of_a_cluster_that_move() {
    needs!(REDIS_SERVER);
    let _turn = turns::punctual();
    let cluster = Cluster::start();
    let mut node = node(&cluster.url(), &[]);
    let mut ids: Vec<_> = (0..300)
        .map(|n| created(&mut node, &format!("u{n}")))
        .collect();
    let [from, to] = [0, 1].map(|place: usize| cluster.servers[place].cluster_id());
    let mut moving = Command::new("redis-cli")
        .args(["--cluster", "reshard"])
        .arg(format!("127.0.0.1:{}", cluster.servers[0].port))
        .args(["--cluster-from", &from, "--cluster-to", &to])
        .args(["--cluster-slots", "2000", "--cluster-yes"])
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("redis-cli");
    let mut round = 0;
    while moving.try_wait().expect("it can be waited for").is_none() {
        let place = round % ids.len();
        assert!(is_valid(&mut node, &ids[place]));
        let regenerate = format!(
            r#"{{"type":"regenerate_session","old_session_id":"{}"}}"#,
            ids[place]
        );
        ids[place] = text(&node.ask(regenerate), "new_session_id");
        ids.push(created(&mut node, &format!("v{round}")));
        round += 1;
    }
    assert!(round > 0 && moving.wait().expect("an end").success());
    let mut other = self::node(&cluster.url(), &[]);
    for id in &ids {
        assert!(is_valid(&mut node, id) && is_valid(&mut other, id));
    }
    let reply = node.ask(r#"{"type":"destroy_all_sessions"}"#);
    assert_eq!(reply["count"], ids.len());
    let keys = cluster.servers.iter().map(RedisServer::key_count);
    assert_eq!(keys.sum::<usize>(), 0);
}

/// The hashes of two users in one slot of a server, with the users' names.
fn two_in_a_slot(server: &RedisServer) -> [(String, String); 2] {
    let mut by_slot: BTreeMap<i64, Vec<(String, String)>> = BTreeMap::new();
    for hash in server.keys() {
        if hash.contains(":u:") {
            let redis::Value::Int(slot) = server.say(&format!("CLUSTER KEYSLOT {hash}")) else {
                panic!("no slot");
            };
            let redis::Value::BulkString(user) = server.say(&format!("HGET {hash} u")) else {
                panic!("no user");
            };
            let user = String::from_utf8(user).expect("ASCII");
            by_slot.entry(slot).or_default().push((hash, user));
        }
    }
    let two = by_slot.into_values().find(|hashes| hashes.len() == 2);
    two.expect("two in a slot").try_into().expect("two")
}

#[test]
fn a_slot_in_motion_costs_neither_the_users_who_have_moved_nor_those_who_have_not() {
    needs!(REDIS_SERVER);
    let _turn = turns::punctual();
    let cluster = Cluster::start();
    let mut node = node(&cluster.url(), &[]);
    let ids: BTreeMap<_, _> = (0..1000)
        .map(|n| format!("u{n}"))
        .map(|user| (user.clone(), created(&mut node, &user)))
        .collect();
    let (source, target) = (&cluster.servers[0], &cluster.servers[1]);
    let [(hash, moved), (_, other)] = two_in_a_slot(source);
    let redis::Value::Int(slot) = source.say(&format!("CLUSTER KEYSLOT {hash}")) else {
        panic!("no slot");
    };
    let set_slot = |server: &RedisServer, what: String| {
        server.say(&format!("CLUSTER SETSLOT {slot} {what}"));
    };
    set_slot(target, format!("IMPORTING {}", source.cluster_id()));
    set_slot(source, format!("MIGRATING {}", target.cluster_id()));
    source.say(&format!("MIGRATE 127.0.0.1 {} {hash} 0 5000", target.port));

    // In one batch, of which the source has only a part.
    let requests = [
        format!(r#"{{"type":"create_session","user_id":"{moved}"}}"#),
        format!(
            r#"{{"type":"validate_session","session_id":"{}"}}"#,
            ids[&other]
        ),
        format!(r#"{{"type":"destroy_user_sessions","user_id":"{moved}"}}"#),
    ];
    node.write(requests.map(|request| message(request) + "\n").concat());
    assert_eq!(body(&node.recv())["type"], "session_created");
    assert_eq!(body(&node.recv())["user_id"], *other);
    assert_eq!(body(&node.recv())["count"], 2);
}

#[test]
fn a_cluster_goes_on_with_a_replica_when_a_primary_dies() {
    needs!(REDIS_SERVER);
    let _turn = turns::punctual();
    let mut cluster = Cluster::start_with(1);
    let waiting = ["--redis-wait-replicas", "1", "--redis-wait-timeout", "2s"];
    let mut node = node(&cluster.url(), &waiting);
    let ids: Vec<_> = (0..150)
        .map(|n| created(&mut node, &format!("u{n}")))
        .collect();
    for id in &ids[..75] {
        assert_eq!(destroy(&mut node, id)["type"], "session_destroyed");
    }
    // The first three are the primaries.
    cluster.servers[1].kill();
    // By then the dead server's users are served again, whoever that is.
    wait_until("the cluster has a new primary", || {
        (0..50).all(|n| !matches!(code(&validate(&mut node, &ids[75 + n])), Some(11 | 13)))
    });
    for (place, id) in ids.iter().enumerate() {
        assert_eq!(is_valid(&mut node, id), place >= 75, "session {place}");
    }
}

#[test]
fn a_cluster_and_a_single_server_are_not_taken_for_each_other() {
    needs!(REDIS_SERVER);
    let _turn = turns::punctual();
    let cluster = Cluster::start();
    let wrong = cluster.url().replace("redis-cluster", "redis");
    let output = run(&["--store", &wrong], "");
    assert_eq!(output.status.code(), Some(1));
    assert!(
        output.stderr.contains("redis-cluster://"),
        "{}",
        output.stderr
    );
    let server = RedisServer::start();
    let wrong = server.url().replace("redis", "redis-cluster");
    let output = run(&["--store", &wrong], "");
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stderr.contains("cluster"), "{}", output.stderr);
}
