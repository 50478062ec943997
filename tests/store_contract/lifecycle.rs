//! The whole life of a session: timeouts, data, lists, endings, limits of a user, step-up, bindings, retired keys,
//! counts and events.

/// `$store` makes an empty store with a policy.
macro_rules! lifecycle_suite {
    ($name:ident, $store:expr) => {
        mod $name {
            use std::time::Duration;

            use session_node::session::{OnReuse, OnUserLimit, Policy};
            use session_node::store::{EventKind, Operation, Outcomes, Reason, Record, Store};

            use crate::bench::*;

            const MINUTE: Duration = Duration::from_secs(60);

            fn bench_of(policy: Policy) -> Bench<impl Store> {
                let make: fn(Policy) -> _ = $store;
                Bench::new(make(policy))
            }

            fn bench() -> Bench<impl Store> {
                bench_of(Policy::default())
            }

            fn listed(store: &mut Bench<impl Store>, user: &str) -> Vec<SeenListed> {
                match store.one(list(user, None, 1000)) {
                    Seen::Sessions(listed, false) => listed,
                    other => panic!("{other:?}"),
                }
            }

            #[test]
            fn a_session_ends_when_it_is_not_used_for_its_idle_timeout() {
                let mut store = bench();
                store.one(create_with("a", "alice", Some(MINUTE), None, None));
                for _ in 0..3 {
                    store.advance(59_999);
                    let end = store.now + MINUTE;
                    assert_eq!(store.one(validate("a")), valid("alice", end));
                }
                store.advance(60_000);
                assert_eq!(store.one(validate("a")), Seen::Invalid);
                assert_eq!(store.one(regenerate("a", "b")), Seen::Invalid);
            }

            #[test]
            fn no_use_puts_the_end_of_the_lifetime_off() {
                let mut store = bench();
                store.one(create_with("a", "alice", Some(HOUR - MINUTE), None, None));
                store.advance(3_000_000);
                assert_eq!(store.one(validate("a")), valid("alice", START + HOUR));
                store.advance(599_999);
                assert_eq!(store.one(validate("a")), valid("alice", START + HOUR));
                store.advance(1);
                assert_eq!(store.one(validate("a")), Seen::Invalid);
            }

            #[test]
            fn updates_and_regenerations_are_uses_and_lists_and_refusals_are_not() {
                let mut store = bench();
                store.one(create_with("a", "alice", Some(MINUTE), None, Some("b")));
                store.advance(59_999);
                assert_eq!(store.one(update("a", "{}")), Seen::Updated);
                store.advance(59_999);
                assert_eq!(store.one(regenerate("a", "b")), Seen::Regenerated);
                store.advance(30_000);
                listed(&mut store, "alice");
                assert_eq!(store.one(validate("b")), Seen::Invalid);
                let too_old = store.one(validate_if("b", Some("b"), Some(1)));
                assert_eq!(too_old, Seen::ReauthenticationRequired("alice".into(), 150));
                store.advance(29_999);
                assert_eq!(listed(&mut store, "alice").len(), 1);
                store.advance(1);
                assert!(listed(&mut store, "alice").is_empty());
            }

            #[test]
            fn data_is_kept_carried_over_and_replaced() {
                let mut store = bench();
                let with = |data: &str| Seen::ValidWith("alice".into(), START + HOUR, data.into());
                let big = r#"{"n":123456789012345678901234567890,"n":[],"e":"\u00e9é"}"#;
                store.one(create_with("a", "alice", None, Some(big), None));
                assert_eq!(store.one(validate("a")), with(big));
                store.one(regenerate("a", "b"));
                assert_eq!(store.one(validate("b")), with(big));
                store.one(update("b", "{}"));
                assert_eq!(store.one(validate("b")), with("{}"));
                store.one(regenerate_with("b", "c", false, Some("{\"c\":1}")));
                assert_eq!(store.one(validate("c")), with("{\"c\":1}"));
                assert_eq!(
                    listed(&mut store, "alice")[0].data.as_deref(),
                    Some("{\"c\":1}")
                );
            }

            #[test]
            fn an_update_brings_no_session_back() {
                let mut store = bench();
                store.apply(&[create("a", "alice", HOUR), destroy("a")]);
                store.apply(&[create("b", "alice", HOUR), regenerate("b", "c")]);
                store.one(create("d", "alice", MINUTE));
                store.advance(60_000);
                for id in ["a", "b", "d", "unknown"] {
                    assert_eq!(store.one(update(id, "{}")), Seen::Invalid, "{id}");
                    assert_eq!(store.one(validate(id)), Seen::Invalid, "{id}");
                }
            }

            #[test]
            fn a_list_shows_the_live_sessions_of_a_user_by_creation() {
                let mut store = bench();
                store.one(create("a", "alice", HOUR));
                store.advance(1000);
                store.one(create_with("b", "alice", None, Some("{}"), None));
                store.apply(&[create("c", "alice", MINUTE), create("d", "bob", HOUR)]);
                store.advance(60_000);
                store.one(regenerate("a", "e"));
                let Seen::Sessions(seen, false) = store.one(list("alice", Some("e"), 10)) else {
                    panic!("a list");
                };
                assert_eq!(seen.len(), 2);
                assert!(seen[0].is_current && !seen[1].is_current);
                assert_eq!(seen[0].lifetime.created_at, START);
                assert_eq!(seen[0].lifetime.auth_time, START);
                assert_eq!(seen[0].lifetime.last_used_at, store.now);
                assert_eq!(seen[0].lifetime.expires_at(), START + HOUR);
                assert_eq!(seen[0].handle, key("a").handle());
                assert_eq!(seen[1].handle, key("b").handle());
                assert_eq!(seen[1].data.as_deref(), Some("{}"));
                let Seen::Sessions(seen, more) = store.one(list("alice", Some("d"), 1)) else {
                    panic!("a list");
                };
                assert!(seen.len() == 1 && !seen[0].is_current && more);
                assert_eq!(
                    store.one(list("nobody", None, 1)),
                    Seen::Sessions(vec![], false)
                );
            }

            #[test]
            fn a_session_ends_by_its_handle_for_its_own_user_only() {
                let mut store = bench();
                store.apply(&[create("a", "alice", HOUR), create("b", "alice", HOUR)]);
                store.one(regenerate("a", "c"));
                let handle = key("a").handle();
                assert_eq!(store.one(destroy_by_handle("bob", handle)), Seen::Destroyed);
                assert_eq!(store.one(validate("c")), valid("alice", START + HOUR));
                assert_eq!(
                    store.one(destroy_by_handle("alice", handle)),
                    Seen::Destroyed
                );
                assert_eq!(store.one(validate("c")), Seen::Invalid);
                assert_eq!(store.one(validate("b")), valid("alice", START + HOUR));
            }

            #[test]
            fn a_users_sessions_end_together_but_for_one() {
                let mut store = bench();
                for id in ["a", "b", "c"] {
                    store.one(create(id, "alice", HOUR));
                }
                store.apply(&[create("d", "alice", MINUTE), create("e", "bob", HOUR)]);
                store.advance(60_000);
                assert_eq!(
                    store.one(destroy_user("alice", Some("b"))),
                    Seen::DestroyedMany(2)
                );
                assert_eq!(store.one(validate("b")), valid("alice", START + HOUR));
                assert_eq!(
                    store.one(destroy_user("alice", Some("e"))),
                    Seen::DestroyedMany(1)
                );
                assert_eq!(store.one(validate("b")), Seen::Invalid);
                assert_eq!(store.one(validate("e")), valid("bob", START + HOUR));
            }

            #[test]
            fn everybodys_sessions_end_together_and_new_ones_begin() {
                let mut store = bench();
                store.apply(&[create("a", "alice", HOUR), create("b", "bob", MINUTE)]);
                store.advance(60_000);
                assert_eq!(store.one(Operation::DestroyAll), Seen::DestroyedMany(1));
                let end = store.now + HOUR;
                assert_eq!(
                    store.apply(&[
                        validate("a"),
                        create("c", "alice", HOUR),
                        Operation::DestroyAll,
                        create("d", "alice", HOUR),
                        validate("c"),
                        validate("d"),
                    ]),
                    [
                        Seen::Invalid,
                        Seen::Created(end),
                        Seen::DestroyedMany(1),
                        Seen::Created(end),
                        Seen::Invalid,
                        valid("alice", end),
                    ]
                );
            }

            #[test]
            fn a_user_beyond_the_limit_loses_the_oldest_session_or_is_refused() {
                for on_user_limit in [OnUserLimit::EvictOldest, OnUserLimit::Reject] {
                    let mut store = bench_of(Policy {
                        max_sessions: 3,
                        max_sessions_per_user: Some(2),
                        on_user_limit,
                        ..Policy::default()
                    });
                    store.one(create("expired", "alice", MINUTE));
                    store.advance(60_000);
                    let end = store.now + HOUR;
                    store.one(create("a", "alice", HOUR));
                    store.apply(&[regenerate("a", "b"), create("c", "alice", HOUR)]);
                    store.one(create("d", "bob", HOUR));
                    let (third, oldest) = match on_user_limit {
                        OnUserLimit::EvictOldest => (Seen::Created(end), Seen::Invalid),
                        OnUserLimit::Reject => (Seen::UserLimit, valid("alice", end)),
                    };
                    assert_eq!(store.one(create("e", "alice", HOUR)), third);
                    assert_eq!(store.one(validate("b")), oldest);
                    assert_eq!(store.one(validate("c")), valid("alice", end));
                    assert_eq!(store.one(create("f", "bob", HOUR)), Seen::Full);
                }
            }

            #[test]
            fn a_user_authenticates_again_when_too_much_time_has_passed() {
                let mut store = bench();
                store.one(create("a", "alice", HOUR));
                store.advance(300_000);
                let end = START + HOUR;
                assert_eq!(
                    store.one(validate_if("a", None, Some(300))),
                    valid("alice", end)
                );
                store.advance(1);
                let required = Seen::ReauthenticationRequired("alice".into(), 301);
                assert_eq!(store.one(validate_if("a", None, Some(300))), required);
                store.one(regenerate_with("a", "b", true, None));
                let end = store.now + HOUR;
                assert_eq!(
                    store.one(validate_if("b", None, Some(0))),
                    valid("alice", end)
                );
                assert_eq!(listed(&mut store, "alice")[0].lifetime.created_at, START);
            }

            #[test]
            fn a_bound_session_is_valid_with_its_binding_only() {
                let mut store = bench();
                store.one(create_with("a", "alice", None, None, Some("x")));
                store.one(regenerate("a", "b"));
                let live = valid("alice", START + HOUR);
                assert_eq!(store.one(validate_if("b", Some("x"), None)), live);
                assert_eq!(store.one(validate_if("b", Some("y"), None)), Seen::Invalid);
                assert_eq!(store.one(validate("b")), Seen::Invalid);
                store.one(create("c", "alice", HOUR));
                assert_eq!(store.one(validate_if("c", Some("y"), None)), live);
            }

            #[test]
            fn within_its_grace_a_retired_key_validates_and_destroys_and_that_is_all() {
                let mut store = bench_of(Policy {
                    rotation_grace: Duration::from_secs(5),
                    on_reuse: OnReuse::Revoke,
                    ..Policy::default()
                });
                let live = || valid("alice", START + HOUR);
                store.apply(&[create("a", "alice", HOUR), regenerate("a", "b")]);
                store.advance(4_999);
                assert_eq!(store.one(regenerate("a", "c")), Seen::Invalid);
                assert_eq!(store.one(update("a", "{}")), Seen::Invalid);
                assert_eq!(
                    store.apply(&[validate("a"), validate("b")]),
                    [live(), live()]
                );
                assert_eq!(store.one(destroy("a")), Seen::Destroyed);
                assert_eq!(store.one(validate("b")), Seen::Invalid);
            }

            #[test]
            fn after_its_grace_a_retired_key_is_ignored_or_ends_what_it_became() {
                for on_reuse in [OnReuse::Ignore, OnReuse::Revoke] {
                    for reuse in [
                        validate("a"),
                        update("a", "{}"),
                        regenerate("a", "x"),
                        destroy("a"),
                        list("bob", Some("a"), 1),
                        destroy_user("bob", Some("a")),
                    ] {
                        let mut store = bench_of(Policy {
                            rotation_grace: Duration::from_secs(5),
                            on_reuse,
                            ..Policy::default()
                        });
                        store.apply(&[create("a", "alice", HOUR), regenerate("a", "b")]);
                        store.one(regenerate("b", "c"));
                        store.advance(5_000);
                        store.one(reuse);
                        let left = match on_reuse {
                            OnReuse::Ignore => valid("alice", START + HOUR),
                            OnReuse::Revoke => Seen::Invalid,
                        };
                        assert_eq!(store.one(validate("c")), left);
                    }
                }
            }

            #[test]
            fn it_counts() {
                let mut store = bench();
                store.apply(&[create("a", "alice", HOUR), create("b", "alice", MINUTE)]);
                store.apply(&[create("c", "bob", HOUR), create("d", "carol", HOUR)]);
                store.apply(&[destroy("d"), destroy("d"), destroy("unknown")]);
                store.advance(60_000);
                let Seen::Stats(sessions, users, destroyed, expired) = store.one(Operation::Stats)
                else {
                    panic!("counts");
                };
                assert!(sessions.is_none_or(|sessions| sessions == 2));
                assert!(users.is_none_or(|users| users == 2));
                assert_eq!((destroyed, expired), (1, 1));
            }

            #[test]
            fn it_tells_what_happened_and_to_whom() {
                let mut store = bench_of(Policy {
                    on_reuse: OnReuse::Revoke,
                    ..Policy::default()
                });
                let mut outcomes = Outcomes::recording(Record::Everything);
                let batch = [
                    create("a", "alice", HOUR),
                    validate("a"),
                    regenerate("a", "b"),
                    validate("unknown"),
                    validate("a"),
                ];
                store.store.apply(store.now, &batch, &mut outcomes);
                let alice = Some(("alice", key("a").handle()));
                let seen: Vec<_> = outcomes
                    .events()
                    .iter()
                    .map(|event| {
                        let user = event.user.as_ref().map(|user| outcomes.text(user));
                        (event.operation, event.kind, user.zip(event.handle))
                    })
                    .collect();
                assert_eq!(
                    seen,
                    [
                        (0, EventKind::Created, alice),
                        (1, EventKind::Validated, alice),
                        (2, EventKind::Regenerated, alice),
                        (3, EventKind::Invalid, None),
                        (4, EventKind::ReuseDetected, alice),
                        (4, EventKind::Destroyed(Reason::Reuse), alice),
                        (4, EventKind::Invalid, None),
                    ]
                );
            }
        }
    };
}
