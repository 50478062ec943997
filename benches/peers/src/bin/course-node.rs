//! The node as most people would write it from the course's task: a `Value` for each line, a `HashMap` of ids,
//! one flush a reply.

use std::collections::HashMap;
use std::error::Error;
use std::io::{self, BufRead, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use uuid::Uuid;

const TTL_SECONDS: u64 = 3600;

struct Session {
    user_id: String,
    expires_at: u64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut sessions = HashMap::new();
    for line in io::stdin().lock().lines() {
        let request: Value = serde_json::from_str(&line?)?;
        let mut body = answer(&request["body"], &mut sessions)?;
        body["in_reply_to"] = request["body"]["msg_id"].clone();
        let reply = json!({"src": request["dest"], "dest": request["src"], "body": body});
        println!("{reply}");
        io::stdout().flush()?;
    }
    Ok(())
}

fn answer(body: &Value, sessions: &mut HashMap<String, Session>) -> Result<Value, Box<dyn Error>> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let text = |field: &str| body[field].as_str().unwrap_or_default();
    let reply = match text("type") {
        "init" => json!({"type": "init_ok"}),
        "create_session" => {
            let id = Uuid::new_v4().to_string();
            let session = Session {
                user_id: text("user_id").to_string(),
                expires_at: now + TTL_SECONDS,
            };
            let reply = json!({
                "type": "session_created",
                "session_id": id,
                "expires_at": session.expires_at,
            });
            sessions.insert(id, session);
            reply
        }
        "validate_session" => match sessions.get(text("session_id")) {
            Some(session) if session.expires_at > now => json!({
                "type": "session_valid",
                "user_id": session.user_id,
                "expires_in": session.expires_at - now,
            }),
            _ => json!({"type": "session_invalid"}),
        },
        "regenerate_session" => match sessions.remove(text("old_session_id")) {
            Some(session) if session.expires_at > now => {
                let id = Uuid::new_v4().to_string();
                sessions.insert(id.clone(), session);
                json!({"type": "session_regenerated", "new_session_id": id})
            }
            _ => json!({"type": "session_invalid"}),
        },
        "destroy_session" => {
            sessions.remove(text("session_id"));
            json!({"type": "session_destroyed", "message": "Session destroyed"})
        }
        _ => json!({"type": "error", "code": 10, "text": "not supported"}),
    };
    Ok(reply)
}
