//! The store in a SQLite file, held against the one in memory with random operations.
#![cfg(feature = "sqlite")]

mod common;

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use session_node::session::{Binding, OnReuse, OnUserLimit, SessionKey, Timestamp};
use session_node::store::{
    Changes, Conditions, EventKind, Extras, MemoryStore, Operation, Outcome, Outcomes, Policy,
    Record, SqliteStore, Store,
};

use common::place::Place;

const START: Timestamp = Timestamp::from_millis(1_790_000_000_250);

fn open(place: &Place, policy: Policy) -> SqliteStore {
    SqliteStore::open(&place.file(), policy).expect("a file of sessions")
}

/// Random operations on few sessions of few users, as their ids would be presented.
struct Script {
    random: StdRng,
    made: u32,
    idle_timeouts: bool,
}

impl Script {
    fn key(&mut self) -> SessionKey {
        let newest = self.made.max(1);
        let number = self.random.random_range(newest.saturating_sub(30)..=newest);
        SessionKey::of(&number.to_string())
    }

    fn new_key(&mut self) -> SessionKey {
        self.made += 1;
        SessionKey::of(&self.made.to_string())
    }

    fn user(&mut self) -> &'static str {
        ["alice", "bob", "π \u{0} \"", "dave"][self.random.random_range(0..4)]
    }

    fn data(&mut self) -> Option<std::borrow::Cow<'static, str>> {
        let number = self.random.random_range(0..3);
        (number > 0).then(|| format!(r#"{{"n":{number}}}"#).into())
    }

    fn binding(&mut self) -> Option<Binding> {
        [None, None, Some(Binding::to("x")), Some(Binding::to("y"))][self.random.random_range(0..4)]
    }

    fn seconds(&mut self, most: u64) -> Duration {
        Duration::from_secs(self.random.random_range(1..=most))
    }

    fn handle(&mut self) -> Option<session_node::session::Handle> {
        let key = self.key();
        self.random.random_bool(0.9).then(|| key.handle())
    }

    fn operation(&mut self) -> Operation<'static> {
        match self.random.random_range(0..40) {
            0..12 => Operation::Create {
                key: self.new_key(),
                user: self.user().into(),
                ttl: self.seconds(300),
                idle_timeout: self.idle_timeouts.then(|| self.seconds(120)),
                extras: Some(Box::new(Extras {
                    data: self.data(),
                    binding: self.binding(),
                })),
            },
            12..22 => Operation::Validate {
                key: self.key(),
                conditions: Some(Box::new(Conditions {
                    binding: self.binding(),
                    max_age: self.random.random_bool(0.2).then_some(60),
                })),
            },
            22..28 => Operation::Regenerate {
                old: self.key(),
                new: self.new_key(),
                changes: Some(Box::new(Changes {
                    reauthenticated: self.random.random_bool(0.3),
                    data: self.data(),
                })),
            },
            28..30 => Operation::Update {
                key: self.key(),
                data: "{}".into(),
            },
            30..34 => Operation::List {
                user: self.user().into(),
                caller: self.random.random_bool(0.5).then(|| self.key()),
                limit: self.random.random_range(0..5),
            },
            34..36 => Operation::Destroy { key: self.key() },
            36 => Operation::DestroyByHandle {
                user: self.user().into(),
                handle: self.handle(),
            },
            37 => Operation::DestroyUser {
                user: self.user().into(),
                except: self.random.random_bool(0.5).then(|| self.key()),
            },
            38 if self.random.random_bool(0.1) => Operation::DestroyAll,
            _ => Operation::Stats,
        }
    }
}

/// What can be seen of a batch. When a session that has expired is removed is left to the store.
fn seen(
    store: &mut dyn Store,
    now: Timestamp,
    batch: &[Operation<'_>],
    exact: bool,
) -> Vec<String> {
    let mut outcomes = Outcomes::recording(Record::Everything);
    store.apply(now, batch, &mut outcomes);
    let mut seen = Vec::new();
    for outcome in outcomes.list() {
        let shown = match outcome.as_ref().expect("the store works") {
            Outcome::Valid {
                user,
                data,
                expires_at,
            } => {
                let data = data.as_ref().map(|data| outcomes.text(data));
                format!("valid {} {data:?} {expires_at:?}", outcomes.text(user))
            }
            Outcome::ReauthenticationRequired { user, auth_age } => {
                format!("reauthenticate {} {auth_age}", outcomes.text(user))
            }
            Outcome::Sessions { listed, more } => {
                for listed in outcomes.listed(listed) {
                    let data = listed.data.as_ref().map(|data| outcomes.text(data));
                    let mut life = listed.lifetime;
                    if !exact {
                        life.last_used_at = life.created_at;
                    }
                    seen.push(format!(
                        "{} {life:?} {data:?} {}",
                        listed.handle, listed.is_current
                    ));
                }
                format!("more: {more}")
            }
            Outcome::Stats {
                sessions, users, ..
            } if !exact => format!("stats {sessions:?} {users:?}"),
            other => format!("{other:?}"),
        };
        seen.push(shown);
    }
    for event in outcomes.events() {
        if event.kind != EventKind::Expired {
            let user = event.user.as_ref().map(|user| outcomes.text(user));
            let handle = event.handle.map(|handle| handle.to_string());
            seen.push(format!(
                "{} {:?} {user:?} {handle:?}",
                event.operation, event.kind
            ));
        }
    }
    seen
}

fn policies() -> Vec<Policy> {
    let grace = Duration::from_secs(20);
    let of = |max_sessions, per_user, on_user_limit, rotation_grace, on_reuse| Policy {
        max_sessions,
        max_sessions_per_user: per_user,
        on_user_limit,
        rotation_grace,
        on_reuse,
    };
    vec![
        Policy::default(),
        of(12, None, OnUserLimit::Reject, grace, OnReuse::Ignore),
        of(
            100,
            Some(3),
            OnUserLimit::EvictOldest,
            grace,
            OnReuse::Revoke,
        ),
        of(
            100,
            Some(2),
            OnUserLimit::Reject,
            Duration::ZERO,
            OnReuse::Revoke,
        ),
    ]
}

/// Runs the same batches on a store in memory and on stores on one file in turn.
fn compare(name: &str, nodes: usize, idle_timeouts: bool) {
    for (number, policy) in policies().into_iter().enumerate() {
        let place = Place::new(&format!("{name}-{number}"));
        let mut memory = MemoryStore::new(policy.clone());
        let mut stores: Vec<_> = (0..nodes).map(|_| open(&place, policy.clone())).collect();
        let seed = u64::try_from(number).expect("small");
        let mut script = Script {
            random: StdRng::seed_from_u64(seed),
            made: 0,
            idle_timeouts,
        };
        let mut now = START;
        for step in 0..600 {
            let length = script.random.random_range(1..5);
            let batch: Vec<_> = (0..length).map(|_| script.operation()).collect();
            let expected = seen(&mut memory, now, &batch, nodes == 1);
            let answered = seen(&mut stores[step % nodes], now, &batch, nodes == 1);
            assert_eq!(answered, expected, "policy {number}, step {step}");
            now = now + Duration::from_millis(script.random.random_range(0..9000));
        }
    }
}

#[test]
fn a_store_in_a_file_answers_what_the_store_in_memory_answers() {
    compare("same", 1, true);
}

#[test]
fn nodes_on_one_file_answer_together_what_one_store_answers() {
    compare("together", 2, false);
}
