//! From a line of bytes to a request. Total: every line is a message, somebody's reply, or has a reason why
//! nobody can be answered.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use serde::de::IgnoredAny;

use super::field::{BodyIs, Field, Fields, MessageFields};
use super::{
    CreateOptions, DestroySessionByHandle, DestroyUserSessions, Envelope, Error, ErrorCode, Limits,
    ListSessions, Message, RegenerateOptions, Request, ReturnAddress, UpdateSession,
    ValidateOptions,
};

/// The longest string that a field of a request may hold, in bytes of UTF-8: room for any user name or
/// e-mail address, and a bound on what a session costs.
const MAX_STRING_BYTES: usize = 256;

/// The types of request that [`read_request`] knows.
const REQUESTS: [&str; 11] = [
    "create_session",
    "validate_session",
    "regenerate_session",
    "update_session",
    "list_sessions",
    "destroy_session",
    "destroy_user_sessions",
    "destroy_all_sessions",
    "stats",
    "init",
    "echo",
];

/// How many sessions `list_sessions` shows, if it does not say, and how many it may ask for.
const LIST_LIMIT: u64 = 100;
const MAX_LIST_LIMIT: u64 = 1000;

/// Why nobody can be answered. Says what was wrong with the line without repeating any of it, since a
/// broken line may hold a session id.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unanswerable {
    /// The line is not JSON.
    #[error("not JSON: {0}")]
    NotJson(String),
    /// The line is JSON, but not an object.
    #[error("not a message: expected a JSON object")]
    NotAnObject,
    /// The message does not say who sent it, and to whom.
    #[error(
        "nobody to answer: expected \"src\" and \"dest\", each a string given once, or a body with a \"type\""
    )]
    NoSender,
}

/// Reads one line, without its line ending. None when it is somebody's reply, which asks for nothing.
///
/// # Errors
///
/// When nobody can be answered.
pub fn decode<'a>(line: &'a [u8], limits: &Limits) -> Result<Option<Message<'a>>, Unanswerable> {
    let mut fields = MessageFields::default();
    let text = str::from_utf8(line).ok();
    match text.and_then(|text| fields.read(text)) {
        Some(()) => read_message(&fields, limits),
        None => salvage(line, limits),
    }
}

fn read_message<'a>(
    message: &MessageFields<'a>,
    limits: &Limits,
) -> Result<Option<Message<'a>>, Unanswerable> {
    if message.body_is == BodyIs::Absent && !message.body.kind.is_absent() {
        return Ok(read_body(None, &message.body, limits));
    }
    let (Some(src), Some(dest)) = (message.src.string_json(), message.dest.string_json()) else {
        return Err(Unanswerable::NoSender);
    };
    let envelope = Some(Envelope {
        src: Cow::Borrowed(src),
        dest: Cow::Borrowed(dest),
    });
    let must_be = match message.body_is {
        BodyIs::AnObject => return Ok(read_body(envelope, &message.body, limits)),
        BodyIs::Absent | BodyIs::NotAnObject => "message: body must be an object",
        BodyIs::Repeated => "message: body must be given once only: an object",
    };
    Ok(Some(Message {
        return_address: ReturnAddress {
            envelope,
            msg_id: None,
        },
        request: Err(Error::malformed(must_be)),
    }))
}

fn read_body<'a>(
    envelope: Option<Envelope<'a>>,
    body: &Fields<'a>,
    limits: &Limits,
) -> Option<Message<'a>> {
    if !body.in_reply_to.is_absent() {
        return None;
    }
    Some(Message {
        return_address: ReturnAddress {
            envelope,
            msg_id: body.msg_id.integer_json().map(Cow::Borrowed),
        },
        request: read_request(body, limits),
    })
}

