//! Several clients of three nodes on one store, at the same time: is there an order of their operations, each at one
//! moment between its request and its reply, in which a single store would have given the same answers?
//!
//! On Redis, a log-in is two steps: the session leaves one user, and begins at another. Each happens at one moment of
//! its own, in this order. In between, the session is nobody's.
//!
//! A published checker decides. And since a check that never says no proves nothing, stores that are wrong on purpose
//! have to be found out.
#![cfg(feature = "redis")]

mod sequential;
mod wrong;

use std::sync::{Barrier, Mutex, MutexGuard};
use std::thread;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use session_node::session::{SessionKey, Timestamp};
use session_node::store::{Batch, Changes, Operation, Outcome, Outcomes, Policy, Store};
use stateright::semantics::{ConsistencyTester, LinearizabilityTester};

use session_node_testing::redis_server::{Cluster, RedisServer, connect, prefix};
use session_node_testing::{needs, turns};

use self::sequential::{Id, Op, Ret, Search, Sequential};
use self::wrong::{Believing, LookingFirst};

const NODES: usize = 3;
const CLIENTS: usize = 4;
/// Few enough for the checker, and enough for two clients to meet.
const OPERATIONS_OF_A_CLIENT: usize = 4;
const USERS: [&str; 2] = ["alice", "bob"];

fn key(id: Id) -> SessionKey {
    SessionKey::of(&id.to_string())
}

/// Asks a store what an `Op` stands for. The first step of a log-in stands for the whole.
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
        Op::Leave { old, new, user } => Operation::Regenerate {
            old: key(old),
            new: key(new),
            changes: Some(Box::new(Changes {
                user: Some(USERS[user].into()),
                ..Changes::default()
            })),
        },
        Op::Begin { .. } => unreachable!("a log-in is asked for by its first step"),
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

/// What a client does next: one operation, or the two steps of a log-in. Ids of its own are new; of others it presents
/// those that were handed out, since nobody can guess one.
fn next_ops(random: &mut StdRng, new: Id, handed_out: &[Id]) -> Vec<Op> {
    let user = random.random_range(0..USERS.len());
    if handed_out.is_empty() {
        return vec![Op::Create { user, id: new }];
    }
    // Most often one of the first two, so that clients meet.
    let among = if random.random_bool(0.6) {
        handed_out.len().min(2)
    } else {
        handed_out.len()
    };
    let some = handed_out[random.random_range(0..among)];
    vec![match random.random_range(0..20) {
        0..2 => Op::Create { user, id: new },
        2..8 => Op::Validate(some),
        8..11 => Op::Regenerate { old: some, new },
        11..14 => {
            let leave = Op::Leave {
                old: some,
                new,
                user,
            };
            return vec![leave, Op::Begin { new, user }];
        }
        14..16 => Op::Destroy(some),
        16..18 => Op::DestroyUser(user),
        _ => Op::List(user),
    }]
}

/// What clients of several nodes share.
struct Conversation {
    nodes: Vec<Mutex<Box<dyn Store>>>,
    policy: Policy,
    start: Barrier,
    /// The ids that clients know of each other.
    handed_out: Mutex<Vec<Id>>,
    tester: Mutex<Tester>,
}

/// To the checker, each step of a log-in is the operation of a client of its own: the first one's number is 0.
type Tester = LinearizabilityTester<(usize, usize), Search>;

impl Conversation {
    /// Lets clients loose on nodes, and says whether what they saw can be explained.
    fn is_linearizable(nodes: Vec<Box<dyn Store>>, limit: Option<usize>, seed: u64) -> bool {
        let conversation = Self {
            nodes: nodes.into_iter().map(Mutex::new).collect(),
            policy: Policy {
                max_sessions_per_user: limit,
                ..Policy::default()
            },
            start: Barrier::new(CLIENTS),
            handed_out: Mutex::default(),
            tester: Mutex::new(Tester::new(Search::on(Sequential::with_limit(limit)))),
        };
        thread::scope(|scope| {
            for client in 0..CLIENTS {
                let conversation = &conversation;
                let random = StdRng::seed_from_u64(seed * 100 + client as u64);
                scope.spawn(move || conversation.talk(client, random));
            }
        });
        let tester = conversation.tester.into_inner();
        tester.expect("no client has panicked").is_consistent()
    }

    /// Does what one client does.
    fn talk(&self, client: usize, mut random: StdRng) {
        self.start.wait();
        for number in 0..OPERATIONS_OF_A_CLIENT {
            let known = lock(&self.handed_out).clone();
            let ops = next_ops(&mut random, client * 100 + number, &known);
            let mut tester = lock(&self.tester);
            for (step, op) in ops.iter().enumerate() {
                let op = (tester.len(), op.clone());
                let invoked = tester.on_invoke((client, step), op);
                invoked.expect("one at a time");
            }
            drop(tester);
            let ret = ask(
                &mut **lock(&self.nodes[client % NODES]),
                &self.policy,
                &ops[0],
            );
            let mut tester = lock(&self.tester);
            for step in 0..ops.len() {
                let returned = tester.on_return((client, step), ret.clone());
                returned.expect("it was asked");
            }
            drop(tester);
            if let (Some(new), Ret::Done) = (ops[0].new_id(), ret) {
                lock(&self.handed_out).push(new);
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no client has panicked")
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
            Conversation::is_linearizable(nodes(url), limit, seed),
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

/// Whether any of some histories gives the store away that `wrap` makes wrong.
fn is_found_out(wrap: impl Fn(Box<dyn Store>) -> Box<dyn Store>) -> bool {
    let _turn = turns::busy();
    let server = RedisServer::start();
    (0..400).any(|seed| {
        let wrong = nodes(&server.url()).into_iter().map(&wrap);
        !Conversation::is_linearizable(wrong.collect(), None, seed)
    })
}

#[test]
fn a_store_that_believes_what_it_has_seen_is_found_out() {
    needs!(REDIS_SERVER);
    assert!(is_found_out(|store| { Box::new(Believing::new(store)) }));
}

#[test]
fn a_store_that_regenerates_or_logs_in_in_two_steps_is_found_out() {
    needs!(REDIS_SERVER);
    for at_log_ins in [false, true] {
        assert!(is_found_out(|store| Box::new(LookingFirst {
            store,
            at_log_ins
        })));
    }
}
