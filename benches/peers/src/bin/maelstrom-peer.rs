//! The four operations on the `maelstrom-node` crate, as its examples show how to write a node. The crate answers
//! requests concurrently, so its replies come in any order.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use maelstrom::protocol::Message;
use maelstrom::{Node, Result, Runtime, done};
use serde_json::{Value, json};
use uuid::Uuid;

const TTL_SECONDS: u64 = 3600;

struct Session {
    user_id: String,
    expires_at: u64,
}

#[derive(Default)]
struct Handler {
    sessions: Mutex<HashMap<String, Session>>,
}

// Not the crate's own `Runtime::init`, which would also log every message.
#[tokio::main]
async fn main() -> Result<()> {
    Runtime::new()
        .with_handler(Arc::new(Handler::default()))
        .run()
        .await
}

#[async_trait]
impl Node for Handler {
    async fn process(&self, runtime: Runtime, request: Message) -> Result<()> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let reply = match request.get_type() {
            "create_session" => self.create(text(&request, "user_id"), now),
            "validate_session" => self.validate(text(&request, "session_id"), now),
            "regenerate_session" => self.regenerate(text(&request, "old_session_id"), now),
            "destroy_session" => self.destroy(text(&request, "session_id")),
            _ => return done(runtime, request),
        };
        runtime.reply(request, reply).await
    }
}

impl Handler {
    fn create(&self, user_id: &str, now: u64) -> Value {
        let id = Uuid::new_v4().to_string();
        let expires_at = now + TTL_SECONDS;
        let session = Session {
            user_id: user_id.to_string(),
            expires_at,
        };
        self.sessions.lock().unwrap().insert(id.clone(), session);
        json!({"type": "session_created", "session_id": id, "expires_at": expires_at})
    }

    fn validate(&self, id: &str, now: u64) -> Value {
        match self.sessions.lock().unwrap().get(id) {
            Some(session) if session.expires_at > now => json!({
                "type": "session_valid",
                "user_id": session.user_id,
                "expires_in": session.expires_at - now,
            }),
            _ => json!({"type": "session_invalid"}),
        }
    }

    fn regenerate(&self, old_id: &str, now: u64) -> Value {
        let mut sessions = self.sessions.lock().unwrap();
        match sessions.remove(old_id) {
            Some(session) if session.expires_at > now => {
                let id = Uuid::new_v4().to_string();
                sessions.insert(id.clone(), session);
                json!({"type": "session_regenerated", "new_session_id": id})
            }
            _ => json!({"type": "session_invalid"}),
        }
    }

    fn destroy(&self, id: &str) -> Value {
        self.sessions.lock().unwrap().remove(id);
        json!({"type": "session_destroyed", "message": "Session destroyed"})
    }
}

fn text<'a>(request: &'a Message, field: &str) -> &'a str {
    let value = request.body.extra.get(field);
    value.and_then(Value::as_str).unwrap_or_default()
}
