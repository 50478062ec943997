//! Any bytes as one line. The decoder never panics; what it takes for JSON is JSON to two other readers; what it read
//! there, a parser of whole values reads as well; and its short way and its general one agree.

use std::borrow::Cow;

use serde_json::Value;
use serde_json::value::RawValue;
use session_node::protocol::{
    self, CreateOptions, ErrorCode, Fault, Incoming, Limits, Message, RegenerateOptions, Reply,
    ReplyFormat, Request, ReturnAddress, Unreadable, ValidateOptions,
};

use super::json::{is_json, is_strict_json};

type Decoded<'a> = Result<Incoming<'a>, Fault<'a>>;

/// Checks what becomes of `line`.
pub fn run(line: &[u8]) {
    let limits = Limits::default();
    let decoded = protocol::decode(line, &limits);
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
            check_message(message, &text, &limits);
        }
    }
    // White space other than blanks keeps a line from the short way.
    let general = [line, b"\t"].concat();
    assert_same(&decoded, &protocol::decode(&general, &limits));
    // Where a request is carried out by the strict rule, it is the same one by the other.
    let strict = Limits {
        strict: true,
        ..limits
    };
    if let Ok(Incoming::Request(Message { request: Ok(_), .. })) = protocol::decode(line, &strict) {
        assert_same(&decoded, &protocol::decode(line, &strict));
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

fn check_message(message: &Message<'_>, text: &str, limits: &Limits) {
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
        assert!(agrees(request, body, limits), "read otherwise: {body}");
    }
}

fn body_of(message: &Value) -> &Value {
    message.get("body").unwrap_or(message)
}

/// A reply to this address, which shows where it goes.
fn sample(address: &ReturnAddress<'_>) -> String {
    let mut line = Vec::new();
    protocol::encode(address, ReplyFormat::Envelope, &Reply::InitOk, &mut line);
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
fn agrees(request: &Request<'_>, body: &Value, limits: &Limits) -> bool {
    if body["type"] != kind(request) {
        return false;
    }
    let ids = |pairs: &[(&str, Option<&Cow<'_, str>>)]| {
        let same = |name: &str, text: Option<&Cow<'_, str>>| {
            text.map(|text| &**text) == body.get(name).and_then(Value::as_str)
        };
        pairs.iter().all(|(name, text)| same(name, *text))
    };
    let texts = |pairs: &[(&str, Option<&Cow<'_, str>>)]| {
        let fits = |text: &Cow<'_, str>| (1..=256).contains(&text.len());
        ids(pairs) && pairs.iter().all(|(_, text)| text.is_none_or(fits))
    };
    let data = |read: Option<&Cow<'_, str>>| {
        let fits = read.is_none_or(|json| json.len() <= limits.max_data_bytes);
        let is_object = body.get("data").is_none_or(Value::is_object);
        fits && is_object && says(read, body.get("data"))
    };
    match request {
        Request::Init => {
            let is_text = |name: &Value| name.is_string();
            let names = body["node_ids"].as_array();
            body["node_id"].is_string() && names.is_some_and(|names| names.iter().all(is_text))
        }
        Request::Echo { json } => says(Some(json), body.get("echo")),
        Request::CreateSession { user_id, options } => {
            let none = CreateOptions {
                ttl: None,
                idle_timeout: None,
                data: None,
                binding: None,
            };
            let options = options.as_deref().unwrap_or(&none);
            let CreateOptions {
                ttl, idle_timeout, ..
            } = options;
            let longest = limits.max_ttl.as_secs();
            texts(&[
                ("user_id", Some(user_id)),
                ("binding", options.binding.as_ref()),
            ]) && data(options.data.as_ref())
                && *ttl == number(body, "ttl")
                && ttl.is_none_or(|ttl| (1..=longest).contains(&ttl))
                && *idle_timeout == number(body, "idle_timeout")
                && idle_timeout.is_none_or(|timeout| timeout <= longest)
        }
        Request::ValidateSession {
            session_id,
            options,
        } => {
            let none = ValidateOptions {
                binding: None,
                max_age: None,
            };
            let ValidateOptions { binding, max_age } = options.as_deref().unwrap_or(&none);
            ids(&[("session_id", Some(session_id))])
                && texts(&[("binding", binding.as_ref())])
                && *max_age == number(body, "max_age")
        }
        Request::RegenerateSession {
            old_session_id,
            options,
        } => {
            let none = RegenerateOptions {
                reauthenticated: false,
                data: None,
            };
            let options = options.as_deref().unwrap_or(&none);
            let said = body.get("reauthenticated").map(Value::as_bool);
            ids(&[("old_session_id", Some(old_session_id))])
                && data(options.data.as_ref())
                && said.unwrap_or(Some(false)) == Some(options.reauthenticated)
        }
        Request::UpdateSession(update) => {
            ids(&[("session_id", Some(&update.session_id))]) && data(Some(&update.data))
        }
        Request::ListSessions(list) => {
            let limit = list.limit as u64;
            texts(&[("user_id", Some(&list.user_id))])
                && ids(&[("session_id", list.session_id.as_ref())])
                && limit == number(body, "limit").unwrap_or(100)
                && (1..=1000).contains(&limit)
        }
        Request::DestroySession { session_id } => {
            body.get("handle").is_none() && ids(&[("session_id", Some(session_id))])
        }
        Request::DestroySessionByHandle(destroy) => {
            let handle = ("handle", Some(&destroy.handle));
            texts(&[("user_id", Some(&destroy.user_id))]) && ids(&[handle, ("session_id", None)])
        }
        Request::DestroyUserSessions(destroy) => {
            let except = ("except_session_id", destroy.except_session_id.as_ref());
            texts(&[("user_id", Some(&destroy.user_id))]) && ids(&[except])
        }
        Request::DestroyAllSessions | Request::Stats => true,
    }
}

fn kind(request: &Request<'_>) -> &'static str {
    match request {
        Request::Init => "init",
        Request::Echo { .. } => "echo",
        Request::CreateSession { .. } => "create_session",
        Request::ValidateSession { .. } => "validate_session",
        Request::RegenerateSession { .. } => "regenerate_session",
        Request::UpdateSession(_) => "update_session",
        Request::ListSessions(_) => "list_sessions",
        Request::DestroySession { .. } | Request::DestroySessionByHandle(_) => "destroy_session",
        Request::DestroyUserSessions(_) => "destroy_user_sessions",
        Request::DestroyAllSessions => "destroy_all_sessions",
        Request::Stats => "stats",
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
