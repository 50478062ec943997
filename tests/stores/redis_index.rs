//! The sorted set that a user of many sessions has on a server: a page costs what it shows, and lists are right whether
//! the set is there, is gone, or knows too few or too many sessions.
#![cfg(feature = "redis")]

use std::collections::BTreeMap;

use redis::{Value, cmd, from_redis_value};
use serde_json::json;
use session_node::session::Handle;
use session_node_testing::redis_server::RedisServer;
use session_node_testing::responder::Responder;
use session_node_testing::{needs, turns};

use crate::backends::Nodes;
use crate::paging::{SESSIONS, all_handles, begin, handles_of, list};

/// Enough for a sorted set.
const FEW: usize = 300;

/// The nodes on a server that holds nothing but the sessions of one user.
struct Alice {
    nodes: Nodes,
    server: RedisServer,
    /// The names of the user's two keys.
    hash: String,
    index: String,
}

impl Alice {
    fn with_sessions(count: usize) -> Self {
        let server = RedisServer::start();
        let mut nodes = Nodes::start(2, &["--store", &server.url()]);
        begin(&mut nodes, count, 3600);
        let mut keys = server.keys().into_iter();
        let hash = keys.find(|key| key.contains(":u:{"));
        let hash = hash.expect("the user has sessions");
        Self {
            nodes,
            server,
            index: hash.replace(":u:{", ":o:{"),
            hash,
        }
    }

    fn all_handles(&mut self) -> Vec<String> {
        all_handles(&mut self.nodes, "oldest")
    }

    fn first(&mut self, order: &str, count: usize) -> Vec<String> {
        let page = self.nodes.ask(list(order, count));
        handles_of(page["sessions"].as_array().expect("a list")).collect()
    }

    /// How many sessions the sorted set knows, if there is one.
    fn index_size(&self) -> Option<u64> {
        let kind = self.server.say(&format!("TYPE {}", self.index));
        if kind == Value::SimpleString("none".to_owned()) {
            return None;
        }
        assert_eq!(kind, Value::SimpleString("zset".to_owned()));
        let size = self.server.say(&format!("ZCARD {}", self.index));
        Some(from_redis_value(size).expect("a number"))
    }

    /// As a server does that has no memory left, or a failover.
    fn lose_index(&self) {
        let lost = self.server.say(&format!("DEL {}", self.index));
        assert_eq!(lost, Value::Int(1));
    }

    /// How often the server runs each command to answer a request, those in scripts included.
    fn commands_for(&mut self, request: &serde_json::Value) -> BTreeMap<String, u64> {
        self.server.say("CONFIG RESETSTAT");
        self.nodes.ask(request);
        let info: String = from_redis_value(self.server.say("INFO commandstats")).expect("a text");
        let calls = info.lines().filter_map(|line| {
            let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
            let (calls, _) = rest.split_once(',')?;
            Some((name.to_owned(), calls.parse().expect("a number")))
        });
        // A node greets a server that it has not asked for a while.
        let own = ["config|resetstat", "info", "ping"];
        calls
            .filter(|(name, _)| !own.contains(&name.as_str()))
            .collect()
    }

    fn field(&self, name: &[u8]) -> Vec<u8> {
        let value = self.server.run(cmd("HGET").arg(&self.hash).arg(name));
        from_redis_value(value).expect("the field is there")
    }

    /// Begins a session as a node does that does not know the sorted set. `like` is the handle of one to copy.
    fn begin_unindexed(&self, like: &str) -> String {
        let begun = String::from_utf8(self.field(b"n")).expect("digits");
        let begun: u64 = begun.parse().expect("a number");
        let mut head = self.field(&session_field(like));
        // See HEAD in shared.lua: the order follows the key.
        head[16..22].copy_from_slice(&(begun + 1).to_be_bytes()[2..]);
        let handle = Handle::from_bytes(rand::random()).to_string();
        let mut set = cmd("HSET");
        set.arg(&self.hash).arg("n").arg(begun + 1);
        self.server.run(set.arg(session_field(&handle)).arg(head));
        handle
    }

    /// Ends a session as a node does that does not know the sorted set.
    fn end_unindexed(&self, handle: &str) {
        let ended = self
            .server
            .run(cmd("HDEL").arg(&self.hash).arg(session_field(handle)));
        assert_eq!(ended, Value::Int(1));
    }

    /// Begins a session as a node of today does.
    fn begin(&mut self) -> String {
        let begun = begin(&mut self.nodes, 1, 3600);
        begun.into_keys().next().expect("one session")
    }
}

fn session_field(handle: &str) -> Vec<u8> {
    let handle = Handle::parse(handle).expect("a handle");
    [b"s", &handle.as_bytes()[..]].concat()
}

