//! How long one validation takes when nothing else is asked: write a request, wait for its reply.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use crate::contestant::{Arena, Contestant, Running};
use crate::options::Sizes;
use crate::sessions;
use crate::stats::Distribution;
use crate::wire::{Id, Kind, Request};

/// The contestants take turns this often within a round, so that what the machine does meanwhile hits all alike.
const TURNS: usize = 20;

/// What comes before the first measured request of a turn: the processor's caches are the others' then.
const WARM_UP: usize = 50;

/// The distribution of every contestant, a value a round.
pub struct Latency {
    pub sessions: usize,
    pub pings: usize,
    pub contestants: Vec<(Contestant, Vec<Distribution>)>,
}

/// A contestant with sessions to be asked for.
pub struct Player {
    running: Running,
    ids: Vec<Id>,
    samples: Vec<Duration>,
    pub rounds: Vec<Distribution>,
}

impl Latency {
    pub fn measure(arena: &Arena, sizes: &Sizes) -> Result<Self> {
        let mut random = SmallRng::seed_from_u64(1);
        eprintln!("latency: {} sessions each", sizes.latency_sessions);
        let mut players = arena
            .contestants()
            .map(|contestant| Player::start(arena, contestant, sizes.latency_sessions, &mut random))
            .collect::<Result<Vec<_>>>()?;
        play(&mut players, sizes, &mut random)?;
        let contestants = players.into_iter();
        Ok(Self {
            sessions: sizes.latency_sessions,
            pings: sizes.pings,
            contestants: contestants
                .map(|player| (player.running.contestant, player.rounds))
                .collect(),
        })
    }

    pub fn of(&self, contestant: Contestant) -> Option<&[Distribution]> {
        let found = self.contestants.iter().find(|one| one.0 == contestant)?;
        Some(&found.1)
    }
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
            player.rounds.push(Distribution::of(&mut player.samples));
            player.samples.clear();
        }
    }
    Ok(())
}

impl Player {
    pub fn new(running: Running, ids: Vec<Id>) -> Self {
        Self {
            running,
            ids,
            samples: Vec::new(),
            rounds: Vec::new(),
        }
    }

    fn start(
        arena: &Arena,
        contestant: Contestant,
        sessions: usize,
        random: &mut SmallRng,
    ) -> Result<Self> {
        let mut running = arena.start(contestant)?;
        let ids = if contestant == Contestant::EchoFloor {
            sessions::made_up_ids(sessions, random)
        } else {
            sessions::create(&mut running, 0, sessions, random)?.1
        };
        Ok(Self::new(running, ids))
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
