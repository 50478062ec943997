//! Reads a request from the fields of a message: checks the fields that each type of request needs, and reports a field
//! that is not what it must be.

use std::borrow::Cow;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::fault::{Fault, Unreadable};
use super::field::{BodyIs, Field, Fields, MessageFields};
use super::{Envelope, Error, ErrorCode, Incoming, Message, Request, ReturnAddress};
use crate::limits::{self, DEFAULT_LIST_LIMIT, MAX_LIST_LIMIT, MAX_STRING_BYTES, compact, is_text};
use crate::session::{Binding, Handle, Policy, SessionKey};
use crate::store::{
    Changes, Conditions, CreateOptions, Cursor, ListOptions, ListOrder, ListUsersOptions,
    Operation, UpdateConditions,
};

/// The types of request that [`read_request`] knows, with their fields. All requests also know `type` and `msg_id`.
pub(super) const REQUESTS: [(&str, &[&str]); 12] = [
    (
        "create_session",
        &[
            "user_id",
            "ttl",
            "idle_timeout",
            "data",
            "binding",
            "max_sessions_per_user",
            "detail",
        ],
    ),
    (
        "validate_session",
        &["session_id", "binding", "max_age", "touch", "detail"],
    ),
    (
        "regenerate_session",
        &[
            "old_session_id",
            "reauthenticated",
            "user_id",
            "ttl",
            "idle_timeout",
            "max_sessions_per_user",
            "data",
            "binding",
            "new_binding",
            "detail",
        ],
    ),
    (
        "update_session",
        &["session_id", "data", "binding", "expected_data", "detail"],
    ),
    (
        "list_sessions",
        &["user_id", "session_id", "limit", "order", "cursor", "data"],
    ),
    ("list_users", &["limit", "cursor"]),
    (
        "destroy_session",
        &["session_id", "user_id", "handle", "detail"],
    ),
    ("destroy_user_sessions", &["user_id", "except_session_id"]),
    ("destroy_all_sessions", &[]),
    ("stats", &[]),
    ("init", &["node_id", "node_ids"]),
    ("echo", &["echo"]),
];

/// Reads a message from its fields.
///
/// # Errors
///
/// If the fields form neither an envelope with a sender and a receiver nor a bare body.
pub(super) fn read_message<'a>(
    message: &MessageFields<'a>,
    policy: &Policy,
) -> Result<Incoming<'a>, Fault<'a>> {
    if message.body_is == BodyIs::Absent && !message.body.kind.is_absent() {
        return Ok(read_body(None, &message.body, policy));
    }
    let (Some(src), Some(dest)) = (message.src.string_json(), message.dest.string_json()) else {
        return Err(Fault::of(Unreadable::NoSender, message));
    };
    let envelope = Some(Envelope {
        src: Cow::Borrowed(src),
        dest: Cow::Borrowed(dest),
    });
    let must_be = match message.body_is {
        BodyIs::AnObject => return Ok(read_body(envelope, &message.body, policy)),
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
    policy: &Policy,
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
        request: read_request(body, policy),
    })
}

fn read_request<'a>(body: &Fields<'a>, policy: &Policy) -> Result<Request<'a>, Error> {
    let kind = body
        .kind
        .string()
        .ok_or_else(|| must_be(body.kind, "message: type", "a string"))?;
    if !body.msg_id.is_absent() && body.msg_id.integer_json().is_none() {
        let request = REQUESTS.iter().find(|(name, _)| *name == kind);
        let name = format!("{}: msg_id", request.map_or("message", |(name, _)| name));
        return Err(must_be(body.msg_id, &name, "an integer of at most 64 bits"));
    }
    let operation = match &*kind {
        "validate_session" => Operation::Validate {
            key: key(body.session_id, "validate_session: session_id")?,
            conditions: read_conditions(body)?,
        },
        "create_session" => Operation::Create {
            key: (),
            user: user(body.user_id, "create_session: user_id", policy)?,
            options: read_create_options(body, policy)?,
        },
        "regenerate_session" => Operation::Regenerate {
            old: key(body.old_session_id, "regenerate_session: old_session_id")?,
            new: (),
            changes: read_changes(body, policy)?,
        },
        _ => return read_rare(&kind, body, policy),
    };
    Ok(Request::Sessions(operation))
}

