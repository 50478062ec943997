//! Looks for a single operation that has to wait while the store in memory grows, or after a million sessions ended at
//! once. Calls the library in this process, because a pipe would hide such a pause.

use std::hint::black_box;
use std::mem::ManuallyDrop;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::options::Sizes;
use crate::report::{Goal, Limit, Part, table};
use crate::stats::{Spread, micros, thousands};
use crate::store::{self, MemoryStore, NOW, Operation, Outcomes, TTL, Timestamp};

/// How many of the slowest calls the table shows.
const SHOWN: usize = 10;

/// The slowest calls of a loop, the slowest first: its duration, and how many calls came before it.
#[derive(Default)]
struct Slowest(Vec<(Duration, usize)>);

impl Slowest {
    fn note(&mut self, took: Duration, number: usize) {
        if self.0.len() == SHOWN && took <= self.0[SHOWN - 1].0 {
            return;
        }
        let place = self.0.partition_point(|(other, _)| *other >= took);
        self.0.insert(place, (took, number));
        self.0.truncate(SHOWN);
    }

    fn millis(&self) -> f64 {
        micros(self.0[0].0) / 1e3
    }

    fn cell(&self, place: usize) -> String {
        let call = self.0.get(place);
        call.map_or(String::new(), |(took, number)| {
            format!("{:.0} at {}", micros(*took), thousands(*number))
        })
    }
}

struct Round {
    growing: Slowest,
    /// A loop that only reads the clock, for as long as the creates took.
    idle: Slowest,
    /// Creates and validations after many sessions ended.
    expiring: Slowest,
    /// The number of calls after which the store holds none of the ended sessions.
    calls_to_clear: usize,
}

pub fn measure(sizes: &Sizes) -> Result<Part> {
    let mut rounds = Vec::new();
    // What the store does at some size it does in each round, while the machine's own pauses fall elsewhere each time.
    // So the shortest time of each create shows the store's pauses.
    let mut shortest = vec![Duration::MAX; sizes.growth_sessions];
    for round in 1..=sizes.rounds {
        eprintln!("growth, round {round}");
        let started = Instant::now();
        let growing = grow(&mut shortest);
        let idle = idle_for(started.elapsed());
        let (expiring, calls_to_clear) = expire(sizes.expiring_sessions)?;
        rounds.push(Round {
            growing,
            idle,
            expiring,
            calls_to_clear,
        });
    }
    let in_every_round = shortest.into_iter().max().unwrap_or_default();
    let goal = Goal {
        note: format!(
            "to {} sessions; the slowest of each round: {}; of the idle loop: {}",
            thousands(sizes.growth_sessions),
            Spread::of(rounds.iter().map(|round| round.growing.millis())),
            Spread::of(rounds.iter().map(|round| round.idle.millis()))
        ),
        ..Goal::new(
            "slowest `apply` of one create while growing to 5 million, in ms, the same create in every round",
            Limit::AtMost(1.0),
            Some(Spread::of([micros(in_every_round) / 1e3])),
        )
    };
    rounds.sort_by(|one, other| one.growing.millis().total_cmp(&other.growing.millis()));
    Ok(Part {
        goals: vec![goal],
        text: text(sizes, &rounds[rounds.len() / 2]),
        plot: None,
    })
}

fn text(sizes: &Sizes, round: &Round) -> String {
    let heading = format!(
        "\n### Pauses\n\n\
         The table shows the ten slowest calls of `apply` with one operation, in µs, and how many calls came before \
         each. It\nshows the round whose slowest create is the median. *Growing*: creates until there are {} sessions. \
         *Idle loop*:\na loop of the same duration that only reads the clock. *After the end*: creates and validations \
         after {} sessions\nended at the same moment (all cleared after {} calls).\n",
        thousands(sizes.growth_sessions),
        thousands(sizes.expiring_sessions),
        thousands(round.calls_to_clear)
    );
    let rows = (0..SHOWN).map(|place| {
        [&round.growing, &round.idle, &round.expiring].map(|slowest| slowest.cell(place))
    });
    heading
        + &table(
            "| growing | idle loop | after the end |\n| --: | --: | --: |",
            rows,
        )
}

/// Creates a session for each item of `shortest`, and lowers the item to the time of that create.
fn grow(shortest: &mut [Duration]) -> Slowest {
    let mut store = TimedStore::new();
    let mut slowest = Slowest::default();
    for (number, shortest) in shortest.iter_mut().enumerate() {
        let took = store.apply(store::create(number));
        slowest.note(took, number);
        *shortest = took.min(*shortest);
    }
    slowest
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

/// Lets all sessions end at the same moment, and then creates and validates in turn until the store has freed them.
fn expire(sessions: usize) -> Result<(Slowest, usize)> {
    let mut store = TimedStore::new();
    for number in 0..sessions {
        store.apply(store::create(number));
    }
    store.now = NOW + TTL + Duration::from_secs(2);
    let nobody = store::key(usize::MAX);
    let mut slowest = Slowest::default();
    let (mut calls, mut created) = (0, 0);
    while store.memory.len() > created {
        ensure!(calls < 2 * sessions, "ended sessions stay in the store");
        let operation = if calls % 2 == 0 {
            created += 1;
            store::create(sessions + created)
        } else {
            store::validate(nobody)
        };
        slowest.note(store.apply(operation), calls);
        calls += 1;
    }
    Ok((slowest, calls))
}

/// A store that is never freed. A node that grows has not freed gigabytes before. If this process had, the next round
/// would measure how the allocator reuses them.
struct TimedStore {
    memory: ManuallyDrop<MemoryStore>,
    now: Timestamp,
    outcomes: Outcomes,
}

impl TimedStore {
    fn new() -> Self {
        Self {
            memory: ManuallyDrop::new(MemoryStore::new()),
            now: NOW,
            outcomes: Outcomes::new(),
        }
    }

    /// Times the call only, not the making of the operation.
    fn apply(&mut self, operation: Operation<'_>) -> Duration {
        let batch = [operation];
        self.outcomes.clear();
        let started = Instant::now();
        store::apply(&mut self.memory, self.now, &batch, &mut self.outcomes);
        started.elapsed()
    }
}
