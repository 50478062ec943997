//! What a single store answers that is asked one thing after the other.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use session_node::session::Handle;
use stateright::semantics::SequentialSpec;

use super::{USERS, key};

/// An id, as a number.
pub type Id = usize;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    Create {
        user: usize,
        id: Id,
    },
    Validate(Id),
    Regenerate {
        old: Id,
        new: Id,
    },
    /// The first step of a log-in: the session is nobody's from now on, if it was another user's.
    Leave {
        old: Id,
        new: Id,
        user: usize,
    },
    /// The second step: what has left becomes the user's.
    Begin {
        new: Id,
        user: usize,
    },
    Destroy(Id),
    DestroyUser(usize),
    List(usize),
}

impl Op {
    /// The id that it gives to a session.
    pub fn new_id(&self) -> Option<Id> {
        match *self {
            Op::Create { id: new, .. } | Op::Regenerate { new, .. } | Op::Leave { new, .. } => {
                Some(new)
            }
            _ => None,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Ret {
    Done,
    Valid(String),
    Invalid,
    Ended(u64),
    /// The handles, the oldest session first.
    Listed(Vec<Handle>),
}

/// One store, asked one thing after the other: sessions, in the order in which they became their users'.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Sequential {
    limit: Option<usize>,
    sessions: Vec<Session>,
    /// Log-ins between their two steps: the new id and the first one. It has none if the session stays where it is.
    on_the_way: Vec<(Id, Option<Id>)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Session {
    user: usize,
    first: Id,
    id: Id,
}

impl Sequential {
    pub fn with_limit(limit: Option<usize>) -> Self {
        Self {
            limit,
            ..Self::default()
        }
    }

    fn place(&self, id: Id) -> Option<usize> {
        self.sessions.iter().position(|one| one.id == id)
    }

    /// Adds a session at the end. If its user has too many then, the oldest ends.
    fn add(&mut self, session: Session) {
        let of_user = |one: &Session| one.user == session.user;
        let count = self.sessions.iter().filter(|one| of_user(one)).count();
        if self.limit.is_some_and(|limit| count >= limit) {
            let oldest = self.sessions.iter().position(of_user);
            self.sessions.remove(oldest.expect("there is one"));
        }
        self.sessions.push(session);
    }

    fn leave(&mut self, old: Id, new: Id, user: usize) -> Ret {
        let Some(place) = self.place(old) else {
            return Ret::Invalid;
        };
        let session = &mut self.sessions[place];
        if session.user == user {
            session.id = new;
            self.on_the_way.push((new, None));
        } else {
            let first = self.sessions.remove(place).first;
            self.on_the_way.push((new, Some(first)));
        }
        Ret::Done
    }

    fn begin(&mut self, new: Id, user: usize) -> Ret {
        let on_the_way = &mut self.on_the_way;
        let Some(place) = on_the_way.iter().position(|(id, _)| *id == new) else {
            return Ret::Invalid;
        };
        if let (id, Some(first)) = on_the_way.remove(place) {
            self.add(Session { user, first, id });
        }
        Ret::Done
    }

    fn invoke(&mut self, op: &Op) -> Ret {
        match *op {
            Op::Create { user, id } => {
                let first = id;
                self.add(Session { user, first, id });
                Ret::Done
            }
            Op::Validate(id) => self.place(id).map_or(Ret::Invalid, |place| {
                Ret::Valid(USERS[self.sessions[place].user].to_owned())
            }),
            Op::Regenerate { old, new } => self.place(old).map_or(Ret::Invalid, |place| {
                self.sessions[place].id = new;
                Ret::Done
            }),
            Op::Leave { old, new, user } => self.leave(old, new, user),
            Op::Begin { new, user } => self.begin(new, user),
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

/// A store on which the checker tries all orders. Many orders of the same operations lead to the same state. What
/// follows it need not be tried twice: the checker is told that a step is wrong if it has been there in vain.
#[derive(Clone)]
pub struct Search {
    store: Sequential,
    /// The operations that have been carried out: a bit for each.
    done: u64,
    tried: Arc<Mutex<HashSet<(u64, Sequential)>>>,
}

impl Search {
    pub fn on(store: Sequential) -> Self {
        Self {
            store,
            done: 0,
            tried: Arc::default(),
        }
    }
}

impl SequentialSpec for Search {
    /// Each operation of a history has a number of its own.
    type Op = (usize, Op);
    type Ret = Ret;

    fn invoke(&mut self, (number, op): &(usize, Op)) -> Ret {
        self.done |= 1 << number;
        self.store.invoke(op)
    }

    fn is_valid_step(&mut self, op: &(usize, Op), ret: &Ret) -> bool {
        let is_right = self.invoke(op) == *ret;
        let mut tried = self.tried.lock().expect("nobody has panicked");
        is_right && tried.insert((self.done, self.store.clone()))
    }
}
