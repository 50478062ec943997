//! Any bytes as one line. The decoder never panics; what it takes for JSON is JSON to two other readers; what it read
//! there, a parser of whole values reads as well; and its short way and its general one agree.

use std::borrow::Cow;
use std::time::Duration;

use serde_json::Value;
use serde_json::value::RawValue;
use session_node::ReplyFormat;
use session_node::session::{Binding, Handle, Policy, SessionKey, Timestamp};
use session_node::store::{
    Changes, Conditions, CreateOptions, Cursor, ListOrder, Operation, UpdateConditions,
};
use session_node::testing::wire::{
    self, ErrorCode, Fault, Incoming, Message, Reply, Request, ReturnAddress, Unreadable,
};

use super::json::{is_json, is_strict_json};

type Decoded<'a> = Result<Incoming<'a>, Fault<'a>>;

/// Checks what becomes of `line`.
pub fn run(line: &[u8]) {
    let policy = Policy::default();
    let decoded = wire::decode(line, &policy, false);
    // What cannot be read is replaced, so that the sender may be answered all the same.
    let text = String::from_utf8_lossy(line).replace('\0', "\u{FFFD}");
    let is_text = text.as_bytes() == line;
    match &decoded {
        Err(fault) => check_fault(fault, &text, is_text),
        Ok(Incoming::Reply { .. }) => {
            assert_json(&text);
            if let Ok(value) = serde_json::from_str::<Value>(&text) {
                assert!(body_of(&value).get("in_reply_to").is_some(), "no reply");
            }
        }
        Ok(Incoming::Request(message)) => {
            assert!(is_text, "a repaired line is carried out");
            assert_json(&text);
            check_message(message, &text, &policy);
        }
    }
    // White space other than blanks keeps a line from the short way.
    let general = [line, b"\t"].concat();
    assert_same(&decoded, &wire::decode(&general, &policy, false));
    // Where a request is carried out by the strict rule, it is the same one by the other.
    if let Ok(Incoming::Request(Message { request: Ok(_), .. })) = wire::decode(line, &policy, true)
    {
        assert_same(&decoded, &wire::decode(line, &policy, true));
    }
}

fn check_fault(fault: &Fault<'_>, text: &str, is_text: bool) {
    match fault.reason {
        Unreadable::NotJson { .. } => assert!(!is_json(text), "JSON, but refused as none"),
        Unreadable::NotAnObject => {
            assert_json(text);
            let begins_one = text.trim_start_matches([' ', '\t', '\r', '\n']);
            assert!(!begins_one.starts_with('{'), "an object, but not seen");
        }
        Unreadable::NoSender => {
            assert_json(text);
            let address = fault.return_address.as_ref();
            assert!(address.is_none_or(ReturnAddress::is_bare), "a sender");
        }
        Unreadable::NotText(_) => assert!(!is_text, "text, but refused as none"),
        Unreadable::TooLong(_) => panic!("the decoder has no limit"),
    }
    if let Some(address) = &fault.return_address {
        assert!(is_strict_json(&sample(address)), "an address is JSON");
    }
    assert!(!fault.reason.describe(1).contains('\n'), "one line");
}

fn assert_json(text: &str) {
    assert!(is_json(text), "not JSON, but read");
    let raw = serde_json::from_str::<&RawValue>(text);
    assert!(raw.is_ok(), "not JSON to serde_json, but read");
}

fn check_message(message: &Message<'_>, text: &str, policy: &Policy) {
    if let Err(error) = &message.request {
        let codes = [ErrorCode::NotSupported, ErrorCode::MalformedRequest];
        assert!(codes.contains(&error.code), "{:?}", error.code);
    }
    // Values leave out what JSON allows but no program can hold: lone surrogates, say, or 1e999.
    let Ok(value) = serde_json::from_str::<Value>(text) else {
        return;
    };
    let body = body_of(&value);
    let reply: Value = serde_json::from_str(&sample(&message.return_address)).expect("JSON");
    if value.get("body").is_some() || body.get("type").is_none() {
        assert_eq!(
            reply["src"], value["dest"],
            "the reply comes from elsewhere"
        );
        assert_eq!(reply["dest"], value["src"], "the reply goes elsewhere");
    } else {
        assert!(reply.get("src").is_none(), "a bare body, but an envelope");
    }
    if let Some(msg_id) = body_of(&reply).get("in_reply_to") {
        assert_eq!(Some(msg_id), body.get("msg_id"), "in reply to another");
    }
    if let Ok(request) = &message.request {
        let has_number = body_of(&reply).get("in_reply_to").is_some();
        assert_eq!(has_number, body.get("msg_id").is_some(), "in_reply_to");
        assert!(agrees(request, body, policy), "read otherwise: {body}");
    }
}

fn body_of(message: &Value) -> &Value {
    message.get("body").unwrap_or(message)
}

