//! Uses of sessions that are not in the file.
//!
//! Writing every use would turn each validation into a write with its `fsync`. So a use is written only when the
//! last one that was written is long enough ago: a sixtieth of the idle timeout, or a minute where the session has
//! none and the time of its last use is only shown. What is not written is kept here, so that a node on its own
//! ends a session to the millisecond.
//!
//! What another node, or this one before a restart, has kept to itself is lost to us, and must not end a session
//! early. So the file says who wrote a session's last use. Of its own, a node knows all uses. Where another wrote
//! it, that one may have kept later uses, up to a sixtieth later: the session gets the benefit of the doubt and
//! lives that much longer. And where several nodes use a session within that sixtieth, the second of them marks
//! it as used by [`SEVERAL`], so that none claims to know all uses, and none has to write more of them.
//! That makes two writes in a sixtieth of the idle timeout at the most, however many nodes there are.

use std::collections::HashMap;
use std::num::NonZeroI64;
use std::time::Duration;

use super::tables::Row;
use crate::session::{Lifetime, SessionKey, Timestamp};

/// Who used a session last, when several nodes did within a short time.
const SEVERAL: i64 = 0;

/// A sixtieth of the idle timeout: few enough writes, and nobody will notice in `last_seen_at`.
const PARTS_OF_IDLE_TIMEOUT: u64 = 60;

/// The same for a session that has no idle timeout.
const MILLIS_WITHOUT_IDLE_TIMEOUT: u64 = 60_000;

/// How many uses are kept before those that no longer matter are looked for.
const FIRST_SWEEP: usize = 4096;

/// What is to be done about a use.
pub enum Write {
    /// Nothing: it is kept here.
    Nothing,
    /// It is to be written as used by this one.
    By(i64),
}

struct Use {
    at: Timestamp,
    /// When the session ends unless it is used again, and so is written again or is kept here anew.
    matters_until: Timestamp,
}

/// Uses that were not written.
pub struct Uses {
    /// This node's number in the file, as long as it has the file open.
    node: i64,
    kept: HashMap<SessionKey, Use>,
    /// Those of a batch that is not yet committed.
    of_batch: HashMap<SessionKey, Use>,
    sweep_at: usize,
    /// Whether uses of sessions without an idle timeout are not to be written now.
    keeps_back: bool,
}

impl Uses {
    /// No uses, of the node that is to be known by this number, which no other has.
    pub fn new(node: NonZeroI64) -> Self {
        Self {
            node: node.get(),
            kept: HashMap::new(),
            of_batch: HashMap::new(),
            sweep_at: FIRST_SWEEP,
            keeps_back: false,
        }
    }

    /// This node's number, stored as `used_by` while it knows every use.
    pub fn node(&self) -> i64 {
        self.node
    }

    /// The times of a session as far as they can be known.
    pub fn recall(&self, row: &Row, now: Timestamp) -> Lifetime {
        let mut lifetime = row.lifetime;
        for uses in [&self.kept, &self.of_batch] {
            if let Some(kept) = uses.get(&row.key) {
                lifetime.use_at(kept.at);
            }
        }
        if row.used_by != self.node && !lifetime.is_live(now) {
            lifetime.use_at(row.lifetime.last_used_at + not_written_for(&lifetime));
        }
        lifetime
    }

    /// Notes a use at `lifetime.last_used_at` of the session that `row` has in the file.
    pub fn note(&mut self, row: &Row, lifetime: &Lifetime) -> Write {
        let written_at = row.lifetime.last_used_at;
        let has_idle_timeout = lifetime.idle_timeout_millis != Lifetime::NEVER_IDLE;
        let is_kept_back = self.keeps_back && !has_idle_timeout;
        if lifetime.last_used_at >= written_at + not_written_for(lifetime) && !is_kept_back {
            return Write::By(self.node);
        }
        if has_idle_timeout && ![self.node, SEVERAL].contains(&row.used_by) {
            return Write::By(SEVERAL);
        }
        let kept = Use {
            at: lifetime.last_used_at,
            matters_until: lifetime.expires_at(),
        };
        self.of_batch.insert(row.key, kept);
        Write::Nothing
    }

    /// Whether to keep uses here that would be written, where no session can end early because of it.
    pub fn keep_back(&mut self, keeps_back: bool) {
        self.keeps_back = keeps_back;
    }

    /// The batch is committed.
    pub fn keep_batch(&mut self, now: Timestamp) {
        self.kept.extend(self.of_batch.drain());
        if self.kept.len() >= self.sweep_at {
            self.kept.retain(|_, kept| now < kept.matters_until);
            self.sweep_at = FIRST_SWEEP.max(self.kept.len() * 2);
        }
    }

    /// The batch came to nothing.
    pub fn forget_batch(&mut self) {
        self.of_batch.clear();
    }
}

/// For how long after a use was written the next ones are not.
fn not_written_for(lifetime: &Lifetime) -> Duration {
    Duration::from_millis(match lifetime.idle_timeout_millis {
        Lifetime::NEVER_IDLE => MILLIS_WITHOUT_IDLE_TIMEOUT,
        millis => millis / PARTS_OF_IDLE_TIMEOUT,
    })
}
