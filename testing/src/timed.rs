//! A node in this process, whose time stands still until a test moves it.

use std::fmt::Display;
use std::time::Duration;

use serde_json::Value;
use session_node::clock::ManualClock;
use session_node::session::{Policy, Timestamp};
use session_node::{Node, Options, SessionAuthority};

use crate::responder::Responder;

/// When every test begins: a quarter of a second into a Unix second.
pub const START: u64 = 1_790_000_000;
const START_MILLIS: u64 = START * 1000 + 250;

/// A node that is asked one request at a time.
pub struct TimedNode {
    node: Node,
    clock: ManualClock,
}

impl TimedNode {
    pub fn new(policy: Policy) -> Self {
        let clock = ManualClock::at(Timestamp::from_millis(START_MILLIS));
        let authority = SessionAuthority::builder()
            .policy(policy)
            .clock(clock.clone())
            .seed([3; 32])
            .build()
            .expect("the policy is right");
        Self {
            node: Node::new(authority, Options::default()),
            clock,
        }
    }

    /// Lets time pass.
    pub fn wait(&mut self, millis: u64) {
        self.clock.advance(Duration::from_millis(millis));
    }

    /// The reply to a bare body, as text.
    pub fn answer(&mut self, request: impl Display) -> String {
        let mut replies = Vec::new();
        let line = format!("{request}\n");
        let ran = self.node.run(line.as_bytes(), &mut replies);
        ran.expect("memory can be read and written");
        let text = String::from_utf8(replies).expect("a reply is UTF-8");
        text.trim_end().to_owned()
    }
}

impl Responder for TimedNode {
    fn ask(&mut self, request: impl Display) -> Value {
        serde_json::from_str(&self.answer(request)).expect("a reply is JSON")
    }
}
