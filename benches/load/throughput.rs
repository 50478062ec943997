//! Each operation by itself and a realistic mix of them, streamed as fast as the contestant takes it.

use std::collections::VecDeque;
use std::sync::Mutex;

use anyhow::{Result, ensure};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use crate::contestant::{Arena, Contestant, Running};
use crate::options::Sizes;
use crate::sessions::{self, NO_ID};
use crate::stream::{Cost, Prepared, Source, Tally, run, run_prepared};
use crate::wire::{Id, Kind, Request};

/// What is asked of a contestant, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    Create,
    Validate,
    Mix,
    Regenerate,
    Destroy,
}

impl Load {
    pub const ALL: [Self; 5] = [
        Self::Create,
        Self::Validate,
        Self::Mix,
        Self::Regenerate,
        Self::Destroy,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Validate => "validate",
            Self::Mix => "mix",
            Self::Regenerate => "regenerate",
            Self::Destroy => "destroy",
        }
    }
}

/// What every load cost every contestant, a value a round.
pub struct Throughput {
    pub sessions: usize,
    costs: Vec<(Contestant, Load, Cost)>,
}

impl Throughput {
    pub fn measure(arena: &Arena, sizes: &Sizes) -> Result<Self> {
        let mut costs = Vec::new();
        for round in 1..=sizes.rounds {
            for contestant in arena
                .contestants()
                .filter(|one| *one != Contestant::EchoFloor)
            {
                eprintln!("throughput, round {round}: {}", contestant.name());
                let measured = measure(arena, contestant, sizes, round as u64)?;
                costs.extend(
                    measured
                        .into_iter()
                        .map(|(load, cost)| (contestant, load, cost)),
                );
            }
        }
        let sessions = sizes.sessions;
        Ok(Self { sessions, costs })
    }

    /// Round by round; empty where it was not measured.
    pub fn costs(&self, contestant: Contestant, load: Load) -> Vec<Cost> {
        let wanted = |one: &&(Contestant, Load, Cost)| one.0 == contestant && one.1 == load;
        self.costs.iter().filter(wanted).map(|one| one.2).collect()
    }
}

/// One round of one contestant, which starts with no session.
fn measure(
    arena: &Arena,
    contestant: Contestant,
    sizes: &Sizes,
    seed: u64,
) -> Result<Vec<(Load, Cost)>> {
    let mut random = SmallRng::seed_from_u64(seed);
    let requests = if contestant.is_fast() {
        sizes.requests_fast
    } else {
        sizes.requests_slow
    };
    let mut running = arena.start(contestant)?;
    let (create, mut ids) = sessions::create(&mut running, 0, sizes.sessions, &mut random)?;
    let validate = sessions::validate(&mut running, &ids, requests, &mut random)?;
    let mut costs = vec![(Load::Create, create), (Load::Validate, validate)];
    if contestant == Contestant::Redis {
        return Ok(costs);
    }
    costs.push((
        Load::Mix,
        mix(&mut running, &mut ids, requests, &mut random)?,
    ));
    ids.truncate(requests);
    let (regenerate, new_ids) = regenerate(&mut running, &ids)?;
    costs.push((Load::Regenerate, regenerate));
    costs.push((Load::Destroy, destroy(&mut running, &new_ids)?));
    Ok(costs)
}

fn regenerate(running: &mut Running, ids: &[Id]) -> Result<(Cost, Vec<Id>)> {
    let requests = Prepared::new(running, ids.iter().map(Request::Regenerate));
    let mut new_ids = Vec::with_capacity(ids.len());
    let mut keep = |arrived: &[Id]| new_ids.extend_from_slice(arrived);
    let cost = run_prepared(running, requests, Kind::Regenerated, Some(&mut keep))?;
    Ok((cost, new_ids))
}

fn destroy(running: &mut Running, ids: &[Id]) -> Result<Cost> {
    let requests = Prepared::new(running, ids.iter().map(Request::Destroy));
    run_prepared(running, requests, Kind::Destroyed, None)
}

/// 90 % validate, 5 % create, 4 % regenerate, 1 % destroy. Leaves in `ids` those that are live at the end.
fn mix(
    running: &mut Running,
    ids: &mut Vec<Id>,
    count: usize,
    random: &mut SmallRng,
) -> Result<Cost> {
    let arrived = Mutex::new(Vec::new());
    let mut source = Mix::new(running, std::mem::take(ids), count, random, &arrived);
    let mut keep = |new: &[Id]| {
        let mut arrived = arrived.lock().expect("nobody panics");
        arrived.extend_from_slice(new);
    };
    let (cost, tally) = run(running, &mut source, count, Some(&mut keep))?;
    ensure!(
        tally == source.expected,
        "{}: replies {tally:?} to a mix that asks for {:?}",
        running.contestant.name(),
        source.expected
    );
    source.take_arrived();
    ids.append(&mut source.live);
    ids.extend(source.leaving);
    Ok(cost)
}

/// Ids on their way out. A contestant that answers out of order has to have answered every earlier request about an
/// id before it is asked to end it: five requests in a hundred end one, so these last for more requests
/// than may be unanswered at a time.
const LEAVING: usize = 2048;

/// A mix that is written out as it is sent, since it asks for ids that come while it runs.
struct Mix<'a> {
    live: Vec<Id>,
    /// No longer asked for, to be ended next.
    leaving: VecDeque<Id>,
    /// Came with replies, not yet asked for.
    arrived: &'a Mutex<Vec<Id>>,
    random: SmallRng,
    left: usize,
    piece: usize,
    next_msg_id: u64,
    expected: Tally,
    bytes: Vec<u8>,
}

impl<'a> Mix<'a> {
    fn new(
        running: &mut Running,
        mut live: Vec<Id>,
        count: usize,
        random: &mut SmallRng,
        arrived: &'a Mutex<Vec<Id>>,
    ) -> Self {
        let leaving = live.split_off(live.len() - LEAVING.min(live.len() / 2));
        Self {
            live,
            leaving: leaving.into(),
            arrived,
            random: SmallRng::from_rng(random),
            left: count,
            piece: running.contestant.pipeline().piece,
            next_msg_id: running.reserve_msg_ids(count),
            expected: Tally::default(),
            bytes: Vec::new(),
        }
    }

    fn take_arrived(&mut self) {
        self.live
            .append(&mut self.arrived.lock().expect("nobody panics"));
    }

    fn put_one(&mut self) {
        let in_hundred = self.random.random_range(0..100);
        let any = self.random.random_range(0..self.live.len());
        let ending;
        let (request, reply) = match in_hundred {
            0..90 => (Request::Validate(&self.live[any]), Kind::Valid),
            90..95 => (Request::Create(any, &NO_ID), Kind::Created),
            _ => {
                self.leaving.push_back(self.live.swap_remove(any));
                ending = self.leaving.pop_front().expect("one was just added");
                match in_hundred {
                    95..99 => (Request::Regenerate(&ending), Kind::Regenerated),
                    _ => (Request::Destroy(&ending), Kind::Destroyed),
                }
            }
        };
        crate::wire::Dialect::Json.put(request, self.next_msg_id, &mut self.bytes);
        self.next_msg_id += 1;
        self.expected[reply as usize] += 1;
    }
}

impl Source for Mix<'_> {
    fn next(&mut self) -> Option<(&[u8], usize)> {
        let requests = self.piece.min(self.left);
        if requests == 0 {
            return None;
        }
        self.left -= requests;
        self.take_arrived();
        self.bytes.clear();
        for _ in 0..requests {
            self.put_one();
        }
        Some((&self.bytes, requests))
    }
}
