//! How many sessions there may be, in all and of one user.

#[doc(hidden)]
#[macro_export]
macro_rules! tests_of_limits {
    () => {
        use super::bench;
        use $crate::session::OnUserLimit;
        use $crate::store::CreateOptions;
        use $crate::store::Policy;
        use $crate::testing::bench::*;

        fn two_of_a_user(on_user_limit: OnUserLimit) -> Policy {
            Policy {
                max_sessions_per_user: Some(2),
                on_user_limit,
                ..Policy::default()
            }
        }

        #[test]
        fn beyond_the_limit_of_a_user_their_oldest_session_ends() {
            let mut store = $crate::open_bench!(two_of_a_user(OnUserLimit::EvictOldest));
            store.apply(&[create("a", "alice", HOUR), create("b", "alice", HOUR)]);
            store.apply(&[create("x", "bob", HOUR), regenerate("a", "a2")]);
            // Regeneration does not make a session younger, nor does a use.
            assert_eq!(store.one(validate("a2")), valid("alice"));
            assert_eq!(store.one(create("c", "alice", HOUR)), Seen::Created);
            assert_eq!(store.one(validate("a2")), Seen::Invalid);
            assert_eq!(store.one(validate("b")), valid("alice"));
            assert_eq!(store.one(validate("c")), valid("alice"));
            assert_eq!(store.one(validate("x")), valid("bob"));
            assert_eq!(store.stats().destroyed, 1);
            store.assert_live(3, 2);
        }

        #[test]
        fn beyond_the_limit_of_a_user_a_session_is_refused_if_that_is_the_rule() {
            let mut store = $crate::open_bench!(two_of_a_user(OnUserLimit::Reject));
            store.apply(&[create("a", "alice", HOUR), create("b", "alice", HOUR)]);
            assert_eq!(store.one(create("c", "alice", HOUR)), Seen::UserLimit);
            assert_eq!(store.one(validate("c")), Seen::Invalid);
            assert_eq!(store.one(create("x", "bob", HOUR)), Seen::Created);
            store.one(destroy("a"));
            assert_eq!(store.one(create("c", "alice", HOUR)), Seen::Created);
            assert_eq!(store.one(create("d", "alice", HOUR)), Seen::UserLimit);
            assert_eq!(store.stats().destroyed, 1);
        }

        #[test]
        fn what_has_expired_does_not_count_against_the_limit_of_a_user() {
            for on_user_limit in [OnUserLimit::EvictOldest, OnUserLimit::Reject] {
                let mut store = $crate::open_bench!(two_of_a_user(on_user_limit));
                store.one(create("a", "alice", HOUR));
                store.one(create("b", "alice", SECOND));
                store.advance(1100);
                assert_eq!(store.one(create("c", "alice", HOUR)), Seen::Created);
                assert_eq!(store.one(validate("a")), valid("alice"));
                assert_eq!(store.stats().destroyed, 0);
            }
        }

        #[test]
        fn a_create_can_set_the_limit_of_its_user() {
            let mut store = $crate::open_bench!(two_of_a_user(OnUserLimit::Reject));
            let with_limit = |id, limit| {
                let options = CreateOptions {
                    max_sessions_per_user: Some(limit),
                    ..CreateOptions::default()
                };
                create_as(id, "alice", options)
            };
            assert_eq!(store.one(with_limit("a", 1)), Seen::Created);
            assert_eq!(store.one(with_limit("b", 1)), Seen::UserLimit);
            assert_eq!(store.one(with_limit("b", 3)), Seen::Created);
            assert_eq!(store.one(create("c", "alice", HOUR)), Seen::UserLimit);
            assert_eq!(store.one(with_limit("c", 3)), Seen::Created);
            assert_eq!(store.one(with_limit("d", usize::MAX)), Seen::Created);
        }
    };
}