#[test]
fn a_page_costs_what_it_shows() {
    needs!(REDIS_SERVER);
    let _turn = turns::busy();
    let mut few = Alice::with_sessions(FEW);
    let mut many = Alice::with_sessions(SESSIONS);
    assert_eq!(few.index_size(), Some(FEW as u64));
    assert_eq!(many.index_size(), Some(SESSIONS as u64));
    for order in ["oldest", "newest"] {
        for is_first in [true, false] {
            let commands = [&mut few, &mut many].map(|alice| {
                let mut request = list(order, 1);
                if !is_first {
                    request["cursor"] = alice.nodes.ask(list(order, 100))["cursor"].clone();
                }
                alice.commands_for(&request)
            });
            assert_eq!(commands[0], commands[1]);
            let of_many = &commands[1];
            assert_eq!(of_many.get("zrange"), Some(&1), "{of_many:?}");
            assert_eq!(of_many.get("hgetall"), None, "{of_many:?}");
        }
    }
}

#[test]
fn a_list_whose_index_is_gone_is_right_and_makes_it_again() {
    needs!(REDIS_SERVER);
    let _turn = turns::busy();
    let mut alice = Alice::with_sessions(SESSIONS);
    let mut expected = alice.all_handles();
    assert_eq!(expected.len(), SESSIONS);
    alice.lose_index();
    assert_eq!(alice.first("newest", 1)[..], expected[SESSIONS - 1..]);
    assert_eq!(alice.index_size(), Some(SESSIONS as u64));
    let commands = alice.commands_for(&list("oldest", 1));
    assert_eq!(commands.get("hgetall"), None, "{commands:?}");
    assert_eq!(alice.all_handles(), expected);

    // Between two pages.
    let mut shown = Vec::new();
    let lose = format!("DEL {}", alice.index);
    alice.nodes.page_through(list("oldest", 1000), |_, page| {
        shown.extend(handles_of(&page));
        alice.server.say(&lose);
    });
    assert!(shown == expected, "{} sessions", shown.len());

    // What begins and ends meanwhile.
    expected.extend((0..10).map(|_| alice.begin()));
    let ended = expected.remove(7);
    alice.nodes.ask(json!({
        "type": "destroy_session", "user_id": "alice", "handle": ended
    }));
    assert_eq!(alice.index_size(), None);
    assert!(alice.all_handles() == expected);
    assert_eq!(alice.index_size(), Some(SESSIONS as u64 + 9));
}

#[test]
fn sessions_that_an_older_node_begins_and_ends_are_no_secret() {
    needs!(REDIS_SERVER);
    let _turn = turns::busy();
    let mut alice = Alice::with_sessions(SESSIONS);
    let mut expected = alice.all_handles();
    let like = expected[0].clone();
    expected.push(alice.begin_unindexed(&like));
    assert_eq!(alice.first("newest", 1)[..], expected[SESSIONS..]);
    assert_eq!(alice.index_size(), Some(SESSIONS as u64 + 1));
    assert!(alice.all_handles() == expected);

    // In turn, with no list in between.
    for _ in 0..3 {
        expected.push(alice.begin_unindexed(&like));
        expected.push(alice.begin());
    }
    expected.push(alice.begin_unindexed(&like));
    let newest = alice.first("newest", 8);
    assert!(newest.iter().rev().eq(&expected[SESSIONS..]), "{newest:?}");
    assert!(alice.all_handles() == expected);

    // The last one, some that follow each other, and a whole page.
    alice.end_unindexed(&expected.pop().expect("the last one"));
    for handle in expected.splice(500..1800, []).collect::<Vec<_>>() {
        alice.end_unindexed(&handle);
    }
    assert!(alice.all_handles() == expected);
    assert_eq!(alice.index_size(), Some(expected.len() as u64));
}

#[test]
fn an_index_of_sessions_that_have_all_gone_is_of_no_use() {
    needs!(REDIS_SERVER);
    let mut alice = Alice::with_sessions(FEW);
    assert_eq!(alice.index_size(), Some(FEW as u64));
    // An older node ends all sessions so.
    alice.server.say(&format!("DEL {}", alice.hash));
    assert!(alice.all_handles().is_empty());
    let mut expected: Vec<_> = (0..3).map(|_| alice.begin()).collect();
    assert_eq!(alice.all_handles(), expected);
    expected.extend((0..FEW).map(|_| alice.begin()));
    assert_eq!(alice.all_handles(), expected);
    assert_eq!(alice.index_size(), Some(FEW as u64 + 3));
}

#[test]
fn an_index_goes_with_its_sessions() {
    needs!(REDIS_SERVER);
    let mut alice = Alice::with_sessions(FEW);
    let expiry = |alice: &Alice, key: &str| {
        let moment = alice.server.say(&format!("PEXPIRETIME {key}"));
        from_redis_value::<i64>(moment).expect("a moment")
    };
    for ttl in [3600, 7200] {
        begin(&mut alice.nodes, 1, ttl);
        let until = expiry(&alice, &alice.hash);
        assert!(until > 0);
        assert_eq!(expiry(&alice, &alice.index), until, "after a create");
        alice.lose_index();
        alice.first("oldest", 1);
        assert_eq!(expiry(&alice, &alice.index), until, "after a list");
    }
}
