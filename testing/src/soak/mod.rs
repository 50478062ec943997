//! The soak: the peer at full speed for as long as is asked, with a look at the node every now and then, and the sums
//! at the end.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

mod peer;

use peer::Peer;

/// How long sessions live and may go unused, in seconds: so short that all of them are new a few seconds later.
pub const TTL: u64 = 5;
const IDLE_TIMEOUT: u64 = 2;

/// Lone validations at each look.
const PROBES: usize = 200;

/// What a look at the node has shown.
#[derive(Clone, Debug)]
pub struct Look {
    /// Since the start.
    pub seconds: f64,
    /// Since the look before.
    pub requests_per_second: f64,
    pub resident_kib: u64,
    pub live_sessions: u64,
    /// Of lone validations.
    pub lone_p50: Duration,
    pub lone_p99: Duration,
    /// Of the batches since the look before, from the writing to the last reply.
    pub batch_p50: Duration,
    pub batch_p99: Duration,
}

/// Everything that was seen.
pub struct Soak {
    pub looks: Vec<Look>,
    pub requests: u64,
    /// The node's last word.
    pub stats: Value,
}

/// Runs the program at `node` for so many seconds, and looks at it so often.
///
/// # Errors
///
/// When a reply is not one that its request may get, when the sums do not add up, or when the node does not end well.
pub fn run(node: &str, length: Duration, looks: u32, mut each: impl FnMut(&Look)) -> Result<Soak> {
    let mut peer = Peer::start(node, TTL, IDLE_TIMEOUT)?;
    let start = Instant::now();
    let mut seen = Vec::new();
    for number in 1..=looks {
        let look = go_on_until(&mut peer, start, length * number / looks)?;
        each(&look);
        seen.push(look);
    }
    // All sessions outlive their use by so much at the most.
    thread::sleep(Duration::from_secs(TTL + 1));
    let stats = peer.stats()?;
    check_sums(&peer, &stats)?;
    ensure!(stats["sessions"] == 0, "sessions are left: {stats}");
    let requests = peer.counts.requests;
    peer.finish()?;
    Ok(Soak {
        looks: seen,
        requests,
        stats,
    })
}

fn go_on_until(peer: &mut Peer, start: Instant, end: Duration) -> Result<Look> {
    let requests_before = peer.counts.requests;
    let begun = Instant::now();
    while start.elapsed() < end {
        for _ in 0..16 {
            peer.go_on()?;
        }
    }
    peer.settle()?;
    let requests = peer.counts.requests - requests_before;
    let taken = begun.elapsed();
    let mut batches = std::mem::take(&mut peer.batch_times);
    let stats = peer.stats()?;
    check_sums(peer, &stats)?;
    let mut lone = (0..PROBES)
        .map(|_| peer.probe())
        .collect::<Result<Vec<_>>>()?;
    lone.sort_unstable();
    batches.sort_unstable();
    Ok(Look {
        seconds: start.elapsed().as_secs_f64(),
        #[expect(clippy::cast_precision_loss, reason = "a figure for people to read")]
        requests_per_second: requests as f64 / taken.as_secs_f64(),
        resident_kib: peer.resident_kib()?,
        live_sessions: stats["sessions"].as_u64().context("sessions")?,
        lone_p50: part(&lone, 50),
        lone_p99: part(&lone, 99),
        batch_p50: part(&batches, 50),
        batch_p99: part(&batches, 99),
    })
}

/// What so many of a hundred stay below.
fn part(sorted: &[Duration], of_hundred: usize) -> Duration {
    let at = (sorted.len() * of_hundred / 100).min(sorted.len().saturating_sub(1));
    sorted.get(at).copied().unwrap_or_default()
}

/// What the node has counted is what the peer has counted, and no session is in no column or in two.
fn check_sums(peer: &Peer, stats: &Value) -> Result<()> {
    let told = |name: &str| {
        stats[name]
            .as_u64()
            .with_context(|| format!("{name} in {stats}"))
    };
    let counted = peer.counts;
    for (name, count) in [
        ("created", counted.created),
        ("validated", counted.validated),
        ("invalid", counted.invalid),
        ("regenerated", counted.regenerated),
        ("errors", counted.errors),
    ] {
        ensure!(told(name)? == count, "{name} should be {count}: {stats}");
    }
    let ended = told("destroyed")? + told("expired")?;
    let created = told("sessions")? + ended;
    ensure!(
        created == counted.created,
        "sessions are lost or doubled: {stats}"
    );
    Ok(())
}
