//! Measures the steps of a request one by one: decode, apply, encode.

#![allow(
    missing_docs,
    reason = "criterion's macros make functions without them"
)]

mod store;

use std::hint::black_box;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use session_node::ReplyFormat;
use session_node::session::Policy;
use session_node::testing::wire::{Incoming, Reply, decode, encode};

use crate::store::{MemoryStore, NOW, Operation, Outcomes, SessionKey, TTL};

/// Live sessions in a store.
const SESSIONS: usize = 100_000;

/// A full pipe brings about this many requests with one read.
const BATCH: usize = 512;

const VALIDATE: &[u8] = br#"{"src":"auth","dest":"session","body":{"type":"validate_session","msg_id":123456,"session_id":"4bf92f35-77b3-4da6-a3ce-929d0e0e4736"}}"#;
/// The escape makes this line a case for the general reader.
const ESCAPED: &[u8] = br#"{"src":"auth","dest":"session","body":{"type":"create_session","msg_id":123456,"user_id":"us\u0065r0000"}}"#;

fn decoding(criterion: &mut Criterion) {
    for (name, line) in [("decode", VALIDATE), ("decode an escape", ESCAPED)] {
        criterion.bench_function(name, |bencher| {
            bencher.iter(|| decode(black_box(line), &Policy::default(), false).is_ok());
        });
    }
}

fn applying(criterion: &mut Criterion) {
    let mut keys: Vec<SessionKey> = (0..SESSIONS).map(store::key).collect();
    // Keys are digests, so no cache foresees their order.
    keys.sort_unstable();
    let mut keys = keys.into_iter().cycle();
    let mut store = filled_store();
    let mut outcomes = Outcomes::new();
    for (name, size) in [("apply a validation", 1), ("apply 512 validations", BATCH)] {
        criterion.bench_function(name, |bencher| {
            bencher.iter_batched_ref(
                || {
                    keys.by_ref()
                        .take(size)
                        .map(store::validate)
                        .collect::<Vec<_>>()
                },
                |batch| {
                    outcomes.clear();
                    store::apply(&mut store, NOW, batch, &mut outcomes);
                },
                BatchSize::SmallInput,
            );
        });
    }
    criterion.bench_function("apply 512 creates", |bencher| {
        bencher.iter_batched_ref(
            || (filled_store(), creates(SESSIONS, BATCH), Outcomes::new()),
            |(store, batch, outcomes)| store::apply(store, NOW, batch, outcomes),
            BatchSize::PerIteration,
        );
    });
}

fn creates(first: usize, count: usize) -> Vec<Operation<'static>> {
    (first..first + count).map(store::create).collect()
}

fn filled_store() -> MemoryStore {
    let mut store = MemoryStore::new();
    store::apply(&mut store, NOW, &creates(0, SESSIONS), &mut Outcomes::new());
    store
}

fn encoding(criterion: &mut Criterion) {
    let Ok(Incoming::Request(message)) = decode(VALIDATE, &Policy::default(), false) else {
        unreachable!("the request is well formed");
    };
    let mut out = Vec::new();
    criterion.bench_function("encode", |bencher| {
        bencher.iter(|| {
            out.clear();
            let reply = Reply::SessionValid {
                user_id: black_box("user00000001"),
                expires_at: black_box(NOW + TTL),
                data: None,
            };
            encode(
                &message.return_address,
                ReplyFormat::Envelope,
                &reply,
                None,
                NOW,
                &mut out,
            );
        });
    });
}

criterion_group!(benches, decoding, applying, encoding);
criterion_main!(benches);
