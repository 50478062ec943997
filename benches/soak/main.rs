//! The soak bench: ten minutes of everything at full speed. `docs/reliability.md` says how to read what it writes.

#![allow(
    missing_docs,
    reason = "a program, of which nothing is used from outside"
)]

#[path = "../node.rs"]
mod node;
mod plot;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Parser;

use session_node_testing::soak::{self, Look, Soak};

/// Keeps a node busy with everything there is, and sees whether it wears out.
#[derive(Debug, Parser)]
struct Options {
    /// For how long
    #[arg(long, default_value_t = 600)]
    seconds: u32,
    /// Where to write the plot
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    /// What `cargo bench` says to every bench
    #[arg(long, hide = true)]
    bench: bool,
}

/// Between two looks.
const STEP_SECONDS: u32 = 5;

fn main() -> Result<()> {
    let options = Options::parse();
    if !options.bench {
        eprintln!("soak: nothing to do: it measures only under `cargo bench --bench soak`");
        return Ok(());
    }
    let node = node::build()?;
    let length = Duration::from_secs(options.seconds.into());
    let looks = (options.seconds / STEP_SECONDS).max(12);
    println!(
        "| second | requests/s | live sessions | resident MiB | lone p50, p99 µs | batch of 256 p50, p99 µs |"
    );
    println!("| --: | --: | --: | --: | --: | --: |");
    let mut shown = 0.0;
    let soak = soak::run(
        node.to_str().context("a path in UTF-8")?,
        length,
        looks,
        |look| {
            if look.seconds >= shown {
                show(look);
                shown += 60.0;
            }
        },
    )?;
    sum_up(&soak)?;
    if let Some(path) = options.plot {
        plot::draw(&soak.looks, &path)?;
    }
    Ok(())
}

fn show(look: &Look) {
    let micros = |time: Duration| time.as_micros();
    println!(
        "| {:.0} | {:.0} | {} | {:.1} | {}, {} | {}, {} |",
        look.seconds,
        look.requests_per_second,
        look.live_sessions,
        mebibytes(look),
        micros(look.lone_p50),
        micros(look.lone_p99),
        micros(look.batch_p50),
        micros(look.batch_p99),
    );
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people to read")]
fn mebibytes(look: &Look) -> f64 {
    look.resident_kib as f64 / 1024.0
}

/// The figures of the whole run: how memory and latency moved.
fn sum_up(soak: &Soak) -> Result<()> {
    let stats = &soak.stats;
    println!(
        "\n{} requests; the node's last word: {stats}",
        soak.requests
    );

    // The first minute, or the first tenth of a short run, is for warming up.
    let settled = &soak.looks[soak.looks.len() / 10..];
    let memory = settled.iter().map(mebibytes);
    let (lowest, highest) = memory.fold((f64::MAX, 0_f64), |(lowest, highest), now| {
        (lowest.min(now), highest.max(now))
    });
    println!("resident memory after the first tenth: {lowest:.1} to {highest:.1} MiB");

    let ([first, ..], [.., last]) = (settled, settled) else {
        bail!("too few looks");
    };
    let (begin, end) = (mebibytes(first), mebibytes(last));
    println!("at the beginning of that {begin:.1} MiB, at the end {end:.1} MiB");

    let third = settled.len() / 3;
    let drift = |of: fn(&Look) -> Duration| {
        let median = |looks: &[Look]| {
            let mut times: Vec<_> = looks.iter().map(of).collect();
            times.sort_unstable();
            times[times.len() / 2].as_secs_f64()
        };
        median(&settled[settled.len() - third..]) / median(&settled[..third])
    };
    println!(
        "latency of the last third by that of the first: lone p50 {:.2}, p99 {:.2}; batch p50 {:.2}, p99 {:.2}",
        drift(|look| look.lone_p50),
        drift(|look| look.lone_p99),
        drift(|look| look.batch_p50),
        drift(|look| look.batch_p99),
    );
    Ok(())
}
