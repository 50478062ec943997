//! The log-in of a visitor: a regeneration that gives the session to a user.

#[doc(hidden)]
#[macro_export]
macro_rules! tests_of_log_in {
    () => {
        use super::bench;
        use std::time::Duration;
        use $crate::session::{Binding, Handle, OnReuse, OnUserLimit, SessionKey};
        use $crate::store::{Changes, Conflict, EventKind, Policy, Record};
        use $crate::testing::bench::*;

        /// The handle of the session that began as `id`.
        fn handle(id: &str) -> Handle {
            SessionKey::of(id).handle()
        }

        fn remembering(on_reuse: OnReuse) -> Policy {
            Policy {
                rotation_grace: Duration::from_secs(60),
                on_reuse,
                ..Policy::default()
            }
        }

        #[test]
        fn a_visitors_session_becomes_the_users_with_its_data() {
            let mut store = $crate::open_bench!(Policy::default());
            store.one(create_with("v", "visitor", Some("{\"cart\":1}"), None));
            let handles = store.handles("visitor");
            assert_eq!(store.one(log_in("v", "a", "alice")), Seen::Regenerated);
            assert_eq!(store.one(validate("v")), Seen::Invalid);
            let seen = store.one(validate("a"));
            assert_eq!(seen, valid_with("alice", "{\"cart\":1}"));
            assert_eq!(store.handles("alice"), handles);
            assert!(store.handles("visitor").is_empty());
            store.assert_live(1, 1);
            assert_eq!(store.stats().destroyed, 0);
            assert_eq!(store.one(regenerate("a", "b")), Seen::Regenerated);
            assert_eq!(
                store.one(destroy_user("alice", None)),
                Seen::DestroyedMany(1)
            );
            assert_eq!(store.one(validate("b")), Seen::Invalid);
            store.assert_live(0, 0);
        }

        #[test]
        fn in_one_batch_each_operation_sees_who_the_session_belongs_to() {
            let mut store = $crate::open_bench!(Policy::default());
            let seen = store.apply(&[
                create("v", "visitor", HOUR),
                validate("v"),
                log_in("v", "a", "alice"),
                validate("v"),
                validate("a"),
                destroy_user("visitor", None),
                update("a", "{}"),
                log_in("v", "x", "bob"),
                log_in("a", "b", "bob"),
                validate("b"),
                destroy_user("alice", None),
                destroy_user("bob", None),
                validate("b"),
            ]);
            let expected = [
                Seen::Created,
                valid("visitor"),
                Seen::Regenerated,
                Seen::Invalid,
                valid("alice"),
                Seen::DestroyedMany(0),
                Seen::Updated,
                Seen::Invalid,
                Seen::Regenerated,
                valid_with("bob", "{}"),
                Seen::DestroyedMany(0),
                Seen::DestroyedMany(1),
                Seen::Invalid,
            ];
            assert_eq!(seen, expected);
            store.assert_live(0, 0);
        }

        #[test]
        fn the_other_sessions_of_both_users_stay() {
            let mut store = $crate::open_bench!(Policy::default());
            store.one(create("other", "visitor", HOUR));
            store.one(create("v", "visitor", HOUR));
            store.one(create("older", "alice", HOUR));
            let older = store.handles("alice");
            store.one(log_in("v", "a", "alice"));
            store.one(create("younger", "alice", HOUR));
            assert_eq!(store.one(validate("other")), valid("visitor"));
            // The session takes its place when it becomes the user's, not when the visitor's session began.
            let handles = store.handles("alice");
            assert_eq!(handles.len(), 3);
            assert_eq!(handles[..1], older);
            assert_eq!(handles[1], handle("v"));
            store.assert_live(4, 2);
        }

        #[test]
        fn a_log_in_counts_as_authentication_and_restarts_the_lifetime() {
            let mut store = $crate::open_bench!(Policy::default());
            store.one(create("v", "visitor", SECOND * 3));
            store.advance(2100);
            let before = store.lifetimes("visitor")[0];
            assert_eq!(store.one(log_in("v", "a", "alice")), Seen::Regenerated);
            assert_eq!(store.one(validate_within("a", 1)), valid("alice"));
            let life = store.lifetimes("alice")[0];
            assert_eq!(life.created_at, before.created_at);
            assert!(life.auth_time >= before.auth_time + SECOND * 2);
            assert_eq!(life.ends_at.since(life.auth_time), SECOND * 3);
            store.advance(2100);
            assert_eq!(store.one(validate("a")), valid("alice"));
            store.advance(1100);
            assert_eq!(store.one(validate("a")), Seen::Invalid);
        }

        #[test]
        fn an_idle_timeout_goes_along() {
            let mut store = $crate::open_bench!(Policy::default());
            store.one(create_idle("v", "visitor", SECOND * 2));
            store.advance(1100);
            assert_eq!(store.one(log_in("v", "a", "alice")), Seen::Regenerated);
            store.advance(1100);
            assert_eq!(store.one(validate("a")), valid("alice"));
            store.advance(2100);
            assert_eq!(store.one(validate("a")), Seen::Invalid);
        }

        #[test]
        fn a_lifetime_that_restarts_may_have_another_length_and_idle_timeout() {
            let mut store = $crate::open_bench!(Policy::default());
            for user in [Some("alice"), Some("visitor"), None] {
                store.one(create_idle("v", "visitor", SECOND * 60));
                let changes = |ttl, idle_timeout| Changes {
                    user: user.map(Into::into),
                    reauthenticated: user.is_none(),
                    ttl: Some(ttl),
                    idle_timeout,
                    ..Changes::default()
                };
                let name = user.unwrap_or("visitor");
                let longer = changes(HOUR * 24, Some(Duration::ZERO));
                assert_eq!(
                    store.one(regenerate_as("v", "a", longer)),
                    Seen::Regenerated
                );
                let life = store.lifetimes(name)[0];
                assert_eq!(life.ends_at.since(life.auth_time), HOUR * 24);
                assert_eq!(life.idle_timeout_millis, None);
                let idle = changes(HOUR, Some(SECOND * 2));
                assert_eq!(store.one(regenerate_as("a", "b", idle)), Seen::Regenerated);
                let life = store.lifetimes(name)[0];
                assert_eq!(life.ends_at.since(life.auth_time), HOUR);
                assert_eq!(life.idle_timeout_millis, Some(2000));
                let shorter = changes(SECOND, None);
                assert_eq!(
                    store.one(regenerate_as("b", "c", shorter)),
                    Seen::Regenerated
                );
                assert_eq!(store.one(validate("c")), valid(name));
                store.assert_live(1, 1);
                store.advance(2100);
                // Nobody has to present the id: the end has come earlier than it was planned.
                store.assert_live(0, 0);
                assert_eq!(store.one(validate("c")), Seen::Invalid);
            }
        }

        #[test]
        fn a_log_in_may_set_the_limit_of_its_user() {
            let mut store = $crate::open_bench!(Policy {
                max_sessions_per_user: Some(1),
                on_user_limit: OnUserLimit::Reject,
                ..Policy::default()
            });
            store.apply(&[create("v", "visitor", HOUR), create("one", "alice", HOUR)]);
            let within = |limit| Changes {
                user: Some("alice".into()),
                max_sessions_per_user: Some(limit),
                ..Changes::default()
            };
            let refused = store.one(regenerate_as("v", "a", within(1)));
            assert_eq!(refused, Seen::UserLimit);
            let taken = store.one(regenerate_as("v", "a", within(2)));
            assert_eq!(taken, Seen::Regenerated);
            store.assert_live(2, 1);
        }

        /// Whoever planted a visitor's id in a browser must not be logged in with it, and must not be able to log out.
        #[test]
        fn no_earlier_id_leads_to_the_session_after_a_log_in() {
            for on_reuse in [OnReuse::Ignore, OnReuse::Revoke] {
                let mut store = $crate::open_bench!(remembering(on_reuse));
                store.one(create("v", "visitor", HOUR));
                store.one(regenerate("v", "w"));
                assert_eq!(store.one(validate("v")), valid("visitor"));
                store.one(log_in("w", "a", "alice"));
                for old in ["v", "w"] {
                    assert_eq!(store.one(validate(old)), Seen::Invalid);
                    assert_eq!(store.one(update(old, "{}")), Seen::Invalid);
                    assert_eq!(store.one(regenerate(old, "x")), Seen::Invalid);
                    assert_eq!(store.one(destroy(old)), Seen::Destroyed);
                    let others = store.one(destroy_user("alice", Some(old)));
                    assert_eq!(others, Seen::Invalid);
                }
                assert_eq!(store.one(validate("a")), valid("alice"));
                // Later ids are retired as ever.
                store.one(regenerate("a", "b"));
                assert_eq!(store.one(validate("a")), valid("alice"));
                assert_eq!(store.one(validate("b")), valid("alice"));
            }
        }

        #[test]
        fn a_retired_id_logs_nobody_in() {
            let mut store = $crate::open_bench!(remembering(OnReuse::Ignore));
            store.one(create("v", "visitor", HOUR));
            store.one(regenerate("v", "w"));
            let conflict = Seen::Conflict(Conflict::Regenerated);
            assert_eq!(store.one(log_in("v", "a", "alice")), conflict);
            assert_eq!(store.one(validate("w")), valid("visitor"));
            assert_eq!(store.one(log_in("never", "a", "alice")), Seen::Invalid);
            assert!(store.handles("alice").is_empty());
        }

        #[test]
        fn the_log_in_of_the_sessions_own_user_is_a_reauthentication() {
            let mut store = $crate::open_bench!(Policy {
                max_sessions_per_user: Some(1),
                on_user_limit: OnUserLimit::Reject,
                ..remembering(OnReuse::Ignore)
            });
            store.one(create("a", "alice", HOUR));
            store.advance(2100);
            assert_eq!(store.one(log_in("a", "b", "alice")), Seen::Regenerated);
            assert_eq!(store.one(validate_within("b", 1)), valid("alice"));
            // The old id proves no more than before.
            let required = Seen::ReauthenticationRequired("alice".to_owned());
            assert_eq!(store.one(validate_within("a", 1)), required);
            assert_eq!(store.handles("alice").len(), 1);
        }

        #[test]
        fn a_bound_session_is_logged_in_with_its_binding_only() {
            let mut store = $crate::open_bench!(Policy::default());
            store.one(create_with("v", "visitor", Some("{\"n\":1}"), Some("x")));
            let as_alice = |binding, new_binding| Changes {
                user: Some("alice".into()),
                binding: Some(Binding::to(binding)),
                new_binding,
                ..Changes::default()
            };
            assert_eq!(store.one(log_in("v", "a", "alice")), Seen::Invalid);
            let wrong = regenerate_as("v", "a", as_alice("y", None));
            assert_eq!(store.one(wrong), Seen::Invalid);
            let right = regenerate_as("v", "a", as_alice("x", None));
            assert_eq!(store.one(right), Seen::Regenerated);
            assert_eq!(store.one(validate("a")), Seen::Invalid);
            let seen = store.one(validate_bound("a", "x"));
            assert_eq!(seen, valid_with("alice", "{\"n\":1}"));
            let changes = Changes {
                user: Some("bob".into()),
                data: Some("{\"n\":2}".into()),
                ..as_alice("x", Some(Binding::to("z")))
            };
            assert_eq!(
                store.one(regenerate_as("a", "b", changes)),
                Seen::Regenerated
            );
            assert_eq!(store.one(validate_bound("b", "x")), Seen::Invalid);
            let seen = store.one(validate_bound("b", "z"));
            assert_eq!(seen, valid_with("bob", "{\"n\":2}"));
        }

        #[test]
        fn a_log_in_beyond_the_users_limit_ends_the_oldest_sessions() {
            let mut store = $crate::open_bench!(Policy {
                max_sessions_per_user: Some(2),
                ..Policy::default()
            });
            store.apply(&[
                create("v", "visitor", HOUR),
                create("one", "alice", HOUR),
                create("two", "alice", HOUR),
            ]);
            assert_eq!(store.one(log_in("v", "a", "alice")), Seen::Regenerated);
            assert_eq!(store.one(validate("one")), Seen::Invalid);
            assert_eq!(store.one(validate("two")), valid("alice"));
            assert_eq!(store.one(validate("a")), valid("alice"));
            // The session that logged in last is the youngest, although the visitor came first.
            store.one(create("three", "alice", HOUR));
            assert_eq!(store.one(validate("two")), Seen::Invalid);
            assert_eq!(store.one(validate("a")), valid("alice"));
            assert_eq!(store.stats().destroyed, 2);
            store.assert_live(2, 1);
        }

        #[test]
        fn a_log_in_that_the_users_limit_refuses_changes_nothing() {
            let mut store = $crate::open_bench!(Policy {
                max_sessions_per_user: Some(1),
                on_user_limit: OnUserLimit::Reject,
                ..Policy::default()
            });
            store.one(create("v", "visitor", HOUR));
            store.one(create("one", "alice", HOUR));
            assert_eq!(store.one(log_in("v", "a", "alice")), Seen::UserLimit);
            assert_eq!(store.one(validate("v")), valid("visitor"));
            assert_eq!(store.one(validate("a")), Seen::Invalid);
            assert_eq!(store.one(validate("one")), valid("alice"));
            // Only a session that could become hers is worth a look at her limit.
            assert_eq!(store.one(log_in("never", "a", "alice")), Seen::Invalid);
            store.one(destroy("one"));
            assert_eq!(store.one(log_in("v", "a", "alice")), Seen::Regenerated);
            store.assert_live(1, 1);
        }

        #[test]
        fn a_log_in_tells_its_detail_and_notes_its_events() {
            let mut store = $crate::open_bench!(Policy {
                max_sessions_per_user: Some(1),
                ..Policy::default()
            });
            store.one(create("v", "visitor", HOUR));
            store.one(create("one", "alice", HOUR));
            let changes = Changes {
                user: Some("alice".into()),
                detail: true,
                ..Changes::default()
            };
            let log_in = regenerate_as("v", "a", changes);
            let (_, events) = store.apply_recording(Record::Everything, &[log_in]);
            let event = |kind, id| (0, kind, Some("alice".to_owned()), Some(handle(id)));
            let expected = [
                event(EventKind::Evicted, "one"),
                event(EventKind::Regenerated, "v"),
            ];
            assert_eq!(events, expected);
            let changes = Changes {
                user: Some("bob".into()),
                detail: true,
                ..Changes::default()
            };
            let details = store.details(&[regenerate_as("a", "b", changes)]);
            let detail = details[0].expect("the request asks for it");
            assert_eq!(detail.handle, handle("v"));
            assert_eq!(detail.lifetime, store.lifetimes("bob")[0]);
        }
    };
}
