//! One conversation about each topic of the protocol, held with the nodes of every store. Where several nodes share a
//! store, each answers every second request, and each topic is also talked about with the other node first.

mod lists;
mod log_in;
mod rotation;
mod sessions;

use std::thread::sleep;
use std::time::Duration;

use serde_json::{Value, json};

use crate::backends::{Backend, Nodes, on_every_store};

/// The options of the nodes, and the conversation with them.
type Topic = (&'static [&'static str], fn(&mut Nodes));

/// Long enough for any test.
const GRACE: &[&str] = &["--rotation-grace", "1h"];

fn talk(backend: &Backend, topics: &[Topic]) {
    for (number, (options, topic)) in topics.iter().enumerate() {
        for first in 0..backend.nodes() {
            let mut nodes = backend.start(number * backend.nodes() + first, options);
            for _ in 0..first {
                nodes.skip();
            }
            topic(&mut nodes);
        }
    }
}

on_every_store! {
    fn rotation(store) {
        talk(store, rotation::TOPICS);
    }
    fn sessions(store) {
        talk(store, sessions::TOPICS);
    }
    fn lists(store) {
        talk(store, lists::TOPICS);
    }
    fn log_in(store) {
        talk(store, log_in::TOPICS);
    }
}

/// The same request with one more field, or another value of one.
fn with(request: &Value, name: &str, value: impl Into<Value>) -> Value {
    let mut request = request.clone();
    request[name] = value.into();
    request
}

/// A refusal.
fn error(code: u64, text: &str) -> Value {
    json!({"type": "error", "code": code, "text": text})
}

/// The only answer for an id that is of no use.
fn invalid() -> Value {
    json!({"type": "session_invalid"})
}

/// Waits until the second is another one, and an authentication or a use of now is more than a second old.
fn pause() {
    sleep(Duration::from_millis(1100));
}
