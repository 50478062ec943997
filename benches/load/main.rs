//! The load bench: session-node beside its peers and its limits, interleaved, in one run.
//!
//! `cargo bench --bench load` takes about five minutes and writes `docs/benchmarks.md` and the plots
//! beside it; with `-- --quick` it takes a minute, and only prints.

#![expect(missing_docs, reason = "a program, not an interface")]

mod contestant;
mod growth;
mod redis;
mod report;

use std::process::{Command, Stdio};
use std::time::Duration;

use contestant::{Contestant, Cost, Kind, Requests, string_of, to_f64};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use redis::Redis;

/// How much is sent.
struct Size {
    quick: bool,
    rounds: usize,
    sessions: usize,
    requests: usize,
    lone_requests: usize,
    /// Session counts at which validation and memory are compared.
    scales: &'static [usize],
    growth: usize,
}

impl Size {
    fn from_arguments() -> Self {
        if std::env::args().any(|argument| argument == "--quick") {
            return Self {
                quick: true,
                rounds: 1,
                sessions: 50_000,
                requests: 100_000,
                lone_requests: 2000,
                scales: &[10_000, 100_000],
                growth: 400_000,
            };
        }
        Self {
            quick: false,
            rounds: 3,
            sessions: 500_000,
            requests: 1_000_000,
            lone_requests: 20_000,
            scales: &[100_000, 1_000_000, 10_000_000],
            growth: 5_000_000,
        }
    }
}

/// What one contestant did, a value a round.
#[derive(Default)]
pub struct Results {
    pub name: &'static str,
    pub create: Vec<Cost>,
    pub validate: Vec<Cost>,
    pub regenerate: Vec<Cost>,
    pub destroy: Vec<Cost>,
    pub mix: Vec<Cost>,
    /// Of a lone validation, shortest first.
    pub latency: Vec<Vec<Duration>>,
}

/// One store size: how much a validation costs there, and how much memory a session takes.
pub struct Scale {
    pub sessions: usize,
    pub validate: Cost,
    pub bytes_per_session: f64,
    pub redis_bytes_per_session: Option<f64>,
}

fn main() {
    let size = Size::from_arguments();
    let (mut kinds, skipped) = kinds();
    pin_driver();
    let mut results: Vec<Results> = kinds
        .iter()
        .map(|kind| Results {
            name: kind.name,
            ..Results::default()
        })
        .collect();
    let mut redis = Redis::start()
        .is_some_and(|server| {
            server.finish();
            true
        })
        .then(|| Results {
            name: "Redis",
            ..Results::default()
        });
    for round in 0..size.rounds {
        eprintln!("round {} of {}", round + 1, size.rounds);
        for (kind, results) in kinds.iter().zip(&mut results) {
            load(kind, &size, results);
        }
        if let Some(results) = &mut redis {
            load_redis(&size, results);
        }
    }
    results.extend(redis);
    let mut node = kinds.swap_remove(0);
    node.command
        .extend(["--max-sessions", "20000000"].map(String::from));
    let scales: Vec<Scale> = size
        .scales
        .iter()
        .map(|sessions| scale(&node, *sessions, size.requests))
        .collect();
    let growth = growth::measure(size.growth);
    let text = report::markdown(&results, &scales, &growth, size.sessions, &skipped);
    println!("{text}");
    if !size.quick {
        report::write(&text, &results);
    }
}

/// Who takes part, the node first; and who does not, and why.
fn kinds() -> (Vec<Kind>, Vec<String>) {
    let target = concat!(env!("CARGO_TARGET_TMPDIR"), "/peers");
    let built = Command::new(env!("CARGO"))
        .args([
            "build",
            "--release",
            "--quiet",
            "--locked",
            "--manifest-path",
            "benches/peers/Cargo.toml",
        ])
        .args(["--target-dir", target])
        .status();
    assert!(
        built.is_ok_and(|status| status.success()),
        "the peers do not build"
    );
    let kind = |name, program: &str, share| Kind {
        name,
        command: vec![program.to_owned()],
        share,
        answers: true,
    };
    let peer = |name: &str| format!("{target}/release/{name}");
    let mut kinds = vec![
        kind("session-node", env!("CARGO_BIN_EXE_session-node"), 1.0),
        kind("parse floor", &peer("parse-floor"), 1.0),
        kind("course-style Rust node", &peer("course-node"), 0.2),
        kind("maelstrom-node crate", &peer("maelstrom-peer"), 0.1),
        Kind {
            answers: false,
            ..kind("echo floor", &peer("echo-floor"), 1.0)
        },
    ];
    let mut skipped = Vec::new();
    if is_installed("python3") {
        let mut python = kind("Python node", "python3", 0.1);
        python.command.push("benches/peers/node.py".into());
        kinds.push(python);
    } else {
        skipped.push("the Python node (there is no python3)".into());
    }
    if !is_installed("redis-server") {
        skipped.push("Redis (there is no redis-server)".into());
    }
    (kinds, skipped)
}

fn is_installed(program: &str) -> bool {
    let found = Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .status();
    found.is_ok_and(|status| status.success())
}

/// The driver on the first processor, the contestants on the second.
fn pin_driver() {
    if contestant::can_pin() {
        let pid = std::process::id().to_string();
        let _ = Command::new("taskset")
            .args(["-cp", "0", &pid])
            .stdout(Stdio::null())
            .status();
    }
}

