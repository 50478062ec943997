//! Listing, ending and counting sessions.

#[doc(hidden)]
#[macro_export]
macro_rules! tests_of_ending {
    () => {
        use super::bench;
        use $crate::session::SessionKey;
        use $crate::store::{Operation, Policy};
        use $crate::testing::bench::*;

        #[test]
        fn a_destroyed_session_is_gone_and_destroying_again_is_no_error() {
            let mut store = $crate::open_bench!(Policy::default());
            store.one(create("a", "alice", HOUR));
            store.one(create("b", "alice", HOUR));
            for _ in 0..2 {
                assert_eq!(store.one(destroy("a")), Seen::Destroyed);
                assert_eq!(store.one(validate("a")), Seen::Invalid);
                assert_eq!(store.one(regenerate("a", "c")), Seen::Invalid);
            }
            assert_eq!(store.one(validate("b")), valid("alice"));
            assert_eq!(store.stats().destroyed, 1);
        }

        #[test]
        fn a_list_shows_the_sessions_of_one_user_the_oldest_first() {
            let mut store = $crate::open_bench!(Policy::default());
            let data = |n: u32| format!("{{\"n\":{n}}}");
            for n in 0..5 {
                let id = n.to_string();
                store.one(create_with(&id, "alice", Some(&data(n)), None));
                store.one(create(&format!("b{n}"), "bob", HOUR));
            }
            // Neither a use nor a regeneration makes a session younger.
            store.one(regenerate("0", "first"));
            store.one(validate("1"));
            let (shown, more) = store.list("alice", Some("2"), 5);
            let in_order: Vec<_> = shown.iter().map(|shown| shown.data.clone()).collect();
            assert_eq!(in_order, (0..5).map(|n| Some(data(n))).collect::<Vec<_>>());
            let current: Vec<_> = shown.iter().map(|shown| shown.is_current).collect();
            assert_eq!(current, [false, false, true, false, false]);
            assert!(!more);
            assert_eq!(store.list("nobody", Some("2"), 5), (vec![], false));
        }

        #[test]
        fn a_list_is_no_longer_than_its_limit_and_says_whether_there_is_more() {
            let mut store = $crate::open_bench!(Policy::default());
            for id in ["a", "b", "c"] {
                store.one(create(id, "alice", HOUR));
            }
            let all = store.handles("alice");
            for limit in 1..=4 {
                let (shown, more) = store.list("alice", None, limit);
                let handles: Vec<_> = shown.iter().map(|shown| shown.handle).collect();
                assert_eq!(handles, all[..limit.min(3)], "limit {limit}");
                assert_eq!(more, limit < 3, "limit {limit}");
            }
        }

        #[test]
        fn a_session_keeps_a_handle_that_no_other_has() {
            let mut store = $crate::open_bench!(Policy::default());
            for id in ["a", "b", "c"] {
                store.one(create(id, "alice", HOUR));
            }
            let handles = store.handles("alice");
            assert_eq!(handles[0], SessionKey::of("a").handle());
            assert!(handles[0] != handles[1] && handles[1] != handles[2]);
            store.one(regenerate("b", "b2"));
            store.one(regenerate("b2", "b3"));
            assert_eq!(store.handles("alice"), handles);
        }

        #[test]
        fn a_user_ends_a_session_of_their_own_by_its_handle() {
            let mut store = $crate::open_bench!(Policy::default());
            store.one(create("a", "alice", HOUR));
            store.one(create("b", "alice", HOUR));
            store.one(regenerate("a", "a2"));
            let handles = store.handles("alice");
            for (user, handle) in [
                ("bob", Some(handles[0])),
                ("alice", None),
                ("alice", Some(SessionKey::of("x").handle())),
                // That of the key which the session has now: not its name.
                ("alice", Some(SessionKey::of("a2").handle())),
            ] {
                assert_eq!(store.one(destroy_by_handle(user, handle)), Seen::Destroyed);
                assert_eq!(store.one(validate("a2")), valid("alice"));
            }
            for _ in 0..2 {
                let seen = store.one(destroy_by_handle("alice", Some(handles[0])));
                assert_eq!(seen, Seen::Destroyed);
                assert_eq!(store.one(validate("a2")), Seen::Invalid);
            }
            assert_eq!(store.one(validate("b")), valid("alice"));
            assert_eq!(store.stats().destroyed, 1);
        }

        #[test]
        fn all_sessions_of_a_user_end_but_the_one_to_spare() {
            let mut store = $crate::open_bench!(Policy::default());
            for id in ["a", "b", "c"] {
                store.one(create(id, "alice", HOUR));
            }
            store.one(create("d", "bob", HOUR));
            let seen = store.one(destroy_user("alice", Some("b")));
            assert_eq!(seen, Seen::DestroyedMany(2));
            assert_eq!(store.one(validate("a")), Seen::Invalid);
            assert_eq!(store.one(validate("c")), Seen::Invalid);
            assert_eq!(store.one(validate("b")), valid("alice"));
            let seen = store.one(destroy_user("alice", None));
            assert_eq!(seen, Seen::DestroyedMany(1));
            let seen = store.one(destroy_user("alice", None));
            assert_eq!(seen, Seen::DestroyedMany(0));
            assert_eq!(store.one(validate("d")), valid("bob"));
            assert_eq!(store.stats().destroyed, 3);
        }

        #[test]
        fn a_user_whose_sessions_have_all_ended_may_begin_anew() {
            let mut store = $crate::open_bench!(Policy::default());
            for round in 0..3 {
                let id = format!("{round}");
                store.one(create(&id, "alice", HOUR));
                store.assert_live(1, 1);
                assert_eq!(
                    store.one(destroy_user("alice", None)),
                    Seen::DestroyedMany(1)
                );
                assert_eq!(store.list("alice", None, 10), (vec![], false));
                store.assert_live(0, 0);
            }
        }

        #[test]
        fn all_sessions_of_all_users_end_at_once() {
            let mut store = $crate::open_bench!(Policy::default());
            assert_eq!(store.one(Operation::DestroyAll), Seen::DestroyedMany(0));
            store.one(create("ended", "alice", SECOND));
            store.advance(1100);
            for (id, user) in [("a", "alice"), ("b", "alice"), ("c", "bob")] {
                store.one(create(id, user, HOUR));
            }
            store.one(regenerate("a", "a2"));
            let seen = store.apply(&[
                Operation::DestroyAll,
                validate("a2"),
                validate("b"),
                validate("c"),
                list("alice", Some("b"), 10),
                create("d", "alice", HOUR),
                validate("d"),
            ]);
            let none = Seen::Sessions {
                shown: vec![],
                more: false,
            };
            let expected = [
                Seen::DestroyedMany(3),
                Seen::Invalid,
                Seen::Invalid,
                Seen::Invalid,
                none,
                Seen::Created,
                valid("alice"),
            ];
            assert_eq!(seen, expected);
            assert_eq!(store.stats().destroyed, 3);
            store.assert_live(1, 1);
        }

        #[test]
        fn live_sessions_and_their_users_are_counted() {
            let mut store = $crate::open_bench!(Policy::default());
            store.assert_live(0, 0);
            for (id, user) in [("a", "alice"), ("b", "alice"), ("c", "bob")] {
                store.one(create(id, user, HOUR));
            }
            store.one(create("short", "carol", SECOND));
            store.assert_live(4, 3);
            store.one(regenerate("a", "a2"));
            store.assert_live(4, 3);
            store.one(destroy("a2"));
            store.assert_live(3, 3);
            store.one(destroy("b"));
            store.assert_live(2, 2);
            store.advance(1100);
            store.assert_live(1, 1);
            assert_eq!(store.stats().destroyed, 2);
        }

        #[test]
        fn a_key_to_spare_that_is_not_the_users_ends_nothing() {
            let mut store = $crate::open_bench!(Policy::default());
            store.apply(&[create("a", "alice", HOUR), create("b", "alice", HOUR)]);
            store.apply(&[create("x", "bob", HOUR), regenerate("b", "c")]);
            store.one(create("short", "alice", SECOND));
            store.advance(1100);
            for dead in ["never", "x", "b", "short"] {
                let seen = store.one(destroy_user("alice", Some(dead)));
                assert_eq!(seen, Seen::Invalid, "{dead}");
            }
            assert_eq!(store.one(validate("a")), valid("alice"));
            assert_eq!(store.one(validate("c")), valid("alice"));
            assert_eq!(store.one(validate("x")), valid("bob"));
            let seen = store.one(destroy_user("alice", Some("c")));
            assert_eq!(seen, Seen::DestroyedMany(1));
            assert_eq!(store.one(validate("c")), valid("alice"));
        }
    };
}
