//! Several clients of three nodes on one store, at the same time: is there an order of their operations, each at one
//! moment between its request and its reply, in which a single store would have given the same answers?
//!
//! A published checker decides. And since a check that never says no proves nothing, stores that are wrong on purpose
//! have to be found out.
#![cfg(feature = "redis")]

use std::collections::HashSet;
use std::sync::{Barrier, Mutex};
use std::thread;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use session_node::session::{Handle, SessionKey, Timestamp};
use session_node::store::{Batch, Operation, Outcome, Outcomes, Policy, Store};
use stateright::semantics::{ConsistencyTester, LinearizabilityTester, SequentialSpec};

use session_node_testing::redis_server::{Cluster, RedisServer, connect, prefix};
use session_node_testing::{needs, turns};

const NODES: usize = 3;
const CLIENTS: usize = 4;
/// Few enough for the checker, which tries all orders, and enough for two clients to meet.
const OPERATIONS_OF_A_CLIENT: usize = 4;
const USERS: [&str; 2] = ["alice", "bob"];

/// An id, as a number.
type Id = usize;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Op {
    Create { user: usize, id: Id },
    Validate(Id),
    Regenerate { old: Id, new: Id },
    Destroy(Id),
    DestroyUser(usize),
    List(usize),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Ret {
    Done,
    Valid(String),
    Invalid,
    Ended(u64),
    /// The handles, the oldest session first.
    Listed(Vec<Handle>),
}

/// One store, asked one thing after the other: sessions, in the order of their creation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Sequential {
    limit: Option<usize>,
    sessions: Vec<Session>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Session {
    user: usize,
    first: Id,
    id: Id,
}

impl SequentialSpec for Sequential {
    type Op = Op;
    type Ret = Ret;

    fn invoke(&mut self, op: &Op) -> Ret {
        let found = |sessions: &[Session], id: Id| sessions.iter().position(|one| one.id == id);
        match *op {
            Op::Create { user, id } => {
                let of_user = |one: &&Session| one.user == user;
                if self
                    .limit
                    .is_some_and(|limit| self.sessions.iter().filter(of_user).count() >= limit)
                {
                    let oldest = self.sessions.iter().position(|one| one.user == user);
                    self.sessions.remove(oldest.expect("there is one"));
                }
                let first = id;
                self.sessions.push(Session { user, first, id });
                Ret::Done
            }
            Op::Validate(id) => found(&self.sessions, id).map_or(Ret::Invalid, |place| {
                Ret::Valid(USERS[self.sessions[place].user].to_owned())
            }),
            Op::Regenerate { old, new } => {
                found(&self.sessions, old).map_or(Ret::Invalid, |place| {
                    self.sessions[place].id = new;
                    Ret::Done
                })
            }
            Op::Destroy(id) => {
                self.sessions.retain(|one| one.id != id);
                Ret::Done
            }
            Op::DestroyUser(user) => {
                let before = self.sessions.len();
                self.sessions.retain(|one| one.user != user);
                Ret::Ended((before - self.sessions.len()) as u64)
            }
            Op::List(user) => {
                let of_user = self.sessions.iter().filter(|one| one.user == user);
                Ret::Listed(of_user.map(|one| key(one.first).handle()).collect())
            }
        }
    }
}

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
            Ret::Listed(listed.map(|one| one.handle).collect())
        }
        other => panic!("{other:?}"),
    }
}

/// What a client does next. Ids of its own are new; of others it presents those that were handed out, since nobody can
/// guess one.
fn next_op(random: &mut StdRng, new: Id, handed_out: &[Id]) -> Op {
    let user = random.random_range(0..USERS.len());
    if handed_out.is_empty() {
        return Op::Create { user, id: new };
    }
    // Most often one of the first two, so that clients meet.
    let among = if random.random_bool(0.6) {
        handed_out.len().min(2)
    } else {
        handed_out.len()
    };
    let some = handed_out[random.random_range(0..among)];
    match random.random_range(0..20) {
        0..2 => Op::Create { user, id: new },
        2..9 => Op::Validate(some),
        9..14 => Op::Regenerate { old: some, new },
        14..16 => Op::Destroy(some),
        16..18 => Op::DestroyUser(user),
        _ => Op::List(user),
    }
}

/// Lets clients loose on nodes, and says whether what they saw can be explained.
fn is_linearizable(mut nodes: Vec<Box<dyn Store>>, limit: Option<usize>, seed: u64) -> bool {
    let nodes: Vec<_> = nodes.drain(..).map(Mutex::new).collect();
    let sequential = Sequential {
        limit,
        sessions: Vec::new(),
    };
    let tester = Mutex::new(LinearizabilityTester::new(sequential));
    let policy = &policy(limit);
    let start = Barrier::new(CLIENTS);
    let handed_out = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (nodes, tester, start, handed_out) = (&nodes, &tester, &start, &handed_out);
            scope.spawn(move || {
                let mut random = StdRng::seed_from_u64(seed * 100 + client as u64);
                start.wait();
                for number in 0..OPERATIONS_OF_A_CLIENT {
                    let known = handed_out.lock().expect("no client has panicked").clone();
                    let op = next_op(&mut random, client * 100 + number, &known);
                    let record = |note: &mut dyn FnMut(&mut LinearizabilityTester<_, _>)| {
                        note(&mut tester.lock().expect("no client has panicked"));
                    };
                    record(&mut |tester| {
                        tester.on_invoke(client, op.clone()).expect("one at a time");
                    });
                    let mut node = nodes[client % NODES]
                        .lock()
                        .expect("no client has panicked");
                    let ret = ask(&mut **node, policy, &op);
                    drop(node);
                    record(&mut |tester| {
                        tester.on_return(client, ret.clone()).expect("it was asked");
                    });
                    if let (Op::Create { id: new, .. } | Op::Regenerate { new, .. }, Ret::Done) =
                        (op, ret)
                    {
                        handed_out.lock().expect("no client has panicked").push(new);
                    }
                }
            });
        }
    });
    tester
        .into_inner()
        .expect("no client has panicked")
        .is_consistent()
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
