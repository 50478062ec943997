//! Lists in pages, of sessions and of users.

#[doc(hidden)]
#[macro_export]
macro_rules! tests_of_lists {
    () => {
        use super::bench;
        use $crate::session::{Handle, SessionKey};
        use $crate::store::{Cursor, ListOptions, ListOrder, Operation, Policy, Store};
        use $crate::testing::bench::*;

        /// Enough for a store to change how it keeps the sessions of a user.
        const MANY: usize = 300;

        fn handle(n: usize) -> Handle {
            SessionKey::of(&n.to_string()).handle()
        }

        fn create_many(store: &mut Bench<impl Store>, numbers: std::ops::Range<usize>) {
            let ids: Vec<String> = numbers.map(|n| n.to_string()).collect();
            let create: Vec<_> = ids.iter().map(|id| create(id, "alice", HOUR)).collect();
            store.apply(&create);
        }

        fn page(limit: usize, order: ListOrder, after: Option<Cursor>) -> ListOptions {
            ListOptions {
                limit,
                order,
                after,
                without_data: false,
            }
        }

        #[test]
        fn a_list_goes_on_where_it_was_cut_in_both_orders() {
            let mut store = $crate::open_bench!(Policy::default());
            for count in [1, 2, 3, 4, MANY] {
                store.one(destroy_user("alice", None));
                create_many(&mut store, 0..count);
                store.one(create("other", "bob", HOUR));
                let all: Vec<_> = (0..count).map(handle).collect();
                for limit in [1, 2, 3, 256, 1000] {
                    if count / limit > 100 {
                        continue;
                    }
                    for order in [ListOrder::OldestFirst, ListOrder::NewestFirst] {
                        let (mut seen, mut after) = (Vec::new(), None);
                        loop {
                            let (shown, next) = store.page("alice", page(limit, order, after));
                            assert!(next.is_none() || shown.len() == limit);
                            seen.extend(shown);
                            after = next;
                            if after.is_none() {
                                break;
                            }
                        }
                        if order == ListOrder::NewestFirst {
                            seen.reverse();
                        }
                        assert_eq!(seen, all, "{count} by {limit}");
                    }
                }
            }
        }

        #[test]
        fn while_sessions_come_and_go_a_list_shows_each_that_stays_once() {
            let mut store = $crate::open_bench!(Policy::default());
            for order in [ListOrder::OldestFirst, ListOrder::NewestFirst] {
                store.one(destroy_user("alice", None));
                create_many(&mut store, 0..MANY);
                let (mut seen, mut after, mut round) = (Vec::new(), None, 0);
                loop {
                    let (shown, next) = store.page("alice", page(50, order, after));
                    // Half of those that were shown end, among them the last, where the list goes on. So do some that
                    // were not shown yet, and others begin.
                    let numbers = 0..MANY;
                    let number = |handle| numbers.clone().find(|n| self::handle(*n) == handle);
                    let ended = shown.iter().rev().step_by(2).copied().filter_map(number);
                    let coming = [100 + 7 * round, 250 - 7 * round];
                    let ended: Vec<String> = ended
                        .chain(coming)
                        .map(|number| number.to_string())
                        .collect();
                    let destroy: Vec<_> = ended.iter().map(|id| destroy(id)).collect();
                    store.apply(&destroy);
                    create_many(&mut store, MANY + 10 * round..MANY + 10 * round + 3);
                    seen.extend(shown);
                    after = next;
                    round += 1;
                    if after.is_none() {
                        break;
                    }
                }
                let mut distinct: Vec<_> = seen.iter().map(Handle::to_string).collect();
                distinct.sort_unstable();
                distinct.dedup();
                assert_eq!(distinct.len(), seen.len(), "none twice");
                for handle in store.handles("alice") {
                    let stayed = (0..MANY).any(|n| self::handle(n) == handle);
                    assert!(!stayed || seen.contains(&handle), "none left out");
                }
            }
        }

        #[test]
        fn a_session_keeps_its_place_when_it_is_regenerated_or_used() {
            let mut store = $crate::open_bench!(Policy::default());
            create_many(&mut store, 0..3);
            let order = ListOrder::OldestFirst;
            let (_, next) = store.page("alice", page(1, order, None));
            store.one(regenerate("0", "new"));
            store.one(update("1", "{}"));
            let (shown, next) = store.page("alice", page(1, order, next));
            assert_eq!(shown, [handle(1)]);
            let (shown, next) = store.page("alice", page(1, order, next));
            assert_eq!((shown, next), (vec![handle(2)], None));
        }

        #[test]
        fn expired_sessions_are_not_shown_and_do_not_cut_a_list() {
            let mut store = $crate::open_bench!(Policy::default());
            for n in 0..400 {
                let ttl = if n % 4 == 0 { HOUR } else { SECOND };
                store.one(create(&n.to_string(), "alice", ttl));
            }
            store.advance(1100);
            let order = ListOrder::NewestFirst;
            let (shown, next) = store.page("alice", page(60, order, None));
            let (rest, end) = store.page("alice", page(60, order, next));
            assert_eq!((shown.len(), rest.len(), end), (60, 40, None));
            let live = (0..400).filter(|n| n % 4 == 0).map(handle);
            assert!(shown.into_iter().chain(rest).rev().eq(live));
        }

        #[test]
        fn a_list_can_leave_out_the_data() {
            let mut store = $crate::open_bench!(Policy::default());
            store.one(create_with("a", "alice", Some("{\"a\":1}"), None));
            for without_data in [false, true] {
                let options = ListOptions {
                    without_data,
                    ..ListOptions::default()
                };
                let Seen::Sessions { shown, .. } = store.one(list_page("alice", options)) else {
                    panic!("a list is a list");
                };
                let data = shown[0].data.as_deref();
                assert_eq!(data, (!without_data).then_some("{\"a\":1}"));
            }
        }

        #[test]
        fn a_cursor_of_something_else_is_refused() {
            let mut store = $crate::open_bench!(Policy::default());
            store.one(create("a", "alice", HOUR));
            let wrong = || Some(Cursor::from_bytes("\u{0}\u{1}\u{2}"));
            let options = page(10, ListOrder::OldestFirst, wrong());
            assert_eq!(store.one(list_page("alice", options)), Seen::UnknownCursor);
            // A cursor that could be one shows no more than what the user has.
            for place in [0, 1, 1 << 40, 1 << 80, u128::MAX] {
                for order in [ListOrder::OldestFirst, ListOrder::NewestFirst] {
                    let after = Some(Cursor::at(place));
                    let (shown, next) = store.page("alice", page(10, order, after));
                    assert!(shown.len() <= 1 && next.is_none());
                }
            }
        }

        #[test]
        fn the_users_are_listed_each_with_the_number_of_live_sessions() {
            let mut store = $crate::open_bench!(Policy::default());
            assert!(store.users(10).is_empty());
            let mut expected = Vec::new();
            for n in 0..150 {
                let user = format!("user{n}");
                for session in 0..=n % 3 {
                    store.one(create(&format!("{n}-{session}"), &user, HOUR));
                }
                store.one(create(&format!("{n}-ended"), &user, SECOND));
                expected.push((user, 1 + n % 3));
            }
            store.one(create("of one", "who has gone", SECOND));
            store.advance(1100);
            expected.sort_unstable();
            for limit in [1, 7, 100, 1000] {
                let mut users = store.users(limit);
                users.sort_unstable();
                assert_eq!(users, expected, "{limit}");
            }
            store.one(Operation::DestroyAll);
            assert!(store.users(10).is_empty());
        }

        #[test]
        fn a_list_of_users_counts_all_sessions_of_one_who_has_many() {
            let mut store = $crate::open_bench!(Policy::default());
            create_many(&mut store, 0..1200);
            store.one(create("b", "bob", HOUR));
            let mut users = store.users(1);
            users.sort_unstable();
            assert_eq!(users, [("alice".to_owned(), 1200), ("bob".to_owned(), 1)]);
        }

        #[test]
        fn users_who_come_and_go_leave_the_others_in_the_list() {
            let mut store = $crate::open_bench!(Policy::default());
            let name = |n: usize| format!("user{n}");
            for n in 0..200 {
                store.one(create(&n.to_string(), &name(n), HOUR));
            }
            let (mut seen, mut after, mut round) = (Vec::new(), None, 0);
            loop {
                let (users, next) = store.user_page(10, after);
                for (user, _) in &users {
                    // Of those that were shown, every other goes.
                    if user.ends_with(['0', '2', '4', '6', '8']) {
                        store.one(destroy_user(user, None));
                    }
                }
                let new = format!("new{round}");
                store.one(create(&new, &new, HOUR));
                seen.extend(users.into_iter().map(|(user, _)| user));
                (after, round) = (next, round + 1);
                if after.is_none() {
                    break;
                }
            }
            for n in (1..200).step_by(2) {
                assert!(seen.contains(&name(n)), "{n}");
            }
        }
    };
}
