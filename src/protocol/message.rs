//! From the fields of a message to its request: what each request needs, and what is said of a field that is not as it
//! must be.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use super::fault::{Fault, Unreadable};
use super::field::{BodyIs, Field, Fields, MessageFields, is_text};
use super::{
    CreateOptions, DestroySessionByHandle, DestroyUserSessions, Envelope, Error, ErrorCode,
    Incoming, Limits, ListSessions, MAX_STRING_BYTES, Message, RegenerateOptions, Request,
    ReturnAddress, UpdateSession, ValidateOptions,
};

/// The types of request that [`read_request`] knows, each with the fields that it knows beside `type` and `msg_id`.
pub(super) const REQUESTS: [(&str, &[&str]); 11] = [
    (
        "create_session",
        &["user_id", "ttl", "idle_timeout", "data", "binding"],
    ),
    ("validate_session", &["session_id", "binding", "max_age"]),
    (
        "regenerate_session",
        &["old_session_id", "reauthenticated", "data"],
    ),
    ("update_session", &["session_id", "data"]),
    ("list_sessions", &["user_id", "session_id", "limit"]),
    ("destroy_session", &["session_id", "user_id", "handle"]),
    ("destroy_user_sessions", &["user_id", "except_session_id"]),
    ("destroy_all_sessions", &[]),
    ("stats", &[]),
    ("init", &["node_id", "node_ids"]),
    ("echo", &["echo"]),
];

/// How many sessions `list_sessions` shows, if it does not say, and how many it may ask for.
const LIST_LIMIT: u64 = 100;
const MAX_LIST_LIMIT: u64 = 1000;

/// What the fields of a message say.
///
/// # Errors
///
/// When they name no sender, and are not a bare body either.
pub(super) fn read_message<'a>(
    message: &MessageFields<'a>,
    limits: &Limits,
) -> Result<Incoming<'a>, Fault<'a>> {
    if message.body_is == BodyIs::Absent && !message.body.kind.is_absent() {
        return Ok(read_body(None, &message.body, limits));
    }
    let (Some(src), Some(dest)) = (message.src.string_json(), message.dest.string_json()) else {
        return Err(Fault::of(Unreadable::NoSender, message));
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
    Ok(Incoming::Request(Message {
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
) -> Incoming<'a> {
    if !body.in_reply_to.is_absent() {
        return Incoming::Reply {
            is_bare: envelope.is_none(),
        };
    }
    Incoming::Request(Message {
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
        let request = REQUESTS.iter().find(|(name, _)| *name == kind);
        let name = format!("{}: msg_id", request.map_or("message", |(name, _)| name));
        return Err(must_be(body.msg_id, &name, "an integer of at most 64 bits"));
    }
    match &*kind {
        "validate_session" => Ok(Request::ValidateSession {
            session_id: id(body.session_id, "validate_session: session_id")?,
            options: read_validate_options(body)?,
        }),
        "create_session" => Ok(Request::CreateSession {
            user_id: string(body.user_id, "create_session: user_id")?,
            options: read_create_options(body, limits)?,
        }),
        "regenerate_session" => Ok(Request::RegenerateSession {
            old_session_id: id(body.old_session_id, "regenerate_session: old_session_id")?,
            options: read_regenerate_options(body, limits)?,
        }),
        "update_session" => Ok(Request::UpdateSession(Box::new(UpdateSession {
            session_id: id(body.session_id, "update_session: session_id")?,
            data: data(body.data, "update_session: data", limits)?,
        }))),
        "list_sessions" => read_list(body),
        "destroy_session" => read_destroy(body),
        "destroy_user_sessions" => Ok(Request::DestroyUserSessions(Box::new(
            DestroyUserSessions {
                user_id: string(body.user_id, "destroy_user_sessions: user_id")?,
                except_session_id: optional(body.except_session_id, |field| {
                    id(field, "destroy_user_sessions: except_session_id")
                })?,
            },
        ))),
        "destroy_all_sessions" => Ok(Request::DestroyAllSessions),
        "stats" => Ok(Request::Stats),
        "echo" => match body.echo.json().filter(|json| is_text(json)) {
            Some(json) => Ok(Request::Echo {
                json: compact(json),
            }),
            None => Err(must_be(
                body.echo,
                "echo: echo",
                "JSON without lone surrogates",
            )),
        },
        "init" => {
            string(body.node_id, "init: node_id")?;
            strings(body.node_ids, "init: node_ids")?;
            Ok(Request::Init)
        }
        _ => {
            let types = REQUESTS.map(|(name, _)| name);
            Err(Error::new(
                ErrorCode::NotSupported,
                format!("message: type must be one of {}", types.join(", ")),
            ))
        }
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
        session_id: optional(body.session_id, |field| {
            id(field, "list_sessions: session_id")
        })?,
        limit: usize::try_from(limit).expect("the limit is small"),
    })))
}

/// By id, or by user and handle.
#[cold]
fn read_destroy<'a>(body: &Fields<'a>) -> Result<Request<'a>, Error> {
    if body.handle.is_absent() {
        return Ok(Request::DestroySession {
            session_id: id(body.session_id, "destroy_session: session_id")?,
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
            handle: id(body.handle, "destroy_session: handle")?,
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
        .filter(|json| is_text(json))
        .map(compact)
        .filter(|json| json.len() <= limits.max_data_bytes)
        .ok_or_else(|| {
            let what = format!(
                "a JSON object of at most {} bytes (--max-data-bytes), without lone surrogates",
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

/// Requires a string of any length and form: one that is no id, or no handle, is simply no live session's.
fn id<'a>(field: Field<'a>, name: &str) -> Result<Cow<'a, str>, Error> {
    field
        .string()
        // One that is not even text (lone surrogates) stands for itself, as its JSON text with its quotes.
        .or_else(|| field.string_json().map(Cow::Borrowed))
        .ok_or_else(|| must_be(field, name, "a string"))
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
