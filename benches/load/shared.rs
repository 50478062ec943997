//! The store on Redis: its throughput, and how much longer one validation takes there.

use anyhow::Result;
use rand::SeedableRng;
use rand::rngs::SmallRng;

use crate::arena::Arena;
use crate::contestant::Contestant;
use crate::latency::{self, Player};
use crate::options::Sizes;
use crate::report::{Goal, Limit, Part, table};
use crate::sessions;
use crate::stats::{Distribution, Spread, percentile, thousands};
use crate::stream::Cost;
use crate::throughput::cost_table;

/// Measures throughput, each round with a new server and new nodes, and then latency.
pub fn measure(arena: &Arena, sizes: &Sizes) -> Result<Part> {
    let mut random = SmallRng::seed_from_u64(1);
    let [mut create, mut validate, mut first_sight] = [const { Vec::new() }; 3];
    for round in 1..=sizes.rounds {
        eprintln!("shared, round {round}");
        let server = arena.start(Contestant::Redis)?;
        let node = &mut arena.start(Contestant::NodeOnRedis(server.port))?;
        let (cost, ids) = sessions::create(node, 0, sizes.shared_sessions, &mut random)?;
        create.push(cost);
        validate.push(sessions::validate(
            node,
            &ids,
            sizes.requests_slow,
            &mut random,
        )?);
        let other = &mut arena.start(Contestant::NodeOnRedis(server.port))?;
        // As many requests as sessions, so that most sessions are new to this node.
        first_sight.push(sessions::validate(other, &ids, ids.len(), &mut random)?);
    }
    let lone = measure_lone(arena, sizes, &mut random)?;
    let rate = |costs: &[Cost]| Some(Spread::of(costs.iter().map(Cost::requests_per_second)));
    let [memory, get, redis] = &lone;
    let rounds = redis.iter().zip(memory).zip(get);
    let p50s = rounds.map(|((redis, memory), get)| redis[0] / (memory[0] + get[0]));
    let p50 = "one-at-a-time p50 on Redis against the sum of memory's and a bare `GET`'s";
    Ok(Part {
        goals: vec![
            Goal::new(
                "validate a second, on Redis",
                Limit::AtLeast(60_000.0),
                rate(&validate),
            ),
            Goal::new(
                "create a second, on Redis",
                Limit::AtLeast(30_000.0),
                rate(&create),
            ),
            Goal::new(p50, Limit::AtMost(1.2), Some(Spread::of(p50s))),
        ],
        text: text(sizes, [&create, &validate, &first_sight], lone),
        plot: None,
    })
}

/// One validation at a time by a node that keeps its sessions in memory, by the server itself, and by a node on it.
fn measure_lone(
    arena: &Arena,
    sizes: &Sizes,
    random: &mut SmallRng,
) -> Result<[Vec<Distribution>; 3]> {
    let memory = arena.start(Contestant::SessionNode)?;
    let server = arena.start(Contestant::Redis)?;
    let node = arena.start(Contestant::NodeOnRedis(server.port))?;
    let mut player = |running| Player::new(running, sizes.shared_sessions, random);
    let mut players = [player(memory)?, player(server)?, player(node)?];
    latency::play(&mut players, sizes, random)?;
    Ok(players.map(|player| player.rounds))
}

fn text(sizes: &Sizes, costs: [&[Cost]; 3], lone: [Vec<Distribution>; 3]) -> String {
    let heading = format!(
        "\n### The store on Redis\n\n\
         One node, {} sessions, each with its own user. The CPU time is the node's, without the server's. A node that\n\
         has not seen a session before first asks where it is.\n",
        thousands(sizes.shared_sessions)
    );
    let names = ["create", "validate", "validate, at first sight"];
    let costs = cost_table("", names.into_iter().zip(costs));
    let names = ["validate in memory", "a bare `GET`", "validate on Redis"];
    let rows = names.into_iter().zip(lone).map(|(name, rounds)| {
        let [p50, p99] = [0, 1].map(|place| percentile(&rounds, place).to_string());
        [name.to_owned(), p50, p99]
    });
    let head = "| one at a time, µs | p50 | p99 |\n| --- | --: | --: |";
    heading + &costs + &table(head, rows)
}