/// One round of one contestant.
fn load(kind: &Kind, size: &Size, results: &mut Results) {
    let mut node = Contestant::start(kind);
    if !kind.answers {
        let request = validate(["00000000-0000-4000-8000-000000000000"].into_iter());
        results
            .latency
            .push(node.one_at_a_time(request.bytes(), size.lone_requests));
        return node.finish();
    }
    let mut greeting = Requests::default();
    greeting.add(
        "init",
        "node_id",
        "n1\",\"node_ids\":[\"n1\"],\"x\":\"",
        "init",
    );
    node.exchange(&greeting, |_| {});
    let (ids, created) = create(&mut node, size.sessions);
    results.create.push(created);

    let mut random = SmallRng::seed_from_u64(1);
    let count = share(size.requests, kind.share);
    let any = |random: &mut SmallRng| &*ids[random.random_range(0..ids.len())];
    let requests = validate((0..count).map(|_| any(&mut random)));
    results.validate.push(node.exchange(&requests, |_| {}));
    let lone = validate([&*ids[0]].into_iter());
    results
        .latency
        .push(node.one_at_a_time(lone.bytes(), size.lone_requests));

    // From here on, ids end: each part of the list serves one purpose.
    let (ending, living) = ids.split_at(ids.len() / 2);
    let (regenerated, destroyed) = ending.split_at(ending.len() / 2);
    let mut requests = Requests::default();
    for id in &regenerated[..share(regenerated.len(), kind.share)] {
        requests.add(
            "regenerate_session",
            "old_session_id",
            id,
            "session_regenerated",
        );
    }
    results.regenerate.push(node.exchange(&requests, |_| {}));
    let (now, later) = destroyed.split_at(destroyed.len() / 2);
    let mut requests = Requests::default();
    for id in &now[..share(now.len(), kind.share)] {
        requests.add("destroy_session", "session_id", id, "session_destroyed");
    }
    results.destroy.push(node.exchange(&requests, |_| {}));
    results
        .mix
        .push(node.exchange(&mix(living, later, count, &mut random), |_| {}));
    node.finish();
}

fn create(node: &mut Contestant, sessions: usize) -> (Vec<String>, Cost) {
    let mut requests = Requests::default();
    for number in 0..sessions {
        requests.add(
            "create_session",
            "user_id",
            &format!("user{number:08}"),
            "session_created",
        );
    }
    let mut ids = Vec::with_capacity(sessions);
    let cost = node.exchange(&requests, |reply| {
        ids.push(string_of(reply, "\"session_id\"").to_owned());
    });
    (ids, cost)
}

fn validate<'a>(ids: impl Iterator<Item = &'a str>) -> Requests {
    let mut requests = Requests::default();
    for id in ids {
        requests.add("validate_session", "session_id", id, "session_valid");
    }
    requests
}

/// 90 % validate, 5 % create, 4 % regenerate, 1 % destroy, as long as there are ids to end.
fn mix(living: &[String], ending: &[String], count: usize, random: &mut SmallRng) -> Requests {
    let mut requests = Requests::default();
    let mut ending = ending.iter();
    for number in 0..count {
        match number % 100 {
            0..5 => requests.add(
                "create_session",
                "user_id",
                &format!("new{number:09}"),
                "session_created",
            ),
            at @ 5..10 => {
                let Some(id) = ending.next() else { break };
                if at == 5 {
                    requests.add("destroy_session", "session_id", id, "session_destroyed");
                } else {
                    requests.add(
                        "regenerate_session",
                        "old_session_id",
                        id,
                        "session_regenerated",
                    );
                }
            }
            _ => {
                let id = &living[random.random_range(0..living.len())];
                requests.add("validate_session", "session_id", id, "session_valid");
            }
        }
    }
    requests
}

fn load_redis(size: &Size, results: &mut Results) {
    let mut server = Redis::start().expect("Redis started before");
    let ids: Vec<String> = (0..size.sessions).map(id_like).collect();
    let commands: Vec<String> = ids
        .iter()
        .enumerate()
        .map(|(n, id)| redis::set(id, &format!("user{n:08}")))
        .collect();
    results.create.push(server.exchange(&commands, 1));
    let mut random = SmallRng::seed_from_u64(1);
    let commands: Vec<String> = (0..size.requests)
        .map(|_| redis::get(&ids[random.random_range(0..ids.len())]))
        .collect();
    results.validate.push(server.exchange(&commands, 2));
    results
        .latency
        .push(server.one_at_a_time(&redis::get(&ids[0]), size.lone_requests));
    server.finish();
}

/// As long and as mixed as a session id.
fn id_like(number: usize) -> String {
    let mixed = (number as u128 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c834);
    let hex = format!("{mixed:032x}");
    [
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    ]
    .join("-")
}

fn scale(node: &Kind, sessions: usize, requests: usize) -> Scale {
    eprintln!("{sessions} sessions");
    let mut running = Contestant::start(node);
    // The first session brings everything that is there for all.
    create(&mut running, 1);
    let before = running.resident_bytes();
    let (ids, _) = create(&mut running, sessions);
    let bytes = running.resident_bytes() - before;
    let mut random = SmallRng::seed_from_u64(2);
    let asked = validate((0..requests).map(|_| &*ids[random.random_range(0..ids.len())]));
    let validate = running.exchange(&asked, |_| {});
    running.finish();
    let redis_bytes = (sessions <= 1_000_000)
        .then(Redis::start)
        .flatten()
        .map(|mut server| {
            let before = server.resident_bytes();
            let commands: Vec<String> = (0..sessions)
                .map(|n| redis::set(&id_like(n), &format!("user{n:08}")))
                .collect();
            server.exchange(&commands, 1);
            let bytes = server.resident_bytes() - before;
            server.finish();
            to_f64(bytes) / to_f64(sessions)
        });
    Scale {
        sessions,
        validate,
        bytes_per_session: to_f64(bytes) / to_f64(sessions),
        redis_bytes_per_session: redis_bytes,
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a part of a count"
)]
fn share(count: usize, share: f64) -> usize {
    (to_f64(count) * share) as usize
}
