//! New ids for old, and what becomes of the old ones.

#[doc(hidden)]
#[macro_export]
macro_rules! tests_of_regeneration {
    () => {
        use super::bench;
        use std::time::Duration;
        use $crate::session::Binding;
        use $crate::session::OnReuse;
        use $crate::store::{Changes, Conflict};
        use $crate::store::{Operation, Policy};
        use $crate::testing::bench::*;

        fn with_grace(seconds: u64, on_reuse: OnReuse) -> Policy {
            Policy {
                rotation_grace: Duration::from_secs(seconds),
                on_reuse,
                ..Policy::default()
            }
        }

        #[test]
        fn regeneration_moves_the_session_to_the_new_key() {
            let mut store = $crate::open_bench!(Policy::default());
            store.one(create_with("a", "alice", Some("{\"a\":1}"), Some("laptop")));
            let handles = store.handles("alice");
            let changes = Changes {
                binding: Some(Binding::to("laptop")),
                ..Changes::default()
            };
            assert_eq!(
                store.one(regenerate_as("a", "b", changes)),
                Seen::Regenerated
            );
            let seen = store.one(validate_bound("b", "laptop"));
            assert_eq!(seen, valid_with("alice", "{\"a\":1}"));
            assert_eq!(store.one(validate("b")), Seen::Invalid, "still bound");
            assert_eq!(store.handles("alice"), handles);
            store.assert_live(1, 1);
        }

        #[test]
        fn a_retired_key_names_no_session_without_a_grace() {
            let mut store = $crate::open_bench!(Policy::default());
            store.one(create("a", "alice", HOUR));
            store.one(regenerate("a", "b"));
            assert_eq!(store.one(validate("a")), Seen::Invalid);
            assert_eq!(store.one(update("a", "{}")), Seen::Invalid);
            assert_eq!(store.one(regenerate("a", "c")), Seen::Invalid);
            assert_eq!(store.one(destroy("a")), Seen::Destroyed);
            assert_eq!(store.one(validate("c")), Seen::Invalid);
            assert_eq!(store.one(validate("b")), valid("alice"));
        }

        #[test]
        fn regeneration_replaces_data_if_it_is_given_some() {
            let mut store = $crate::open_bench!(Policy::default());
            store.one(create_with("a", "alice", Some("{\"a\":1}"), None));
            store.one(regenerate_with("a", "b", "{\"b\":2}"));
            assert_eq!(store.one(validate("b")), valid_with("alice", "{\"b\":2}"));
            store.one(regenerate("b", "c"));
            assert_eq!(store.one(validate("c")), valid_with("alice", "{\"b\":2}"));
        }

        #[test]
        fn authenticating_again_starts_the_lifetime_afresh() {
            let mut store = $crate::open_bench!(Policy::default());
            store.one(create("a", "alice", SECOND * 2));
            store.one(create("b", "alice", SECOND * 2));
            store.advance(1200);
            let required = Seen::ReauthenticationRequired("alice".to_owned());
            assert_eq!(store.one(validate_within("a", 1)), required);
            assert_eq!(store.one(reauthenticate("a", "a2")), Seen::Regenerated);
            assert_eq!(store.one(validate_within("a2", 1)), valid("alice"));
            assert_eq!(store.one(regenerate("b", "b2")), Seen::Regenerated);
            assert_eq!(store.one(validate_within("b2", 1)), required);
            store.advance(1200);
            assert_eq!(store.one(validate("a2")), valid("alice"));
            assert_eq!(store.one(validate("b2")), Seen::Invalid);
        }

        #[test]
        fn in_its_grace_a_retired_key_destroys_its_session() {
            let mut store = $crate::open_bench!(with_grace(60, OnReuse::Ignore));
            store.one(create("a", "alice", HOUR));
            store.one(regenerate("a", "b"));
            store.one(regenerate("b", "c"));
            assert_eq!(store.one(destroy("a")), Seen::Destroyed);
            assert_eq!(store.one(validate("c")), Seen::Invalid);
            assert_eq!(store.one(validate("b")), Seen::Invalid);
            assert_eq!(store.stats().destroyed, 1);
        }

        #[test]
        fn validation_in_the_grace_puts_the_idle_timeout_off() {
            let mut store = $crate::open_bench!(with_grace(60, OnReuse::Ignore));
            store.one(create_idle("a", "alice", SECOND * 2));
            store.one(regenerate("a", "b"));
            store.advance(1200);
            assert_eq!(store.one(validate("a")), valid("alice"));
            store.advance(1200);
            assert_eq!(store.one(validate("b")), valid("alice"));
        }

        #[test]
        fn after_its_grace_a_retired_key_names_no_session() {
            let mut store = $crate::open_bench!(with_grace(1, OnReuse::Ignore));
            store.one(create("a", "alice", HOUR));
            store.one(regenerate("a", "b"));
            store.advance(1100);
            assert_eq!(store.one(validate("a")), Seen::Invalid);
            assert_eq!(store.one(destroy("a")), Seen::Destroyed);
            assert_eq!(store.one(validate("b")), valid("alice"));
            // Each key has a grace of its own.
            store.one(regenerate("b", "c"));
            assert_eq!(store.one(validate("a")), Seen::Invalid);
            assert_eq!(store.one(validate("b")), valid("alice"));
        }

        #[test]
        fn many_retired_keys_lead_to_no_session_but_their_own() {
            let mut store = $crate::open_bench!(with_grace(60, OnReuse::Ignore));
            let id = |user: &str, n: u32| format!("{user}{n}");
            for user in ["alice", "bob"] {
                store.one(create(&id(user, 0), user, HOUR));
                for n in 0..50 {
                    store.one(regenerate(&id(user, n), &id(user, n + 1)));
                }
            }
            for user in ["alice", "bob"] {
                for n in 0..=50 {
                    assert_eq!(store.one(validate(&id(user, n))), valid(user));
                }
            }
        }

        #[test]
        fn a_session_outlives_the_graces_of_its_retired_keys() {
            let mut store = $crate::open_bench!(with_grace(1, OnReuse::Ignore));
            let id = |session: u32, n: u32| format!("{session}-{n}");
            for session in 0..20 {
                store.one(create(&id(session, 0), "alice", HOUR));
            }
            for n in 0..3 {
                for session in 0..20 {
                    let regenerated = store.one(regenerate(&id(session, n), &id(session, n + 1)));
                    assert_eq!(regenerated, Seen::Regenerated);
                }
                store.advance(1100);
                for session in 0..20 {
                    assert_eq!(store.one(validate(&id(session, n))), Seen::Invalid);
                    assert_eq!(store.one(validate(&id(session, n + 1))), valid("alice"));
                }
            }
        }

        #[test]
        fn whatever_a_retired_key_is_presented_for_its_reuse_ends_the_session() {
            let presented: [(Operation<'_>, Option<Seen>); 6] = [
                (validate("a"), Some(Seen::Invalid)),
                (update("a", "{}"), Some(Seen::Invalid)),
                (regenerate("a", "x"), Some(Seen::Invalid)),
                (destroy("a"), Some(Seen::Destroyed)),
                (destroy_user("bob", Some("a")), Some(Seen::Invalid)),
                (list("bob", Some("a"), 10), None),
            ];
            for (operation, expected) in presented {
                let mut store = $crate::open_bench!(with_grace(0, OnReuse::Revoke));
                store.apply(&[
                    create("a", "alice", HOUR),
                    create("other", "alice", HOUR),
                    regenerate("a", "b"),
                    regenerate("b", "c"),
                ]);
                assert_eq!(store.one(validate("c")), valid("alice"));
                let seen = store.one(operation);
                assert!(expected.is_none_or(|expected| seen == expected), "{seen:?}");
                assert_eq!(store.one(validate("c")), Seen::Invalid);
                assert_eq!(store.one(validate("x")), Seen::Invalid);
                assert_eq!(store.one(validate("other")), valid("alice"));
                assert_eq!(store.stats().destroyed, 1);
            }
        }

        #[test]
        fn reuse_begins_when_the_grace_is_over() {
            let mut store = $crate::open_bench!(with_grace(1, OnReuse::Revoke));
            store.one(create("a", "alice", HOUR));
            store.one(regenerate("a", "b"));
            assert_eq!(store.one(validate("a")), valid("alice"));
            assert_eq!(store.one(validate("b")), valid("alice"));
            store.advance(1100);
            assert_eq!(store.one(validate("b")), valid("alice"));
            assert_eq!(store.one(validate("a")), Seen::Invalid);
            assert_eq!(store.one(validate("b")), Seen::Invalid);
            store.assert_live(0, 0);
        }

        #[test]
        fn a_retired_key_within_its_grace_does_everything_but_regenerate() {
            let mut store = $crate::open_bench!(with_grace(60, OnReuse::Revoke));
            store.apply(&[create("a", "alice", HOUR), create("z", "alice", HOUR)]);
            assert_eq!(store.one(regenerate("a", "b")), Seen::Regenerated);
            assert_eq!(store.one(update("a", "{\"by\":\"a\"}")), Seen::Updated);
            let with_data = valid_with("alice", "{\"by\":\"a\"}");
            assert_eq!(store.one(validate("a")), with_data);
            assert_eq!(store.one(validate("b")), with_data);
            let conflict = Seen::Conflict(Conflict::Regenerated);
            assert_eq!(store.one(regenerate("a", "c")), conflict);
            assert_eq!(store.one(validate("c")), Seen::Invalid);
            assert_eq!(store.one(validate("b")), with_data);
            let (shown, _) = store.list("alice", Some("a"), 10);
            let own: Vec<bool> = shown.iter().map(|shown| shown.is_current).collect();
            assert_eq!(own, [true, false]);
            let others = store.one(destroy_user("alice", Some("a")));
            assert_eq!(others, Seen::DestroyedMany(1));
            assert_eq!(store.one(validate("z")), Seen::Invalid);
            assert_eq!(store.one(validate("b")), with_data);
            assert_eq!(store.one(destroy("a")), Seen::Destroyed);
            assert_eq!(store.one(validate("b")), Seen::Invalid);
            store.assert_live(0, 0);
        }

        #[test]
        fn of_two_regenerations_at_once_the_second_changes_nothing() {
            let mut store = $crate::open_bench!(with_grace(60, OnReuse::Ignore));
            store.one(create("a", "alice", HOUR));
            let seen = store.apply(&[
                regenerate("a", "b"),
                regenerate_with("a", "c", "{\"lost\":1}"),
                reauthenticate("a", "d"),
                validate("b"),
            ]);
            let conflict = || Seen::Conflict(Conflict::Regenerated);
            let expected = [Seen::Regenerated, conflict(), conflict(), valid("alice")];
            assert_eq!(seen, expected);
            for id in ["c", "d"] {
                assert_eq!(store.one(validate(id)), Seen::Invalid);
            }
        }

        #[test]
        fn a_retired_key_proves_no_later_authentication() {
            let mut store = $crate::open_bench!(with_grace(60, OnReuse::Ignore));
            store.one(create("a", "alice", HOUR));
            store.advance(2100);
            assert_eq!(store.one(reauthenticate("a", "b")), Seen::Regenerated);
            assert_eq!(store.one(regenerate("b", "c")), Seen::Regenerated);
            let required = Seen::ReauthenticationRequired("alice".to_owned());
            assert_eq!(store.one(validate_within("a", 1)), required);
            assert_eq!(store.one(validate_within("b", 1)), valid("alice"));
            assert_eq!(store.one(validate_within("c", 1)), valid("alice"));
            assert_eq!(store.one(validate_within("a", 60)), valid("alice"));
        }

        #[test]
        fn a_bound_session_is_regenerated_with_its_binding_only() {
            let mut store = $crate::open_bench!(with_grace(60, OnReuse::Ignore));
            store.one(create_with("a", "alice", None, Some("x")));
            let bound_to = |binding, new_binding| Changes {
                binding: Some(Binding::to(binding)),
                new_binding,
                ..Changes::default()
            };
            assert_eq!(store.one(regenerate("a", "b")), Seen::Invalid);
            let wrong = regenerate_as("a", "b", bound_to("y", None));
            assert_eq!(store.one(wrong), Seen::Invalid);
            let right = regenerate_as("a", "b", bound_to("x", Some(Binding::to("y"))));
            assert_eq!(store.one(right), Seen::Regenerated);
            assert_eq!(store.one(validate_bound("b", "x")), Seen::Invalid);
            assert_eq!(store.one(validate_bound("b", "y")), valid("alice"));
            // Whoever has a retired key without the binding learns nothing of the session.
            let wrong = regenerate_as("a", "c", bound_to("x", None));
            assert_eq!(store.one(wrong), Seen::Invalid);
            let late = regenerate_as("a", "c", bound_to("y", None));
            assert_eq!(store.one(late), Seen::Conflict(Conflict::Regenerated));
            // A log-out always works.
            assert_eq!(store.one(destroy("b")), Seen::Destroyed);
            assert_eq!(store.one(validate_bound("b", "y")), Seen::Invalid);
        }

        #[test]
        fn a_regeneration_can_bind_a_session() {
            let mut store = $crate::open_bench!(Policy::default());
            store.one(create_with("a", "alice", Some("{\"kept\":1}"), None));
            let changes = Changes {
                new_binding: Some(Binding::to("x")),
                ..Changes::default()
            };
            assert_eq!(
                store.one(regenerate_as("a", "b", changes)),
                Seen::Regenerated
            );
            assert_eq!(store.one(validate("b")), Seen::Invalid);
            let with_data = valid_with("alice", "{\"kept\":1}");
            assert_eq!(store.one(validate_bound("b", "x")), with_data);
        }
    };
}
