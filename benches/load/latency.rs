//! Times one validation at a time: writes a request and waits for its reply.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use crate::arena::{Arena, Running};
use crate::contestant::Contestant;
use crate::options::Sizes;
use crate::plots::{self, Row};
use crate::report::{Goal, Limit, Part, table};
use crate::sessions;
use crate::stats::{Distribution, PERCENTILES, digits, distribution, percentile, ratio, thousands};
use crate::wire::{Id, Kind, Request};

/// In a round, each contestant has this many turns, so that noise of the machine hits all of them.
const TURNS: usize = 20;

/// Each turn begins with requests that are not measured, because the others have filled the processor's caches.
const WARM_UP: usize = 50;

/// A contestant with its sessions.
pub struct Player {
    running: Running,
    ids: Vec<Id>,
    samples: Vec<Duration>,
    pub rounds: Vec<Distribution>,
}

pub fn measure(arena: &Arena, sizes: &Sizes) -> Result<Part> {
    eprintln!("latency: {} sessions each", sizes.latency_sessions);
    let mut random = SmallRng::seed_from_u64(1);
    let mut players = Vec::new();
    for contestant in &arena.contestants {
        let running = arena.start(*contestant)?;
        players.push(Player::new(running, sizes.latency_sessions, &mut random)?);
    }
    play(&mut players, sizes, &mut random)?;
    let rounds = |contestant| {
        let mut players = players.iter();
        let found = players.find(|player| player.running.contestant == contestant);
        found.map_or(&[][..], |player| &player.rounds)
    };
    let (node, echo) = (
        rounds(Contestant::SessionNode),
        rounds(Contestant::EchoFloor),
    );
    let p50 = ratio(node, echo, |round| round[0]);
    let figure = "one-at-a-time p50, against the echo floor";
    Ok(Part {
        goals: vec![Goal::new(figure, Limit::AtMost(1.1), p50)],
        text: text(sizes, &players),
        plot: Some(("latency.svg", plot(&players)?)),
    })
}

fn text(sizes: &Sizes, players: &[Player]) -> String {
    let heading = format!(
        "\n### Latency\n\n![Latency](latency.svg)\n\n\
         One validation at a time, {} per round, {} sessions, in µs: median of the rounds (least to most).\n",
        thousands(sizes.pings),
        thousands(sizes.latency_sessions)
    );
    let rows = players.iter().map(|player| {
        let [p50, p99, p999, most] =
            [0, 1, 2, 3].map(|place| percentile(&player.rounds, place).to_string());
        [
            player.running.contestant.name().to_owned(),
            p50,
            p99,
            p999,
            most,
        ]
    });
    let head = format!(
        "| | {} |\n| --- | --: | --: | --: | --: |",
        PERCENTILES.join(" | ")
    );
    heading + &table(&head, rows)
}

fn plot(players: &[Player]) -> Result<String> {
    let row = |player: &Player| Row {
        name: player.running.contestant.name().to_owned(),
        contestant: player.running.contestant,
        values: (0..PERCENTILES.len())
            .map(|place| percentile(&player.rounds, place).median)
            .collect(),
    };
    let rows: Vec<_> = players.iter().map(row).collect();
    let title = format!("One validation at a time, µs: {}", PERCENTILES.join(", "));
    plots::draw(&title, &rows, &[6, 5, 4, 2], digits)
}

/// Lets the players take turns.
pub fn play(players: &mut [Player], sizes: &Sizes, random: &mut SmallRng) -> Result<()> {
    for round in 1..=sizes.rounds {
        eprintln!("latency, round {round}");
        for _ in 0..TURNS {
            for player in &mut *players {
                player.take_turn(sizes.pings / TURNS, random)?;
            }
        }
        for player in &mut *players {
            player.rounds.push(distribution(&mut player.samples));
            player.samples.clear();
        }
    }
    Ok(())
}

impl Player {
    pub fn new(mut running: Running, sessions: usize, random: &mut SmallRng) -> Result<Self> {
        let ids = if running.contestant == Contestant::EchoFloor {
            sessions::make_ids(sessions, random)
        } else {
            sessions::create(&mut running, 0, sessions, random)?.1
        };
        Ok(Self {
            running,
            ids,
            samples: Vec::new(),
            rounds: Vec::new(),
        })
    }

    fn take_turn(&mut self, pings: usize, random: &mut SmallRng) -> Result<()> {
        let mut request = Vec::new();
        for number in 0..WARM_UP + pings {
            request.clear();
            let id = &self.ids[random.random_range(0..self.ids.len())];
            self.running.put(Request::Validate(id), &mut request);
            let started = Instant::now();
            let kind = self.running.ask(&request)?;
            let took = started.elapsed();
            ensure!(
                matches!(kind, Kind::Valid | Kind::Echoed),
                "a reply of kind {kind:?}"
            );
            if number >= WARM_UP {
                self.samples.push(took);
            }
        }
        Ok(())
    }
}
