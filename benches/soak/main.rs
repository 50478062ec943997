//! The soak bench: keeps a node busy for ten minutes with every kind of request. `docs/reliability.md` says how to read
//! what it prints.

#![allow(missing_docs, reason = "a program exports nothing")]
#![allow(clippy::cast_precision_loss, reason = "people read the figures")]

#[path = "../node.rs"]
mod node;
mod plot;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use session_node_testing::soak::{self, Look};

/// Keeps a node busy with every kind of request, and shows whether memory or latency grows.
#[derive(Parser)]
struct Options {
    /// How long
    #[arg(long, default_value_t = 600)]
    seconds: u32,
    /// Where to write the plot
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    /// `cargo bench` passes this to every bench
    #[arg(long, hide = true)]
    bench: bool,
}

/// The time between two looks at the node.
const STEP_SECONDS: u32 = 5;

/// Each chart of the plot has two lines.
const CHARTS: [[plot::Line; 2]; 2] = [
    [
        ("resident memory, MiB", mebibytes),
        ("live sessions, tens of thousands", |look| {
            look.live_sessions as f64 / 1e4
        }),
    ],
    [
        ("lone validation, p50, µs", |look| {
            look.lone_p50.as_secs_f64() * 1e6
        }),
        ("batch of 256, p50 by 10, µs", |look| {
            look.batch_p50.as_secs_f64() * 1e5
        }),
    ],
];

fn main() -> Result<()> {
    let options = Options::parse();
    if !options.bench {
        eprintln!("soak: measures only under `cargo bench --bench soak`");
        return Ok(());
    }
    let node = node::build()?;
    let node = node.to_str().context("the path of the node is no UTF-8")?;
    let length = Duration::from_secs(options.seconds.into());
    let looks = (options.seconds / STEP_SECONDS).max(12);
    println!(
        "| second | requests/s | live sessions | resident MiB | lone p50, p99 µs | batch of 256 p50, p99 µs |\n\
         | --: | --: | --: | --: | --: | --: |"
    );
    let mut shown = 0.0;
    let soak = soak::run(node, length, looks, |look| {
        if look.seconds >= shown {
            show(look);
            shown += 60.0;
        }
    })?;
    println!(
        "\n{} requests; the node's stats at the end: {}",
        soak.requests, soak.stats
    );
    summarize(&soak.looks)?;
    options
        .plot
        .map_or(Ok(()), |path| plot::draw(&soak.looks, CHARTS, &path))
}

fn show(look: &Look) {
    println!(
        "| {:.0} | {:.0} | {} | {:.1} | {}, {} | {}, {} |",
        look.seconds,
        look.requests_per_second,
        look.live_sessions,
        mebibytes(look),
        look.lone_p50.as_micros(),
        look.lone_p99.as_micros(),
        look.batch_p50.as_micros(),
        look.batch_p99.as_micros(),
    );
}

fn mebibytes(look: &Look) -> f64 {
    look.resident_kib as f64 / 1024.0
}

/// Prints how memory and latency changed after the first tenth of the run, in which the node warms up.
fn summarize(looks: &[Look]) -> Result<()> {
    let settled = &looks[looks.len() / 10..];
    let third = settled.len() / 3;
    ensure!(third > 0, "too few looks");
    let (first, last) = (&settled[..third], &settled[settled.len() - third..]);
    let begin = mebibytes(&first[0]);
    let end = mebibytes(&last[third - 1]);
    println!("resident memory after the first tenth: {begin:.1} MiB, at the end: {end:.1} MiB");
    let drift = |figure: fn(&Look) -> Duration| {
        let median = |looks: &[Look]| {
            let mut times: Vec<_> = looks.iter().map(figure).collect();
            times.sort_unstable();
            times[times.len() / 2].as_secs_f64()
        };
        median(last) / median(first)
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
