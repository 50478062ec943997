//! From a line of bytes to a request. Total: every line is a message, somebody's reply, or has a reason why
//! nobody can be answered.

use std::borrow::Cow;

use super::field::{Body, Field, Fields, MessageFields};
use super::{Envelope, Error, ErrorCode, Message, Request, ReturnAddress};

/// The longest string that a field of a request may hold, in bytes of UTF-8: room for any user name or
/// e-mail address, and a bound on what a session costs.
const MAX_STRING_BYTES: usize = 256;

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
pub fn decode(line: &[u8]) -> Result<Option<Message<'_>>, Unanswerable> {
    let parsed = match str::from_utf8(line) {
        Ok(text) => serde_json::from_str(text).map_err(|error| describe(&error)),
        Err(error) => Err(format!(
            "invalid UTF-8 after byte {} of the line",
            error.valid_up_to()
        )),
    };
    match parsed {
        Ok(fields) => read_message(&fields),
        Err(reason) => salvage(line, reason),
    }
}

fn read_message<'a>(message: &MessageFields<'a>) -> Result<Option<Message<'a>>, Unanswerable> {
    let (top, body) = (&message.top, &message.body);
    if matches!(body, Body::Absent) && !top.kind.is_absent() {
        return Ok(read_body(None, top));
    }
    let (Some(src), Some(dest)) = (top.src.string_json(), top.dest.string_json()) else {
        return Err(Unanswerable::NoSender);
    };
    let envelope = Some(Envelope {
        src: Cow::Borrowed(src),
        dest: Cow::Borrowed(dest),
    });
    let must_be = match body {
        Body::Object(fields) => return Ok(read_body(envelope, fields)),
        Body::Absent | Body::NotAnObject => "message: body must be an object",
        Body::Repeated => "message: body must be given once",
    };
    Ok(Some(Message {
        return_address: ReturnAddress {
            envelope,
            msg_id: None,
        },
        request: Err(Error::malformed(must_be)),
    }))
}

fn read_body<'a>(envelope: Option<Envelope<'a>>, body: &Fields<'a>) -> Option<Message<'a>> {
    if !body.in_reply_to.is_absent() {
        return None;
    }
    Some(Message {
        return_address: ReturnAddress {
            envelope,
            msg_id: body.msg_id.integer_json().map(Cow::Borrowed),
        },
        request: read_request(body),
    })
}

fn read_request<'a>(body: &Fields<'a>) -> Result<Request<'a>, Error> {
    let kind = body.kind.string_json().ok_or(Error::malformed(
        "message: type must be a string, given once",
    ))?;
    if !body.msg_id.is_absent() && body.msg_id.integer_json().is_none() {
        return Err(Error::malformed(
            "message: msg_id must be an integer of at most 64 bits, given once",
        ));
    }
    match kind.trim_matches('"') {
        "validate_session" => Ok(Request::ValidateSession {
            session_id: string(body.session_id, "validate_session: session_id")?,
        }),
        "create_session" => Ok(Request::CreateSession {
            user_id: string(body.user_id, "create_session: user_id")?,
        }),
        "regenerate_session" => Ok(Request::RegenerateSession {
            old_session_id: string(body.old_session_id, "regenerate_session: old_session_id")?,
        }),
        "destroy_session" => Ok(Request::DestroySession {
            session_id: string(body.session_id, "destroy_session: session_id")?,
        }),
        "echo" => match body.echo.json() {
            Some(json) => Ok(Request::Echo {
                json: compact(json),
            }),
            None => Err(Error::malformed("echo: echo must be any JSON, given once")),
        },
        "init" => {
            string(body.node_id, "init: node_id")?;
            strings(body.node_ids, "init: node_ids")?;
            Ok(Request::Init)
        }
        _ => Err(Error::new(
            ErrorCode::NotSupported,
            "message: type must be one of create_session, validate_session, regenerate_session, \
             destroy_session, init, echo",
        )),
    }
}

/// Requires a string of 1 to 256 bytes.
fn string<'a>(field: Field<'a>, name: &str) -> Result<Cow<'a, str>, Error> {
    field
        .string()
        .filter(|text| (1..=MAX_STRING_BYTES).contains(&text.len()))
        .ok_or_else(|| {
            Error::malformed(format!(
                "{name} must be a string of 1 to {MAX_STRING_BYTES} bytes, given once"
            ))
        })
}

/// Requires an array of strings.
fn strings(field: Field<'_>, name: &str) -> Result<(), Error> {
    field
        .json()
        .filter(|json| serde_json::from_str::<Vec<Cow<'_, str>>>(json).is_ok())
        .map(|_| ())
        .ok_or_else(|| Error::malformed(format!("{name} must be an array of strings, given once")))
}

/// The same JSON without the white space between its tokens, which a peer may have put there, a carriage
/// return even, but which a compact reply of one line has no room for.
fn compact(json: &str) -> Cow<'_, str> {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
    if !json.as_bytes().iter().any(|byte| is_space(byte)) {
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
/// should hear of it rather than wait for a reply. Where that cannot be read, the line is given up for `reason`.
fn salvage<'a>(line: &[u8], reason: String) -> Result<Option<Message<'a>>, Unanswerable> {
    // What is not text becomes U+FFFD, and so does NUL, which JSON does not allow in a string.
    let text = String::from_utf8_lossy(line).replace('\0', REPLACEMENT);
    let top: Fields = serde_json::from_str(&text).map_err(|error| {
        if error.is_data() {
            Unanswerable::NotAnObject
        } else {
            Unanswerable::NotJson(reason)
        }
    })?;
    let body = match top.body {
        Field::Absent => Body::Absent,
        Field::Repeated => Body::Repeated,
        Field::Given(json) => serde_json::from_str(json).map_or(Body::NotAnObject, Body::Object),
    };
    let Some(mut message) = read_message(&MessageFields { top, body })? else {
        return Ok(None);
    };
    if text.as_bytes() != line {
        // A name that is not intact leads to nobody, or to somebody else.
        if message.return_address.mentions(REPLACEMENT) {
            return Err(Unanswerable::NoSender);
        }
        message.request = Err(Error::malformed(
            "message: every string must be UTF-8, without NUL bytes",
        ));
    }
    Ok(Some(Message {
        return_address: message.return_address.into_owned(),
        request: Err(message
            .request
            .err()
            .unwrap_or(Error::malformed("message: it must be one JSON object"))),
    }))
}

const REPLACEMENT: &str = "\u{FFFD}";

impl ReturnAddress<'_> {
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
