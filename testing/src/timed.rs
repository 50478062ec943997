//! A node in this process, whose time stands still until a test moves it.

use std::time::Duration;

use serde_json::Value;
use session_node::clock::ManualClock;
use session_node::session::{Policy, Timestamp};
use session_node::{Node, Options, SessionAuthority};

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
    pub fn answer(&mut self, request: impl std::fmt::Display) -> String {
        let mut replies = Vec::new();
        let line = format!("{request}\n");
        let ran = self.node.run(line.as_bytes(), &mut replies);
        ran.expect("memory can be read and written");
        let text = String::from_utf8(replies).expect("a reply is UTF-8");
        text.trim_end().to_owned()
    }

    /// The reply to a bare body.
    pub fn ask(&mut self, request: impl std::fmt::Display) -> Value {
        serde_json::from_str(&self.answer(request)).expect("a reply is JSON")
    }

    /// Begins a session with these fields beside the type, and returns its id.
    pub fn create(&mut self, fields: Value) -> String {
        let created = self.ask(with_type("create_session", fields));
        assert_eq!(created["type"], "session_created", "{created}");
        crate::text(&created, "session_id")
    }

    /// Gives a session a new id.
    pub fn regenerate(&mut self, id: &str) -> String {
        let reply =
            self.ask(serde_json::json!({"type": "regenerate_session", "old_session_id": id}));
        crate::text(&reply, "new_session_id")
    }

    pub fn validate(&mut self, id: &str) -> Value {
        self.ask(serde_json::json!({"type": "validate_session", "session_id": id}))
    }

    pub fn is_live(&mut self, id: &str) -> bool {
        match self.validate(id)["type"].as_str() {
            Some("session_valid") => true,
            Some("session_invalid") => false,
            other => panic!("a validation was answered with {other:?}"),
        }
    }

    /// The sessions that `list_sessions` shows of a user.
    pub fn list(&mut self, user: &str) -> Vec<Value> {
        let list = self.ask(serde_json::json!({"type": "list_sessions", "user_id": user}));
        list["sessions"].as_array().expect("a list").clone()
    }
}

/// A request of this type with these fields.
pub fn with_type(kind: &str, mut fields: Value) -> Value {
    fields["type"] = kind.into();
    fields
}
