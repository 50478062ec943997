//! Several clients of three nodes on one store, at the same time: is there an order of their operations, each at one
//! moment between its request and its reply, in which a single store would have given the same answers?
//!
//! A published checker decides. And since a check that never says no proves nothing, stores that are wrong on purpose
//! have to be found out.
#![cfg(feature = "redis")]

use std::collections::HashSet;
use std::sync::Mutex;

use session_node::session::{SessionKey, Timestamp};
use session_node::store::{Batch, Operation, Outcome, Outcomes, Policy, Store};

use session_node_testing::redis_server::{Cluster, RedisServer, connect, prefix};
use session_node_testing::{needs, turns};

use super::sequential::{self, IDS, Id, Op, Ret, USERS};

const NODES: usize = 3;

fn key(id: Id) -> SessionKey {
    SessionKey::of(&id.to_string())
}

/// Asks a store what an `Op` stands for.
fn ask(store: &mut dyn Store, policy: &Policy, op: &Op) -> Ret {
    let operation = match *op {
        Op::Create { user, id } => Operation::Create {
            key: key(id),
            user: USERS[user].into(),
            options: None,
        },
        Op::Validate(id) => Operation::Validate {
            key: key(id),
            conditions: None,
        },
        Op::Regenerate { old, new } => Operation::Regenerate {
            old: key(old),
            new: key(new),
            changes: None,
        },
        Op::Destroy(id) => Operation::Destroy {
            key: key(id),
            detail: false,
        },
        Op::DestroyUser(user) => Operation::DestroyUser {
            user: USERS[user].into(),
            except: None,
        },
        Op::List(user) => Operation::List {
            user: USERS[user].into(),
            caller: None,
            options: Box::default(),
        },
    };
    let mut outcomes = Outcomes::new();
    let batch = Batch {
        now: Timestamp::from_millis(1_790_000_000_000),
        policy,
        operations: &[operation],
    };
    store.apply(&batch, &mut outcomes);
    match outcomes.all()[0].as_ref().expect("the server works") {
        Outcome::Created { .. } | Outcome::Regenerated | Outcome::Destroyed { .. } => Ret::Done,
        Outcome::Valid { user, .. } => Ret::Valid(outcomes.text(user).to_owned()),
        Outcome::Invalid => Ret::Invalid,
        Outcome::DestroyedMany { count } => Ret::Ended(*count),
        Outcome::Sessions { listed, .. } => {
            let listed = outcomes.listed(listed).iter();
            Ret::Listed(listed.map(|one| one.handle.to_string()).collect())
        }
        other => panic!("{other:?}"),
    }
}

/// Lets clients loose on nodes, and says whether what they saw can be explained.
fn is_linearizable(nodes: Vec<Box<dyn Store>>, limit: Option<usize>, seed: u64) -> bool {
    let nodes: Vec<_> = nodes.into_iter().map(Mutex::new).collect();
    let policy = policy(limit);
    let ask_node = |client: usize, op: &Op| {
        let node = nodes[client % NODES].lock();
        ask(&mut **node.expect("no client has panicked"), &policy, op)
    };
    let has_handle = |id: Id, handle: &str| key(id).handle().to_string() == handle;
    let id_of = |handle: &str| (0..IDS).find(|id| has_handle(*id, handle));
    sequential::is_linearizable(limit, seed, &ask_node, &|handle| {
        id_of(handle).expect("some client has made it")
    })
}

fn policy(limit: Option<usize>) -> Policy {
    Policy {
        max_sessions_per_user: limit,
        ..Policy::default()
    }
}

/// Three nodes on an empty store.
fn nodes(url: &str) -> Vec<Box<dyn Store>> {
    let prefix = prefix();
    (0..NODES)
        .map(|_| Box::new(connect(url, &prefix)) as Box<dyn Store>)
        .collect()
}

fn check(url: &str, histories: u64) {
    let _turn = turns::busy();
    for (seed, limit) in (0..histories).zip([None, Some(1), Some(2)].into_iter().cycle()) {
        assert!(
            is_linearizable(nodes(url), limit, seed),
            "the answers of history {seed} fit no order"
        );
    }
}

#[test]
fn three_nodes_on_one_server_answer_as_one_store_would() {
    needs!(REDIS_SERVER);
    check(&RedisServer::start().url(), 400);
}

#[test]
fn three_nodes_on_a_cluster_answer_as_one_store_would() {
    needs!(REDIS_SERVER);
    check(&Cluster::start().url(), 200);
}

/// A store that believes what it has once seen to be valid.
struct Believing {
    store: Box<dyn Store>,
    valid: HashSet<SessionKey>,
}

impl Store for Believing {
    fn apply(&mut self, batch: &Batch<'_>, outcomes: &mut Outcomes) {
        let [operation] = batch.operations else {
            panic!("one at a time")
        };
        match operation {
            Operation::Validate { key, .. } if self.valid.contains(key) => {
                let user = outcomes.keep(USERS[0]);
                outcomes.push(Ok(Outcome::Valid {
                    user,
                    data: None,
                    expires_at: batch.now,
                }));
                return;
            }
            _ => self.store.apply(batch, outcomes),
        }
        if let (Operation::Validate { key, .. }, Ok(Outcome::Valid { user, .. })) =
            (operation, &outcomes.all()[0])
            && outcomes.text(user) == USERS[0]
        {
            self.valid.insert(*key);
        }
    }
}

/// A store that regenerates in two steps: it looks whether the session is live, and then takes it that it still is.
struct LookingFirst(Box<dyn Store>);

impl Store for LookingFirst {
    fn apply(&mut self, batch: &Batch<'_>, outcomes: &mut Outcomes) {
        let [Operation::Regenerate { old, .. }] = batch.operations else {
            return self.0.apply(batch, outcomes);
        };
        let look = Operation::Validate {
            key: *old,
            conditions: None,
        };
        let mut seen = Outcomes::new();
        let first = Batch {
            operations: &[look],
            ..*batch
        };
        self.0.apply(&first, &mut seen);
        self.0.apply(batch, &mut Outcomes::new());
        outcomes.push(Ok(match &seen.all()[0] {
            Ok(Outcome::Valid { .. }) => Outcome::Regenerated,
            _ => Outcome::Invalid,
        }));
    }
}

/// Whether any of some histories gives the store away that `wrap` makes wrong.
fn is_found_out(wrap: impl Fn(Box<dyn Store>) -> Box<dyn Store>) -> bool {
    let _turn = turns::busy();
    let server = RedisServer::start();
    (0..400).any(|seed| {
        let wrong = nodes(&server.url()).into_iter().map(&wrap);
        !is_linearizable(wrong.collect(), None, seed)
    })
}

#[test]
fn a_store_that_believes_what_it_has_seen_is_found_out() {
    needs!(REDIS_SERVER);
    assert!(is_found_out(|store| {
        Box::new(Believing {
            store,
            valid: HashSet::new(),
        })
    }));
}

#[test]
fn a_store_that_regenerates_in_two_steps_is_found_out() {
    needs!(REDIS_SERVER);
    assert!(is_found_out(|store| Box::new(LookingFirst(store))));
}
