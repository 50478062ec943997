//! What one store would answer that is asked one thing after the other, and clients who ask many things at once.

use std::sync::{Barrier, Mutex};
use std::thread;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use stateright::semantics::{ConsistencyTester, LinearizabilityTester, SequentialSpec};

pub const CLIENTS: usize = 4;
/// Few enough for the checker, which tries all orders, and enough for two clients to meet.
const OPERATIONS_OF_A_CLIENT: usize = 4;
/// The numbers of a client's ids begin at its own number, times this.
const IDS_OF_A_CLIENT: usize = 100;
/// All ids are below this.
pub const IDS: usize = CLIENTS * IDS_OF_A_CLIENT;
pub const USERS: [&str; 2] = ["alice", "bob"];

/// An id, as a number.
pub type Id = usize;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    Create { user: usize, id: Id },
    Validate(Id),
    Regenerate { old: Id, new: Id },
    Destroy(Id),
    DestroyUser(usize),
    List(usize),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Ret {
    Done,
    Valid(String),
    Invalid,
    Ended(u64),
    /// The handles, the oldest session first.
    Listed(Vec<String>),
    /// The same, each as the id that its session had at first.
    Sessions(Vec<Id>),
}

/// One store, asked one thing after the other: sessions, in the order of their creation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Sequential {
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
                Ret::Sessions(of_user.map(|one| one.first).collect())
            }
        }
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

/// What happens to an operation.
enum Event {
    Invoked(Op),
    Returned(Ret),
}

/// Lets clients loose on what `ask` asks, and says whether what they saw can be explained. `id_of` tells which id a
/// session had at first by its handle.
pub fn is_linearizable(
    limit: Option<usize>,
    seed: u64,
    ask: &(impl Fn(usize, &Op) -> Ret + Sync),
    id_of: &impl Fn(&str) -> Id,
) -> bool {
    let start = Barrier::new(CLIENTS);
    let (handed_out, events) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (start, handed_out, events) = (&start, &handed_out, &events);
            let record = move |event| {
                let mut events = events.lock().expect("no client has panicked");
                events.push((client, event));
            };
            scope.spawn(move || {
                let mut random = StdRng::seed_from_u64(seed * 100 + client as u64);
                start.wait();
                for number in 0..OPERATIONS_OF_A_CLIENT {
                    let known = handed_out.lock().expect("no client has panicked").clone();
                    let op = next_op(&mut random, client * IDS_OF_A_CLIENT + number, &known);
                    record(Event::Invoked(op.clone()));
                    let ret = ask(client, &op);
                    record(Event::Returned(ret.clone()));
                    if let (Op::Create { id: new, .. } | Op::Regenerate { new, .. }, Ret::Done) =
                        (op, ret)
                    {
                        handed_out.lock().expect("no client has panicked").push(new);
                    }
                }
            });
        }
    });
    let sessions = Vec::new();
    let mut tester = LinearizabilityTester::new(Sequential { limit, sessions });
    for (client, event) in events.into_inner().expect("no client has panicked") {
        let noted = match event {
            Event::Invoked(op) => tester.on_invoke(client, op),
            // A list may show a session before its creator has the reply, so its handle is known only now.
            Event::Returned(Ret::Listed(handles)) => {
                let ids = handles.iter().map(|handle| id_of(handle)).collect();
                tester.on_return(client, Ret::Sessions(ids))
            }
            Event::Returned(ret) => tester.on_return(client, ret),
        };
        noted.expect("one operation at a time");
    }
    tester.is_consistent()
}
