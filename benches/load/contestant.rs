//! The contestants, and how the driver speaks to each.

use crate::wire::Dialect;

/// A program to measure.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Contestant {
    SessionNode,
    ParseFloor,
    EchoFloor,
    CourseNode,
    MaelstromNode,
    Python,
    Redis,
    /// session-node with its sessions on the Redis server at this port. It takes no turns with the others.
    NodeOnRedis(u16),
}

/// How the driver sends requests.
#[derive(Clone, Copy)]
pub struct Pipeline {
    /// Requests in one write.
    pub piece: usize,
    /// The driver waits while more requests than this have no reply.
    pub window: usize,
}

impl Contestant {
    /// The contestants that take turns, in the order of the tables.
    pub const ALL: [Self; 7] = [
        Self::SessionNode,
        Self::ParseFloor,
        Self::EchoFloor,
        Self::CourseNode,
        Self::MaelstromNode,
        Self::Python,
        Self::Redis,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::SessionNode => "session-node",
            Self::ParseFloor => "parse floor",
            Self::EchoFloor => "echo floor",
            Self::CourseNode => "course-style Rust",
            Self::MaelstromNode => "maelstrom-node crate",
            Self::Python => "Python",
            Self::Redis => "Redis",
            Self::NodeOnRedis(_) => "session-node on Redis",
        }
    }

    pub fn dialect(self) -> Dialect {
        match self {
            Self::Redis => Dialect::Resp,
            _ => Dialect::Json,
        }
    }

    /// A fast contestant gets more requests, because it would answer a few of them too soon to be measured.
    pub fn is_fast(self) -> bool {
        matches!(self, Self::SessionNode | Self::ParseFloor | Self::Redis)
    }

    /// Redis gets pipelines of 256, eight at a time, so that it never waits for the driver. The pipes of the others
    /// hold fewer requests than `window`, which limits only a contestant that reads faster than it answers.
    pub fn pipeline(self) -> Pipeline {
        let (piece, window) = match self {
            Self::Redis => (256, 8 * 256),
            _ => (512, 16 * 1024),
        };
        Pipeline { piece, window }
    }
}
