//! Requests at a hand-moved time, on a node and on the naive model beside it: every reply must be the one that the
//! model expects. What the requests are is left to the caller: a property test, or a fuzzer.

use std::time::Duration;

use serde_json::{Map, Value, json};
use session_node::clock::ManualClock;
use session_node::session::{OnReuse, OnUserLimit, Policy, Timestamp};
use session_node::{Node, Options, SessionAuthority};

use super::naive::{Model, Rules};

const START_MILLIS: u64 = 1_790_000_000_250;

/// One of so many things, of which it is not known beforehand how many there will be: as a share of 2^32, so that
/// a smaller number chooses an earlier one.
#[derive(Clone, Copy, Debug)]
pub struct Choice(pub u32);

impl Choice {
    /// Which of `count` things it is.
    fn among(self, count: usize) -> usize {
        let place = (u64::from(self.0) * count as u64) >> 32;
        usize::try_from(place).expect("it is less than the count")
    }
}

/// What to do next. What it is about is said as a place among what is known by then, so that a failing run can
/// be made shorter.
#[derive(Clone, Debug)]
pub enum Step {
    Create {
        user: u8,
        ttl: Option<u64>,
        idle_timeout: Option<u64>,
        data: Option<u8>,
        binding: Option<u8>,
        limit: Option<u64>,
    },
    Validate {
        id: Choice,
        binding: Option<u8>,
        max_age: Option<u64>,
        touch: Option<bool>,
    },
    Regenerate {
        id: Choice,
        reauthenticated: Option<bool>,
        data: Option<u8>,
        binding: Option<u8>,
        new_binding: Option<u8>,
        user: Option<u8>,
        /// For a lifetime that restarts: its length and its idle timeout.
        restart: Option<(u64, Option<u64>)>,
    },
    Update {
        id: Choice,
        data: u8,
        binding: Option<u8>,
        /// `Some(None)` for no data.
        expected: Option<Option<u8>>,
    },
    List {
        user: u8,
        id: Option<Choice>,
        limit: Option<u64>,
        newest: Option<bool>,
        cursor: Option<Choice>,
        data: Option<bool>,
    },
    ListUsers,
    Destroy {
        id: Choice,
    },
    DestroyByHandle {
        user: u8,
        handle: Choice,
    },
    DestroyUser {
        user: u8,
        except: Option<Choice>,
    },
    DestroyAll,
    Stats,
    /// Let so many milliseconds pass.
    Wait(u64),
    /// Let time pass to a moment at which something ends, or to the millisecond before.
    WaitForAnEnd {
        which: Choice,
        just_before: bool,
    },
}

fn node_of(rules: &Rules, clock: ManualClock) -> Node {
    let policy = Policy {
        ttl: Duration::from_secs(rules.ttl),
        idle_timeout: rules.idle_timeout.map(Duration::from_secs),
        max_sessions: rules.max_sessions,
        max_sessions_per_user: rules.max_sessions_per_user,
        on_user_limit: if rules.evict_oldest {
            OnUserLimit::EvictOldest
        } else {
            OnUserLimit::Reject
        },
        rotation_grace: Duration::from_secs(rules.rotation_grace),
        on_reuse: if rules.revoke_on_reuse {
            OnReuse::Revoke
        } else {
            OnReuse::Ignore
        },
        ..Policy::default()
    };
    let authority = SessionAuthority::builder()
        .policy(policy)
        .clock(clock)
        .seed([7; 32]);
    Node::new(
        authority.build().expect("the policy is right"),
        Options::default(),
    )
}

/// An id that was handed out, whatever became of it, or one that never was.
fn an_id(model: &Model, which: Choice) -> Value {
    let number = which.among(model.ids.len() + 1);
    model
        .ids
        .get(number)
        .map_or("unknown", String::as_str)
        .into()
}

fn a_handle(model: &Model, which: Choice) -> Value {
    let handles: Vec<&str> = model.handles().collect();
    let number = which.among(handles.len() + 1);
    handles.get(number).copied().unwrap_or("unknown").into()
}

/// A cursor that was given, if one was.
fn a_cursor(model: &Model, which: Choice) -> Option<Value> {
    let number = which.among(model.cursors.len());
    let (cursor, _) = model.cursors.get(number)?;
    Some(cursor.as_str().into())
}

fn user(number: u8) -> Value {
    format!("user{number}").into()
}

fn data(number: u8) -> Value {
    json!({"n": number, "of": []})
}

