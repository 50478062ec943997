//! Streams each operation by itself, and a realistic mix of them, as fast as the contestant takes it.

use std::collections::VecDeque;
use std::sync::Mutex;

use anyhow::{Result, ensure};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use crate::arena::{Arena, Running};
use crate::contestant::Contestant::{self, CourseNode, EchoFloor, ParseFloor, Redis, SessionNode};
use crate::options::Sizes;
use crate::plots::{self, Row};
use crate::report::{Goal, Limit, Part, table};
use crate::sessions::{self, NO_ID};
use crate::stats::{Spread, rate, ratio, thousands};
use crate::stream::{Cost, Piece, Tally, ask_all, run};
use crate::wire::{Dialect, Id, Kind, Request};

/// The loads in the order in which a contestant gets them.
const LOADS: [&str; 5] = ["create", "validate", "mix", "regenerate", "destroy"];

/// A contestant, a load and the cost of each round.
type Costs = (Contestant, &'static str, Vec<Cost>);

pub fn measure(arena: &Arena, sizes: &Sizes) -> Result<Part> {
    let contestants = arena.contestants.iter().filter(|one| **one != EchoFloor);
    let mut all: Vec<Costs> = LOADS
        .iter()
        .flat_map(|load| contestants.clone().map(|one| (*one, *load, Vec::new())))
        .collect();
    for round in 1..=sizes.rounds {
        for contestant in contestants.clone() {
            eprintln!("throughput, round {round}: {}", contestant.name());
            for (load, cost) in measure_round(arena, *contestant, sizes, round as u64)? {
                let mut places = all.iter_mut();
                let place = places.find(|one| one.0 == *contestant && one.1 == load);
                place.expect("all has every load").2.push(cost);
            }
        }
    }
    all.retain(|(.., costs)| !costs.is_empty());
    Ok(Part {
        goals: goals(&all),
        text: text(sizes, &all),
        plot: Some(("throughput.svg", plot(&all)?)),
    })
}

/// Measures a contestant that has no session yet.
fn measure_round(
    arena: &Arena,
    contestant: Contestant,
    sizes: &Sizes,
    seed: u64,
) -> Result<Vec<(&'static str, Cost)>> {
    let random = &mut SmallRng::seed_from_u64(seed);
    let requests = if contestant.is_fast() {
        sizes.requests_fast
    } else {
        sizes.requests_slow
    };
    let running = &mut arena.start(contestant)?;
    let (create, mut ids) = sessions::create(running, 0, sizes.sessions, random)?;
    let validate = sessions::validate(running, &ids, requests, random)?;
    let mut costs = vec![create, validate];
    if contestant != Redis {
        costs.push(mix(running, &mut ids, requests, random)?);
        ids.truncate(requests);
        let regenerate = ids.iter().map(Request::Regenerate);
        let (regenerate, ids) = ask_all(running, regenerate, Kind::Regenerated)?;
        let destroy = ids.iter().map(Request::Destroy);
        let (destroy, _) = ask_all(running, destroy, Kind::Destroyed)?;
        costs.extend([regenerate, destroy]);
    }
    Ok(LOADS.into_iter().zip(costs).collect())
}

fn goals(all: &[Costs]) -> Vec<Goal> {
    let costs = |contestant, load| {
        let found = all.iter().find(|one| one.0 == contestant && one.1 == load);
        found.map_or(&[][..], |(.., costs)| costs)
    };
    let goal = |figure, least, load, peer| {
        let (node, peer) = (costs(SessionNode, load), costs(peer, load));
        let by_wall = ratio(node, peer, Cost::requests_per_second);
        let by_cpu = ratio(peer, node, Cost::cpu_micros_per_request);
        Goal {
            note: by_cpu.map_or(String::new(), |by_cpu| format!("by CPU time: {by_cpu}")),
            ..Goal::new(figure, Limit::AtLeast(least), by_wall)
        }
    };
    let validate = "validate, requests a second, against the parse floor";
    vec![
        goal(validate, 0.75, "validate", ParseFloor),
        goal(
            "… against the course-style Rust node",
            6.0,
            "validate",
            CourseNode,
        ),
        goal(
            "… against Redis `GET`, pipelines of 256",
            2.0,
            "validate",
            Redis,
        ),
        goal(
            "create, against the course-style Rust node",
            5.0,
            "create",
            CourseNode,
        ),
    ]
}

fn text(sizes: &Sizes, all: &[Costs]) -> String {
    let mut text = format!(
        "\n### Throughput\n\n![Requests a second](throughput.svg)\n\n{} sessions. \
         Requests per second: median (least to most). A contestant that was busy for much less than 100 % of\n\
         the time waited for the driver. *Requests per CPU second* is its rate on a core that it neither shares nor \
         waits on.\n",
        thousands(sizes.sessions)
    );
    for load in LOADS {
        let rows = all.iter().filter(|one| one.1 == load);
        text += &cost_table(load, rows.map(|(one, _, costs)| (one.name(), &costs[..])));
    }
    text
}

/// One line for each name and the costs of its rounds.
pub fn cost_table<'a>(
    title: &str,
    rows: impl IntoIterator<Item = (&'a str, &'a [Cost])>,
) -> String {
    let head = format!(
        "| {title} | requests/s | CPU µs per request | requests per CPU second | busy |\n\
         | --- | --: | --: | --: | --: |"
    );
    let cells = |(name, costs): (&str, &[Cost])| {
        let spread = |figure: fn(&Cost) -> f64| Spread::of(costs.iter().map(figure));
        let cpu = spread(Cost::cpu_micros_per_request);
        [
            name.to_owned(),
            spread(Cost::requests_per_second).show(rate),
            cpu.to_string(),
            rate(1e6 / cpu.median),
            format!("{:.0} %", spread(Cost::busy).median * 100.0),
        ]
    };
    table(&head, rows.into_iter().map(cells))
}

