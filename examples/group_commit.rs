//! Measures the benefit of group commit: creates and validates sessions in a SQLite file, with one request per
//! transaction and with hundreds. The results depend on the disk that holds the file.
//!
//! ```sh
//! cargo run --release --features sqlite --example group_commit -- [DIRECTORY] [SESSIONS]
//! ```

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context;
use session_node::clock::{Clock, SystemClock};
use session_node::session::SessionKey;
use session_node::store::{Batch, Operation, Outcomes, Policy, SqliteStore, Store};

/// How many requests the node reads from a full pipe, approximately.
const FULL_BATCH: u32 = 600;

/// How many requests the program sends one by one. This number suffices to see the disk's speed.
const LONE_REQUESTS: u32 = 1000;

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let directory = arguments
        .next()
        .map_or_else(std::env::temp_dir, PathBuf::from);
    let sessions = match arguments.next() {
        Some(text) => text.parse().context("SESSIONS must be a whole number")?,
        None => 100_000,
    };
    let file = directory.join(format!("group-commit-{}.db", std::process::id()));
    let result = measure(&file, sessions);
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{suffix}", file.display()));
    }
    result
}

fn measure(file: &Path, sessions: u32) -> anyhow::Result<()> {
    let mut store = SqliteStore::open(file)?;
    let all = sessions + LONE_REQUESTS;
    run(&mut store, "creates", 0..sessions, FULL_BATCH, create);
    run(&mut store, "creates", sessions..all, 1, create);
    run(&mut store, "validations", 0..sessions, FULL_BATCH, validate);
    run(&mut store, "validations", 0..LONE_REQUESTS, 1, validate);

    // Closing the last connection moves the contents of the log into the file, so that its length counts everything.
    drop(store);
    let bytes = std::fs::metadata(file)?.len();
    println!("{} bytes of file a session", bytes / u64::from(all));
    let start = Instant::now();
    drop(SqliteStore::open(file)?);
    println!("opened in {:.1?}", start.elapsed());
    Ok(())
}

/// Applies an operation for each number, in batches, and prints the number of operations per second.
fn run(
    store: &mut SqliteStore,
    name: &str,
    numbers: std::ops::Range<u32>,
    batch_size: u32,
    operation: fn(u32) -> Operation<'static>,
) {
    let mut clock = SystemClock::new();
    let policy = Policy::default();
    let mut outcomes = Outcomes::new();
    let count = numbers.len();
    let start = Instant::now();
    for first in numbers.clone().step_by(batch_size as usize) {
        let last = numbers.end.min(first + batch_size);
        let operations: Vec<_> = (first..last).map(operation).collect();
        let batch = Batch {
            now: clock.now(),
            policy: &policy,
            operations: &operations,
        };
        outcomes.clear();
        store.apply(&batch, &mut outcomes);
        assert!(outcomes.all().iter().all(Result::is_ok), "{outcomes:?}");
    }
    let millis = start.elapsed().as_millis().max(1);
    let per_second = count as u128 * 1000 / millis;
    println!("{name}, {batch_size} a transaction: {per_second} a second");
}

fn create(number: u32) -> Operation<'static> {
    Operation::Create {
        key: SessionKey::of(&number.to_string()),
        user: format!("user{number}").into(),
        options: None,
    }
}

/// Validates one of the sessions with numbers up to this one, in a scattered order.
fn validate(number: u32) -> Operation<'static> {
    Operation::Validate {
        key: SessionKey::of(&(number.wrapping_mul(2_654_435_761) % (number + 1)).to_string()),
        conditions: None,
    }
}
