//! The store in a SQLite file, whose time is given to it.

use std::time::Duration;

use rand::RngExt;
use session_node::session::Timestamp;
use session_node::store::{MemoryStore, SqliteStore};

use super::script::{Script, Sight, Times, policies, seen};
use session_node_testing::place::Place;
use session_node_testing::ruled::Ruled;

const START: Timestamp = Timestamp::from_millis(1_790_000_000_250);
const GRACE: Duration = Duration::from_secs(20);

/// Runs the same batches on a store in memory and on stores on one file in turn.
fn compare(name: &str, nodes: usize, longest_idle: Option<u64>, sight: Sight) {
    let times = Times {
        of: Duration::from_secs,
        longest_ttl: 300,
        longest_idle,
        max_age: 60,
    };
    for (number, policy) in policies([12, 100], GRACE).into_iter().enumerate() {
        let place = Place::new(&format!("{name}-{number}"));
        let open = || SqliteStore::open(&place.file()).expect("a file of sessions");
        let open = || Ruled::new(open(), policy.clone());
        let mut memory = Ruled::new(MemoryStore::new(), policy.clone());
        let mut stores: Vec<_> = (0..nodes).map(|_| open()).collect();
        let seed = u64::try_from(number).expect("small");
        let mut script = Script::new(seed, times);
        let mut now = START;
        for step in 0..600 {
            let batch = script.batch();
            let expected = seen(&mut memory, now, &batch, sight);
            let answered = seen(&mut stores[step % nodes], now, &batch, sight);
            assert_eq!(answered, expected, "policy {number}, step {step}");
            now = now + Duration::from_millis(script.random.random_range(0..9000));
        }
    }
}

#[test]
fn a_store_in_a_file_answers_what_the_store_in_memory_answers() {
    compare("same", 1, Some(120), Sight::Exact);
}

#[test]
fn nodes_on_one_file_answer_together_what_one_store_answers() {
    compare("together", 2, None, Sight::WithoutLastUse);
}
