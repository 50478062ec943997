//! What only the store in memory promises: that it gives memory back.

use std::time::Duration;

use session_node::store::{MemoryStore, Policy};

use session_node::testing::bench::{Bench, HOUR, create, validate};

#[test]
fn under_steady_load_ended_sessions_do_not_pile_up() {
    let mut bench = Bench::new(MemoryStore::new(), Policy::default());
    let minute = Duration::from_secs(60);
    for n in 0..100_000 {
        bench.one(create(&n.to_string(), "alice", minute));
        bench.advance(10);
    }
    // 100 sessions a second for a minute, and up to a second until one that has ended is removed.
    let len = bench.store.len();
    assert!((6000..=6100).contains(&len), "{len}");
}

#[test]
fn sessions_that_all_end_at_once_go_a_few_at_each_operation() {
    let mut bench = Bench::new(MemoryStore::new(), Policy::default());
    for n in 0..10_000 {
        bench.one(create(&n.to_string(), "alice", HOUR));
    }
    // To the end of the second in which they end.
    bench.advance(3_600_750);
    let mut before = bench.store.len();
    assert_eq!(before, 10_000);
    assert!(!bench.store.is_empty());
    while before > 0 {
        bench.one(validate("x"));
        let now = bench.store.len();
        assert!(now < before && before - now <= 4, "{before} became {now}");
        before = now;
    }
    assert!(bench.store.is_empty());
}
