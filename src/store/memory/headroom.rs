//! Whether the system still has memory to give: asked before the store grows, since an allocation that fails would end
//! the process, and with it all sessions.

use std::hint::black_box;

use tracing::{info, warn};

use crate::outage::{Outage, Turn};

/// How far the store may grow until it asks again.
const STEP_BYTES: usize = 32 << 20;

/// What is left for everything else: lines, replies, the memory between pieces of memory.
const SPARE_BYTES: usize = 32 << 20;

/// How much memory the store may use.
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

    /// Whether the store may use so much in all. What it used before, it may use again: memory that ended sessions
    /// leave stays with the process.
    pub fn allows(&mut self, bytes: usize) -> bool {
        bytes <= self.granted_bytes || self.grant(bytes)
    }

    #[cold]
    fn grant(&mut self, bytes: usize) -> bool {
        // So large a piece is fetched from the system and given back to it, and as nothing is written to it, it never
        // exists.
        let mut piece = Vec::<u8>::new();
        let is_there = piece.try_reserve_exact(STEP_BYTES + SPARE_BYTES).is_ok();
        // Without this, the compiler would see that nobody needs the piece.
        black_box(&piece);
        if is_there {
            self.granted_bytes = bytes + STEP_BYTES;
        }
        match self.outage.note(!is_there) {
            Some(Turn::Begins) => {
                warn!("out of memory: what needs more of it is refused, and the rest goes on");
            }
            Some(Turn::Ends) => info!("there is memory again"),
            None => {}
        }
        is_there
    }
}
