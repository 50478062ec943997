//! Measures the CPU time of a validation among few sessions and among many, and the memory of a session.

use anyhow::Result;
use rand::SeedableRng;
use rand::rngs::SmallRng;

use crate::arena::{Arena, Running};
use crate::contestant::Contestant;
use crate::machine;
use crate::options::Sizes;
use crate::report::{Goal, Limit, Part, table};
use crate::sessions;
use crate::stats::{Spread, thousands};
use crate::wire::Id;

/// The driver writes out the requests for this many sessions at a time, to keep its own memory small.
const CREATED_TOGETHER: usize = 500_000;

/// The figures of one number of sessions.
struct Step {
    sessions: usize,
    /// CPU µs of a validation by session-node, of each round.
    validate: Vec<f64>,
    /// Missing at the smallest step, where the memory of an empty process would count.
    bytes: Option<f64>,
    redis_bytes: Option<f64>,
}

/// Measures the smallest number of sessions again beside each larger one.
pub fn measure(arena: &Arena, sizes: &Sizes) -> Result<Part> {
    let mut small = Growing::start(arena, Contestant::SessionNode)?;
    small.grow_to(sizes.scale_small)?;
    let mut large = Growing::start(arena, Contestant::SessionNode)?;
    let step = |sessions, bytes| Step {
        sessions,
        validate: Vec::new(),
        bytes,
        redis_bytes: None,
    };
    let mut steps = vec![step(sizes.scale_small, None)];
    for &sessions in sizes.scale_steps {
        eprintln!("scale: {sessions} sessions");
        let mut step = step(sessions, Some(large.grow_to(sessions)?));
        for _ in 0..sizes.rounds {
            steps[0]
                .validate
                .push(small.validate(sizes.scale_requests)?);
            step.validate.push(large.validate(sizes.scale_requests)?);
        }
        steps.push(step);
    }
    drop((small, large));
    if arena.contestants.contains(&Contestant::Redis) {
        let mut redis = Growing::start(arena, Contestant::Redis)?;
        for step in &mut steps[1..] {
            eprintln!("scale: {} sessions in Redis", step.sessions);
            step.redis_bytes = Some(redis.grow_to(step.sessions)?);
        }
    }
    Ok(Part {
        goals: goals(&steps),
        text: text(&steps),
        plot: None,
    })
}

fn goals(steps: &[Step]) -> Vec<Goal> {
    let at = |sessions| steps.iter().find(|step| step.sessions == sessions);
    let (million, ten_millions) = (at(1_000_000), at(10_000_000));
    let goal = |figure, most, value: Option<f64>| {
        Goal::new(
            figure,
            Limit::AtMost(most),
            value.map(|value| Spread::of([value])),
        )
    };
    let cost = |step: &Step| Spread::of(step.validate.iter().copied()).median;
    let bytes = million.and_then(|step| step.bytes);
    let redis_bytes = million.and_then(|step| step.redis_bytes);
    vec![
        goal(
            "validate at 10 million sessions, CPU per request, against 100,000",
            1.8,
            ten_millions.map(|step| cost(step) / cost(&steps[0])),
        ),
        goal(
            "resident bytes per session at 1 million, each with its own user of 12 bytes",
            160.0,
            bytes,
        ),
        goal(
            "… against Redis's",
            1.0,
            bytes.zip(redis_bytes).map(|(node, redis)| node / redis),
        ),
    ]
}

fn text(steps: &[Step]) -> String {
    let heading = "\n### Scale and memory\n\n\
         Each session has its own user with a name of 12 bytes. Redis keeps the id of 36 characters with the user's \
         name, and no\nindex by user.\n";
    let head = "| sessions | validate, CPU µs per request | resident bytes per session | Redis |\n\
         | --: | --: | --: | --: |";
    let bytes = |bytes: Option<f64>| bytes.map_or(String::new(), |bytes| format!("{bytes:.0}"));
    let rows = steps.iter().map(|step| {
        [
            thousands(step.sessions),
            Spread::of(step.validate.iter().copied()).to_string(),
            bytes(step.bytes),
            bytes(step.redis_bytes),
        ]
    });
    heading.to_owned() + &table(head, rows)
}

/// A contestant that gets more and more sessions.
struct Growing {
    running: Running,
    resident_before: usize,
    ids: Vec<Id>,
    random: SmallRng,
}

impl Growing {
    fn start(arena: &Arena, contestant: Contestant) -> Result<Self> {
        let running = arena.start(contestant)?;
        Ok(Self {
            resident_before: machine::resident_bytes(running.pid())?,
            running,
            ids: Vec::new(),
            random: SmallRng::seed_from_u64(1),
        })
    }

    /// Creates sessions until there are so many, and returns the resident bytes of each.
    fn grow_to(&mut self, sessions: usize) -> Result<f64> {
        while self.ids.len() < sessions {
            let held = self.ids.len();
            let count = CREATED_TOGETHER.min(sessions - held);
            let (_, ids) = sessions::create(&mut self.running, held, count, &mut self.random)?;
            self.ids.extend(ids);
        }
        let resident = machine::resident_bytes(self.running.pid())?;
        Ok(resident.saturating_sub(self.resident_before) as f64 / sessions as f64)
    }

    /// CPU µs of a validation.
    fn validate(&mut self, count: usize) -> Result<f64> {
        let cost = sessions::validate(&mut self.running, &self.ids, count, &mut self.random)?;
        Ok(cost.cpu_micros_per_request())
    }
}
