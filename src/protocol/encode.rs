//! Encodes a reply as a line of compact JSON.

use super::{ListedSession, ListedUser, Reply, ReplyFormat, ReturnAddress};
use crate::authority::Stats;
use crate::id::SessionId;
use crate::session::{Handle, Lifetime, Timestamp};
use crate::store::Detail;

/// Grows with what clients can ask for, so that a client can refuse a node that would ignore what it asks.
const PROTOCOL: u64 = 2;

/// Appends a line with `reply`, addressed to the sender of the request, to `out`. Points in time become whole Unix
/// seconds; remaining times become whole seconds from `now`.
pub fn encode(
    to: &ReturnAddress<'_>,
    format: ReplyFormat,
    reply: &Reply<'_>,
    detail: Option<&Detail>,
    now: Timestamp,
    out: &mut Vec<u8>,
) {
    let envelope = match format {
        ReplyFormat::Envelope => to.envelope.as_ref(),
        ReplyFormat::Body => None,
    };
    if let Some(envelope) = envelope {
        put(out, r#"{"src":"#);
        put(out, &envelope.dest);
        put(out, r#","dest":"#);
        put(out, &envelope.src);
        put(out, r#","body":"#);
    }
    put(out, reply.opening());
    if let Some(msg_id) = &to.msg_id {
        put(out, r#","in_reply_to":"#);
        put(out, msg_id);
    }
    put_fields(out, reply, now);
    if let Some(detail) = detail {
        put(out, r#","detail":{"#);
        put_times(out, &detail.handle, &detail.lifetime);
        put(out, "}");
    }
    put(out, "}");
    if envelope.is_some() {
        put(out, "}");
    }
    put(out, "\n");
}

impl Reply<'_> {
    /// The beginning of the body, up to and including the type.
    fn opening(&self) -> &'static str {
        match self {
            Reply::InitOk => r#"{"type":"init_ok""#,
            Reply::EchoOk { .. } => r#"{"type":"echo_ok""#,
            Reply::SessionCreated { .. } => r#"{"type":"session_created""#,
            Reply::SessionValid { .. } => r#"{"type":"session_valid""#,
            Reply::SessionInvalid => r#"{"type":"session_invalid""#,
            Reply::SessionRegenerated { .. } => r#"{"type":"session_regenerated""#,
            Reply::ReauthenticationRequired { .. } => r#"{"type":"reauthentication_required""#,
            Reply::SessionUpdated => r#"{"type":"session_updated""#,
            Reply::SessionList { .. } => r#"{"type":"session_list""#,
            Reply::UserList { .. } => r#"{"type":"user_list""#,
            Reply::SessionDestroyed { .. } => r#"{"type":"session_destroyed""#,
            Reply::UserSessionsDestroyed { .. } => r#"{"type":"user_sessions_destroyed""#,
            Reply::AllSessionsDestroyed { .. } => r#"{"type":"all_sessions_destroyed""#,
            Reply::Stats(_) => r#"{"type":"stats""#,
            Reply::Error(_) => r#"{"type":"error""#,
        }
    }
}

fn put_fields(out: &mut Vec<u8>, reply: &Reply<'_>, now: Timestamp) {
    match reply {
        Reply::InitOk | Reply::SessionInvalid | Reply::SessionUpdated => {}
        Reply::EchoOk { json } => {
            put(out, r#","echo":"#);
            put(out, json);
        }
        Reply::SessionCreated {
            session_id,
            expires_at,
        } => {
            put_id(out, r#","session_id":""#, session_id);
            put_count(out, r#","expires_at":"#, expires_at.unix_seconds());
        }
        Reply::SessionValid {
            user_id,
            expires_at,
            data,
        } => {
            put(out, r#","user_id":"#);
            put_string(out, user_id);
            put_count(out, r#","expires_in":"#, expires_at.seconds_from(now));
            put_data(out, *data);
        }
        Reply::ReauthenticationRequired { user_id, auth_age } => {
            put(out, r#","user_id":"#);
            put_string(out, user_id);
            put_count(out, r#","auth_age":"#, *auth_age);
        }
        Reply::SessionList { sessions, next } => {
            put_sessions(out, sessions);
            put_next(out, *next);
        }
        Reply::UserList { users, next } => {
            put_users(out, users);
            put_next(out, *next);
        }
        Reply::UserSessionsDestroyed { count } | Reply::AllSessionsDestroyed { count } => {
            put_count(out, r#","count":"#, *count);
        }
        Reply::Stats(stats) => put_stats(out, stats),
        Reply::SessionRegenerated { new_session_id } => {
            put_id(out, r#","new_session_id":""#, new_session_id);
        }
        Reply::SessionDestroyed { ended } => {
            put(out, r#","message":"Session destroyed""#);
            if let Some(ended) = ended {
                put(out, r#","ended":"#);
                put(out, if *ended { "true" } else { "false" });
            }
        }
        Reply::Error(error) => {
            put_count(out, r#","code":"#, error.code as u64);
            put(out, r#","text":"#);
            put_string(out, &error.text);
        }
    }
}

/// Appends a field with an id. `name` is the JSON text that precedes the id, with its opening quote.
fn put_id(out: &mut Vec<u8>, name: &str, id: &SessionId) {
    put(out, name);
    put(out, id.expose());
    put(out, "\"");
}

fn put_sessions(out: &mut Vec<u8>, sessions: &[ListedSession<'_>]) {
    put(out, r#","sessions":["#);
    for (number, listed) in sessions.iter().enumerate() {
        put(out, if number == 0 { "{" } else { ",{" });
        put_listed(out, listed);
        put(out, "}");
    }
    put(out, "]");
}

fn put_users(out: &mut Vec<u8>, users: &[ListedUser<'_>]) {
    put(out, r#","users":["#);
    for (number, listed) in users.iter().enumerate() {
        put(out, if number == 0 { "{" } else { ",{" });
        put(out, r#""user_id":"#);
        put_string(out, listed.user_id);
        put_count(out, r#","sessions":"#, listed.sessions);
        put(out, "}");
    }
    put(out, "]");
}

/// Appends the cursor of a list that goes on.
fn put_next(out: &mut Vec<u8>, next: Option<&str>) {
    if let Some(cursor) = next {
        put(out, r#","more":true,"cursor":""#);
        put(out, cursor);
        put(out, "\"");
    }
}

fn put_times(out: &mut Vec<u8>, handle: &Handle, lifetime: &Lifetime) {
    put(out, r#""handle":""#);
    put(out, &handle.to_string());
    put(out, "\"");
    put_count(out, r#","created_at":"#, lifetime.created_at.unix_seconds());
    put_count(
        out,
        r#","last_seen_at":"#,
        lifetime.last_used_at.unix_seconds(),
    );
    put_count(out, r#","auth_time":"#, lifetime.auth_time.unix_seconds());
    put_count(
        out,
        r#","expires_at":"#,
        lifetime.expires_at().unix_seconds(),
    );
    put_count(out, r#","ends_at":"#, lifetime.ends_at.unix_seconds());
}

fn put_listed(out: &mut Vec<u8>, listed: &ListedSession<'_>) {
    put_times(out, &listed.handle, &listed.lifetime);
    put_data(out, listed.data);
    if listed.is_current {
        put(out, r#","current":true"#);
    }
}

fn put_stats(out: &mut Vec<u8>, stats: &Stats) {
    let counts = [
        (r#","sessions":"#, stats.sessions),
        (r#","users":"#, stats.users),
        (r#","created":"#, Some(stats.created)),
        (r#","validated":"#, Some(stats.validated)),
        (r#","invalid":"#, Some(stats.invalid)),
        (r#","regenerated":"#, Some(stats.regenerated)),
        (r#","destroyed":"#, Some(stats.destroyed)),
        (r#","expired":"#, Some(stats.expired)),
        (r#","errors":"#, Some(stats.errors)),
    ];
    for (name, count) in counts {
        if let Some(count) = count {
            put_count(out, name, count);
        }
    }
    put(
        out,
        concat!(r#","version":""#, env!("CARGO_PKG_VERSION"), "\""),
    );
    put_count(out, r#","protocol":"#, PROTOCOL);
}

/// Appends a field with a number. `name` is the JSON text that precedes the number, with comma, quotes and colon.
fn put_count(out: &mut Vec<u8>, name: &str, count: u64) {
    put(out, name);
    put(out, itoa::Buffer::new().format(count));
}

fn put_data(out: &mut Vec<u8>, data: Option<&str>) {
    if let Some(json) = data {
        put(out, r#","data":"#);
        put(out, json);
    }
}

/// Appends text that is already JSON.
fn put(out: &mut Vec<u8>, json: &str) {
    out.extend_from_slice(json.as_bytes());
}

/// Appends text as a JSON string.
fn put_string(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("a string can be written to memory");
}
