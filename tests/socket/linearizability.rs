//! Several connections to one node, asked at the same time: is there an order of their operations, each at one moment
//! between its request and its reply, in which a single store would have given the same answers?
//!
//! A published checker decides. And since a check that never says no proves nothing, a peer that believes what it has
//! once seen has to be found out.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard};

use serde_json::{Value, json};

use session_node_testing::socket::{Connection, SocketNode};
use session_node_testing::{text, turns};

use super::sequential::{CLIENTS, IDS, Id, Op, Ret, USERS, is_linearizable};

/// The connections of the clients, and what stands for the numbers of ids.
struct Clients {
    connections: Vec<Mutex<Connection>>,
    /// The sessions' ids by number.
    ids: Mutex<Vec<String>>,
    /// Which number a session had at first, by its handle.
    handles: Mutex<HashMap<String, Id>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no client has panicked")
}

impl Clients {
    /// Clients of a node that has no sessions.
    fn of(node: &SocketNode) -> Self {
        let connections = node.connect_many(CLIENTS).into_iter().map(Mutex::new);
        let clients = Self {
            connections: connections.collect(),
            ids: Mutex::new(vec![String::new(); IDS]),
            handles: Mutex::default(),
        };
        clients.send(0, &json!({"type": "destroy_all_sessions"}));
        clients
    }

    fn send(&self, client: usize, request: &Value) -> Value {
        lock(&self.connections[client]).ask(request)
    }

    fn request(&self, limit: Option<usize>, op: &Op) -> Value {
        let id = |id: Id| lock(&self.ids)[id].clone();
        match *op {
            Op::Create { user, .. } => {
                let mut request =
                    json!({"type": "create_session", "user_id": USERS[user], "detail": true});
                if let Some(limit) = limit {
                    request["max_sessions_per_user"] = limit.into();
                }
                request
            }
            Op::Validate(some) => json!({"type": "validate_session", "session_id": id(some)}),
            Op::Regenerate { old, .. } => {
                json!({"type": "regenerate_session", "old_session_id": id(old)})
            }
            Op::Destroy(some) => json!({"type": "destroy_session", "session_id": id(some)}),
            Op::DestroyUser(user) => {
                json!({"type": "destroy_user_sessions", "user_id": USERS[user]})
            }
            Op::List(user) => json!({"type": "list_sessions", "user_id": USERS[user]}),
        }
    }

    /// Asks the node what an `Op` stands for.
    fn ask(&self, client: usize, limit: Option<usize>, op: &Op) -> Ret {
        let reply = self.send(client, &self.request(limit, op));
        match (op, text(&reply, "type").as_str()) {
            (_, "session_invalid") => Ret::Invalid,
            (Op::Create { id, .. }, "session_created") => {
                lock(&self.ids)[*id] = text(&reply, "session_id");
                lock(&self.handles).insert(text(&reply["detail"], "handle"), *id);
                Ret::Done
            }
            (Op::Regenerate { new, .. }, "session_regenerated") => {
                lock(&self.ids)[*new] = text(&reply, "new_session_id");
                Ret::Done
            }
            (Op::Validate(_), "session_valid") => Ret::Valid(text(&reply, "user_id")),
            (Op::Destroy(_), "session_destroyed") => Ret::Done,
            (Op::DestroyUser(_), "user_sessions_destroyed") => {
                Ret::Ended(reply["count"].as_u64().expect("a number"))
            }
            (Op::List(_), "session_list") => {
                let sessions = reply["sessions"].as_array().expect("a list").iter();
                Ret::Listed(sessions.map(|one| text(one, "handle")).collect())
            }
            _ => panic!("{op:?}: {reply}"),
        }
    }

    fn id_of(&self, handle: &str) -> Id {
        lock(&self.handles)[handle]
    }
}

fn check(args: &[&str], histories: u64) {
    let _turn = turns::busy();
    let node = SocketNode::start(&[args, &["--on-user-limit", "evict-oldest"]].concat());
    for (seed, limit) in (0..histories).zip([None, Some(1), Some(2)].into_iter().cycle()) {
        let clients = Clients::of(&node);
        let ask = |client: usize, op: &Op| clients.ask(client, limit, op);
        assert!(
            is_linearizable(limit, seed, &ask, &|handle| clients.id_of(handle)),
            "the answers of history {seed} fit no order"
        );
    }
    assert_eq!(node.stop(), "");
}

#[test]
fn connections_to_a_node_in_memory_are_answered_as_one_store_would() {
    check(&[], 200);
}

#[cfg(feature = "sqlite")]
#[test]
fn connections_to_a_node_on_a_file_are_answered_as_one_store_would() {
    let place = session_node_testing::place::Place::new("socket-linearizability");
    check(&["--store", &place.url()], 100);
}

#[test]
fn a_peer_that_believes_what_it_has_seen_is_found_out() {
    let _turn = turns::busy();
    let node = SocketNode::start(&[]);
    let is_found_out = (0..400).any(|seed| {
        let clients = Clients::of(&node);
        let believed = Mutex::new(HashSet::new());
        let ask = |client: usize, op: &Op| match op {
            Op::Validate(id) if lock(&believed).contains(id) => Ret::Valid(USERS[0].to_owned()),
            op => {
                let ret = clients.ask(client, None, op);
                if let (Op::Validate(id), Ret::Valid(user)) = (op, &ret)
                    && *user == USERS[0]
                {
                    lock(&believed).insert(*id);
                }
                ret
            }
        };
        !is_linearizable(None, seed, &ask, &|handle| clients.id_of(handle))
    });
    assert!(is_found_out);
}