fn plot(all: &[Costs]) -> Result<String> {
    let row = |(contestant, load, costs): &Costs| {
        let Spread { min, median, max } = Spread::of(costs.iter().map(Cost::requests_per_second));
        Row {
            name: format!("{load}: {}", contestant.name()),
            contestant: *contestant,
            values: vec![min, median, max],
        }
    };
    let rows: Vec<_> = all.iter().map(row).collect();
    plots::draw(
        "Requests a second: least, median and most of the rounds",
        &rows,
        &[2, 5, 2],
        rate,
    )
}

/// Sends 90 % validate, 5 % create, 4 % regenerate and 1 % destroy. Leaves the ids that are live at the end in `ids`.
fn mix(
    running: &mut Running,
    ids: &mut Vec<Id>,
    count: usize,
    random: &mut SmallRng,
) -> Result<Cost> {
    let arrived = Mutex::default();
    let mut mix = Mix::new(running, std::mem::take(ids), count, random, &arrived);
    let (cost, tally) = run(running, &mut mix, count, Some(&arrived))?;
    ensure!(
        tally == mix.expected,
        "{}: replies {tally:?} to a mix that asks for {:?}",
        running.contestant.name(),
        mix.expected
    );
    mix.take_arrived();
    ids.append(&mut mix.live);
    ids.extend(mix.leaving);
    Ok(cost)
}

/// The number of ids that the driver validates no longer and has not ended yet. A contestant that answers in any order
/// must have answered every earlier request about an id when the driver ends it. The driver ends an id with five
/// requests in a hundred, so an id waits for more requests than may lack their replies.
const LEAVING: usize = 2048;

/// Writes the mix out piece by piece, because it asks for ids that replies bring meanwhile.
struct Mix<'a> {
    live: Vec<Id>,
    /// Validated no longer; the first ends next.
    leaving: VecDeque<Id>,
    /// Brought by replies, not validated yet.
    arrived: &'a Mutex<Vec<Id>>,
    random: SmallRng,
    left: usize,
    piece: usize,
    next_msg_id: u64,
    expected: Tally,
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
        }
    }

    fn take_arrived(&mut self) {
        let mut arrived = self.arrived.lock().expect("nobody panics");
        self.live.append(&mut arrived);
    }

    fn put_one(&mut self, out: &mut Vec<u8>) {
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
        Dialect::Json.put(request, self.next_msg_id, out);
        self.next_msg_id += 1;
        self.expected[reply as usize] += 1;
    }
}

impl Iterator for Mix<'_> {
    type Item = Piece;

    fn next(&mut self) -> Option<Piece> {
        let requests = self.piece.min(self.left);
        self.left -= requests;
        self.take_arrived();
        let mut bytes = Vec::new();
        for _ in 0..requests {
            self.put_one(&mut bytes);
        }
        (requests > 0).then_some(Piece { bytes, requests })
    }
}
