//! The load bench: measures session-node beside floors and peers in one run.
//!
//! This process is the driver. It starts each contestant as a process, streams requests into it, checks the type of
//! every reply, and asks the kernel for the CPU time of the contestant. `docs/benchmarks.md` says how to run the bench
//! and how to read what it writes.

#![allow(missing_docs, reason = "a program exports nothing")]
#![allow(clippy::cast_precision_loss, reason = "people read the figures")]

mod arena;
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
mod sockets;
mod stats;
#[path = "../store.rs"]
mod store;
mod stream;
mod throughput;
mod wire;

use anyhow::{Context, Result};
use clap::Parser;

use crate::arena::Arena;
use crate::contestant::Contestant;
use crate::options::{Options, Section};
use crate::report::Report;

fn main() -> Result<()> {
    let options = Options::parse();
    if !options.bench {
        eprintln!("load: measures only under `cargo bench --bench load`");
        return Ok(());
    }
    let sizes = options.sizes();
    let node = node::build()?;
    let target = node.ancestors().nth(2).context("not in target/release")?;
    let report = Report::open(options.out(target))?;
    let arena = Arena::prepare(&node, target)?;
    let mut circumstances = machine::describe(arena.is_pinned);
    let absent = Contestant::ALL
        .iter()
        .filter(|one| !arena.contestants.contains(one));
    circumstances.extend(absent.map(|one| format!("- not installed: {}\n", one.name())));
    let mut sections = options.sections();
    // Growth comes first, because it measures this process, whose memory must be fresh.
    sections.sort_by_key(|section| *section != Section::Growth);
    if !cfg!(feature = "redis") || !arena.contestants.contains(&Contestant::Redis) {
        eprintln!("shared: skipped, it needs `--features redis` and redis-server");
        sections.retain(|section| *section != Section::Shared);
    }
    if !cfg!(feature = "socket") {
        eprintln!("sockets: skipped, it needs `--features socket`");
        sections.retain(|section| *section != Section::Sockets);
    }
    let mut parts = Vec::new();
    for section in sections {
        let part = match section {
            Section::Throughput => throughput::measure(&arena, &sizes),
            Section::Latency => latency::measure(&arena, &sizes),
            Section::Scale => scale::measure(&arena, &sizes),
            Section::Growth => growth::measure(&sizes),
            Section::Shared => shared::measure(&arena, &sizes),
            Section::Sockets => sockets::measure(&arena, &sizes),
        };
        parts.push((section, part?));
    }
    parts.sort_by_key(|(section, _)| *section);
    let parts: Vec<_> = parts.into_iter().map(|(_, part)| part).collect();
    report.publish(&circumstances, &parts)
}
