//! Micro-benchmarks of the three steps that a request goes through: decode, apply, encode. `cargo bench --bench micro`.

#![allow(
    missing_docs,
    reason = "criterion's macros make public functions without them"
)]

use std::hint::black_box;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use session_node::protocol::{Incoming, Limits, Reply, ReplyFormat, decode, encode};
use session_node::session::{SessionKey, Timestamp};
use session_node::store::{MemoryStore, Operation, Outcomes, Policy, Store};

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);
const TTL: Duration = Duration::from_secs(3600);

/// Live sessions while a store is asked.
const SESSIONS: usize = 100_000;

/// As many as a full pipe brings with one read.
const BATCH: usize = 512;

const VALIDATE: &[u8] = br#"{"src":"auth","dest":"session","body":{"type":"validate_session","msg_id":123456,"session_id":"4bf92f35-77b3-4da6-a3ce-929d0e0e4736"}}"#;
const CREATE: &[u8] = br#"{"src":"auth","dest":"session","body":{"type":"create_session","msg_id":123456,"user_id":"user00000001"}}"#;
/// Valid, but not in the plain form: goes to the general reader.
const ESCAPED: &[u8] = br#"{"src":"auth","dest":"session","body":{"type":"create_session","msg_id":123456,"user_id":"us\u0065r0000"}}"#;

fn decoding(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode");
    for (name, line) in [
        ("validate", VALIDATE),
        ("create", CREATE),
        ("create, with an escape", ESCAPED),
    ] {
        group.throughput(Throughput::Bytes(line.len() as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let decoded = decode(black_box(line), &Limits::default());
                matches!(decoded, Ok(Incoming::Request(_)))
            });
        });
    }
}

fn applying(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("apply");
    group.bench_function("a validation", |bencher| {
        let mut store = filled_store();
        let mut outcomes = Outcomes::new();
        let mut keys = keys_in_random_order();
        bencher.iter(|| {
            outcomes.clear();
            let key = keys.next().expect("a cycle has no end");
            store.apply(NOW, &[validate(key)], &mut outcomes);
        });
    });
    group.throughput(Throughput::Elements(BATCH as u64));
    group.bench_function("a batch of 512 validations", |bencher| {
        let mut store = filled_store();
        let mut outcomes = Outcomes::new();
        let mut keys = keys_in_random_order();
        bencher.iter_batched_ref(
            || validations(&mut keys, BATCH),
            |batch| {
                outcomes.clear();
                store.apply(NOW, batch, &mut outcomes);
            },
            BatchSize::SmallInput,
        );
    });
    group.bench_function("a batch of 512 creates", |bencher| {
        bencher.iter_batched_ref(
            || {
                (
                    filled_store(),
                    creates(SESSIONS..SESSIONS + BATCH),
                    Outcomes::new(),
                )
            },
            |(store, batch, outcomes)| store.apply(NOW, batch, outcomes),
            BatchSize::PerIteration,
        );
    });
}

fn encoding(criterion: &mut Criterion) {
    let Ok(Incoming::Request(message)) = decode(VALIDATE, &Limits::default()) else {
        unreachable!("the request is well formed");
    };
    let mut group = criterion.benchmark_group("encode");
    let mut out = Vec::new();
    group.bench_function("session_valid", |bencher| {
        bencher.iter(|| {
            out.clear();
            let reply = Reply::SessionValid {
                user_id: black_box("user00000001"),
                expires_in: black_box(3600),
                data: None,
            };
            encode(
                &message.return_address,
                ReplyFormat::Envelope,
                &reply,
                &mut out,
            );
        });
    });
}

fn validate(key: SessionKey) -> Operation<'static> {
    Operation::Validate {
        key,
        conditions: None,
    }
}

fn key(number: usize) -> SessionKey {
    SessionKey::of(&format!("session {number}"))
}

/// For ever, and in an order in which no cache can foresee them.
fn keys_in_random_order() -> impl Iterator<Item = SessionKey> {
    let mut keys: Vec<SessionKey> = (0..SESSIONS).map(key).collect();
    // A key is a piece of a digest.
    keys.sort_unstable();
    keys.into_iter().cycle()
}

fn filled_store() -> MemoryStore {
    let mut store = MemoryStore::new(Policy::default());
    store.apply(NOW, &creates(0..SESSIONS), &mut Outcomes::new());
    store
}

fn creates(numbers: std::ops::Range<usize>) -> Vec<Operation<'static>> {
    let create = |number| Operation::Create {
        key: key(number),
        user: format!("user{number:08}").into(),
        ttl: TTL,
        idle_timeout: None,
        extras: None,
    };
    numbers.map(create).collect()
}

fn validations(
    keys: &mut impl Iterator<Item = SessionKey>,
    count: usize,
) -> Vec<Operation<'static>> {
    keys.take(count).map(validate).collect()
}

criterion_group!(benches, decoding, applying, encoding);
criterion_main!(benches);
