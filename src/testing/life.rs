//! What is in a session, and how long it lives.

#[doc(hidden)]
#[macro_export]
macro_rules! tests_of_life {
    () => {
        use super::bench;
        use $crate::session::Binding;
        use $crate::session::SessionKey;
        use $crate::store::Policy;
        use $crate::store::{
            Changes, Conditions, Conflict, CreateOptions, Operation, UpdateConditions,
        };
        use $crate::testing::bench::*;

        #[test]
        fn a_session_is_valid_for_its_user_until_its_end() {
            let mut store = $crate::open_bench!(Policy::default());
            assert_eq!(store.one(create("a", "alice", SECOND * 2)), Seen::Created);
            assert_eq!(store.one(create("b", "bob", HOUR)), Seen::Created);
            store.advance(1000);
            assert_eq!(store.one(validate("a")), valid("alice"));
            store.advance(1100);
            assert_eq!(store.one(validate("a")), Seen::Invalid);
            assert_eq!(store.one(validate("b")), valid("bob"));
        }

        #[test]
        fn a_create_under_a_key_that_is_taken_replaces_the_session_that_had_it() {
            let mut store = $crate::open_bench!(Policy::default());
            store.one(create_with(
                "a",
                "alice",
                Some("{\"old\":1}"),
                Some("bound"),
            ));
            store.one(create("b", "alice", HOUR));
            assert_eq!(store.one(create("a", "alice", HOUR)), Seen::Created);
            assert_eq!(store.one(validate("a")), valid("alice"));
            assert_eq!(store.handles("alice").len(), 2);
            assert_eq!(store.one(destroy("a")), Seen::Destroyed);
            assert_eq!(store.one(validate("a")), Seen::Invalid);
            assert_eq!(store.handles("alice").len(), 1);
            assert_eq!(store.one(validate("b")), valid("alice"));
            store.assert_live(1, 1);
        }

        #[test]
        fn a_key_that_was_never_created_is_invalid() {
            let mut store = $crate::open_bench!(Policy::default());
            assert_eq!(store.one(validate("a")), Seen::Invalid);
            assert_eq!(store.one(update("a", "{}")), Seen::Invalid);
            assert_eq!(store.one(regenerate("a", "b")), Seen::Invalid);
            assert_eq!(store.one(validate("a")), Seen::Invalid);
            assert_eq!(store.one(validate("b")), Seen::Invalid);
        }

        #[test]
        fn a_session_ends_when_it_goes_unused_for_its_idle_timeout() {
            let mut store = $crate::open_bench!(Policy::default());
            store.one(create_idle("a", "alice", SECOND * 2));
            store.one(create("b", "alice", HOUR));
            store.advance(2100);
            assert_eq!(store.one(validate("a")), Seen::Invalid);
            assert_eq!(store.one(validate("b")), valid("alice"));
        }

        #[test]
        fn each_use_puts_the_idle_timeout_off() {
            let mut store = $crate::open_bench!(Policy::default());
            for id in ["a", "b", "c", "unused"] {
                store.one(create_idle(id, "alice", SECOND * 2));
            }
            store.advance(1200);
            assert_eq!(store.one(validate("a")), valid("alice"));
            assert_eq!(store.one(update("b", "{}")), Seen::Updated);
            assert_eq!(store.one(regenerate("c", "d")), Seen::Regenerated);
            store.advance(1200);
            assert_eq!(store.one(validate("a")), valid("alice"));
            assert_eq!(store.one(validate("b")), valid_with("alice", "{}"));
            assert_eq!(store.one(validate("d")), valid("alice"));
            assert_eq!(store.one(validate("unused")), Seen::Invalid);
        }

        #[test]
        fn being_listed_or_refused_puts_no_idle_timeout_off() {
            let mut store = $crate::open_bench!(Policy::default());
            store.one(create_idle("a", "alice", SECOND * 2));
            store.advance(1200);
            let refused = Seen::ReauthenticationRequired("alice".to_owned());
            assert_eq!(store.one(validate_within("a", 0)), refused);
            assert_eq!(store.list("alice", Some("a"), 10).0.len(), 1);
            store.advance(1000);
            assert_eq!(store.one(validate("a")), Seen::Invalid);
        }

        #[test]
        fn no_use_puts_off_the_end_of_the_lifetime() {
            let mut store = $crate::open_bench!(Policy::default());
            store.one(create("a", "alice", SECOND * 2));
            store.advance(1200);
            assert_eq!(store.one(validate("a")), valid("alice"));
            assert_eq!(store.one(update("a", "{}")), Seen::Updated);
            assert_eq!(store.one(regenerate("a", "b")), Seen::Regenerated);
            store.advance(1000);
            assert_eq!(store.one(validate("b")), Seen::Invalid);
        }

        #[test]
        fn an_expired_session_cannot_be_updated_regenerated_or_listed() {
            let mut store = $crate::open_bench!(Policy::default());
            store.one(create("a", "alice", SECOND));
            store.advance(1100);
            assert_eq!(store.one(update("a", "{}")), Seen::Invalid);
            assert_eq!(store.one(regenerate("a", "b")), Seen::Invalid);
            assert_eq!(store.one(validate("b")), Seen::Invalid);
            assert_eq!(store.list("alice", Some("a"), 10), (vec![], false));
            assert_eq!(store.one(destroy("a")), Seen::Destroyed);
            assert_eq!(store.stats().destroyed, 0, "nothing live was destroyed");
            store.assert_live(0, 0);
        }

        #[test]
        fn data_comes_back_as_it_was_given_and_is_replaced_as_a_whole() {
            let mut store = $crate::open_bench!(Policy::default());
            let data = "{\"a\":1,\"a\":1.0e2,\"π\":\"\\u0041\u{1F600}\"}";
            store.one(create_with("a", "alice", Some(data), None));
            assert_eq!(store.one(validate("a")), valid_with("alice", data));
            assert_eq!(store.one(update("a", "{\"b\":2}")), Seen::Updated);
            assert_eq!(store.one(validate("a")), valid_with("alice", "{\"b\":2}"));
            let long = format!("{{\"c\":\"{}\"}}", "x".repeat(100_000));
            assert_eq!(store.one(update("a", &long)), Seen::Updated);
            assert_eq!(store.one(validate("a")), valid_with("alice", &long));
        }

        #[test]
        fn a_destroyed_session_is_not_brought_back_by_an_update() {
            let mut store = $crate::open_bench!(Policy::default());
            store.one(create("a", "alice", HOUR));
            store.one(destroy("a"));
            assert_eq!(store.one(update("a", "{}")), Seen::Invalid);
            assert_eq!(store.one(validate("a")), Seen::Invalid);
            store.assert_live(0, 0);
        }

        #[test]
        fn a_bound_session_is_valid_with_its_binding_only() {
            let mut store = $crate::open_bench!(Policy::default());
            store.one(create_with("a", "alice", None, Some("laptop")));
            assert_eq!(store.one(validate("a")), Seen::Invalid);
            assert_eq!(store.one(validate_bound("a", "phone")), Seen::Invalid);
            assert_eq!(store.one(validate_bound("a", "laptop")), valid("alice"));
            store.one(create("b", "bob", HOUR));
            assert_eq!(store.one(validate_bound("b", "phone")), valid("bob"));
        }

        #[test]
        fn a_bound_session_ends_without_its_binding() {
            let mut store = $crate::open_bench!(Policy::default());
            store.one(create_with("a", "alice", None, Some("laptop")));
            assert_eq!(store.one(destroy("a")), Seen::Destroyed);
            assert_eq!(store.one(validate_bound("a", "laptop")), Seen::Invalid);
        }

        #[test]
        fn whoever_authenticated_too_long_ago_has_to_do_so_again() {
            let mut store = $crate::open_bench!(Policy::default());
            store.one(create("a", "alice", HOUR));
            assert_eq!(store.one(validate_within("a", 60)), valid("alice"));
            store.advance(1100);
            let required = Seen::ReauthenticationRequired("alice".to_owned());
            assert_eq!(store.one(validate_within("a", 1)), required);
            assert_eq!(store.one(validate_within("a", 60)), valid("alice"));
            assert_eq!(store.one(validate_within("a", u64::MAX)), valid("alice"));
            // The session lives on for whoever asks for less.
            assert_eq!(store.one(validate("a")), valid("alice"));
        }

        #[test]
        fn each_operation_of_a_batch_sees_those_before_it() {
            let mut store = $crate::open_bench!(Policy::default());
            assert_eq!(
                store.apply(&[
                    validate("a"),
                    create("a", "alice", HOUR),
                    validate("a"),
                    update("a", "{}"),
                    regenerate("a", "b"),
                    validate("a"),
                    validate("b"),
                    destroy("b"),
                    validate("b"),
                    create("c", "alice", HOUR),
                    destroy_user("alice", None),
                    validate("c"),
                ]),
                [
                    Seen::Invalid,
                    Seen::Created,
                    valid("alice"),
                    Seen::Updated,
                    Seen::Regenerated,
                    Seen::Invalid,
                    valid_with("alice", "{}"),
                    Seen::Destroyed,
                    Seen::Invalid,
                    Seen::Created,
                    Seen::DestroyedMany(1),
                    Seen::Invalid,
                ]
            );
            assert_eq!(store.apply(&[]), []);
        }

        #[test]
        fn users_names_come_back_as_they_were() {
            let mut store = $crate::open_bench!(Policy::default());
            for user in ["a", "π \"quoted\" \\ \u{0} \u{1F600}", &"x".repeat(256)] {
                store.one(create(user, user, HOUR));
                assert_eq!(store.one(validate(user)), valid(user));
                assert_eq!(store.handles(user).len(), 1);
            }
        }

        #[test]
        fn a_look_at_a_session_is_no_use_of_it() {
            let mut store = $crate::open_bench!(Policy::default());
            store.one(create_idle("looked at", "alice", SECOND * 2));
            store.one(create_idle("used", "alice", SECOND * 2));
            store.advance(1100);
            assert_eq!(store.one(look_at("looked at")), valid("alice"));
            assert_eq!(store.one(validate("used")), valid("alice"));
            store.advance(1100);
            assert_eq!(store.one(look_at("looked at")), Seen::Invalid);
            assert_eq!(store.one(look_at("used")), valid("alice"));
        }

        #[test]
        fn a_bound_session_is_updated_with_its_binding_only() {
            let mut store = $crate::open_bench!(Policy::default());
            store.one(create_with("a", "alice", None, Some("x")));
            let bound_to = |binding| UpdateConditions {
                binding: Some(Binding::to(binding)),
                ..UpdateConditions::default()
            };
            assert_eq!(store.one(update("a", "{}")), Seen::Invalid);
            assert_eq!(
                store.one(update_if("a", "{}", bound_to("y"))),
                Seen::Invalid
            );
            assert_eq!(store.one(validate_bound("a", "x")), valid("alice"));
            assert_eq!(
                store.one(update_if("a", "{}", bound_to("x"))),
                Seen::Updated
            );
            assert_eq!(
                store.one(validate_bound("a", "x")),
                valid_with("alice", "{}")
            );
        }

        #[test]
        fn an_update_that_expects_other_data_changes_nothing() {
            let mut store = $crate::open_bench!(Policy::default());
            store.one(create("a", "alice", HOUR));
            let if_it_is = |expected: Option<&'static str>| UpdateConditions {
                expected_data: Some(expected.map(Into::into)),
                ..UpdateConditions::default()
            };
            let conflict = Seen::Conflict(Conflict::Data);
            let first = update_if("a", "{\"n\":1}", if_it_is(Some("{}")));
            assert_eq!(store.one(first), conflict);
            assert_eq!(store.one(validate("a")), valid("alice"));
            let first = update_if("a", "{\"n\":1}", if_it_is(None));
            assert_eq!(store.one(first), Seen::Updated);
            // Of two that expect the same, one succeeds.
            let seen = store.apply(&[
                update_if("a", "{\"n\":2}", if_it_is(Some("{\"n\":1}"))),
                update_if("a", "{\"n\":3}", if_it_is(Some("{\"n\":1}"))),
                update_if("a", "{\"n\":3}", if_it_is(None)),
                validate("a"),
                update_if("x", "{}", if_it_is(None)),
            ]);
            let conflict = || Seen::Conflict(Conflict::Data);
            let two = valid_with("alice", "{\"n\":2}");
            assert_eq!(
                seen,
                [Seen::Updated, conflict(), conflict(), two, Seen::Invalid]
            );
        }

        #[test]
        fn a_stricter_policy_reaches_sessions_that_exist() {
            let mut store = $crate::open_bench!(Policy::default());
            store.one(create("a", "alice", HOUR));
            store.one(create("b", "alice", HOUR));
            store.advance(1100);
            // As after a restart.
            store.policy.max_ttl = SECOND * 3;
            assert_eq!(store.one(validate("a")), valid("alice"));
            assert_eq!(store.list("alice", None, 10).0.len(), 2);
            assert_eq!(store.one(reauthenticate("b", "b2")), Seen::Regenerated);
            store.advance(2000);
            assert_eq!(store.one(validate("a")), Seen::Invalid);
            assert_eq!(store.list("alice", None, 10).0.len(), 1);
            assert_eq!(store.one(validate("b2")), valid("alice"));
            store.advance(1100);
            assert_eq!(store.one(update("b2", "{}")), Seen::Invalid);
            // A more generous one brings nothing back.
            store.policy.max_ttl = HOUR;
            assert_eq!(store.one(validate("a")), Seen::Invalid);
            assert_eq!(store.one(validate("b2")), Seen::Invalid);
            assert_eq!(store.list("alice", None, 10), (vec![], false));
        }

        /// One operation of each kind that can tell the times of its session, which is `a` and then `b`.
        fn with_detail() -> [Operation<'static>; 4] {
            let validate = Operation::Validate {
                key: SessionKey::of("a"),
                conditions: Some(Box::new(Conditions {
                    detail: true,
                    ..Conditions::default()
                })),
            };
            [
                create_as(
                    "a",
                    "alice",
                    CreateOptions {
                        ttl: Some(HOUR),
                        idle_timeout: Some(SECOND * 60),
                        detail: true,
                        ..CreateOptions::default()
                    },
                ),
                validate,
                update_if(
                    "a",
                    "{}",
                    UpdateConditions {
                        detail: true,
                        ..UpdateConditions::default()
                    },
                ),
                regenerate_as(
                    "a",
                    "b",
                    Changes {
                        detail: true,
                        ..Changes::default()
                    },
                ),
            ]
        }

        #[test]
        fn whoever_asks_is_told_the_times_of_the_session_that_a_list_tells() {
            let mut store = $crate::open_bench!(Policy::default());
            let [create, validate, update, regenerate] = with_detail();
            let [Some(created)] = store.details(&[create])[..] else {
                panic!("a detail of the new session");
            };
            assert_eq!(created.lifetime.idle_timeout_millis, Some(60_000));
            store.advance(1100);
            let told = store.details(&[validate, look_at("a"), update, regenerate]);
            let [Some(validated), None, Some(updated), Some(regenerated)] = told[..] else {
                panic!("{told:?}");
            };
            let handles = store.handles("alice");
            for detail in [validated, updated, regenerated] {
                assert_eq!(handles, [detail.handle]);
                assert_eq!(detail.lifetime.created_at, created.lifetime.created_at);
                assert_eq!(detail.lifetime.ends_at, created.lifetime.ends_at);
                assert!(detail.lifetime.last_used_at > created.lifetime.last_used_at);
            }
            assert_eq!(created.handle, handles[0]);
            assert_eq!(store.lifetimes("alice"), [regenerated.lifetime]);
        }

        #[test]
        fn where_no_session_is_there_are_no_times() {
            let mut store = $crate::open_bench!(Policy::default());
            let [_, validate, update, regenerate] = with_detail();
            let told = store.details(&[validate, update, regenerate]);
            assert_eq!(told, [None, None, None]);
        }

        #[test]
        fn a_destruction_says_whether_a_live_session_ended_by_it() {
            let mut store = $crate::open_bench!(Policy::default());
            store.apply(&[create("a", "alice", HOUR), create("b", "alice", HOUR)]);
            store.one(create("short", "alice", SECOND));
            store.advance(1100);
            let ended = store.ended(&[
                destroy("a"),
                destroy("a"),
                destroy("never"),
                destroy("short"),
                destroy_by_handle("bob", Some(SessionKey::of("b").handle())),
                destroy_by_handle("alice", Some(SessionKey::of("b").handle())),
                destroy_by_handle("alice", Some(SessionKey::of("b").handle())),
                destroy_by_handle("alice", None),
            ]);
            assert_eq!(
                ended,
                [true, false, false, false, false, true, false, false]
            );
        }
    };
}
