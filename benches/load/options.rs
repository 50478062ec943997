//! The bench's own command line.

use std::path::{Path, PathBuf};

use clap::{Parser, ValueEnum};

/// A part of the bench.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Section {
    Throughput,
    Latency,
    Scale,
    Growth,
    /// The store on Redis: in builds with the feature `redis`
    Shared,
}

/// Measures session-node beside its peers.
#[derive(Debug, Parser)]
pub struct Options {
    /// A run of a minute that shows whether all works; its figures mean little
    #[arg(long)]
    pub quick: bool,
    /// Live sessions while throughput is measured [default: 500000; quick: 20000]
    #[arg(long)]
    sessions: Option<usize>,
    /// How often everything is measured, the contestants taking turns [default: 3; quick: 1]
    #[arg(long)]
    rounds: Option<usize>,
    /// Measure this part only
    #[arg(long, value_name = "SECTION")]
    only: Option<Section>,
    /// Where to write benchmarks.md and the plots [default: docs, or for a run in part a directory of its
    /// own under cargo's target directory]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// What `cargo bench` says to every bench
    #[arg(long, hide = true)]
    pub bench: bool,
}

/// How much of everything.
pub struct Sizes {
    pub rounds: usize,
    /// Live sessions while throughput is measured.
    pub sessions: usize,
    /// Requests of one kind to a contestant that is fast, and to one that is slow.
    pub requests_fast: usize,
    pub requests_slow: usize,
    /// Live sessions while latency is measured: fewer, since all contestants hold them at the same time.
    pub latency_sessions: usize,
    pub pings: usize,
    /// Live sessions while the store on Redis is measured.
    pub shared_sessions: usize,
    /// Live sessions at which validate is compared, and memory measured.
    pub scale_small: usize,
    pub scale_steps: Vec<usize>,
    pub scale_requests: usize,
    /// How far a store grows while every call is timed.
    pub growth_sessions: usize,
    /// How many sessions expire at once.
    pub expiring_sessions: usize,
}

impl Options {
    pub fn sizes(&self) -> Sizes {
        let quick = self.quick;
        let either = |full, short| if quick { short } else { full };
        Sizes {
            rounds: self.rounds.unwrap_or(either(3, 1)).max(1),
            sessions: self.sessions.unwrap_or(either(500_000, 20_000)).max(1000),
            requests_fast: either(2_000_000, 100_000),
            requests_slow: either(200_000, 20_000),
            latency_sessions: either(100_000, 10_000),
            pings: either(20_000, 2_000),
            shared_sessions: either(50_000, 10_000),
            scale_small: 100_000,
            scale_steps: if quick {
                vec![1_000_000]
            } else {
                vec![1_000_000, 10_000_000]
            },
            scale_requests: either(2_000_000, 300_000),
            growth_sessions: either(5_000_000, 500_000),
            expiring_sessions: either(1_000_000, 100_000),
        }
    }

    pub fn wants(&self, section: Section) -> bool {
        self.only.is_none_or(|only| only == section)
    }

    /// Only a whole run may replace the figures that are checked in.
    pub fn out(&self, target: &Path) -> PathBuf {
        if let Some(out) = &self.out {
            return out.clone();
        }
        if self.quick || self.only.is_some() {
            target.join("load")
        } else {
            PathBuf::from("docs")
        }
    }
}
