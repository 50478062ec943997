//! Random requests at a hand-moved time, on a node and on a deliberately naive model of what the protocol
//! promises: every reply must be the one that the model expects.

use proptest::prelude::*;
use session_node_testing::model::{Choice, Rules, Step, compare};

fn steps() -> impl Strategy<Value = Vec<Step>> {
    // 100 on average; a failing run can be cut down to what makes it fail.
    prop::collection::vec(step(), 0..=200)
}

fn choice() -> impl Strategy<Value = Choice> {
    any::<u32>().prop_map(Choice)
}

fn maybe<T: Strategy>(some: T) -> impl Strategy<Value = Option<T::Value>>
where
    T::Value: std::fmt::Debug,
{
    prop::option::weighted(0.3, some)
}

fn step() -> impl Strategy<Value = Step> {
    let seconds = || prop::option::weighted(0.3, 1..6_u64);
    let small = || maybe(0..3_u8);
    // Two, so that a binding is often the right one.
    let rarely = || prop::option::weighted(0.3, 0..2_u8);
    let id = choice;
    let some_id = || prop::option::weighted(0.5, choice());
    let user = || 0..3_u8;
    prop_oneof![
        6 => (user(), seconds(), maybe(0..4_u64), small(), rarely(), maybe(1..4_u64)).prop_map(
            |(user, ttl, idle_timeout, data, binding, limit)| Step::Create {
                user, ttl, idle_timeout, data, binding, limit
            }
        ),
        8 => (id(), rarely(), maybe(0..4_u64), maybe(any::<bool>())).prop_map(
            |(id, binding, max_age, touch)| Step::Validate { id, binding, max_age, touch }
        ),
        5 => (
            id(), maybe(any::<bool>()), small(), rarely(), rarely(), maybe(user()), maybe((1..6_u64, maybe(0..4_u64)))
        ).prop_map(
            |(id, reauthenticated, data, binding, new_binding, user, restart)| Step::Regenerate {
                id, reauthenticated, data, binding, new_binding, user, restart
            }
        ),
        2 => (id(), 0..3_u8, rarely(), maybe(prop::option::of(0..3_u8))).prop_map(
            |(id, data, binding, expected)| Step::Update { id, data, binding, expected }
        ),
        3 => (
            user(), some_id(), prop::option::weighted(0.5, 1..4_u64), maybe(any::<bool>()), some_id(),
            maybe(any::<bool>())
        ).prop_map(
            |(user, id, limit, newest, cursor, data)| Step::List { user, id, limit, newest, cursor, data }
        ),
        1 => Just(Step::ListUsers),
        2 => id().prop_map(|id| Step::Destroy { id }),
        1 => (user(), id()).prop_map(|(user, handle)| Step::DestroyByHandle { user, handle }),
        1 => (user(), some_id()).prop_map(|(user, except)| Step::DestroyUser { user, except }),
        1 => (0..4_u8).prop_map(|n| if n == 0 { Step::DestroyAll } else { Step::Stats }),
        3 => prop_oneof![Just(1), 2..3000_u64].prop_map(Step::Wait),
        4 => (choice(), any::<bool>())
            .prop_map(|(which, just_before)| Step::WaitForAnEnd { which, just_before }),
    ]
}

fn rules() -> impl Strategy<Value = Rules> {
    let seconds = 1..5_u64;
    (
        1..8_u64,
        prop::option::of(seconds.clone()),
        1..12_usize,
        prop::option::of(1..4_usize),
        any::<bool>(),
        prop_oneof![Just(0), seconds],
        any::<bool>(),
    )
        .prop_map(
            |(ttl, idle_timeout, max_sessions, per_user, evict, grace, revoke)| Rules {
                ttl,
                idle_timeout,
                max_sessions,
                max_sessions_per_user: per_user,
                evict_oldest: evict,
                rotation_grace: grace,
                revoke_on_reuse: revoke,
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5_000))]

    #[test]
    fn every_reply_is_the_one_that_the_protocol_promises(rules in rules(), steps in steps()) {
        compare(rules, &steps, 1);
    }

    #[test]
    fn so_it_is_when_requests_come_several_at_a_time(rules in rules(), steps in steps()) {
        compare(rules, &steps, 5);
    }
}
