//! The command line of the bench, and the sizes that follow from it.

use std::path::{Path, PathBuf};

use clap::{Parser, ValueEnum};

/// A part of the bench, in the order of the tables.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Section {
    Throughput,
    Latency,
    Scale,
    Growth,
    /// The store on Redis, in builds with the feature `redis`
    Shared,
    /// A node on a Unix socket, in builds with the feature `socket`
    Sockets,
}

/// Measures session-node beside its peers.
#[derive(Parser)]
pub struct Options {
    /// Check in half a minute that everything works; the figures mean little
    #[arg(long)]
    quick: bool,
    /// Live sessions while throughput is measured [default: 500000; quick: 20000]
    #[arg(long)]
    sessions: Option<usize>,
    /// How often the contestants take turns [default: 3; quick: 1]
    #[arg(long)]
    rounds: Option<usize>,
    /// Measure this part only
    #[arg(long, value_name = "SECTION")]
    only: Option<Section>,
    /// Where to write benchmarks.md and the plots [default: docs; quick or only: load in cargo's target directory]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// `cargo bench` passes this to every bench
    #[arg(long, hide = true)]
    pub bench: bool,
}

/// How much of everything.
pub struct Sizes {
    pub rounds: usize,
    /// Live sessions while throughput is measured.
    pub sessions: usize,
    /// Requests of one load to a fast contestant, and to a slow one.
    pub requests_fast: usize,
    pub requests_slow: usize,
    /// Fewer live sessions, because all contestants hold them at the same time.
    pub latency_sessions: usize,
    pub pings: usize,
    pub shared_sessions: usize,
    /// Live sessions at which validate and memory are measured.
    pub scale_small: usize,
    pub scale_steps: &'static [usize],
    pub scale_requests: usize,
    /// How far a store grows while each call is timed.
    pub growth_sessions: usize,
    /// How many sessions end at once.
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
            scale_steps: &[1_000_000, 10_000_000][..either(2, 1)],
            scale_requests: either(2_000_000, 300_000),
            growth_sessions: either(5_000_000, 500_000),
            expiring_sessions: either(1_000_000, 100_000),
        }
    }

    pub fn sections(&self) -> Vec<Section> {
        let all = Section::value_variants().iter().copied();
        let wanted = |section: &Section| self.only.is_none_or(|only| only == *section);
        all.filter(wanted).collect()
    }

    /// Only a whole run may replace the figures in `docs`.
    pub fn out(&self, target: &Path) -> PathBuf {
        let is_whole = !self.quick && self.only.is_none();
        let default = || {
            if is_whole {
                "docs".into()
            } else {
                target.join("load")
            }
        };
        self.out.clone().unwrap_or_else(default)
    }
}
