//! What is recorded of what happens.

#[doc(hidden)]
#[macro_export]
macro_rules! tests_of_events {
    () => {
        use super::bench;
        use $crate::session::{OnReuse, OnUserLimit, SessionKey};
        use $crate::store::{EventKind, Operation, Policy, Reason, Record};
        use $crate::testing::bench::*;

        /// Something that happened to the session of `user` that began as `id`.
        fn event(operation: usize, kind: EventKind, user: &str, id: &str) -> SeenEvent {
            let handle = SessionKey::of(id).handle();
            (operation, kind, Some(user.to_owned()), Some(handle))
        }

        #[test]
        fn events_say_what_happened_to_which_session_at_which_operation() {
            let mut store = $crate::open_bench!(Policy::default());
            let (_, events) = store.apply_recording(
                Record::Everything,
                &[
                    create("a", "alice", HOUR),
                    create("b", "bob", HOUR),
                    validate("a"),
                    validate("x"),
                    regenerate("a", "a2"),
                    update("a2", "{}"),
                    list("alice", None, 10),
                    destroy("a2"),
                    destroy("a2"),
                    destroy_user("bob", None),
                ],
            );
            let expected = [
                event(0, EventKind::Created, "alice", "a"),
                event(1, EventKind::Created, "bob", "b"),
                event(2, EventKind::Validated, "alice", "a"),
                (3, EventKind::Invalid, None, None),
                event(4, EventKind::Regenerated, "alice", "a"),
                event(7, EventKind::Destroyed(Reason::Id), "alice", "a"),
                event(9, EventKind::Destroyed(Reason::User), "bob", "b"),
            ];
            assert_eq!(events, expected);
        }

        #[test]
        fn the_end_of_sessions_is_recorded_with_its_reason() {
            let mut store = $crate::open_bench!(Policy::default());
            store.apply(&[create("a", "alice", HOUR), create("b", "bob", HOUR)]);
            store.one(create("c", "carol", HOUR));
            let handle = Some(SessionKey::of("a").handle());
            let (_, events) = store.apply_recording(
                Record::Changes,
                &[destroy_by_handle("alice", handle), Operation::DestroyAll],
            );
            let expected = [
                event(0, EventKind::Destroyed(Reason::Handle), "alice", "a"),
                (1, EventKind::AllDestroyed(2), None, None),
            ];
            assert_eq!(events, expected);
        }

        #[test]
        fn what_limits_bring_about_is_recorded() {
            for (on_user_limit, expected) in [
                (
                    OnUserLimit::EvictOldest,
                    vec![
                        event(0, EventKind::Evicted, "alice", "a"),
                        event(0, EventKind::Created, "alice", "b"),
                    ],
                ),
                (
                    OnUserLimit::Reject,
                    vec![(0, EventKind::Rejected, Some("alice".to_owned()), None)],
                ),
            ] {
                let mut store = $crate::open_bench!(Policy {
                    max_sessions_per_user: Some(1),
                    on_user_limit,
                    ..Policy::default()
                });
                store.one(create("a", "alice", HOUR));
                let create = create("b", "alice", HOUR);
                let (_, events) = store.apply_recording(Record::Changes, &[create]);
                assert_eq!(events, expected);
            }
        }

        #[test]
        fn reuse_is_recorded_before_what_follows_from_it() {
            let mut store = $crate::open_bench!(Policy {
                on_reuse: OnReuse::Revoke,
                ..Policy::default()
            });
            store.apply(&[create("a", "alice", HOUR), regenerate("a", "b")]);
            let (_, events) = store.apply_recording(Record::Changes, &[validate("a")]);
            let expected = [
                event(0, EventKind::ReuseDetected, "alice", "a"),
                event(0, EventKind::Destroyed(Reason::Reuse), "alice", "a"),
                (0, EventKind::Invalid, None, None),
            ];
            assert_eq!(events, expected);
        }

        #[test]
        fn only_what_was_asked_for_is_recorded() {
            let mut store = $crate::open_bench!(Policy::default());
            store.one(create("a", "alice", HOUR));
            let operations = [validate("a"), validate("x")];
            for (record, expected) in [
                (Record::Nothing, 0),
                (Record::Changes, 1),
                (Record::Everything, 2),
            ] {
                let (_, events) = store.apply_recording(record, &operations);
                assert_eq!(events.len(), expected, "{record:?}: {events:?}");
            }
        }
    };
}
