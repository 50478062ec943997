//! Checks that the system can still supply memory before the store grows, because a failed allocation would end the
//! process and with it all sessions.

use std::hint::black_box;

use tracing::{info, warn};

use crate::outage::{Outage, Turn};

/// How many bytes the store may grow before it checks again.
const STEP_BYTES: usize = 32 << 20;

/// How many bytes must remain for everything else: lines, replies and gaps between allocations.
const SPARE_BYTES: usize = 32 << 20;

/// Tracks how much memory the store may use.
pub struct Headroom {
    granted_bytes: usize,
    outage: Outage,
}

impl Headroom {
    pub fn new() -> Self {
        Self {
            granted_bytes: 0,
            outage: Outage::default(),
        }
    }

    /// Whether the store may use `bytes` in all. It may always reuse what it used before, because the process keeps the
    /// memory of ended sessions.
    pub fn allows(&mut self, bytes: usize) -> bool {
        bytes <= self.granted_bytes || self.grant(bytes)
    }

    #[cold]
    fn grant(&mut self, bytes: usize) -> bool {
        // An allocation this large comes straight from the system and goes straight back. Nothing writes to it, so it
        // takes no physical memory.
        let mut piece = Vec::<u8>::new();
        let is_there = piece.try_reserve_exact(STEP_BYTES + SPARE_BYTES).is_ok();
        // Keeps the compiler from removing the unused allocation.
        black_box(&piece);
        if is_there {
            self.granted_bytes = bytes + STEP_BYTES;
        }
        match self.outage.note(!is_there) {
            Some(Turn::Begins) => {
                warn!(
                    "out of memory: requests that need more are refused, and the others are served"
                );
            }
            Some(Turn::Ends) => info!("there is memory again"),
            None => {}
        }
        is_there
    }
}