/// A reply to this address, which shows where it goes.
fn sample(address: &ReturnAddress<'_>) -> String {
    let mut line = Vec::new();
    let now = Timestamp::from_millis(0);
    wire::encode(
        address,
        ReplyFormat::Envelope,
        &Reply::InitOk,
        None,
        now,
        &mut line,
    );
    String::from_utf8(line).expect("a reply is UTF-8")
}

fn assert_same(one: &Decoded<'_>, other: &Decoded<'_>) {
    let address = |address: &Option<ReturnAddress<'_>>| address.as_ref().map(sample);
    let same = match (one, other) {
        (Err(one), Err(other)) => {
            std::mem::discriminant(&one.reason) == std::mem::discriminant(&other.reason)
                && address(&one.return_address) == address(&other.return_address)
        }
        (Ok(Incoming::Reply { is_bare }), Ok(Incoming::Reply { is_bare: other })) => {
            is_bare == other
        }
        (Ok(Incoming::Request(one)), Ok(Incoming::Request(other))) => {
            one.request == other.request
                && sample(&one.return_address) == sample(&other.return_address)
        }
        _ => false,
    };
    assert!(same, "what should make no difference does");
}

/// Whether `request` says what `body` says, and keeps to the limits.
fn agrees(request: &Request<'_>, body: &Value, policy: &Policy) -> bool {
    match request {
        Request::Init => {
            let is_text = |name: &Value| name.is_string();
            let names = body["node_ids"].as_array();
            let names_are_text = names.is_some_and(|names| names.iter().all(is_text));
            body["type"] == "init" && body["node_id"].is_string() && names_are_text
        }
        Request::Echo { json } => body["type"] == "echo" && says(Some(json), body.get("echo")),
        Request::Sessions(operation) => {
            body["type"] == kind(operation) && Said { body, policy }.agrees(operation)
        }
    }
}

/// What a body says, to be held against what was read of it.
struct Said<'a> {
    body: &'a Value,
    policy: &'a Policy,
}

