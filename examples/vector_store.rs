//! Implements a complete store, as simply as possible: it keeps sessions in a vector, without any index. The store only
//! keeps and finds sessions; the rules decide. It passes the suite that every store must pass:
//! `cargo test --example vector_store`.

use session_node::session::{Binding, Lifetime, SessionKey, Timestamp};
use session_node::store::records::{self, Change, Found, NewSession, Records, Retirement};
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

/// The sessions, and how many times one has become a user's.
#[derive(Default)]
struct Sessions(Vec<Session>, u128);

struct Session {
    key: SessionKey,
    /// The key with which the session began. It refers to the session for all its life.
    first_key: SessionKey,
    user: String,
    /// Greater than the places of sessions that became a user's before it.
    place: u128,
    lifetime: Lifetime,
    data: Option<String>,
    binding: Option<Binding>,
    /// The retired keys, the oldest first, each with the time when a regeneration retired it.
    retired: Vec<(SessionKey, Retirement)>,
}

impl Sessions {
    fn index(&self, first_key: &SessionKey) -> usize {
        let index = self.0.iter().position(|it| it.first_key == *first_key);
        index.expect("a record is good until its session is removed")
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

    fn place(&self, record: &SessionKey) -> u128 {
        self.0[self.index(record)].place
    }

    fn due(&mut self, by: Timestamp, at_most: usize) -> Result<Vec<SessionKey>> {
        let found = self.0.iter().filter(|it| !it.lifetime.is_live(by));
        Ok(found.map(|it| it.first_key).take(at_most).collect())
    }

    fn session<'r>(&'r self, record: &'r SessionKey) -> records::Session<'r> {
        let session = &self.0[self.index(record)];
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
        self.1 += 1;
        self.0.push(Session {
            place: self.1,
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
        let index = self.index(record);
        let session = &mut self.0[index];
        session.lifetime = change.lifetime;
        session.data = change.data.map(str::to_owned).or(session.data.take());
        session.binding = change.binding.copied().or(session.binding);
        if let Some(new) = &change.new_key {
            let old = std::mem::replace(&mut session.key, new.key);
            session.retired.extend(new.retirement.map(|it| (old, it)));
        }
        if let Some(user) = change.user {
            self.1 += 1;
            user.clone_into(&mut session.user);
            session.place = self.1;
        }
        Ok(())
    }

    fn forget_retired(
        &mut self,
        record: &SessionKey,
        is_enough: impl Fn(Timestamp, usize) -> bool,
    ) -> Result<()> {
        let index = self.index(record);
        let retired = &mut self.0[index].retired;
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
