//! A peer that remembers what it was answered, to ask for it again after the node was killed.

use std::collections::HashMap;
use std::io::{BufRead, Write};

use rand::RngExt;
use rand::rngs::StdRng;
use serde_json::Value;

use crate::{body, text};

/// What a peer knows of the sessions it has asked for.
#[derive(Default)]
pub struct Witness {
    /// Ids that are live, with their users.
    live: HashMap<String, String>,
    /// Ids that were destroyed or regenerated.
    ended: Vec<String>,
    made: u32,
}

/// What a peer has asked, and is to note when it is answered.
enum Asked {
    Create { user: String },
    Regenerate { id: String, user: String },
    Destroy { id: String },
}

impl Witness {
    /// Something to ask. A session that is asked to end is in doubt until the answer comes.
    fn ask(&mut self, random: &mut StdRng) -> (String, Asked) {
        let some_id = self.live.keys().next().cloned();
        match (some_id, random.random_range(0..10)) {
            (Some(id), 0..3) => {
                let user = self.live.remove(&id).expect("it is live");
                let request = format!(r#"{{"type":"regenerate_session","old_session_id":"{id}"}}"#);
                (request, Asked::Regenerate { id, user })
            }
            (Some(id), 3..5) => {
                self.live.remove(&id);
                let request = format!(r#"{{"type":"destroy_session","session_id":"{id}"}}"#);
                (request, Asked::Destroy { id })
            }
            _ => {
                self.made += 1;
                let user = format!("user{}", self.made);
                let request = format!(r#"{{"type":"create_session","user_id":"{user}"}}"#);
                (request, Asked::Create { user })
            }
        }
    }

    fn note(&mut self, asked: Asked, answer: &Value) {
        match asked {
            Asked::Create { user } => {
                self.live.insert(text(answer, "session_id"), user);
            }
            Asked::Regenerate { id, user } => {
                self.live.insert(text(answer, "new_session_id"), user);
                self.ended.push(id);
            }
            Asked::Destroy { id } => {
                assert_eq!(text(answer, "type"), "session_destroyed");
                self.ended.push(id);
            }
        }
    }

    /// Asks in batches of fewer than `most` until the node is gone. Returns how many answers came.
    pub fn work_until_killed(
        &mut self,
        mut requests: impl Write,
        mut replies: impl BufRead,
        most: usize,
        random: &mut StdRng,
    ) -> usize {
        let mut answered = 0;
        loop {
            let (lines, asked): (Vec<_>, Vec<_>) = (0..random.random_range(1..most))
                .map(|_| self.ask(random))
                .unzip();
            // Fails once the node is gone; what it answered before can still be read.
            let _ = requests.write_all((lines.join("\n") + "\n").as_bytes());
            for asked in asked {
                let mut line = String::new();
                // A socket whose node was killed may be reset.
                if replies.read_line(&mut line).is_err() || !line.ends_with('\n') {
                    return answered;
                }
                self.note(asked, &body(line.trim_end()));
                answered += 1;
            }
        }
    }

    /// Whether the peer has seen sessions that live and sessions that have ended.
    pub fn has_seen_both(&self) -> bool {
        !self.live.is_empty() && !self.ended.is_empty()
    }

    /// Asks after every session that the peer is sure of, by a function that returns the replies to some lines.
    pub fn check(&self, replies: impl FnOnce(String) -> Vec<String>) {
        let validate =
            |id: &String| format!("{{\"type\":\"validate_session\",\"session_id\":\"{id}\"}}\n");
        let replies = replies(self.live.keys().chain(&self.ended).map(validate).collect());
        assert_eq!(replies.len(), self.live.len() + self.ended.len());
        let (live, ended) = replies.split_at(self.live.len());
        for (reply, user) in live.iter().zip(self.live.values()) {
            let reply = body(reply);
            assert_eq!(text(&reply, "type"), "session_valid", "a session was lost");
            assert_eq!(&text(&reply, "user_id"), user);
        }
        for reply in ended {
            let kind = text(&body(reply), "type");
            assert_eq!(kind, "session_invalid", "a session came back");
        }
    }
}