impl Said<'_> {
    fn agrees(&self, operation: &Operation<'_, ()>) -> bool {
        match operation {
            Operation::Create { user, options, .. } => {
                let none = CreateOptions::default();
                self.is_user(user) && self.agrees_on_create(options.as_deref().unwrap_or(&none))
            }
            Operation::Validate { key, conditions } => {
                let none = Conditions::default();
                let conditions = conditions.as_deref().unwrap_or(&none);
                self.is_key(Some(key), "session_id")
                    && self.is_binding(conditions.binding, "binding")
                    && conditions.max_age == self.number("max_age")
                    && self.is_flag("touch", !conditions.untouched, true)
                    && self.is_flag("detail", conditions.detail, false)
            }
            Operation::Regenerate { old, changes, .. } => {
                let none = Changes::default();
                let changes = changes.as_deref().unwrap_or(&none);
                self.is_key(Some(old), "old_session_id")
                    && self.is_data(changes.data.as_ref())
                    && self.is_binding(changes.binding, "binding")
                    && self.is_binding(changes.new_binding, "new_binding")
                    && self.is_flag("reauthenticated", changes.reauthenticated, false)
                    && changes.user.as_deref() == self.text("user_id")
                    && self.agrees_on_restart(changes)
                    && changes.user.as_ref().is_none_or(|user| self.is_user(user))
                    && self.is_flag("detail", changes.detail, false)
            }
            Operation::Update {
                key,
                data,
                conditions,
            } => {
                let none = UpdateConditions::default();
                let conditions = conditions.as_deref().unwrap_or(&none);
                self.is_key(Some(key), "session_id")
                    && self.is_data(Some(data))
                    && self.is_binding(conditions.binding, "binding")
                    && self.is_expected(conditions)
                    && self.is_flag("detail", conditions.detail, false)
            }
            Operation::List {
                user,
                caller,
                options,
            } => {
                let order = match options.order {
                    ListOrder::OldestFirst => [None, Some("oldest")],
                    ListOrder::NewestFirst => [Some("newest"); 2],
                };
                self.is_user(user)
                    && self.is_key(caller.as_ref(), "session_id")
                    && self.is_limit(options.limit)
                    && order.contains(&self.text("order"))
                    && self.is_cursor(options.after.as_ref())
                    && self.is_flag("data", !options.without_data, true)
            }
            Operation::ListUsers { options } => {
                self.is_limit(options.limit) && self.is_cursor(options.after.as_ref())
            }
            Operation::Destroy { key, detail } => {
                self.is_flag("detail", *detail, false)
                    && self.body.get("handle").is_none()
                    && self.is_key(Some(key), "session_id")
            }
            Operation::DestroyByHandle {
                user,
                handle,
                detail,
            } => {
                self.is_flag("detail", *detail, false)
                    && self.is_user(user)
                    && *handle == self.text("handle").and_then(Handle::parse)
                    && self.body.get("session_id").is_none()
            }
            Operation::DestroyUser { user, except } => {
                self.is_user(user) && self.is_key(except.as_ref(), "except_session_id")
            }
            Operation::DestroyAll | Operation::Stats => true,
        }
    }

    fn agrees_on_create(&self, options: &CreateOptions<'_>) -> bool {
        let longest = self.policy.max_ttl.as_secs();
        let seconds = |time: Option<Duration>| time.map(|time| time.as_secs());
        let limit = options.max_sessions_per_user.map(|limit| limit as u64);
        self.is_binding(options.binding, "binding")
            && self.is_data(options.data.as_ref())
            && seconds(options.ttl) == self.number("ttl")
            && seconds(options.ttl).is_none_or(|ttl| (1..=longest).contains(&ttl))
            && seconds(options.idle_timeout) == self.number("idle_timeout")
            && seconds(options.idle_timeout).is_none_or(|timeout| timeout <= longest)
            && limit == self.number("max_sessions_per_user")
            && limit != Some(0)
            && self.is_flag("detail", options.detail, false)
    }

    fn is_expected(&self, conditions: &UpdateConditions<'_>) -> bool {
        let said = self.body.get("expected_data");
        match &conditions.expected_data {
            None => said.is_none(),
            Some(None) => said == Some(&Value::Null),
            Some(expected) => says(expected.as_ref(), said),
        }
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.body.get(name).and_then(Value::as_str)
    }

    fn number(&self, name: &str) -> Option<u64> {
        number(self.body, name)
    }

    fn is_flag(&self, name: &str, read: bool, default: bool) -> bool {
        match self.body.get(name) {
            None => read == default,
            Some(said) => said.as_bool() == Some(read),
        }
    }

    fn is_key(&self, key: Option<&SessionKey>, name: &str) -> bool {
        key == self.text(name).map(SessionKey::of).as_ref()
    }

    fn is_user(&self, user: &str) -> bool {
        self.text("user_id") == Some(user) && (1..=256).contains(&user.len())
    }

    fn agrees_on_restart(&self, changes: &Changes<'_>) -> bool {
        let max_ttl = self.policy.max_ttl.as_secs();
        let seconds = |time: Option<Duration>| time.map(|time| time.as_secs());
        let (ttl, idle_timeout) = (seconds(changes.ttl), seconds(changes.idle_timeout));
        let limit = changes.max_sessions_per_user;
        ttl == self.number("ttl")
            && idle_timeout == self.number("idle_timeout")
            && limit.map(|limit| limit as u64) == self.number("max_sessions_per_user")
            && ttl.is_none_or(|ttl| (1..=max_ttl).contains(&ttl))
            && idle_timeout.is_none_or(|timeout| timeout <= max_ttl)
            && (changes.restarts_lifetime() || (ttl.is_none() && idle_timeout.is_none()))
            && limit.is_none_or(|limit| limit > 0 && changes.user.is_some())
    }

    fn is_limit(&self, limit: usize) -> bool {
        limit as u64 == self.number("limit").unwrap_or(100) && (1..=1000).contains(&limit)
    }

    fn is_cursor(&self, cursor: Option<&Cursor>) -> bool {
        cursor.map(Cursor::to_string).as_deref() == self.text("cursor")
    }

    fn is_binding(&self, binding: Option<Binding>, name: &str) -> bool {
        let text = self.text(name);
        let fits = text.is_none_or(|text| (1..=256).contains(&text.len()));
        fits && binding == text.map(Binding::to)
    }

    fn is_data(&self, data: Option<&Cow<'_, str>>) -> bool {
        let fits = data.is_none_or(|json| json.len() <= self.policy.max_data_bytes);
        let said = self.body.get("data");
        fits && said.is_none_or(Value::is_object) && says(data, said)
    }
}

fn kind(operation: &Operation<'_, ()>) -> &'static str {
    match operation {
        Operation::Create { .. } => "create_session",
        Operation::Validate { .. } => "validate_session",
        Operation::Regenerate { .. } => "regenerate_session",
        Operation::Update { .. } => "update_session",
        Operation::List { .. } => "list_sessions",
        Operation::ListUsers { .. } => "list_users",
        Operation::Destroy { .. } | Operation::DestroyByHandle { .. } => "destroy_session",
        Operation::DestroyUser { .. } => "destroy_user_sessions",
        Operation::DestroyAll => "destroy_all_sessions",
        Operation::Stats => "stats",
    }
}

/// Whether the JSON that was read is this value, in a form that fits on one line.
fn says(json: Option<&Cow<'_, str>>, value: Option<&Value>) -> bool {
    match (json, value) {
        (None, None) => true,
        (Some(json), Some(value)) => {
            let one_line = !json.contains(['\n', '\r']);
            one_line && serde_json::from_str::<Value>(json).is_ok_and(|read| read == *value)
        }
        _ => false,
    }
}

fn number(body: &Value, name: &str) -> Option<u64> {
    let value = body.get(name)?;
    // To serde_json, minus zero is no integer.
    value
        .as_u64()
        .or_else(|| (value.as_f64() == Some(0.0)).then_some(0))
}
