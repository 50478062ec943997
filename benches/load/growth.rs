//! How long a single create takes while a store grows, and a single operation while a million sessions end: the
//! slowest calls, beside what an idle loop on this machine shows in the same time.

use std::hint::black_box;
use std::time::{Duration, Instant};

use session_node::session::{SessionKey, Timestamp};
use session_node::store::{MemoryStore, Operation, Outcomes, Store};

const SHOWN: usize = 10;
const START: Timestamp = Timestamp::from_millis(1_790_000_000_000);

/// The slowest calls, each with how many calls came before it.
pub type Slowest = Vec<(Duration, usize)>;

pub struct Growth {
    pub growing: Slowest,
    pub ending: Slowest,
    pub idle: Slowest,
}

/// Creates `sessions` sessions one by one, then lets them all end and asks on.
pub fn measure(sessions: usize) -> Growth {
    let mut store = MemoryStore::new(sessions);
    let mut outcomes = Outcomes::new();
    let mut timed_apply = |now: Timestamp, operation: Operation<'_>| {
        outcomes.clear();
        let start = Instant::now();
        store.apply(now, &[operation], &mut outcomes);
        start.elapsed()
    };
    let started = Instant::now();
    let growing = slowest((0..sessions).map(|number| {
        let user = format!("user{number:08}");
        let key = SessionKey::of(&user);
        let ttl = Duration::from_secs(3600);
        timed_apply(
            START,
            Operation::Create {
                key,
                user: user.into(),
                ttl,
            },
        )
    }));
    let took = started.elapsed();

    let after = START + Duration::from_secs(7200);
    let key = SessionKey::of("nobody's");
    let ending =
        slowest((0..sessions / 4).map(|_| timed_apply(after, Operation::Validate { key })));
    assert!(store.is_empty(), "every operation removes four");

    let idle_until = Instant::now() + took;
    let idle = slowest(std::iter::from_fn(|| {
        let start = Instant::now();
        (start < idle_until).then(|| black_box(start).elapsed())
    }));
    Growth {
        growing,
        ending,
        idle,
    }
}

fn slowest(calls: impl Iterator<Item = Duration>) -> Slowest {
    let mut slowest = Slowest::new();
    for (number, took) in calls.enumerate() {
        if slowest.len() < SHOWN || took > slowest[SHOWN - 1].0 {
            slowest.push((took, number));
            slowest.sort_unstable_by(|a, b| b.cmp(a));
            slowest.truncate(SHOWN);
        }
    }
    slowest
}
