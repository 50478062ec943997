//! Any bytes as one line. The decoder never panics; what it takes for JSON is JSON to two other readers; what it read
//! there, a parser of whole values reads as well; and its short way and its general one agree.

use std::borrow::Cow;
use std::time::Duration;

use serde_json::Value;
use serde_json::value::RawValue;
use session_node::ReplyFormat;
use session_node::session::{Binding, Handle, Policy, SessionKey, Timestamp};
use session_node::store::{Changes, Conditions, CreateOptions, Operation};
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
    let operation = match request {
        Request::Init => {
            let is_text = |name: &Value| name.is_string();
            let names = body["node_ids"].as_array();
            let names_are_text = names.is_some_and(|names| names.iter().all(is_text));
            return body["type"] == "init" && body["node_id"].is_string() && names_are_text;
        }
        Request::Echo { json } => {
            return body["type"] == "echo" && says(Some(json), body.get("echo"));
        }
        Request::Sessions(operation) => operation,
    };
    let text = |name| body.get(name).and_then(Value::as_str);
    let is_key = |key: Option<&SessionKey>, name| key == text(name).map(SessionKey::of).as_ref();
    let is_user = |user: &str| text("user_id") == Some(user) && (1..=256).contains(&user.len());
    let is_binding = |binding: Option<Binding>| {
        let fits = |text: &str| (1..=256).contains(&text.len());
        text("binding").is_none_or(fits) && binding == text("binding").map(Binding::to)
    };
    let data = |read: Option<&Cow<'_, str>>| {
        let fits = read.is_none_or(|json| json.len() <= policy.max_data_bytes);
        let is_object = body.get("data").is_none_or(Value::is_object);
        fits && is_object && says(read, body.get("data"))
    };
    let number = |name| number(body, name);
    body["type"] == kind(operation)
        && match operation {
            Operation::Create { user, options, .. } => {
                let none = CreateOptions::default();
                let options = options.as_deref().unwrap_or(&none);
                let longest = policy.max_ttl.as_secs();
                let seconds = |time: Option<Duration>| time.map(|time| time.as_secs());
                is_user(user)
                    && is_binding(options.binding)
                    && data(options.data.as_ref())
                    && seconds(options.ttl) == number("ttl")
                    && number("ttl").is_none_or(|ttl| (1..=longest).contains(&ttl))
                    && seconds(options.idle_timeout) == number("idle_timeout")
                    && number("idle_timeout").is_none_or(|timeout| timeout <= longest)
            }
            Operation::Validate { key, conditions } => {
                let none = Conditions::default();
                let conditions = conditions.as_deref().unwrap_or(&none);
                is_key(Some(key), "session_id")
                    && is_binding(conditions.binding)
                    && conditions.max_age == number("max_age")
            }
            Operation::Regenerate { old, changes, .. } => {
                let none = Changes::default();
                let changes = changes.as_deref().unwrap_or(&none);
                let said = body.get("reauthenticated").map(Value::as_bool);
                is_key(Some(old), "old_session_id")
                    && data(changes.data.as_ref())
                    && said.unwrap_or(Some(false)) == Some(changes.reauthenticated)
            }
            Operation::Update { key, data: json } => {
                is_key(Some(key), "session_id") && data(Some(json))
            }
            Operation::List {
                user,
                caller,
                limit,
            } => {
                is_user(user)
                    && is_key(caller.as_ref(), "session_id")
                    && *limit as u64 == number("limit").unwrap_or(100)
                    && (1..=1000).contains(limit)
            }
            Operation::Destroy { key } => {
                body.get("handle").is_none() && is_key(Some(key), "session_id")
            }
            Operation::DestroyByHandle { user, handle } => {
                is_user(user)
                    && *handle == text("handle").and_then(Handle::parse)
                    && body.get("session_id").is_none()
            }
            Operation::DestroyUser { user, except } => {
                is_user(user) && is_key(except.as_ref(), "except_session_id")
            }
            Operation::DestroyAll | Operation::Stats => true,
        }
}

fn kind(operation: &Operation<'_, ()>) -> &'static str {
    match operation {
        Operation::Create { .. } => "create_session",
        Operation::Validate { .. } => "validate_session",
        Operation::Regenerate { .. } => "regenerate_session",
        Operation::Update { .. } => "update_session",
        Operation::List { .. } => "list_sessions",
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