fn read_request<'a>(body: &Fields<'a>, limits: &Limits) -> Result<Request<'a>, Error> {
    let kind = body
        .kind
        .string()
        .ok_or_else(|| must_be(body.kind, "message: type", "a string"))?;
    if !body.msg_id.is_absent() && body.msg_id.integer_json().is_none() {
        let request = REQUESTS.iter().find(|name| **name == kind);
        let name = format!("{}: msg_id", request.unwrap_or(&"message"));
        return Err(must_be(body.msg_id, &name, "an integer of at most 64 bits"));
    }
    match &*kind {
        "validate_session" => Ok(Request::ValidateSession {
            session_id: string(body.session_id, "validate_session: session_id")?,
            options: read_validate_options(body)?,
        }),
        "create_session" => Ok(Request::CreateSession {
            user_id: string(body.user_id, "create_session: user_id")?,
            options: read_create_options(body, limits)?,
        }),
        "regenerate_session" => Ok(Request::RegenerateSession {
            old_session_id: string(body.old_session_id, "regenerate_session: old_session_id")?,
            options: read_regenerate_options(body, limits)?,
        }),
        "update_session" => Ok(Request::UpdateSession(Box::new(UpdateSession {
            session_id: string(body.session_id, "update_session: session_id")?,
            data: data(body.data, "update_session: data", limits)?,
        }))),
        "list_sessions" => read_list(body),
        "destroy_session" => read_destroy(body),
        "destroy_user_sessions" => Ok(Request::DestroyUserSessions(Box::new(
            DestroyUserSessions {
                user_id: string(body.user_id, "destroy_user_sessions: user_id")?,
                except_session_id: optional_string(
                    body.except_session_id,
                    "destroy_user_sessions: except_session_id",
                )?,
            },
        ))),
        "destroy_all_sessions" => Ok(Request::DestroyAllSessions),
        "stats" => Ok(Request::Stats),
        "echo" => match body.echo.json() {
            Some(json) => Ok(Request::Echo {
                json: compact(json),
            }),
            None => Err(must_be(body.echo, "echo: echo", "any JSON")),
        },
        "init" => {
            string(body.node_id, "init: node_id")?;
            strings(body.node_ids, "init: node_ids")?;
            Ok(Request::Init)
        }
        _ => Err(Error::new(
            ErrorCode::NotSupported,
            format!("message: type must be one of {}", REQUESTS.join(", ")),
        )),
    }
}

fn read_validate_options<'a>(body: &Fields<'a>) -> Result<Option<Box<ValidateOptions<'a>>>, Error> {
    if [body.binding, body.max_age]
        .iter()
        .all(|field| field.is_absent())
    {
        return Ok(None);
    }
    Ok(Some(Box::new(ValidateOptions {
        binding: optional_string(body.binding, "validate_session: binding")?,
        max_age: optional_natural(body.max_age, "validate_session: max_age", 0..=u64::MAX)?,
    })))
}

fn read_create_options<'a>(
    body: &Fields<'a>,
    limits: &Limits,
) -> Result<Option<Box<CreateOptions<'a>>>, Error> {
    let options = [body.ttl, body.idle_timeout, body.data, body.binding];
    if options.iter().all(|field| field.is_absent()) {
        return Ok(None);
    }
    let max_ttl = limits.max_ttl.as_secs();
    let idle_timeout = "create_session: idle_timeout";
    Ok(Some(Box::new(CreateOptions {
        ttl: optional_natural(body.ttl, "create_session: ttl", 1..=max_ttl)?,
        idle_timeout: optional_natural(body.idle_timeout, idle_timeout, 0..=max_ttl)?,
        data: optional_data(body.data, "create_session: data", limits)?,
        binding: optional_string(body.binding, "create_session: binding")?,
    })))
}

