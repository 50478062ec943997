//! A store with a hand-moved time, what its outcomes look like to a test, and short names for operations.

use std::time::Duration;

use session_node::session::{Binding, Handle, Lifetime, SessionKey, Timestamp};
use session_node::store::{
    Changes, Conditions, Extras, Listed, Operation, Outcome, Outcomes, Store,
};

pub const START: Timestamp = Timestamp::from_millis(1_790_000_000_250);
pub const HOUR: Duration = Duration::from_secs(3600);

/// An outcome with its user's name in place.
#[derive(Debug, PartialEq, Eq)]
pub enum Seen {
    Created(Timestamp),
    Valid(String, Timestamp),
    /// The same, of a session with data.
    ValidWith(String, Timestamp, String),
    ReauthenticationRequired(String, u64),
    Invalid,
    Regenerated,
    Updated,
    /// And whether there are more.
    Sessions(Vec<SeenListed>, bool),
    Destroyed,
    DestroyedMany(u64),
    Full,
    UserLimit,
    /// Sessions, users, destroyed, expired.
    Stats(Option<u64>, Option<u64>, u64, u64),
}

/// A listed session with its data in place.
#[derive(Debug, PartialEq, Eq)]
pub struct SeenListed {
    pub handle: Handle,
    pub lifetime: Lifetime,
    pub data: Option<String>,
    pub is_current: bool,
}

pub fn valid(user: &str, ends_at: Timestamp) -> Seen {
    Seen::Valid(user.to_owned(), ends_at)
}

/// A store with a hand-moved time.
pub struct Bench<S> {
    pub store: S,
    pub now: Timestamp,
}

impl<S: Store> Bench<S> {
    pub fn new(store: S) -> Self {
        Self { store, now: START }
    }

    pub fn advance(&mut self, millis: u64) {
        self.now = self.now + Duration::from_millis(millis);
    }

    pub fn apply(&mut self, batch: &[Operation<'_>]) -> Vec<Seen> {
        let mut outcomes = Outcomes::new();
        self.store.apply(self.now, batch, &mut outcomes);
        let see = |outcome: &Outcome| match outcome {
            Outcome::Created { expires_at } => Seen::Created(*expires_at),
            Outcome::Valid {
                user,
                data: None,
                expires_at,
            } => valid(outcomes.text(user), *expires_at),
            Outcome::Valid {
                user,
                data: Some(data),
                expires_at,
            } => Seen::ValidWith(
                outcomes.text(user).to_owned(),
                *expires_at,
                outcomes.text(data).to_owned(),
            ),
            Outcome::ReauthenticationRequired { user, auth_age } => {
                Seen::ReauthenticationRequired(outcomes.text(user).to_owned(), *auth_age)
            }
            Outcome::Updated => Seen::Updated,
            Outcome::Sessions { listed, more } => {
                let listed = outcomes.listed(listed).iter();
                let see = |one: &Listed| SeenListed {
                    handle: one.handle,
                    lifetime: one.lifetime,
                    data: one.data.as_ref().map(|data| outcomes.text(data).to_owned()),
                    is_current: one.is_current,
                };
                Seen::Sessions(listed.map(see).collect(), *more)
            }
            Outcome::DestroyedMany { count } => Seen::DestroyedMany(*count),
            Outcome::UserLimit { .. } => Seen::UserLimit,
            Outcome::Stats {
                sessions,
                users,
                destroyed,
                expired,
            } => Seen::Stats(*sessions, *users, *destroyed, *expired),
            Outcome::Invalid => Seen::Invalid,
            Outcome::Regenerated => Seen::Regenerated,
            Outcome::Destroyed => Seen::Destroyed,
            Outcome::Full { .. } => Seen::Full,
        };
        let list = outcomes.list().iter();
        list.map(|outcome| see(outcome.as_ref().expect("the store works")))
            .collect()
    }

    pub fn one(&mut self, operation: Operation<'_>) -> Seen {
        let mut seen = self.apply(&[operation]);
        assert_eq!(seen.len(), 1, "one outcome for one operation");
        seen.remove(0)
    }
}

pub fn key(id: &str) -> SessionKey {
    SessionKey::of(id)
}

pub fn create<'a>(id: &str, user: &'a str, ttl: Duration) -> Operation<'a> {
    Operation::Create {
        key: key(id),
        user: user.into(),
        ttl,
        idle_timeout: None,
        extras: None,
    }
}

pub fn validate(id: &str) -> Operation<'static> {
    Operation::Validate {
        key: key(id),
        conditions: None,
    }
}

pub fn regenerate(old: &str, new: &str) -> Operation<'static> {
    Operation::Regenerate {
        old: key(old),
        new: key(new),
        changes: None,
    }
}

pub fn destroy(id: &str) -> Operation<'static> {
    Operation::Destroy { key: key(id) }
}

/// A session with an idle timeout, data and a binding.
pub fn create_with<'a>(
    id: &str,
    user: &'a str,
    idle_timeout: Option<Duration>,
    data: Option<&'a str>,
    binding: Option<&str>,
) -> Operation<'a> {
    Operation::Create {
        key: key(id),
        user: user.into(),
        ttl: HOUR,
        idle_timeout,
        extras: Some(Box::new(Extras {
            data: data.map(Into::into),
            binding: binding.map(Binding::to),
        })),
    }
}

pub fn validate_if(id: &str, binding: Option<&str>, max_age: Option<u64>) -> Operation<'static> {
    Operation::Validate {
        key: key(id),
        conditions: Some(Box::new(Conditions {
            binding: binding.map(Binding::to),
            max_age,
        })),
    }
}

pub fn regenerate_with<'a>(
    old: &str,
    new: &str,
    reauthenticated: bool,
    data: Option<&'a str>,
) -> Operation<'a> {
    Operation::Regenerate {
        old: key(old),
        new: key(new),
        changes: Some(Box::new(Changes {
            reauthenticated,
            data: data.map(Into::into),
        })),
    }
}

pub fn update<'a>(id: &str, data: &'a str) -> Operation<'a> {
    Operation::Update {
        key: key(id),
        data: data.into(),
    }
}

pub fn list<'a>(user: &'a str, caller: Option<&str>, limit: usize) -> Operation<'a> {
    Operation::List {
        user: user.into(),
        caller: caller.map(key),
        limit,
    }
}

pub fn destroy_by_handle(user: &str, handle: Handle) -> Operation<'_> {
    Operation::DestroyByHandle {
        user: user.into(),
        handle: Some(handle),
    }
}

pub fn destroy_user<'a>(user: &'a str, except: Option<&str>) -> Operation<'a> {
    Operation::DestroyUser {
        user: user.into(),
        except: except.map(key),
    }
}
