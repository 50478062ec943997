//! Writes requests and reads replies in both dialects of the contestants: session-node's JSON lines and Redis's
//! protocol. The driver must cost less than what it measures, so nothing here parses JSON.

use std::io::{self, ErrorKind, Read};

use memchr::{memchr, memmem};

/// The text of a session id: a UUID.
pub type Id = [u8; 36];

/// The protocol that a contestant speaks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    Json,
    /// Redis's. The client makes the ids.
    Resp,
}

/// A request. The number of a user stands for a name of 12 bytes.
#[derive(Clone, Copy)]
pub enum Request<'a> {
    Init,
    /// With the new session's id, for a contestant that makes none.
    Create(usize, &'a Id),
    Validate(&'a Id),
    Regenerate(&'a Id),
    Destroy(&'a Id),
}

/// The type of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    InitOk,
    Created,
    Valid,
    Regenerated,
    Destroyed,
    /// The echo floor writes the request back.
    Echoed,
    Other,
}

pub const KINDS: usize = Kind::Other as usize + 1;

impl Dialect {
    /// Appends a request.
    pub fn put(self, request: Request<'_>, msg_id: u64, out: &mut Vec<u8>) {
        match self {
            Self::Json => put_json(request, msg_id, out),
            Self::Resp => put_resp(request, out),
        }
    }
}

fn put_json(request: Request<'_>, msg_id: u64, out: &mut Vec<u8>) {
    let (kind, field) = match request {
        Request::Init => ("init", r#","node_ids":["session"],"node_id":""#),
        Request::Create(..) => ("create_session", r#","user_id":""#),
        Request::Validate(_) => ("validate_session", r#","session_id":""#),
        Request::Regenerate(_) => ("regenerate_session", r#","old_session_id":""#),
        Request::Destroy(_) => ("destroy_session", r#","session_id":""#),
    };
    put(out, r#"{"src":"bench","dest":"session","body":{"type":""#);
    put(out, kind);
    put(out, r#"","msg_id":"#);
    put(out, itoa::Buffer::new().format(msg_id));
    put(out, field);
    match request {
        Request::Init => put(out, "session"),
        Request::Create(user, _) => out.extend_from_slice(&user_name(user)),
        Request::Validate(id) | Request::Regenerate(id) | Request::Destroy(id) => {
            out.extend_from_slice(id);
        }
    }
    put(out, "\"}}\n");
}

fn put_resp(request: Request<'_>, out: &mut Vec<u8>) {
    match request {
        Request::Init => put(out, "PING\r\n"),
        Request::Create(user, id) => {
            put(out, "*5\r\n$3\r\nSET\r\n$36\r\n");
            out.extend_from_slice(id);
            put(out, "\r\n$12\r\n");
            out.extend_from_slice(&user_name(user));
            put(out, "\r\n$2\r\nEX\r\n$4\r\n3600\r\n");
        }
        Request::Validate(id) => {
            put(out, "*2\r\n$3\r\nGET\r\n$36\r\n");
            out.extend_from_slice(id);
            put(out, "\r\n");
        }
        Request::Regenerate(_) | Request::Destroy(_) => {
            unreachable!("Redis is asked for create and validate only")
        }
    }
}

fn put(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
}

/// `user` and 8 digits.
fn user_name(user: usize) -> [u8; 12] {
    let mut name = *b"user00000000";
    let mut left = user;
    for digit in name[4..].iter_mut().rev() {
        *digit = b"0123456789"[left % 10];
        left /= 10;
    }
    name
}

/// Reads replies in big pieces. Looks for a field first where the last reply had it, because a contestant writes all
/// replies alike.
pub struct ReplyReader {
    dialect: Dialect,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    type_at: usize,
    id_at: usize,
}

impl ReplyReader {
    pub fn new(dialect: Dialect) -> Self {
        Self {
            dialect,
            buffer: vec![0; 256 * 1024],
            start: 0,
            end: 0,
            type_at: 0,
            id_at: 0,
        }
    }

    /// Waits for more bytes.
    pub fn fill(&mut self, input: &mut dyn Read) -> io::Result<()> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        let read = input.read(&mut self.buffer[self.end..])?;
        if read == 0 {
            return Err(io::Error::new(
                ErrorKind::UnexpectedEof,
                "the contestant ended, or writes lines without end",
            ));
        }
        self.end += read;
        Ok(())
    }

    /// The next complete reply, with its new id if `with_id` is set.
    pub fn next(&mut self, with_id: bool) -> Option<(Kind, Option<Id>)> {
        let rest = &self.buffer[self.start..self.end];
        let length = memchr(b'\n', rest)? + 1;
        match self.dialect {
            Dialect::Json => {
                let line = &rest[..length];
                self.start += length;
                let kind = kind(line, &mut self.type_at);
                let id = with_id.then(|| new_id(line, &mut self.id_at)).flatten();
                Some((kind, id))
            }
            Dialect::Resp => {
                let (kind, length) = read_resp(rest, length)?;
                self.start += length;
                Some((kind, None))
            }
        }
    }
}

fn kind(line: &[u8], hint: &mut usize) -> Kind {
    let Some(after) = after(line, br#""type":""#, hint) else {
        return Kind::Other;
    };
    let name = &after[..memchr(b'"', after).unwrap_or(0)];
    match name {
        b"session_valid" => Kind::Valid,
        b"session_created" => Kind::Created,
        b"session_regenerated" => Kind::Regenerated,
        b"session_destroyed" => Kind::Destroyed,
        b"init_ok" => Kind::InitOk,
        b"validate_session" | b"create_session" | b"init" => Kind::Echoed,
        _ => Kind::Other,
    }
}

/// The value of `session_id` or `new_session_id`.
fn new_id(line: &[u8], hint: &mut usize) -> Option<Id> {
    after(line, br#"session_id":""#, hint)?
        .first_chunk()
        .copied()
}

/// The rest of `line` after `text`. Looks for `text` at `hint` first, and sets `hint` to where it is.
fn after<'a>(line: &'a [u8], text: &[u8], hint: &mut usize) -> Option<&'a [u8]> {
    let is_there = |rest: &[u8]| rest.starts_with(text);
    if !line.get(*hint..).is_some_and(is_there) {
        *hint = memmem::find(line, text)?;
    }
    Some(&line[*hint + text.len()..])
}

/// Reads a reply whose first line has `line_length` bytes. Returns its kind and its whole length.
fn read_resp(bytes: &[u8], line_length: usize) -> Option<(Kind, usize)> {
    let value_length = "user00000000\r\n".len();
    match &bytes[..line_length] {
        b"+OK\r\n" => Some((Kind::Created, line_length)),
        b"+PONG\r\n" => Some((Kind::InitOk, line_length)),
        b"$12\r\n" => (bytes.len() >= line_length + value_length)
            .then_some((Kind::Valid, line_length + value_length)),
        _ => Some((Kind::Other, line_length)),
    }
}