/// The request of a step; none when the step only moves the time.
fn request(step: &Step, model: &Model) -> Option<Map<String, Value>> {
    let mut body = Map::new();
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            body.insert(name.to_owned(), value);
        }
    };
    let id = |which: &Choice| Some(an_id(model, *which));
    let binding = |number: &Option<u8>| number.map(|number| format!("b{number}").into());
    match step {
        Step::Create {
            user: number,
            ttl,
            idle_timeout,
            data: content,
            binding: property,
            limit,
        } => {
            put("type", Some("create_session".into()));
            put("max_sessions_per_user", limit.map(Value::from));
            put("user_id", Some(user(*number)));
            put("ttl", ttl.map(Value::from));
            put("idle_timeout", idle_timeout.map(Value::from));
            put("data", content.map(data));
            put("binding", binding(property));
        }
        Step::Validate {
            id: which,
            binding: property,
            max_age,
            touch,
        } => {
            put("touch", touch.map(Value::from));
            put("type", Some("validate_session".into()));
            put("session_id", id(which));
            put("binding", binding(property));
            put("max_age", max_age.map(Value::from));
        }
        Step::Regenerate {
            id: which,
            reauthenticated,
            data: content,
            binding: property,
            new_binding,
            user: number,
            restart,
        } => {
            put("user_id", number.map(user));
            if number.is_some() || *reauthenticated == Some(true) {
                put("ttl", restart.map(|(ttl, _)| ttl.into()));
                let idle_timeout = restart.and_then(|(_, idle_timeout)| idle_timeout);
                put("idle_timeout", idle_timeout.map(Value::from));
            }
            put("binding", binding(property));
            put("new_binding", binding(new_binding));
            put("type", Some("regenerate_session".into()));
            put("old_session_id", id(which));
            put("reauthenticated", reauthenticated.map(Value::from));
            put("data", content.map(data));
        }
        Step::Update {
            id: which,
            data: content,
            binding: property,
            expected,
        } => {
            put("binding", binding(property));
            let expected = expected.map(|expected| expected.map_or(Value::Null, data));
            put("expected_data", expected);
            put("type", Some("update_session".into()));
            put("session_id", id(which));
            put("data", Some(data(*content)));
        }
        Step::List { .. } => return Some(list_request(step, model)),
        Step::ListUsers => put("type", Some("list_users".into())),
        Step::Destroy { id: which } => {
            put("type", Some("destroy_session".into()));
            put("session_id", id(which));
        }
        Step::DestroyByHandle {
            user: number,
            handle,
        } => {
            put("type", Some("destroy_session".into()));
            put("user_id", Some(user(*number)));
            put("handle", Some(a_handle(model, *handle)));
        }
        Step::DestroyUser {
            user: number,
            except,
        } => {
            put("type", Some("destroy_user_sessions".into()));
            put("user_id", Some(user(*number)));
            put("except_session_id", except.as_ref().and_then(id));
        }
        Step::DestroyAll => put("type", Some("destroy_all_sessions".into())),
        Step::Stats => put("type", Some("stats".into())),
        Step::Wait(_) | Step::WaitForAnEnd { .. } => return None,
    }
    Some(body)
}

fn list_request(step: &Step, model: &Model) -> Map<String, Value> {
    let Step::List {
        user: number,
        id,
        limit,
        newest,
        cursor,
        data,
    } = step
    else {
        unreachable!("it is the request of a list");
    };
    let order = |newest: bool| if newest { "newest" } else { "oldest" };
    let fields = [
        ("type", Some("list_sessions".into())),
        ("user_id", Some(user(*number))),
        ("session_id", id.map(|which| an_id(model, which))),
        ("limit", limit.map(Value::from)),
        ("order", newest.map(order).map(Value::from)),
        ("cursor", cursor.and_then(|which| a_cursor(model, which))),
        ("data", data.map(Value::from)),
    ];
    let given = |(name, value): (&str, Option<Value>)| Some((name.to_owned(), value?));
    fields.into_iter().filter_map(given).collect()
}

/// A node and the model beside it.
struct Pair {
    node: Node,
    clock: ManualClock,
    model: Model,
    /// Requests that go to the node with the next read.
    waiting: Vec<Map<String, Value>>,
    /// How many requests there were. Every third asks for detail.
    asked: usize,
}

impl Pair {
    fn new(rules: Rules) -> Self {
        let clock = ManualClock::at(Timestamp::from_millis(START_MILLIS));
        Self {
            node: node_of(&rules, clock.clone()),
            clock,
            model: Model::new(rules, START_MILLIS),
            waiting: Vec::new(),
            asked: 0,
        }
    }

    fn take(&mut self, step: &Step, batch: usize) {
        if let Some(mut request) = request(step, &self.model) {
            self.asked += 1;
            if self.asked.is_multiple_of(3) {
                request.insert("detail".to_owned(), true.into());
            }
            self.waiting.push(request);
            if self.waiting.len() >= batch {
                self.ask();
            }
            return;
        }
        self.ask();
        let millis = match step {
            Step::Wait(millis) => *millis,
            Step::WaitForAnEnd { which, just_before } => {
                let ends = self.model.ends();
                if ends.is_empty() {
                    return;
                }
                (ends[which.among(ends.len())] - self.model.now)
                    .saturating_sub(u64::from(*just_before))
            }
            _ => unreachable!("every other step is a request"),
        };
        self.clock.advance(Duration::from_millis(millis));
        self.model.wait(millis);
    }

    /// Asks the node what is waiting, all at once, and compares the replies.
    fn ask(&mut self) {
        let lines: Vec<String> = self
            .waiting
            .iter()
            .map(|body| Value::Object(body.clone()).to_string())
            .collect();
        let mut output = Vec::new();
        self.node
            .run(lines.join("\n").as_bytes(), &mut output)
            .expect("memory can be read and written");
        let output = String::from_utf8(output).expect("replies are UTF-8");
        let replies: Vec<&str> = output.lines().collect();
        assert_eq!(
            replies.len(),
            self.waiting.len(),
            "one reply to each request"
        );
        for (request, reply) in self.waiting.drain(..).zip(replies) {
            let reply: Value = serde_json::from_str(reply).expect("a reply is JSON");
            let expected = self.model.answer(&request, &reply);
            assert_eq!(
                reply,
                expected,
                "to {:?} at {} ms; left: the node, right: the model",
                request,
                self.model.now - START_MILLIS
            );
        }
    }
}

/// Takes the steps, with up to `batch` requests in one read, and holds every reply against the model's.
pub fn compare(rules: Rules, steps: &[Step], batch: usize) {
    let mut pair = Pair::new(rules);
    for step in steps {
        pair.take(step, batch);
    }
    pair.ask();
    pair.take(&Step::Stats, 1);
}
