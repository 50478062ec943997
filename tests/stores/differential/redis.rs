//! The store on Redis, which goes by the clock of the server.
//!
//! The store in memory is told that clock's time a moment before each batch. So that the moment makes no difference,
//! batches are sent in the first part of every even second only, and everything lasts an odd number of seconds: what
//! ends does so while nobody looks.

use std::thread;
use std::time::Duration;

use redis::from_redis_value;
use session_node::session::Timestamp;
use session_node::store::{MemoryStore, Policy};

use super::script::{Script, Sight, Times, policies, seen};
use session_node_testing::redis_server::{Cluster, RedisServer, connect, prefix};
use session_node_testing::ruled::Ruled;
use session_node_testing::{needs, turns};

const TIMES: Times = Times {
    of: |number| Duration::from_secs(2 * number + 1),
    longest_ttl: 8,
    longest_idle: Some(4),
    max_age: 3,
};
const GRACE: Duration = Duration::from_secs(3);
const NODES: usize = 2;
/// The even seconds in which batches are sent.
const BURSTS: usize = 10;
const BATCHES_OF_A_BURST: usize = 60;
/// No batch is sent later in an even second than this, in milliseconds.
const LATEST_START: u64 = 400;
/// What is done later than this after an even second is too near to something's end.
const LATEST_END: Duration = Duration::from_millis(950);

/// The machine was so busy that it cannot be said what had ended when the server looked.
struct TooSlow;

fn time_of(server: &RedisServer) -> Timestamp {
    let answer = server.say("TIME");
    let (seconds, micros): (u64, u64) = from_redis_value(answer).expect("two numbers");
    Timestamp::from_millis(seconds * 1000 + micros / 1000)
}

/// Milliseconds since the last even second.
fn offset(at: Timestamp) -> u64 {
    at.as_millis() % 2000
}

fn wait_for_an_even_second(server: &RedisServer) {
    let left = 2000 - offset(time_of(server));
    thread::sleep(Duration::from_millis(left + 1));
}

/// Runs the same batches on a store in memory and on nodes at one server, or cluster, in turn.
fn compare(server: &RedisServer, url: &str, policy: &Policy, seed: u64) -> Result<(), TooSlow> {
    let prefix = prefix();
    let mut memory = Ruled::new(MemoryStore::new(), policy.clone());
    let mut nodes: Vec<_> = (0..NODES)
        .map(|_| Ruled::new(connect(url, &prefix), policy.clone()))
        .collect();
    let mut script = Script::new(seed, TIMES);
    let mut compared = 0;
    for burst in 0..BURSTS {
        wait_for_an_even_second(server);
        for step in 0..BATCHES_OF_A_BURST {
            let now = time_of(server);
            if offset(now) > LATEST_START {
                break;
            }
            let batch = script.batch();
            let answered = seen(&mut nodes[step % NODES], now, &batch, Sight::TwoSeconds);
            let taken = time_of(server).since(now);
            if taken + Duration::from_millis(offset(now)) > LATEST_END {
                return Err(TooSlow);
            }
            let expected = seen(&mut memory, now, &batch, Sight::TwoSeconds);
            assert_eq!(answered, expected, "{policy:?}, burst {burst}, step {step}");
            compared += 1;
        }
    }
    if compared < BURSTS * BATCHES_OF_A_BURST / 2 {
        return Err(TooSlow);
    }
    Ok(())
}

fn compare_under_every_policy(server: &RedisServer, url: &str) {
    let _turn = turns::punctual();
    let unlimited = [usize::MAX; 2];
    thread::scope(|scope| {
        for (seed, policy) in (0..).zip(policies(unlimited, GRACE)) {
            scope.spawn(move || {
                let runs = (0..5).map(|_| compare(server, url, &policy, seed));
                assert!(
                    runs.into_iter().any(|run| run.is_ok()),
                    "the machine is too busy to compare two clocks"
                );
            });
        }
    });
}

#[test]
fn nodes_at_one_server_answer_together_what_one_store_answers() {
    needs!(REDIS_SERVER);
    let server = RedisServer::start();
    compare_under_every_policy(&server, &server.url());
}

#[test]
fn nodes_at_a_cluster_answer_together_what_one_store_answers() {
    needs!(REDIS_SERVER);
    let cluster = Cluster::start();
    compare_under_every_policy(&cluster.servers[0], &cluster.url());
}
