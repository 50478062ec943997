//! Implements a complete store, as simply as possible: it keeps sessions in a vector, in the order of their creation,
//! without any index. The store only keeps and finds sessions; the rules decide. It passes the suite that every store
//! must pass: `cargo test --example vector_store`.

use std::collections::HashSet;

use session_node::session::{Binding, Lifetime, SessionKey, Timestamp};
use session_node::store::records::{self, Change, Found, NewSession, Records, Retirement, Totals};
use session_node::store::rules::{Counters, Rules};
use session_node::store::{Batch, Outcomes, Store, StoreError};

/// A store that keeps sessions in a vector.
#[derive(Default)]
pub struct VectorStore {
    counters: Counters,
    sessions: Sessions,
}

impl Store for VectorStore {
    fn apply(&mut self, batch: &Batch<'_>, outcomes: &mut Outcomes) {
        let (sessions, counters) = (&mut self.sessions, &mut self.counters);
        Rules::new(batch, sessions, counters, outcomes).carry_out(batch.operations);
    }
}

#[derive(Default)]
struct Sessions(Vec<Session>);

struct Session {
    key: SessionKey,
    /// The key with which the session began. It refers to the session for all its life.
    first_key: SessionKey,
    user: String,
    lifetime: Lifetime,
    data: Option<String>,
    binding: Option<Binding>,
    /// The retired keys, the oldest first, each with the time when a regeneration retired it.
    retired: Vec<(SessionKey, Retirement)>,
}

impl Sessions {
    fn place(&self, first_key: &SessionKey) -> usize {
        let mut keys = self.0.iter().map(|session| session.first_key);
        let place = keys.position(|key| key == *first_key);
        place.expect("a record is good until its session is removed")
    }
}

type Result<T> = std::result::Result<T, StoreError>;

impl Records for &mut Sessions {
    type Record = SessionKey;
    type Error = StoreError;

    fn find(&mut self, key: &SessionKey) -> Result<Option<Found<SessionKey>>> {
        let found = |session: &Session| {
            let record = session.first_key;
            if session.key == *key {
                return Some(Found::Current(record));
            }
            let (_, retirement) = *session.retired.iter().find(|(old, _)| old == key)?;
            Some(Found::Retired { record, retirement })
        };
        Ok(self.0.iter().find_map(found))
    }

    fn of_user(
        &mut self,
        user: &str,
        after: Option<&SessionKey>,
        at_most: usize,
    ) -> Result<Vec<SessionKey>> {
        let behind = after.map_or(0, |after| self.place(after) + 1);
        let found = self.0[behind..].iter().filter(|it| it.user == user);
        Ok(found.map(|it| it.first_key).take(at_most).collect())
    }

    fn due(&mut self, by: Timestamp, at_most: usize) -> Result<Vec<SessionKey>> {
        let found = self.0.iter().filter(|it| !it.lifetime.is_live(by));
        Ok(found.map(|it| it.first_key).take(at_most).collect())
    }

    fn totals(&mut self) -> Result<Totals> {
        let users: HashSet<_> = self.0.iter().map(|session| &session.user).collect();
        let (sessions, users) = (self.0.len() as u64, users.len() as u64);
        Ok(Totals { sessions, users })
    }

    fn session<'r>(&'r self, record: &'r SessionKey) -> records::Session<'r> {
        let session = &self.0[self.place(record)];
        records::Session {
            user: &session.user,
            first_key: session.first_key,
            lifetime: session.lifetime,
            data: session.data.as_deref(),
            binding: session.binding.as_ref(),
        }
    }

    fn insert(&mut self, new: &NewSession<'_>) -> Result<SessionKey> {
        self.0.retain(|session| session.key != new.key);
        self.0.push(Session {
            key: new.key,
            first_key: new.key,
            user: new.user.to_owned(),
            lifetime: new.lifetime,
            data: new.data.map(str::to_owned),
            binding: new.binding.copied(),
            retired: Vec::new(),
        });
        Ok(new.key)
    }

    fn change(&mut self, record: &SessionKey, change: &Change<'_>) -> Result<()> {
        let place = self.place(record);
        let session = &mut self.0[place];
        session.lifetime = change.lifetime;
        session.data = change.data.map(str::to_owned).or(session.data.take());
        session.binding = change.binding.copied().or(session.binding);
        if let Some(new) = &change.new_key {
            let old = std::mem::replace(&mut session.key, new.key);
            session.retired.extend(new.retirement.map(|it| (old, it)));
        }
        Ok(())
    }

    fn forget_retired(
        &mut self,
        record: &SessionKey,
        is_enough: impl Fn(Timestamp, usize) -> bool,
    ) -> Result<()> {
        let place = self.place(record);
        let retired = &mut self.0[place].retired;
        let all = retired.len();
        let kept = (0..all).find(|first| is_enough(retired[*first].1.at, all - first));
        retired.drain(..kept.unwrap_or(all));
        Ok(())
    }

    fn remove(&mut self, record: &SessionKey) -> Result<()> {
        self.0.retain(|session| session.first_key != *record);
        Ok(())
    }
}

fn main() {}

#[cfg(test)]
session_node::store_contract!(contract, super::VectorStore::default);
