//! The course's task as most people would write it: `Value` in, a map of structs, `Value` out, a flush a reply.

use std::collections::HashMap;
use std::io::{self, BufRead, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use uuid::Uuid;

struct Session {
    user_id: String,
    expires_at: u64,
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}

fn main() {
    let mut sessions: HashMap<String, Session> = HashMap::new();
    let mut stdout = io::stdout();
    for line in io::stdin().lock().lines() {
        let message: Value = serde_json::from_str(&line.expect("a line")).expect("JSON");
        let body = &message["body"];
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_string();
        let id = &body["msg_id"];
        let live = |session: &&Session| session.expires_at > now();
        let reply = match body["type"].as_str().unwrap_or_default() {
            "create_session" => {
                let session_id = Uuid::new_v4().to_string();
                let expires_at = now() + 3600;
                let session = Session { user_id: text("user_id"), expires_at };
                sessions.insert(session_id.clone(), session);
                json!({"type": "session_created", "in_reply_to": id, "session_id": session_id, "expires_at": expires_at})
            }
            "validate_session" => match sessions.get(&text("session_id")).filter(live) {
                Some(session) => {
                    json!({"type": "session_valid", "in_reply_to": id, "user_id": session.user_id, "expires_in": session.expires_at - now()})
                }
                None => json!({"type": "session_invalid", "in_reply_to": id}),
            },
            "regenerate_session" => match sessions.remove(&text("old_session_id")) {
                Some(session) => {
                    let new = Uuid::new_v4().to_string();
                    sessions.insert(new.clone(), session);
                    json!({"type": "session_regenerated", "in_reply_to": id, "new_session_id": new})
                }
                None => json!({"type": "session_invalid", "in_reply_to": id}),
            },
            "destroy_session" => {
                sessions.remove(&text("session_id"));
                json!({"type": "session_destroyed", "in_reply_to": id, "message": "Session destroyed"})
            }
            _ => json!({"type": "init_ok", "in_reply_to": id}),
        };
        let reply = json!({"src": message["dest"], "dest": message["src"], "body": reply});
        writeln!(stdout, "{reply}").expect("written");
        stdout.flush().expect("flushed");
    }
}