#[cold]
fn read_rare<'a>(kind: &str, body: &Fields<'a>, policy: &Policy) -> Result<Request<'a>, Error> {
    let operation = match kind {
        "update_session" => read_update(body, policy)?,
        "list_sessions" => read_list(body, policy)?,
        "list_users" => read_list_users(body)?,
        "destroy_session" => read_destroy(body, policy)?,
        "destroy_user_sessions" => Operation::DestroyUser {
            user: user(body.user_id, "destroy_user_sessions: user_id", policy)?,
            except: optional(body.except_session_id, |field| {
                key(field, "destroy_user_sessions: except_session_id")
            })?,
        },
        "destroy_all_sessions" => Operation::DestroyAll,
        "stats" => Operation::Stats,
        "init" => {
            string(body.node_id, "init: node_id", MAX_STRING_BYTES)?;
            strings(body.node_ids, "init: node_ids")?;
            return Ok(Request::Init);
        }
        "echo" => return read_echo(body.echo),
        _ => {
            let types = REQUESTS.map(|(name, _)| name);
            return Err(Error::new(
                ErrorCode::NotSupported,
                format!("message: type must be one of {}", types.join(", ")),
            ));
        }
    };
    Ok(Request::Sessions(operation))
}

fn read_echo(field: Field<'_>) -> Result<Request<'_>, Error> {
    let json = field.json().filter(|json| is_text(json));
    let json = json.ok_or_else(|| must_be(field, "echo: echo", "JSON without lone surrogates"))?;
    Ok(Request::Echo {
        json: compact(json),
    })
}

fn are_absent(fields: &[Field<'_>]) -> bool {
    fields.iter().all(|field| field.is_absent())
}

fn read_conditions(body: &Fields<'_>) -> Result<Option<Box<Conditions>>, Error> {
    if are_absent(&[body.binding, body.max_age, body.touch, body.detail]) {
        return Ok(None);
    }
    Ok(Some(Box::new(Conditions {
        binding: optional_binding(body.binding, "validate_session: binding")?,
        max_age: optional_natural(body.max_age, "validate_session: max_age", 0..=u64::MAX)?,
        detail: detail(body, "validate_session: detail")?,
        untouched: optional_boolean(body.touch, "validate_session: touch")? == Some(false),
    })))
}

fn read_create_options<'a>(
    body: &Fields<'a>,
    policy: &Policy,
) -> Result<Option<Box<CreateOptions<'a>>>, Error> {
    if are_absent(&[
        body.ttl,
        body.idle_timeout,
        body.data,
        body.binding,
        body.max_sessions_per_user,
        body.detail,
    ]) {
        return Ok(None);
    }
    Ok(Some(Box::new(CreateOptions {
        ttl: optional_seconds(body.ttl, "create_session: ttl", 1, policy)?,
        idle_timeout: {
            let name = "create_session: idle_timeout";
            optional_seconds(body.idle_timeout, name, 0, policy)?
        },
        data: optional_data(body.data, "create_session: data", policy)?,
        binding: optional_binding(body.binding, "create_session: binding")?,
        detail: detail(body, "create_session: detail")?,
        max_sessions_per_user: user_limit(body, "create_session: max_sessions_per_user")?,
    })))
}

fn read_changes<'a>(body: &Fields<'a>, policy: &Policy) -> Result<Option<Box<Changes<'a>>>, Error> {
    if are_absent(&[
        body.reauthenticated,
        body.user_id,
        body.ttl,
        body.idle_timeout,
        body.max_sessions_per_user,
        body.data,
        body.binding,
        body.new_binding,
        body.detail,
    ]) {
        return Ok(None);
    }
    let reauthenticated = "regenerate_session: reauthenticated";
    let changes = Changes {
        reauthenticated: optional_boolean(body.reauthenticated, reauthenticated)? == Some(true),
        user: optional(body.user_id, |field| {
            user(field, "regenerate_session: user_id", policy)
        })?,
        ttl: optional_seconds(body.ttl, "regenerate_session: ttl", 1, policy)?,
        idle_timeout: {
            let name = "regenerate_session: idle_timeout";
            optional_seconds(body.idle_timeout, name, 0, policy)?
        },
        max_sessions_per_user: user_limit(body, "regenerate_session: max_sessions_per_user")?,
        data: optional_data(body.data, "regenerate_session: data", policy)?,
        binding: optional_binding(body.binding, "regenerate_session: binding")?,
        detail: detail(body, "regenerate_session: detail")?,
        new_binding: optional_binding(body.new_binding, "regenerate_session: new_binding")?,
    };
    match changes.out_of_place() {
        None => Ok(Some(Box::new(changes))),
        Some((field, must_be)) => Err(Error::malformed(format!(
            "regenerate_session: {field} must be {must_be}"
        ))),
    }
}