fn read_regenerate_options<'a>(
    body: &Fields<'a>,
    limits: &Limits,
) -> Result<Option<Box<RegenerateOptions<'a>>>, Error> {
    if [body.reauthenticated, body.data]
        .iter()
        .all(|field| field.is_absent())
    {
        return Ok(None);
    }
    let reauthenticated = "regenerate_session: reauthenticated";
    Ok(Some(Box::new(RegenerateOptions {
        reauthenticated: optional_boolean(body.reauthenticated, reauthenticated)?,
        data: optional_data(body.data, "regenerate_session: data", limits)?,
    })))
}

#[cold]
fn read_list<'a>(body: &Fields<'a>) -> Result<Request<'a>, Error> {
    let limit = optional_natural(body.limit, "list_sessions: limit", 1..=MAX_LIST_LIMIT)?;
    let limit = limit.unwrap_or(LIST_LIMIT);
    Ok(Request::ListSessions(Box::new(ListSessions {
        user_id: string(body.user_id, "list_sessions: user_id")?,
        session_id: optional_string(body.session_id, "list_sessions: session_id")?,
        limit: usize::try_from(limit).expect("the limit is small"),
    })))
}

/// By id, or by user and handle.
#[cold]
fn read_destroy<'a>(body: &Fields<'a>) -> Result<Request<'a>, Error> {
    if body.handle.is_absent() {
        return Ok(Request::DestroySession {
            session_id: string(body.session_id, "destroy_session: session_id")?,
        });
    }
    if !body.session_id.is_absent() {
        return Err(Error::malformed(
            "destroy_session: session_id must be absent when there is a handle, which needs a user_id",
        ));
    }
    Ok(Request::DestroySessionByHandle(Box::new(
        DestroySessionByHandle {
            user_id: string(body.user_id, "destroy_session: user_id")?,
            handle: string(body.handle, "destroy_session: handle")?,
        },
    )))
}

/// Reads a field that need not be there.
fn optional<'a, T>(
    field: Field<'a>,
    read: impl FnOnce(Field<'a>) -> Result<T, Error>,
) -> Result<Option<T>, Error> {
    if field.is_absent() {
        Ok(None)
    } else {
        read(field).map(Some)
    }
}

fn optional_string<'a>(field: Field<'a>, name: &str) -> Result<Option<Cow<'a, str>>, Error> {
    optional(field, |field| string(field, name))
}

fn optional_data<'a>(
    field: Field<'a>,
    name: &str,
    limits: &Limits,
) -> Result<Option<Cow<'a, str>>, Error> {
    optional(field, |field| data(field, name, limits))
}

/// Reads `false` where there is nothing.
fn optional_boolean(field: Field<'_>, name: &str) -> Result<bool, Error> {
    let read = |field: Field<'_>| {
        field
            .boolean()
            .ok_or_else(|| must_be(field, name, "true or false"))
    };
    optional(field, read).map(Option::unwrap_or_default)
}

fn optional_natural(
    field: Field<'_>,
    name: &str,
    range: RangeInclusive<u64>,
) -> Result<Option<u64>, Error> {
    optional(field, |field| {
        let number = field.natural().filter(|number| range.contains(number));
        number.ok_or_else(|| {
            let what = format!("an integer from {} to {}", range.start(), range.end());
            must_be(field, name, &what)
        })
    })
}

/// Requires an object of bounded size.
fn data<'a>(field: Field<'a>, name: &str, limits: &Limits) -> Result<Cow<'a, str>, Error> {
    field
        .object_json()
        .map(compact)
        .filter(|json| json.len() <= limits.max_data_bytes)
        .ok_or_else(|| {
            let what = format!(
                "a JSON object of at most {} bytes (--max-data-bytes)",
                limits.max_data_bytes
            );
            must_be(field, name, &what)
        })
}

/// Requires a string of 1 to 256 bytes.
fn string<'a>(field: Field<'a>, name: &str) -> Result<Cow<'a, str>, Error> {
    field
        .string()
        .filter(|text| (1..=MAX_STRING_BYTES).contains(&text.len()))
        .ok_or_else(|| {
            let what = format!("a string of 1 to {MAX_STRING_BYTES} bytes");
            must_be(field, name, &what)
        })
}

