//! Uses of sessions that are not in the file.
//!
//! Writing every use would turn each validation into a write with its `fsync`. So a node writes a use only if the last
//! written use is long enough ago: a sixtieth of the idle timeout, or a minute if the session has no idle timeout and
//! its last use is only shown. The node keeps the unwritten uses here, so a node that alone uses a session ends it to
//! the millisecond.
//!
//! A node cannot know the unwritten uses of another node, or its own from before a restart. Their loss must not end a
//! session early. So the file says which node wrote a session's last use. That node knows every use. Any other node
//! assumes that the writer may have kept later uses, up to a sixtieth of the idle timeout later, and lets the session
//! live that much longer. If several nodes use a session within that sixtieth, the second of them marks it as used by
//! [`SEVERAL`]. Then no node claims to know every use, and none has to write more of them. However many nodes there
//! are, they write at most twice per sixtieth of the idle timeout.

use std::collections::HashMap;
use std::num::NonZeroI64;
use std::time::Duration;

use super::tables::Row;
use crate::session::{Lifetime, SessionKey, Timestamp};

/// Stored as `used_by` if several nodes used a session within a short time.
const SEVERAL: i64 = 0;

/// A use is written if a sixtieth of the idle timeout has passed: rarely, and yet `last_seen_at` stays nearly exact.
const PARTS_OF_IDLE_TIMEOUT: u64 = 60;

/// A use of a session without an idle timeout is written if this many milliseconds have passed.
const MILLIS_WITHOUT_IDLE_TIMEOUT: u64 = 60_000;

/// How many uses are kept before the first search for uses that no longer matter.
const FIRST_SWEEP: usize = 4096;

struct Use {
    at: Timestamp,
    /// When the session ends unless a later use is written or kept.
    matters_until: Timestamp,
}

/// The uses that were not written.
pub struct Uses {
    /// This node's number, which it chose when it opened the file.
    node: i64,
    kept: HashMap<SessionKey, Use>,
    /// The uses of the batch that is not committed yet.
    uncommitted: HashMap<SessionKey, Use>,
    sweep_at: usize,
    /// Whether to keep uses of sessions without an idle timeout here instead of writing them.
    keeps_back: bool,
}

impl Uses {
    /// Starts without uses. No other node may have the number `node`.
    pub fn new(node: NonZeroI64) -> Self {
        Self {
            node: node.get(),
            kept: HashMap::new(),
            uncommitted: HashMap::new(),
            sweep_at: FIRST_SWEEP,
            keeps_back: false,
        }
    }

    /// This node's number, stored as `used_by` while it knows every use.
    pub fn node(&self) -> i64 {
        self.node
    }

    /// The times of a session as far as this node knows them.
    pub fn recall(&self, row: &Row, now: Timestamp) -> Lifetime {
        let mut lifetime = row.lifetime;
        for uses in [&self.kept, &self.uncommitted] {
            if let Some(kept) = uses.get(&row.key) {
                lifetime.use_at(kept.at);
            }
        }
        if row.used_by != self.node && !lifetime.is_live(now) {
            lifetime.use_at(row.lifetime.last_used_at + write_interval(&lifetime));
        }
        lifetime
    }

    /// Records a use at `lifetime.last_used_at` of the session with this `row`. Returns the `used_by` with which to
    /// write the use to the file, or `None` if it is kept here instead.
    pub fn note(&mut self, row: &Row, lifetime: &Lifetime) -> Option<i64> {
        let written_at = row.lifetime.last_used_at;
        let has_idle_timeout = lifetime.idle_timeout_millis.is_some();
        let is_kept_back = self.keeps_back && !has_idle_timeout;
        if lifetime.last_used_at >= written_at + write_interval(lifetime) && !is_kept_back {
            return Some(self.node);
        }
        if has_idle_timeout && ![self.node, SEVERAL].contains(&row.used_by) {
            return Some(SEVERAL);
        }
        let kept = Use {
            at: lifetime.last_used_at,
            matters_until: lifetime.expires_at(),
        };
        self.uncommitted.insert(row.key, kept);
        None
    }

    /// Sets whether to keep uses here that are due to be written, if that ends no session early.
    pub fn keep_back(&mut self, keeps_back: bool) {
        self.keeps_back = keeps_back;
    }

    /// Keeps the uses of a batch after its commit.
    pub fn commit_batch(&mut self, now: Timestamp) {
        self.kept.extend(self.uncommitted.drain());
        if self.kept.len() >= self.sweep_at {
            self.kept.retain(|_, kept| now < kept.matters_until);
            self.sweep_at = FIRST_SWEEP.max(self.kept.len() * 2);
        }
    }

    /// Forgets the uses of a batch that failed.
    pub fn discard_batch(&mut self) {
        self.uncommitted.clear();
    }
}

/// How long after a written use the next uses are not written.
fn write_interval(lifetime: &Lifetime) -> Duration {
    let millis = lifetime
        .idle_timeout_millis
        .map(|millis| millis / PARTS_OF_IDLE_TIMEOUT);
    Duration::from_millis(millis.unwrap_or(MILLIS_WITHOUT_IDLE_TIMEOUT))
}
