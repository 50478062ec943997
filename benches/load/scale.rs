//! What more sessions cost: CPU time of a validation among few and among many, and memory for each.

use anyhow::Result;
use rand::SeedableRng;
use rand::rngs::SmallRng;

use crate::contestant::{Arena, Contestant, Running};
use crate::options::Sizes;
use crate::sessions;
use crate::stream::Cost;
use crate::wire::Id;

/// Requests are written out for so many sessions at a time, to keep the driver's own memory small.
const CREATED_TOGETHER: usize = 500_000;

/// What was measured at one number of sessions.
pub struct Step {
    pub sessions: usize,
    /// Of session-node: a value a round.
    pub validate: Vec<Cost>,
    /// Of session-node. Not measured at the smallest step, where what every process needs would count.
    pub bytes_per_session: Option<f64>,
    pub redis_bytes_per_session: Option<f64>,
}

/// A contestant that is given more and more sessions.
struct Growing {
    running: Running,
    resident_before: usize,
    ids: Vec<Id>,
    random: SmallRng,
}

/// Measures the smallest number of sessions and all larger ones, the smallest again beside each larger one.
pub fn measure(arena: &Arena, sizes: &Sizes) -> Result<Vec<Step>> {
    let mut small = Growing::start(arena, Contestant::SessionNode)?;
    small.grow_to(sizes.scale_small)?;
    let mut large = Growing::start(arena, Contestant::SessionNode)?;
    let mut steps = vec![Step {
        sessions: sizes.scale_small,
        validate: Vec::new(),
        bytes_per_session: None,
        redis_bytes_per_session: None,
    }];
    for &sessions in &sizes.scale_steps {
        eprintln!("scale: {sessions} sessions");
        let bytes_per_session = Some(large.grow_to(sessions)?);
        let mut validate = Vec::new();
        for _ in 0..sizes.rounds {
            steps[0]
                .validate
                .push(small.validate(sizes.scale_requests)?);
            validate.push(large.validate(sizes.scale_requests)?);
        }
        steps.push(Step {
            sessions,
            validate,
            bytes_per_session,
            redis_bytes_per_session: None,
        });
    }
    drop((small, large));
    if arena.has(Contestant::Redis) {
        let mut redis = Growing::start(arena, Contestant::Redis)?;
        for step in &mut steps[1..] {
            eprintln!("scale: {} sessions in Redis", step.sessions);
            step.redis_bytes_per_session = Some(redis.grow_to(step.sessions)?);
        }
    }
    Ok(steps)
}

impl Growing {
    fn start(arena: &Arena, contestant: Contestant) -> Result<Self> {
        let running = arena.start(contestant)?;
        Ok(Self {
            resident_before: running.resident_bytes()?,
            running,
            ids: Vec::new(),
            random: SmallRng::seed_from_u64(1),
        })
    }

    /// Bytes resident for each session, once there are so many.
    fn grow_to(&mut self, sessions: usize) -> Result<f64> {
        while self.ids.len() < sessions {
            let held = self.ids.len();
            let count = CREATED_TOGETHER.min(sessions - held);
            let (_, ids) = sessions::create(&mut self.running, held, count, &mut self.random)?;
            self.ids.extend(ids);
        }
        let grown = self
            .running
            .resident_bytes()?
            .saturating_sub(self.resident_before);
        Ok(grown as f64 / sessions as f64)
    }

    fn validate(&mut self, count: usize) -> Result<Cost> {
        sessions::validate(&mut self.running, &self.ids, count, &mut self.random)
    }
}
