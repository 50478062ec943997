//! Whether any single operation has to wait while the store in memory grows, or while a million sessions
//! end at once. In this process, through the library, since a pipe would hide what is looked for.

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use session_node::session::{SessionKey, Timestamp};
use session_node::store::{MemoryStore, Operation, Outcomes, Policy, Store};

use crate::options::Sizes;

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);
const TTL: Duration = Duration::from_secs(3600);

/// How many of the slowest calls are reported.
const SLOWEST: usize = 10;

/// The slowest calls of a loop, the slowest first: how long, and how many calls came before it.
#[derive(Clone, Default)]
pub struct Slowest(pub Vec<(Duration, usize)>);

impl Slowest {
    fn note(&mut self, took: Duration, number: usize) {
        if self.0.len() == SLOWEST && took <= self.0[SLOWEST - 1].0 {
            return;
        }
        let place = self.0.partition_point(|(other, _)| *other >= took);
        self.0.insert(place, (took, number));
        self.0.truncate(SLOWEST);
    }

    pub fn worst(&self) -> Duration {
        self.0.first().map_or(Duration::ZERO, |(took, _)| *took)
    }
}

/// One round.
pub struct Round {
    /// Creates, from nothing on.
    pub growing: Slowest,
    /// A loop that only reads the clock, for as long as the creates took.
    pub idle: Slowest,
    /// Creates and validations after a million sessions have ended.
    pub expiring: Slowest,
    /// How many calls it took until none of the ended sessions was left.
    pub calls_to_clear: usize,
}

/// All rounds, and how large they were.
pub struct Growth {
    pub sessions: usize,
    pub expiring_sessions: usize,
    pub rounds: Vec<Round>,
    /// The slowest create, if of every create the fastest round counts. What a store does at some size it does in
    /// each round, while the machine's own pauses fall elsewhere each time.
    pub in_every_round: Duration,
}

impl Growth {
    pub fn measure(sizes: &Sizes) -> Result<Self> {
        let mut rounds = Vec::new();
        let mut fastest = vec![Duration::MAX; sizes.growth_sessions];
        for round in 1..=sizes.rounds {
            eprintln!("growth, round {round}");
            rounds.push(measure_round(sizes, &mut fastest)?);
        }
        Ok(Self {
            in_every_round: fastest.into_iter().max().unwrap_or_default(),
            sessions: sizes.growth_sessions,
            expiring_sessions: sizes.expiring_sessions,
            rounds,
        })
    }

    /// The round whose slowest create is the median.
    pub fn typical(&self) -> &Round {
        let mut rounds: Vec<&Round> = self.rounds.iter().collect();
        rounds.sort_by_key(|round| round.growing.worst());
        rounds[rounds.len() / 2]
    }
}

fn measure_round(sizes: &Sizes, fastest: &mut [Duration]) -> Result<Round> {
    let started = Instant::now();
    let growing = grow(fastest);
    let idle = idle_for(started.elapsed());
    let (expiring, calls_to_clear) = expire(sizes.expiring_sessions)?;
    Ok(Round {
        growing,
        idle,
        expiring,
        calls_to_clear,
    })
}

/// Makes a session for each of `fastest`, which keeps what the call took where it took less than in other rounds.
fn grow(fastest: &mut [Duration]) -> Slowest {
    let mut store = MemoryStore::new(Policy::default());
    let mut outcomes = Outcomes::new();
    let mut slowest = Slowest::default();
    for (number, fastest) in fastest.iter_mut().enumerate() {
        let took = timed_create(&mut store, number, NOW, &mut outcomes);
        slowest.note(took, number);
        *fastest = took.min(*fastest);
    }
    keep_for_ever(store);
    slowest
}

/// A node that grows has not freed gigabytes before. Nor may the next round, or it would be the allocator's ways with
/// the freed memory that is measured.
fn keep_for_ever(store: MemoryStore) {
    std::mem::forget(store);
}

/// Gives each session a user of its own. Only the call itself is timed.
fn timed_create(
    store: &mut MemoryStore,
    number: usize,
    now: Timestamp,
    outcomes: &mut Outcomes,
) -> Duration {
    let user = format!("user{number:08}");
    let operation = Operation::Create {
        key: SessionKey::of(&user),
        user: user.as_str().into(),
        ttl: TTL,
        idle_timeout: None,
        extras: None,
    };
    timed(store, now, operation, outcomes)
}

fn timed(
    store: &mut MemoryStore,
    now: Timestamp,
    operation: Operation<'_>,
    outcomes: &mut Outcomes,
) -> Duration {
    let batch = [operation];
    outcomes.clear();
    let started = Instant::now();
    store.apply(now, &batch, outcomes);
    started.elapsed()
}

fn idle_for(duration: Duration) -> Slowest {
    let mut slowest = Slowest::default();
    let end = Instant::now() + duration;
    for number in 0.. {
        let started = Instant::now();
        slowest.note(black_box(started).elapsed(), number);
        if started > end {
            break;
        }
    }
    slowest
}

/// Lets all of `sessions` end at the same moment, and then goes on creating and validating in turn.
fn expire(sessions: usize) -> Result<(Slowest, usize)> {
    let mut store = MemoryStore::new(Policy::default());
    let mut outcomes = Outcomes::new();
    for number in 0..sessions {
        timed_create(&mut store, number, NOW, &mut outcomes);
    }
    let later = NOW + TTL + Duration::from_secs(2);
    let nobody = SessionKey::of("an id that nobody has");
    let mut slowest = Slowest::default();
    let mut created = 0;
    for calls in 0..2 * sessions {
        if store.len() == created {
            keep_for_ever(store);
            return Ok((slowest, calls));
        }
        let took = if calls % 2 == 0 {
            created += 1;
            timed_create(&mut store, sessions + created, later, &mut outcomes)
        } else {
            let validate = Operation::Validate {
                key: nobody,
                conditions: None,
            };
            timed(&mut store, later, validate, &mut outcomes)
        };
        slowest.note(took, calls);
    }
    ensure!(store.len() == created, "ended sessions stay in the store");
    Ok((slowest, 2 * sessions))
}
