//! What every store promises, whatever it is made of. Each store runs the whole suite.

use std::time::Duration;

use session_node::session::{SessionKey, Timestamp};
use session_node::store::{MemoryStore, Operation, Outcome, Outcomes, Policy, Store};

const START: Timestamp = Timestamp::from_millis(1_790_000_000_250);
const HOUR: Duration = Duration::from_secs(3600);

/// An outcome with its user's name in place.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Created(Timestamp),
    Valid(String, Timestamp),
    Invalid,
    Regenerated,
    Destroyed,
    Full,
}

fn valid(user: &str, ends_at: Timestamp) -> Seen {
    Seen::Valid(user.to_owned(), ends_at)
}

/// A store with a hand-moved time.
struct Bench<S> {
    store: S,
    now: Timestamp,
}

impl<S: Store> Bench<S> {
    fn new(store: S) -> Self {
        Self { store, now: START }
    }

    fn advance(&mut self, millis: u64) {
        self.now = self.now + Duration::from_millis(millis);
    }

    fn apply(&mut self, batch: &[Operation<'_>]) -> Vec<Seen> {
        let mut outcomes = Outcomes::new();
        self.store.apply(self.now, batch, &mut outcomes);
        let see = |outcome: &Outcome| match outcome {
            Outcome::Created { expires_at } => Seen::Created(*expires_at),
            Outcome::Valid {
                user,
                data: None,
                expires_at,
            } => valid(outcomes.text(user), *expires_at),
            Outcome::Invalid => Seen::Invalid,
            Outcome::Regenerated => Seen::Regenerated,
            Outcome::Destroyed => Seen::Destroyed,
            Outcome::Full { .. } => Seen::Full,
            other => panic!("{other:?}"),
        };
        let list = outcomes.list().iter();
        list.map(|outcome| see(outcome.as_ref().expect("the store works")))
            .collect()
    }

    fn one(&mut self, operation: Operation<'_>) -> Seen {
        let mut seen = self.apply(&[operation]);
        assert_eq!(seen.len(), 1, "one outcome for one operation");
        seen.remove(0)
    }
}

fn key(id: &str) -> SessionKey {
    SessionKey::of(id)
}

fn create<'a>(id: &str, user: &'a str, ttl: Duration) -> Operation<'a> {
    Operation::Create {
        key: key(id),
        user: user.into(),
        ttl,
        idle_timeout: None,
        extras: None,
    }
}

fn validate(id: &str) -> Operation<'static> {
    Operation::Validate {
        key: key(id),
        conditions: None,
    }
}

fn regenerate(old: &str, new: &str) -> Operation<'static> {
    Operation::Regenerate {
        old: key(old),
        new: key(new),
        changes: None,
    }
}

fn destroy(id: &str) -> Operation<'static> {
    Operation::Destroy { key: key(id) }
}

fn memory_of(max_sessions: usize) -> MemoryStore {
    MemoryStore::new(Policy {
        max_sessions,
        ..Policy::default()
    })
}

