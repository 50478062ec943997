//! The load bench: session-node beside the limits and the peers that it is measured against, in one run.
//!
//! This process is the driver. It starts each contestant as a process of its own, streams requests into it,
//! checks the type of every reply, and asks the kernel what CPU time the contestant used. `docs/benchmarks.md` says how
//! to run it and how to read what it writes.

#![allow(
    missing_docs,
    reason = "a program, of which nothing is used from outside"
)]
#![allow(clippy::cast_precision_loss, reason = "figures for people to read")]

mod contestant;
mod growth;
mod latency;
mod machine;
#[path = "../node.rs"]
mod node;
mod options;
mod plots;
mod report;
mod scale;
mod sessions;
mod shared;
mod stats;
mod stream;
mod throughput;
mod wire;

use anyhow::{Context, Result};
use clap::Parser;

use crate::contestant::Arena;
use crate::growth::Growth;
use crate::latency::Latency;
use crate::options::{Options, Section};
use crate::report::{Report, Results};
use crate::throughput::Throughput;

fn main() -> Result<()> {
    let options = Options::parse();
    if !options.bench {
        eprintln!("load: nothing to do: it measures only under `cargo bench --bench load`");
        return Ok(());
    }
    let sizes = options.sizes();
    let node = node::build()?;
    let target = node.ancestors().nth(2).context("not in target/release/")?;
    let report = Report::open(options.out(target))?;
    let arena = Arena::prepare(&node, target)?;
    for absent in &arena.absent {
        eprintln!("{absent}");
    }
    let wants = |section| options.wants(section);
    let results = Results {
        // Growth first: it is about this process, whose memory nothing has been through yet.
        growth: measure_if(wants(Section::Growth), || Growth::measure(&sizes))?,
        throughput: measure_if(wants(Section::Throughput), || {
            Throughput::measure(&arena, &sizes)
        })?,
        latency: measure_if(wants(Section::Latency), || Latency::measure(&arena, &sizes))?,
        shared: measure_if(wants(Section::Shared), || shared::measure(&arena, &sizes))?.flatten(),
        scale: measure_if(wants(Section::Scale), || scale::measure(&arena, &sizes))?,
        machine: machine::describe(arena.pinned),
        absent: arena.absent,
    };
    report.publish(&results)
}

fn measure_if<T>(wanted: bool, measure: impl FnOnce() -> Result<T>) -> Result<Option<T>> {
    wanted.then(measure).transpose()
}
