//! The store on Redis: what it carries, and what it adds to the time that a lone request takes.

use anyhow::{Context, Result};
use rand::SeedableRng;
use rand::rngs::SmallRng;

use crate::contestant::{Arena, Contestant};
use crate::latency::{self, Player};
use crate::options::Sizes;
use crate::sessions;
use crate::stats::Distribution;
use crate::stream::Cost;

/// What was measured: a value a round.
pub struct Shared {
    pub sessions: usize,
    pub create: Vec<Cost>,
    pub validate: Vec<Cost>,
    /// By a node that has not seen the sessions before.
    pub first_sight: Vec<Cost>,
    /// One at a time: by a node that keeps sessions in memory, a bare `GET`, and by a node on the same server.
    pub memory: Vec<Distribution>,
    pub get: Vec<Distribution>,
    pub lone: Vec<Distribution>,
}

/// Measures a server and nodes of its own for each round of throughput, then latency.
pub fn measure(arena: &Arena, sizes: &Sizes) -> Result<Option<Shared>> {
    if !cfg!(feature = "redis") {
        eprintln!("shared: skipped, this build has no Redis store (--features redis)");
        return Ok(None);
    }
    if !arena.has(Contestant::Redis) {
        return Ok(None);
    }
    let mut random = SmallRng::seed_from_u64(1);
    let sessions = sizes.shared_sessions;
    let (mut create, mut validate, mut first_sight) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1..=sizes.rounds {
        eprintln!("shared, round {round}");
        let server = arena.start(Contestant::Redis)?;
        let port = server.port.context("a server listens")?;
        let mut node = arena.start_on_redis(port)?;
        let (cost, ids) = sessions::create(&mut node, 0, sessions, &mut random)?;
        create.push(cost);
        let requests = sizes.requests_slow;
        validate.push(sessions::validate(&mut node, &ids, requests, &mut random)?);
        let mut other = arena.start_on_redis(port)?;
        // As many as there are, so that most are new to it.
        first_sight.push(sessions::validate(&mut other, &ids, sessions, &mut random)?);
    }
    let mut server = arena.start(Contestant::Redis)?;
    let port = server.port.context("a server listens")?;
    let mut players = Vec::new();
    let mut memory = arena.start(Contestant::SessionNode)?;
    let mut node = arena.start_on_redis(port)?;
    let (_, in_memory) = sessions::create(&mut memory, 0, sessions, &mut random)?;
    let (_, plain) = sessions::create(&mut server, 0, sessions, &mut random)?;
    let (_, shared) = sessions::create(&mut node, 0, sessions, &mut random)?;
    players.push(Player::new(memory, in_memory));
    players.push(Player::new(server, plain));
    players.push(Player::new(node, shared));
    latency::play(&mut players, sizes, &mut random)?;
    let mut rounds = players.into_iter().map(|player| player.rounds);
    let mut next = || rounds.next().context("there are three players");
    Ok(Some(Shared {
        sessions,
        create,
        validate,
        first_sight,
        memory: next()?,
        get: next()?,
        lone: next()?,
    }))
}