fn user_limit(body: &Fields<'_>, name: &str) -> Result<Option<usize>, Error> {
    let limit = optional_natural(body.max_sessions_per_user, name, 1..=u64::MAX)?;
    Ok(limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX)))
}

/// Reads a number of seconds, from `least` to the longest lifetime.
fn optional_seconds(
    field: Field<'_>,
    name: &str,
    least: u64,
    policy: &Policy,
) -> Result<Option<Duration>, Error> {
    let seconds = optional_natural(field, name, least..=policy.max_ttl.as_secs())?;
    Ok(seconds.map(Duration::from_secs))
}

fn read_update<'a>(body: &Fields<'a>, policy: &Policy) -> Result<Operation<'a, ()>, Error> {
    let conditions = if are_absent(&[body.binding, body.expected_data, body.detail]) {
        None
    } else {
        Some(Box::new(UpdateConditions {
            binding: optional_binding(body.binding, "update_session: binding")?,
            detail: detail(body, "update_session: detail")?,
            expected_data: optional(body.expected_data, expected_data)?,
        }))
    };
    Ok(Operation::Update {
        key: key(body.session_id, "update_session: session_id")?,
        data: data(body.data, "update_session: data", policy)?,
        conditions,
    })
}

/// Requires an object, or null for no data. The object may be of any size: one that is too large matches no data.
fn expected_data(field: Field<'_>) -> Result<Option<Cow<'_, str>>, Error> {
    let json = field.json();
    if json == Some("null") {
        return Ok(None);
    }
    let data = json.and_then(|json| limits::compact_data(json, usize::MAX));
    data.map(Some).ok_or_else(|| {
        let what = "a JSON object without lone surrogates, or null";
        must_be(field, "update_session: expected_data", what)
    })
}

fn read_list<'a>(body: &Fields<'a>, policy: &Policy) -> Result<Operation<'a, ()>, Error> {
    Ok(Operation::List {
        user: user(body.user_id, "list_sessions: user_id", policy)?,
        caller: optional(body.session_id, |field| {
            key(field, "list_sessions: session_id")
        })?,
        options: Box::new(ListOptions {
            limit: list_limit(body, "list_sessions: limit")?,
            order: optional(body.order, list_order)?.unwrap_or_default(),
            after: cursor(body, "list_sessions: cursor")?,
            without_data: optional_boolean(body.data, "list_sessions: data")? == Some(false),
        }),
    })
}

fn read_list_users(body: &Fields<'_>) -> Result<Operation<'static, ()>, Error> {
    Ok(Operation::ListUsers {
        options: Box::new(ListUsersOptions {
            limit: list_limit(body, "list_users: limit")?,
            after: cursor(body, "list_users: cursor")?,
        }),
    })
}

fn list_limit(body: &Fields<'_>, name: &str) -> Result<usize, Error> {
    let limit = optional_natural(body.limit, name, 1..=MAX_LIST_LIMIT as u64)?;
    let limit = limit.map(|limit| usize::try_from(limit).expect("the limit is small"));
    Ok(limit.unwrap_or(DEFAULT_LIST_LIMIT))
}

fn list_order(field: Field<'_>) -> Result<ListOrder, Error> {
    match field.string().as_deref() {
        Some("oldest") => Ok(ListOrder::OldestFirst),
        Some("newest") => Ok(ListOrder::NewestFirst),
        _ => Err(must_be(
            field,
            "list_sessions: order",
            r#""oldest" or "newest""#,
        )),
    }
}

fn cursor(body: &Fields<'_>, name: &str) -> Result<Option<Cursor>, Error> {
    optional(body.cursor, |field| {
        let cursor = field.string().and_then(|text| Cursor::parse(&text));
        cursor.ok_or_else(|| must_be(field, name, limits::CURSOR_MUST_BE))
    })
}

/// Reads a request that names the session by its id, or by its user and handle.
fn read_destroy<'a>(body: &Fields<'a>, policy: &Policy) -> Result<Operation<'a, ()>, Error> {
    if body.handle.is_absent() {
        return Ok(Operation::Destroy {
            key: key(body.session_id, "destroy_session: session_id")?,
            detail: detail(body, "destroy_session: detail")?,
        });
    }
    if !body.session_id.is_absent() {
        return Err(Error::malformed(
            "destroy_session: session_id must be absent when there is a handle, which needs a user_id",
        ));
    }
    Ok(Operation::DestroyByHandle {
        user: user(body.user_id, "destroy_session: user_id", policy)?,
        handle: Handle::parse(&any_string(body.handle, "destroy_session: handle")?),
        detail: detail(body, "destroy_session: detail")?,
    })
}

