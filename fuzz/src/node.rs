//! Any bytes as the standard input of a node, at a hand-moved time. Every message is answered exactly once wherever
//! somebody can be told, on a stream of bare bodies always, in order and to its sender; each reply can be read by
//! strict parsers and is of a type that its request may have; the store keeps to its limits; and no session is there
//! for an id that no reply has handed out.
//!
//! The first byte says how the node is set up. From there on, 0xFF ends a read, and the byte behind it says how
//! long it is until the next one; every other byte is input. 0xFF itself is in no text.

use std::collections::HashSet;
use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use session_node::clock::ManualClock;
use session_node::session::{OnReuse, OnUserLimit, Policy, SessionKey, Timestamp};
use session_node::store::{Batch, MemoryStore, Operation, Outcome, Outcomes, Record, Store};
use session_node::testing::wire::{self, IdGenerator, Message, Reply, Request};
use session_node::{IdFormat, Node, Options, ReplyFormat, SessionAuthority};

use super::framing::messages;
use super::json::{is_json, is_strict_json};

const MAX_SESSIONS: usize = 3;

/// Always the same ids, so that an input can present them.
const SEED: [u8; 32] = [7; 32];

/// Ends a read.
const CUT: u8 = 0xFF;

/// Runs a node on `bytes`, and checks what it answers.
pub fn run(bytes: &[u8]) {
    let Some((setup, bytes)) = bytes.split_first() else {
        return;
    };
    let setup = Setup(*setup);
    let clock = ManualClock::at(Timestamp::from_millis(1_790_000_000_250));
    let audit = Shared::default();
    let authority = SessionAuthority::builder()
        .policy(setup.policy())
        .id_format(setup.id_format())
        .seed(SEED)
        .store(Watched(MemoryStore::new()))
        .clock(clock.clone())
        .audit(audit.clone(), Record::Everything)
        .build()
        .expect("the policy is right");
    let mut node = Node::new(authority, setup.options());

    let mut replies = Vec::new();
    let mut input = Input { rest: bytes, clock };
    node.run(&mut input, &mut replies)
        .expect("memory can be read and written");

    let replies = String::from_utf8(replies).expect("replies are UTF-8");
    let handed_out = check_replies(&setup, &without_cuts(bytes), &replies);
    check_audit(&audit.0.lock().expect("one at a time"), &handed_out);
}

/// A bit for each thing that may be one way or another.
struct Setup(u8);

impl Setup {
    fn has(&self, bit: u8) -> bool {
        self.0 >> bit & 1 == 1
    }

    fn id_format(&self) -> IdFormat {
        if self.has(0) {
            IdFormat::Token
        } else {
            IdFormat::Uuid
        }
    }

    fn policy(&self) -> Policy {
        Policy {
            ttl: Duration::from_secs(5),
            idle_timeout: self.has(1).then_some(Duration::from_secs(3)),
            max_data_bytes: 64,
            max_sessions: MAX_SESSIONS,
            max_sessions_per_user: self.has(2).then_some(2),
            on_user_limit: if self.has(3) {
                OnUserLimit::Reject
            } else {
                OnUserLimit::EvictOldest
            },
            rotation_grace: Duration::from_secs(if self.has(4) { 2 } else { 0 }),
            on_reuse: if self.has(5) {
                OnReuse::Revoke
            } else {
                OnReuse::Ignore
            },
            ..Policy::default()
        }
    }

    fn options(&self) -> Options {
        Options {
            max_line_bytes: if self.has(7) { 200 } else { 1024 * 1024 },
            reply_format: if self.has(6) {
                ReplyFormat::Body
            } else {
                ReplyFormat::Envelope
            },
            strict: self.has(3) && self.has(4),
        }
    }
}

/// The bytes as a stream that comes in pieces, with time passing between them.
struct Input<'a> {
    rest: &'a [u8],
    clock: ManualClock,
}

impl Read for Input<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let [CUT, wait, rest @ ..] = self.rest {
            let unit = [1, 100, 1000, 3_600_000][usize::from(wait >> 6)];
            self.clock
                .advance(Duration::from_millis(u64::from(wait & 63) * unit));
            self.rest = rest;
        }
        let length = self.rest.iter().take_while(|byte| **byte != CUT).count();
        let length = length.min(buffer.len());
        buffer[..length].copy_from_slice(&self.rest[..length]);
        self.rest = &self.rest[length..];
        Ok(length)
    }
}

fn without_cuts(mut bytes: &[u8]) -> Vec<u8> {
    let mut stream = Vec::new();
    while let Some(at) = bytes.iter().position(|byte| *byte == CUT) {
        stream.extend_from_slice(&bytes[..at]);
        bytes = bytes.get(at + 2..).unwrap_or_default();
    }
    stream.extend_from_slice(bytes);
    stream
}

/// A store in memory that must not hold more than it may.
struct Watched(MemoryStore);

impl Store for Watched {
    fn apply(&mut self, batch: &Batch<'_>, outcomes: &mut Outcomes) {
        let before = outcomes.all().len();
        self.0.apply(batch, outcomes);
        let added = &outcomes.all()[before..];
        assert_eq!(
            added.len(),
            batch.operations.len(),
            "one outcome for each operation"
        );
        assert!(self.0.len() <= MAX_SESSIONS, "{} sessions", self.0.len());
        for outcome in added {
            if let Ok(Outcome::Stats {
                sessions, users, ..
            }) = outcome
            {
                assert!(
                    users <= sessions,
                    "{users:?} users of {sessions:?} sessions"
                );
            }
        }
    }
}

