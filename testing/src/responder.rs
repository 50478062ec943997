//! The requests that most tests send, to whoever answers them.

use std::fmt::Display;

use serde_json::{Value, json};

use crate::text;

/// Somebody who answers requests, one after another.
pub trait Responder {
    /// The reply to a body, without an envelope.
    fn ask(&mut self, request: impl Display) -> Value;

    /// Begins a session with these fields beside the type, and returns its id.
    fn create(&mut self, fields: Value) -> String {
        let created = self.ask(with_type("create_session", fields));
        assert_eq!(created["type"], "session_created", "{created}");
        text(&created, "session_id")
    }

    /// Gives a session a new id.
    fn regenerate(&mut self, id: &str) -> String {
        self.regenerate_with(json!({"old_session_id": id}))
    }

    /// Gives a session a new id, by a request with these fields beside the type.
    fn regenerate_with(&mut self, fields: Value) -> String {
        let reply = self.ask(with_type("regenerate_session", fields));
        text(&reply, "new_session_id")
    }

    fn validate(&mut self, id: &str) -> Value {
        self.ask(json!({"type": "validate_session", "session_id": id}))
    }

    fn is_live(&mut self, id: &str) -> bool {
        match self.validate(id)["type"].as_str() {
            Some("session_valid") => true,
            Some("session_invalid") => false,
            other => panic!("a validation was answered with {other:?}"),
        }
    }

    /// The sessions that `list_sessions` shows of a user.
    fn list(&mut self, user: &str) -> Vec<Value> {
        let list = self.ask(json!({"type": "list_sessions", "user_id": user}));
        list["sessions"].as_array().expect("a list").clone()
    }

    /// The handles that `list_sessions` shows of a user.
    fn handles(&mut self, user: &str) -> Vec<String> {
        let sessions = self.list(user);
        sessions.iter().map(|one| text(one, "handle")).collect()
    }
}

/// A request of this type with these fields.
pub fn with_type(kind: &str, mut fields: Value) -> Value {
    fields["type"] = kind.into();
    fields
}
