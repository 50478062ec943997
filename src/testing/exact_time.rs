//! Both sides of every moment at which something ends, and the times that a store tells.

#[doc(hidden)]
#[macro_export]
macro_rules! tests_with_exact_time {
    () => {
        use super::bench;
        use std::time::Duration;
        use $crate::session::{Lifetime, OnReuse, SessionKey};
        use $crate::store::Policy;
        use $crate::store::{EventKind, Record};
        use $crate::testing::bench::*;

        const MINUTE: Duration = Duration::from_secs(60);

        fn of_at_most(max_sessions: usize) -> Policy {
            Policy {
                max_sessions,
                ..Policy::default()
            }
        }

        #[test]
        fn a_session_is_valid_until_the_last_millisecond_before_its_end() {
            let mut store = $crate::open_bench!(Policy::default());
            let end = Some(START + HOUR);
            assert_eq!(store.end(create("a", "alice", HOUR)), end);
            assert_eq!(store.end(validate("a")), end);
            store.advance(3_599_999);
            assert_eq!(store.end(validate("a")), end);
            store.advance(1);
            assert_eq!(store.one(validate("a")), Seen::Invalid);
        }

        #[test]
        fn a_session_can_be_used_in_every_way_in_its_last_millisecond_only() {
            for (late, is_live) in [(0, true), (1, false)] {
                let mut store = $crate::open_bench!(Policy::default());
                for id in ["regenerated", "updated", "destroyed"] {
                    store.one(create(id, "alice", HOUR));
                }
                store.advance(3_599_999 + late);
                let shown = store.list("alice", None, 10).0;
                assert_eq!(shown.len(), if is_live { 3 } else { 0 });
                let seen = store.one(regenerate("regenerated", "new"));
                assert_eq!(seen == Seen::Regenerated, is_live);
                assert_eq!(store.end(validate("new")), is_live.then_some(START + HOUR));
                let seen = store.one(update("updated", "{}"));
                assert_eq!(seen == Seen::Updated, is_live);
                store.one(destroy("destroyed"));
                assert_eq!(store.stats().destroyed, u64::from(is_live));
            }
        }

        #[test]
        fn a_use_puts_the_idle_timeout_off_from_the_millisecond_of_the_use() {
            let mut store = $crate::open_bench!(Policy::default());
            let create = create_idle("a", "alice", MINUTE);
            assert_eq!(store.end(create), Some(START + MINUTE));
            store.advance(59_999);
            assert_eq!(store.end(validate("a")), Some(store.now + MINUTE));
            store.advance(59_999);
            assert_eq!(store.one(update("a", "{}")), Seen::Updated);
            store.advance(59_999);
            assert_eq!(store.one(regenerate("a", "b")), Seen::Regenerated);
            store.advance(60_000);
            assert_eq!(store.one(validate("b")), Seen::Invalid);
        }

        #[test]
        fn the_idle_timeout_is_never_put_off_beyond_the_end() {
            let mut store = $crate::open_bench!(Policy::default());
            store.one(create_idle("a", "alice", MINUTE * 40));
            store.advance(30 * 60_000);
            assert_eq!(store.end(validate("a")), Some(START + HOUR));
            store.advance(30 * 60_000);
            assert_eq!(store.one(validate("a")), Seen::Invalid);
        }

        #[test]
        fn authenticating_again_starts_the_lifetime_afresh_at_that_millisecond() {
            let mut store = $crate::open_bench!(Policy::default());
            store.one(create("a", "alice", HOUR));
            store.advance(60_001);
            assert_eq!(store.auth_age(validate_within("a", 60)), Some(61));
            store.one(reauthenticate("a", "b"));
            let again = store.now;
            assert_eq!(store.end(validate_within("b", 0)), Some(again + HOUR));
            store.advance(60_000);
            assert_eq!(store.auth_age(validate_within("b", 60)), None);
            store.advance(1);
            assert_eq!(store.auth_age(validate_within("b", 60)), Some(61));
            // As long again as the session's own, not as what was left or had been added.
            store.one(reauthenticate("b", "c"));
            assert_eq!(store.end(validate("c")), Some(store.now + HOUR));
        }

        #[test]
        fn a_list_tells_the_times_of_each_session() {
            let mut store = $crate::open_bench!(Policy::default());
            store.one(create_idle("a", "alice", MINUTE));
            store.advance(1500);
            store.one(validate("a"));
            let used = Lifetime {
                last_used_at: store.now,
                ..Lifetime::begin(START, HOUR, Some(MINUTE))
            };
            assert_eq!(store.lifetimes("alice"), [used]);
            store.advance(1500);
            store.one(reauthenticate("a", "b"));
            let authenticated = Lifetime {
                last_used_at: store.now,
                auth_time: store.now,
                ends_at: store.now + HOUR,
                ..used
            };
            store.advance(1500);
            assert_eq!(store.auth_age(validate_within("b", 1)), Some(2));
            assert_eq!(store.lifetimes("alice"), [authenticated]);
        }

        #[test]
        fn a_retired_key_is_in_its_grace_until_the_last_millisecond_before_its_end() {
            for on_reuse in [OnReuse::Ignore, OnReuse::Revoke] {
                let mut store = $crate::open_bench!(Policy {
                    rotation_grace: Duration::from_secs(5),
                    on_reuse,
                    ..Policy::default()
                });
                store.one(create("a", "alice", HOUR));
                store.one(regenerate("a", "b"));
                store.advance(4999);
                assert_eq!(store.one(validate("a")), valid("alice"));
                store.advance(1);
                assert_eq!(store.one(validate("a")), Seen::Invalid);
                let lives_on = on_reuse == OnReuse::Ignore;
                assert_eq!(store.one(validate("b")) == valid("alice"), lives_on);
            }
        }

        #[test]
        fn a_full_store_takes_a_session_again_at_the_millisecond_when_one_expires() {
            let mut store = $crate::open_bench!(of_at_most(2));
            store.apply(&[create("a", "alice", HOUR), create("b", "bob", HOUR * 2)]);
            store.advance(3_599_999);
            assert_eq!(store.one(create("c", "carol", HOUR)), Seen::Full);
            store.advance(1);
            assert_eq!(store.one(create("c", "carol", HOUR)), Seen::Created);
            assert_eq!(store.one(create("d", "dave", HOUR)), Seen::Full);
        }

        #[test]
        fn a_full_store_finds_the_one_that_expired_among_many_that_were_used() {
            // In the second in which it expired, and in the next.
            for wait in [3000, 3800] {
                let mut store = $crate::open_bench!(of_at_most(10));
                for n in 0..9 {
                    store.one(create_idle(&n.to_string(), "alice", SECOND * 4));
                }
                store.one(create("short", "bob", SECOND * 5));
                store.advance(2000);
                for n in 0..9 {
                    assert_eq!(store.one(validate(&n.to_string())), valid("alice"));
                }
                // All that are used would have ended by now, had they not been.
                store.advance(wait);
                assert_eq!(store.one(create("new", "bob", HOUR)), Seen::Created);
                assert_eq!(store.one(create("newer", "bob", HOUR)), Seen::Full);
            }
        }

        #[test]
        fn what_was_removed_after_its_end_is_counted_and_recorded() {
            let mut store = $crate::open_bench!(Policy::default());
            store.one(create("a", "alice", SECOND));
            store.one(create("b", "bob", HOUR));
            store.advance(999);
            assert_eq!(store.stats().expired, 0);
            store.advance(1);
            let operations = [$crate::store::Operation::Stats];
            let (_, events) = store.apply_recording(Record::Changes, &operations);
            let handle = Some(SessionKey::of("a").handle());
            let user = Some("alice".to_owned());
            assert_eq!(events, [(0, EventKind::Expired, user, handle)]);
            let stats = store.stats();
            assert_eq!((stats.expired, stats.destroyed), (1, 0));
            store.assert_live(1, 1);
        }

        #[test]
        fn sessions_that_end_out_of_order_end_at_their_own_times() {
            let mut store = $crate::open_bench!(Policy::default());
            let ttl = |n: u64| Duration::from_secs(1 + (n * 37) % 100);
            for n in 0..100 {
                store.one(create(&n.to_string(), "alice", ttl(n)));
            }
            for second in 1..=100 {
                for step in [999, 1] {
                    store.advance(step);
                    for n in 0..100 {
                        let end = START + ttl(n);
                        let expected = Some(end).filter(|end| store.now < *end);
                        let seen = store.end(validate(&n.to_string()));
                        assert_eq!(seen, expected, "session {n} in second {second}");
                    }
                }
            }
        }

        #[test]
        fn a_stricter_policy_ends_a_session_at_the_same_millisecond_for_every_use() {
            for (late, is_live) in [(0, true), (1, false)] {
                let mut store = $crate::open_bench!(Policy::default());
                for id in ["validated", "regenerated", "updated", "listed"] {
                    store.one(create(id, "alice", HOUR));
                }
                store.policy.max_ttl = SECOND * 100;
                store.advance(99_999 + late);
                let shown = store.lifetimes("alice");
                assert_eq!(shown.len(), if is_live { 4 } else { 0 });
                for lifetime in shown {
                    assert_eq!(lifetime.ends_at, START + SECOND * 100);
                }
                let end = is_live.then_some(START + SECOND * 100);
                assert_eq!(store.end(validate("validated")), end);
                let seen = store.one(regenerate("regenerated", "new"));
                assert_eq!(seen == Seen::Regenerated, is_live);
                assert_eq!(store.one(update("updated", "{}")) == Seen::Updated, is_live);
                let count = if is_live { 4 } else { 0 };
                let seen = store.one(destroy_user("alice", None));
                assert_eq!(seen, Seen::DestroyedMany(count));
            }
        }
    };
}