/// Requires an array of strings.
fn strings(field: Field<'_>, name: &str) -> Result<(), Error> {
    match field.json().map(serde_json::from_str::<Vec<Cow<'_, str>>>) {
        Some(Ok(_)) => Ok(()),
        _ => Err(must_be(field, name, "an array of strings")),
    }
}

/// What to say of a field that is not as it must be.
#[cold]
fn must_be(field: Field<'_>, name: &str, what: &str) -> Error {
    Error::malformed(if field.is_repeated() {
        format!("{name} must be given once only: {what}")
    } else {
        format!("{name} must be {what}")
    })
}

/// The same JSON without the white space between its tokens, which a peer may have put there, a carriage
/// return even, but which a compact reply of one line has no room for.
fn compact(json: &str) -> Cow<'_, str> {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
    if !json.as_bytes().iter().any(is_space) {
        return Cow::Borrowed(json);
    }
    let mut in_string = false;
    let mut escaped = false;
    let kept = json.chars().filter(|&character| {
        if in_string {
            in_string = escaped || character != '"';
            escaped = !escaped && character == '\\';
            return true;
        }
        in_string = character == '"';
        !matches!(character, ' ' | '\t' | '\r' | '\n')
    });
    Cow::Owned(kept.collect())
}

/// Reads of a faulty line what it takes to answer its sender: a peer that forgot to encode a user's name
/// should hear of it rather than wait for a reply. Where that cannot be read, the line is given up.
#[cold]
fn salvage<'a>(line: &[u8], limits: &Limits) -> Result<Option<Message<'a>>, Unanswerable> {
    // What is not text becomes U+FFFD, and so does NUL, which JSON does not allow in a string.
    let text = String::from_utf8_lossy(line).replace('\0', REPLACEMENT);
    let fields = MessageFields::read_any(&text).map_err(|error| {
        // A number or a string of its own is looked into before it is found to be no object: 1e999 is JSON all the same.
        let is_json = || serde_json::from_str::<IgnoredAny>(&text).is_ok();
        // The text of an error in the data, unlike that of one in the syntax, quotes the data.
        if error.is_data() || is_json() {
            Unanswerable::NotAnObject
        } else {
            Unanswerable::NotJson(describe(&error))
        }
    })?;
    let Some(message) = read_message(&fields, limits)? else {
        return Ok(None);
    };
    let repaired = text.as_bytes() != line;
    // A name that was not intact leads to nobody, or to somebody else.
    if repaired && message.return_address.mentions(REPLACEMENT) {
        return Err(Unanswerable::NoSender);
    }
    let error = match message.request {
        Err(error) if !repaired => error,
        _ => Error::malformed("message: every string must be UTF-8, without NUL bytes"),
    };
    Ok(Some(Message {
        return_address: message.return_address.into_owned(),
        request: Err(error),
    }))
}

const REPLACEMENT: &str = "\u{FFFD}";

impl ReturnAddress<'_> {
    /// The JSON text of the sender's name.
    pub fn src_json(&self) -> Option<&str> {
        Some(&self.envelope.as_ref()?.src)
    }

    fn mentions(&self, text: &str) -> bool {
        self.envelope
            .as_ref()
            .is_some_and(|envelope| envelope.src.contains(text) || envelope.dest.contains(text))
    }

    fn into_owned(self) -> ReturnAddress<'static> {
        let owned = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        ReturnAddress {
            envelope: self.envelope.map(|envelope| Envelope {
                src: owned(envelope.src),
                dest: owned(envelope.dest),
            }),
            msg_id: self.msg_id.map(owned),
        }
    }
}

/// A parser's complaint, without the line number: it always reads a single line.
fn describe(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let what = text.split(" at line ").next().unwrap_or_default();
    format!("{what} at byte {} of the line", error.column())
}
