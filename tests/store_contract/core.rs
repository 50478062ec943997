//! The core: create, validate, regenerate, destroy, and the limit on sessions.

/// `$store` makes an empty store with a policy.
macro_rules! core_suite {
    ($name:ident, $store:expr) => {
        mod $name {
            use session_node::session::Policy;
            use session_node::store::Store;
            use std::time::Duration;

            use crate::bench::*;

            fn bench(max_sessions: usize) -> Bench<impl Store> {
                let make: fn(Policy) -> _ = $store;
                Bench::new(make(Policy {
                    max_sessions,
                    ..Policy::default()
                }))
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