/// The suite: `$store` makes an empty store that holds up to the given number of live sessions.
macro_rules! suite {
    ($name:ident, $store:expr) => {
        mod $name {
            use super::*;

            fn bench(max_sessions: usize) -> Bench<impl Store> {
                let make: fn(usize) -> _ = $store;
                Bench::new(make(max_sessions))
            }

            #[test]
            fn a_session_is_valid_for_its_user_until_its_end() {
                let mut store = bench(10);
                assert_eq!(
                    store.one(create("a", "alice", HOUR)),
                    Seen::Created(START + HOUR)
                );
                assert_eq!(store.one(validate("a")), valid("alice", START + HOUR));
                store.advance(3_599_999);
                assert_eq!(store.one(validate("a")), valid("alice", START + HOUR));
                store.advance(1);
                assert_eq!(store.one(validate("a")), Seen::Invalid);
            }

            #[test]
            fn a_key_that_was_never_created_is_invalid() {
                let mut store = bench(10);
                assert_eq!(store.one(validate("a")), Seen::Invalid);
                assert_eq!(store.one(regenerate("a", "b")), Seen::Invalid);
                assert_eq!(store.one(validate("b")), Seen::Invalid);
            }

            #[test]
            fn regeneration_moves_user_and_end_of_life_to_the_new_key() {
                let mut store = bench(10);
                store.one(create("a", "alice", HOUR));
                store.advance(60_000);
                assert_eq!(store.one(regenerate("a", "b")), Seen::Regenerated);
                assert_eq!(store.one(validate("a")), Seen::Invalid);
                assert_eq!(store.one(validate("b")), valid("alice", START + HOUR));
                assert_eq!(store.one(regenerate("a", "c")), Seen::Invalid);
                assert_eq!(store.one(validate("c")), Seen::Invalid);
                assert_eq!(store.one(validate("b")), valid("alice", START + HOUR));
                store.advance(3_540_000);
                assert_eq!(store.one(validate("b")), Seen::Invalid);
            }

            #[test]
            fn an_expired_session_cannot_be_regenerated() {
                let mut store = bench(10);
                store.one(create("a", "alice", HOUR));
                store.advance(3_600_000);
                assert_eq!(store.one(regenerate("a", "b")), Seen::Invalid);
                assert_eq!(store.one(validate("b")), Seen::Invalid);
            }

            #[test]
            fn a_session_can_be_regenerated_in_its_last_millisecond() {
                let mut store = bench(10);
                store.one(create("a", "alice", HOUR));
                store.advance(3_599_999);
                assert_eq!(store.one(regenerate("a", "b")), Seen::Regenerated);
                assert_eq!(store.one(validate("b")), valid("alice", START + HOUR));
            }

            #[test]
            fn a_destroyed_session_is_gone_and_destroying_again_is_no_error() {
                let mut store = bench(10);
                store.one(create("a", "alice", HOUR));
                store.one(create("b", "alice", HOUR));
                for _ in 0..2 {
                    assert_eq!(store.one(destroy("a")), Seen::Destroyed);
                    assert_eq!(store.one(validate("a")), Seen::Invalid);
                    assert_eq!(store.one(regenerate("a", "c")), Seen::Invalid);
                }
                assert_eq!(store.one(validate("b")), valid("alice", START + HOUR));
            }

            #[test]
            fn each_operation_of_a_batch_sees_those_before_it() {
                let mut store = bench(10);
                assert_eq!(
                    store.apply(&[
                        validate("a"),
                        create("a", "alice", HOUR),
                        validate("a"),
                        regenerate("a", "b"),
                        validate("a"),
                        validate("b"),
                        destroy("b"),
                        validate("b"),
                    ]),
                    [
                        Seen::Invalid,
                        Seen::Created(START + HOUR),
                        valid("alice", START + HOUR),
                        Seen::Regenerated,
                        Seen::Invalid,
                        valid("alice", START + HOUR),
                        Seen::Destroyed,
                        Seen::Invalid,
                    ]
                );
                assert_eq!(store.apply(&[]), []);
            }

            #[test]
            fn a_full_store_takes_a_session_again_when_one_was_destroyed() {
                let mut store = bench(2);
                store.apply(&[create("a", "alice", HOUR), create("b", "bob", HOUR)]);
                assert_eq!(store.one(create("c", "carol", HOUR)), Seen::Full);
                assert_eq!(store.one(validate("c")), Seen::Invalid);
                assert_eq!(store.one(regenerate("a", "d")), Seen::Regenerated);
                assert_eq!(store.one(create("c", "carol", HOUR)), Seen::Full);
                store.one(destroy("b"));
                assert_eq!(
                    store.one(create("c", "carol", HOUR)),
                    Seen::Created(START + HOUR)
                );
            }

            #[test]
            fn a_full_store_takes_a_session_again_at_the_millisecond_when_one_expires() {
                let mut store = bench(2);
                store.apply(&[create("a", "alice", HOUR), create("b", "bob", HOUR * 2)]);
                store.advance(3_599_999);
                assert_eq!(store.one(create("c", "carol", HOUR)), Seen::Full);
                store.advance(1);
                let end = store.now + HOUR;
                assert_eq!(store.one(create("c", "carol", HOUR)), Seen::Created(end));
                assert_eq!(store.one(create("d", "dave", HOUR)), Seen::Full);
            }

            #[test]
            fn sessions_that_end_out_of_order_end_at_their_own_times() {
                let mut store = bench(1000);
                let ttl = |n: u64| Duration::from_secs(1 + (n * 37) % 100);
                for n in 0..100 {
                    store.one(create(&n.to_string(), "alice", ttl(n)));
                }
                for second in 1..=100 {
                    store.advance(999);
                    let before = store.now;
                    store.advance(1);
                    for n in 0..100 {
                        let end = START + ttl(n);
                        let seen = store.one(validate(&n.to_string()));
                        let live = store.now < end;
                        assert_eq!(seen == valid("alice", end), live, "{n} after {second} s");
                        assert!(live || before < end || seen == Seen::Invalid);
                    }
                }
            }

            #[test]
            fn users_names_come_back_as_they_were() {
                let mut store = bench(10);
                for user in ["a", "π \"quoted\" \\ \u{0} \u{1F600}", &"x".repeat(256)] {
                    store.one(create(user, user, HOUR));
                    assert_eq!(store.one(validate(user)), valid(user, START + HOUR));
                }
            }
        }
    };
}

suite!(memory, memory_of);

/// What only the store in memory promises: that it gives memory back.
mod memory_is_reclaimed {
    use super::*;

    #[test]
    fn under_steady_load_ended_sessions_do_not_pile_up() {
        let mut bench = Bench::new(memory_of(1_000_000));
        let minute = Duration::from_secs(60);
        for n in 0..100_000 {
            bench.one(create(&n.to_string(), "alice", minute));
            bench.advance(10);
        }
        // 100 sessions a second for a minute, and up to a second until one that has ended is removed.
        let len = bench.store.len();
        assert!((6000..=6100).contains(&len), "{len}");
    }

    #[test]
    fn sessions_that_all_end_at_once_go_a_few_at_each_operation() {
        let mut bench = Bench::new(memory_of(1_000_000));
        for n in 0..10_000 {
            bench.one(create(&n.to_string(), "alice", HOUR));
        }
        // To the end of the second in which they end.
        bench.advance(3_600_750);
        let mut before = bench.store.len();
        assert_eq!(before, 10_000);
        while before > 0 {
            bench.one(validate("x"));
            let now = bench.store.len();
            assert!(now < before && before - now <= 4, "{before} became {now}");
            before = now;
        }
        assert!(bench.store.is_empty());
    }
}