/// Reads a field that may be absent.
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

fn optional_binding(field: Field<'_>, name: &str) -> Result<Option<Binding>, Error> {
    optional(field, |field| {
        string(field, name, MAX_STRING_BYTES).map(|property| Binding::to(&property))
    })
}

fn optional_data<'a>(
    field: Field<'a>,
    name: &str,
    policy: &Policy,
) -> Result<Option<Cow<'a, str>>, Error> {
    optional(field, |field| data(field, name, policy))
}

fn detail(body: &Fields<'_>, name: &str) -> Result<bool, Error> {
    Ok(optional_boolean(body.detail, name)?.unwrap_or_default())
}

fn optional_boolean(field: Field<'_>, name: &str) -> Result<Option<bool>, Error> {
    optional(field, |field| {
        field
            .boolean()
            .ok_or_else(|| must_be(field, name, "true or false"))
    })
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

/// Reads data: an object of bounded size.
fn data<'a>(field: Field<'a>, name: &str, policy: &Policy) -> Result<Cow<'a, str>, Error> {
    let max_bytes = policy.max_data_bytes;
    let data = field
        .json()
        .and_then(|json| limits::compact_data(json, max_bytes));
    data.ok_or_else(|| must_be(field, name, &limits::data_must_be(max_bytes)))
}

/// Reads the name of a user.
fn user<'a>(field: Field<'a>, name: &str, policy: &Policy) -> Result<Cow<'a, str>, Error> {
    string(field, name, policy.max_user_id_bytes)
}

/// Reads a string of 1 to `max_bytes` bytes.
fn string<'a>(field: Field<'a>, name: &str, max_bytes: usize) -> Result<Cow<'a, str>, Error> {
    let text = field.string();
    let text = text.filter(|text| (1..=max_bytes).contains(&text.len()));
    text.ok_or_else(|| {
        let what = format!("a string of 1 to {max_bytes} bytes");
        must_be(field, name, &what)
    })
}

/// Reads an id, and returns its key, so that nobody behind the decoder sees an id.
fn key(field: Field<'_>, name: &str) -> Result<SessionKey, Error> {
    any_string(field, name).map(|id| SessionKey::of(&id))
}

/// Reads a string of any length and form. A string that cannot be an id or a handle causes no error: it names no live
/// session.
fn any_string<'a>(field: Field<'a>, name: &str) -> Result<Cow<'a, str>, Error> {
    field
        .string()
        // A string with a lone surrogate is not text. Its JSON text, with the quotes, stands for it.
        .or_else(|| field.string_json().map(Cow::Borrowed))
        .ok_or_else(|| must_be(field, name, "a string"))
}

/// Checks that a field is an array of strings.
fn strings(field: Field<'_>, name: &str) -> Result<(), Error> {
    match field.json().map(serde_json::from_str::<Vec<Cow<'_, str>>>) {
        Some(Ok(_)) => Ok(()),
        _ => Err(must_be(field, name, "an array of strings")),
    }
}

/// Makes the error for a field that is not what it must be.
#[cold]
fn must_be(field: Field<'_>, name: &str, what: &str) -> Error {
    Error::malformed(if field.is_repeated() {
        format!("{name} must be given once only: {what}")
    } else {
        format!("{name} must be {what}")
    })
}
