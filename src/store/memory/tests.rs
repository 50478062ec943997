//! Tests what neither an answer nor an event of the store in memory shows: prefetching, memory estimates and freeing.

use std::time::Duration;

use super::chunked::CHUNK;
use super::slab::Slot;
use super::tables::{MAX_RETIRED_KEY_BYTES, MAX_SESSION_BYTES, RareFields, Session, Tables};
use super::*;
use crate::session::{Lifetime, Policy, SessionKey, Timestamp};
use crate::store::records::Retirement;

const RETIREMENT: Retirement = Retirement {
    at: NOW,
    auth_time: NOW,
};
const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_250);

fn lifetime() -> Lifetime {
    Lifetime::begin(NOW, Duration::from_secs(60), None)
}

fn key(number: usize) -> SessionKey {
    SessionKey::of(&number.to_string())
}

fn add(tables: &mut Tables, number: usize) -> Slot<Session> {
    tables.insert(key(number), &number.to_string(), &lifetime(), None)
}

fn validate(number: usize) -> Operation<'static> {
    Operation::Validate {
        key: key(number),
        conditions: None,
    }
}

#[test]
fn tables_are_freed_chunk_by_chunk() {
    let mut tables = Tables::new();
    for number in 0..10 * CHUNK {
        add(&mut tables, number);
    }
    // Ten chunks of sessions and ten of users. Each index has three chunks of buckets with four entries on average, and
    // one chunk of overflow buckets; more overflow would be a sign of bad hashes.
    let chunks = 10 + 10 + 2 * (3 + 1);
    for _ in 0..chunks {
        assert!(tables.free_chunk());
    }
    assert!(!tables.free_chunk());
}

#[test]
fn destroy_all_frees_one_chunk_per_operation() {
    let mut store = MemoryStore::new();
    let apply = |store: &mut MemoryStore, operation| {
        let batch = Batch {
            now: NOW,
            policy: &Policy::default(),
            operations: &[operation],
        };
        store.apply(&batch, &mut Outcomes::default());
    };
    for number in 0..2 * CHUNK {
        add(&mut store.tables, number);
    }
    apply(&mut store, Operation::DestroyAll);
    let chunks = 2 + 2 + 2 * (1 + 1);
    for _ in 0..chunks {
        apply(&mut store, validate(0));
        assert_eq!(store.freeing.len(), 1);
    }
    apply(&mut store, validate(0));
    assert!(store.freeing.is_empty());
}

#[test]
fn the_memory_estimate_follows_additions_and_removals() {
    let mut tables = Tables::new();
    assert_eq!(tables.max_bytes(), 0);
    let rare = RareFields::of(Some(&"x".repeat(5000)), None).map(Box::new);
    let slot = tables.insert(key(0), "alice", &lifetime(), rare);
    add(&mut tables, 1);
    assert_eq!(tables.max_bytes(), 2 * MAX_SESSION_BYTES + 5000);

    tables.set_data(slot, "{}");
    assert_eq!(tables.max_bytes(), 2 * MAX_SESSION_BYTES + 2);
    for number in 2..5 {
        tables.rekey(slot, key(number), Some(RETIREMENT));
    }
    let retired = 3 * MAX_RETIRED_KEY_BYTES;
    let all = 2 * MAX_SESSION_BYTES + 2;
    assert_eq!(tables.max_bytes(), all + retired);
    tables.forget_retired(slot, |_, count| count == 2);
    let retired = 2 * MAX_RETIRED_KEY_BYTES;
    assert_eq!(tables.max_bytes(), all + retired);

    tables.remove(slot);
    assert_eq!(tables.max_bytes(), MAX_SESSION_BYTES);
}

#[test]
fn keys_with_equal_beginnings_are_distinguished() {
    let alike = |last| {
        let mut bytes = [7; 16];
        bytes[15] = last;
        SessionKey::from_bytes(bytes)
    };
    let mut tables = Tables::new();
    let [first, second] = [1, 2].map(|last| tables.insert(alike(last), "alice", &lifetime(), None));
    tables.rekey(second, alike(3), Some(RETIREMENT));
    for (last, slot) in [(1, first), (2, second), (3, second)] {
        assert!(tables.find(&alike(last), 0) == Some(slot));
    }
    assert!(tables.find(&alike(4), 0).is_none());
}

#[test]
fn prefetching_guesses_the_slots_of_presented_sessions() {
    let mut tables = Tables::new();
    let slots: Vec<_> = (0..4).map(|number| add(&mut tables, number)).collect();
    let batch = [
        validate(0),
        Operation::Update {
            key: key(1),
            data: "{}".into(),
            conditions: None,
        },
        Operation::Destroy {
            key: key(2),
            detail: false,
        },
        Operation::Regenerate {
            old: key(3),
            new: key(4),
            changes: None,
        },
        Operation::Stats,
        validate(5),
    ];
    tables.prefetch(&batch);
    assert!(tables.guesses[..4] == slots);
    assert!(tables.guesses[4..].iter().all(|slot| slot.is_none()));
}

#[test]
fn no_session_is_checked_before_its_second_is_over() {
    let mut tables = Tables::new();
    let slot = add(&mut tables, 0);
    // The session ends a quarter into a second.
    let end = NOW.as_millis() + 60_000;
    let due = |millis| tables.first_due(Timestamp::from_millis(millis));
    assert!(due(0).is_none() && due(NOW.as_millis()).is_none());
    assert!(due(end).is_none() && due(end + 749).is_none());
    assert!(due(end + 750) == Some(slot));
}
