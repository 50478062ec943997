//! How many sessions a store holds that counts them all. One that nodes on many machines share does not.

#[doc(hidden)]
#[macro_export]
macro_rules! tests_with_count {
    () => {
        use super::bench;
        use $crate::store::Policy;
        use $crate::testing::bench::*;

        fn of_two() -> Policy {
            Policy {
                max_sessions: 2,
                ..Policy::default()
            }
        }

        #[test]
        fn a_full_store_takes_a_session_again_when_one_was_destroyed() {
            let mut store = $crate::open_bench!(of_two());
            store.apply(&[create("a", "alice", HOUR), create("b", "bob", HOUR)]);
            assert_eq!(store.one(create("c", "carol", HOUR)), Seen::Full);
            assert_eq!(store.one(validate("c")), Seen::Invalid);
            assert_eq!(store.list("carol", None, 10), (vec![], false));
            assert_eq!(store.one(regenerate("a", "d")), Seen::Regenerated);
            assert_eq!(store.one(create("c", "carol", HOUR)), Seen::Full);
            store.one(destroy("b"));
            assert_eq!(store.one(create("c", "carol", HOUR)), Seen::Created);
            assert_eq!(store.one(create("e", "carol", HOUR)), Seen::Full);
            store.assert_live(2, 2);
        }

        #[test]
        fn a_full_store_takes_a_session_again_when_one_has_expired() {
            let mut store = $crate::open_bench!(of_two());
            store.apply(&[create("a", "alice", SECOND), create("b", "bob", HOUR)]);
            assert_eq!(store.one(create("c", "carol", HOUR)), Seen::Full);
            // In the next second but one, so that a store may need a moment to notice.
            store.advance(2100);
            assert_eq!(store.one(create("c", "carol", HOUR)), Seen::Created);
            assert_eq!(store.one(create("d", "dave", HOUR)), Seen::Full);
        }

        #[test]
        fn a_create_under_the_key_of_another_users_session_replaces_it_too() {
            let mut store = $crate::open_bench!(Policy::default());
            store.one(create("a", "alice", HOUR));
            assert_eq!(store.one(create("a", "bob", HOUR)), Seen::Created);
            assert_eq!(store.one(validate("a")), valid("bob"));
            assert_eq!(store.list("alice", None, 10), (vec![], false));
            store.assert_live(1, 1);
            assert_eq!(store.one(destroy("a")), Seen::Destroyed);
            assert_eq!(store.one(validate("a")), Seen::Invalid);
            store.assert_live(0, 0);
        }

        #[test]
        fn a_session_that_takes_the_place_of_an_evicted_one_needs_no_room() {
            let mut store = $crate::open_bench!(Policy {
                max_sessions: 2,
                max_sessions_per_user: Some(1),
                ..Policy::default()
            });
            store.apply(&[create("a", "alice", HOUR), create("b", "bob", HOUR)]);
            assert_eq!(store.one(create("c", "carol", HOUR)), Seen::Full);
            assert_eq!(store.one(create("a2", "alice", HOUR)), Seen::Created);
            assert_eq!(store.one(validate("a")), Seen::Invalid);
            assert_eq!(store.one(validate("b")), valid("bob"));
            store.assert_live(2, 2);
        }
    };
}