/// Checks the replies to a stream, and returns the ids that they hand out.
fn check_replies(setup: &Setup, stream: &[u8], replies: &str) -> HashSet<String> {
    let options = setup.options();
    let messages = messages(stream, &options, &setup.policy());
    assert_eq!(
        replies.lines().count(),
        messages.len(),
        "one reply to each message: {replies}"
    );
    let mut ids_to_come = IdGenerator::from_seed(setup.id_format(), SEED);
    let mut made = HashSet::new();
    let mut handed_out = HashSet::new();
    let mut keys = HashSet::new();
    for (message, reply) in messages.iter().zip(replies.split_inclusive('\n')) {
        assert!(reply.starts_with('{') && is_strict_json(reply), "{reply}");
        let (kind, fields) = addressed_to(message, options.reply_format, reply);
        assert!(may_answer(&message.request, kind), "{reply}");
        let Ok(request) = &message.request else {
            continue;
        };
        if needs_a_session(kind) {
            let key = presented(request).expect("the request presents an id");
            assert!(keys.contains(key), "out of nowhere: {reply}");
        }
        if makes_an_id(request) {
            made.insert(ids_to_come.generate().expose().to_owned());
        }
        if let Some(id) = id_in(fields) {
            assert!(made.contains(id), "not the generator's: {reply}");
            assert!(handed_out.insert(id.to_owned()), "a second time: {reply}");
            keys.insert(SessionKey::of(id));
        } else if kind == "error" {
            let repeats = |id: &String| fields.contains(id.as_str());
            assert!(!handed_out.iter().any(repeats), "an id: {reply}");
        }
    }
    handed_out
}

/// The type of a reply and the fields behind its address, once that has been found to be the one that `message` asks
/// for.
fn addressed_to<'r>(
    message: &Message<'_>,
    format: ReplyFormat,
    reply: &'r str,
) -> (&'r str, &'r str) {
    let mut sample = Vec::new();
    let now = Timestamp::from_millis(0);
    wire::encode(
        &message.return_address,
        format,
        &Reply::InitOk,
        None,
        now,
        &mut sample,
    );
    let sample = String::from_utf8(sample).expect("an address is UTF-8");
    // A sender may have any name, but a name cannot hold quotes that are not escaped.
    let (before, behind) = sample
        .rsplit_once(r#""type":"init_ok""#)
        .expect("every reply says its type");
    let number = behind.trim_end_matches(['}', '\n']);
    let rest = reply.strip_prefix(before).expect("the right address");
    let rest = rest.strip_prefix(r#""type":""#).expect("a type");
    let (kind, rest) = rest.split_once('"').expect("the type is a string");
    let fields = rest.strip_prefix(number).expect("the right in_reply_to");
    assert!(!fields.starts_with(r#","in_reply_to""#), "{reply}");
    (kind, fields)
}

/// Whether a request may be answered with a reply of this type.
fn may_answer(request: &Result<Request<'_>, wire::Error>, kind: &str) -> bool {
    let Ok(request) = request else {
        return kind == "error";
    };
    let operation = match request {
        Request::Init => return kind == "init_ok",
        Request::Echo { .. } => return kind == "echo_ok",
        Request::Sessions(operation) => operation,
    };
    let kinds: &[&str] = match operation {
        Operation::Create { .. } => &["session_created", "error"],
        Operation::Validate { .. } => &[
            "session_valid",
            "session_invalid",
            "reauthentication_required",
        ],
        Operation::Regenerate { .. } => &["session_regenerated", "session_invalid", "error"],
        Operation::Update { .. } => &["session_updated", "session_invalid", "error"],
        // A cursor may be none of a list.
        Operation::List { .. } => &["session_list", "error"],
        Operation::ListUsers { .. } => &["user_list", "error"],
        Operation::Destroy { .. } | Operation::DestroyByHandle { .. } => &["session_destroyed"],
        Operation::DestroyUser { .. } => &["user_sessions_destroyed", "session_invalid"],
        Operation::DestroyAll => &["all_sessions_destroyed"],
        Operation::Stats => &["stats"],
    };
    kinds.contains(&kind)
}

fn needs_a_session(kind: &str) -> bool {
    let kinds = [
        "session_valid",
        "reauthentication_required",
        "session_regenerated",
        "session_updated",
    ];
    kinds.contains(&kind)
}

fn presented<'a>(request: &'a Request<'_>) -> Option<&'a SessionKey> {
    let Request::Sessions(operation) = request else {
        return None;
    };
    match operation {
        Operation::Validate { key, .. } | Operation::Update { key, .. } => Some(key),
        Operation::Regenerate { old, .. } => Some(old),
        _ => None,
    }
}

fn makes_an_id(request: &Request<'_>) -> bool {
    matches!(
        request,
        Request::Sessions(Operation::Create { .. } | Operation::Regenerate { .. })
    )
}

/// The id that a reply hands out.
fn id_in(fields: &str) -> Option<&str> {
    let names = [r#","session_id":""#, r#","new_session_id":""#];
    let id = names.iter().find_map(|name| fields.strip_prefix(name))?;
    Some(id.split_once('"')?.0)
}

/// Checks that the audit is JSON and repeats no id, but where a peer has put it into a name.
fn check_audit(audit: &[u8], handed_out: &HashSet<String>) {
    let audit = str::from_utf8(audit).expect("the audit is UTF-8");
    for line in audit.lines() {
        assert!(is_json(line), "no JSON: {line}");
        let Ok(mut entry) = serde_json::from_str::<Value>(line) else {
            continue;
        };
        let entry = entry.as_object_mut().expect("an entry is an object");
        entry.retain(|name, _| name != "src" && name != "user");
        let values: Vec<String> = entry.values().map(Value::to_string).collect();
        let repeats = |id: &String| values.iter().any(|value| value.contains(id.as_str()));
        assert!(!handed_out.iter().any(repeats), "an id: {line}");
    }
}

/// A file in memory, of which the caller keeps a hand.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("one at a time").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
