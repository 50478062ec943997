//! From a reply to a line of compact JSON.

use super::{Reply, ReplyFormat, ReturnAddress};

/// Appends the line that carries `reply` to the sender of a request, with its line ending.
pub fn encode(to: &ReturnAddress<'_>, format: ReplyFormat, reply: &Reply<'_>, out: &mut Vec<u8>) {
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
    put_fields(out, reply);
    put(out, "}");
    if envelope.is_some() {
        put(out, "}");
    }
    put(out, "\n");
}

impl Reply<'_> {
    /// The body as far as its type.
    fn opening(&self) -> &'static str {
        match self {
            Reply::InitOk => r#"{"type":"init_ok""#,
            Reply::EchoOk { .. } => r#"{"type":"echo_ok""#,
            Reply::SessionCreated { .. } => r#"{"type":"session_created""#,
            Reply::SessionValid { .. } => r#"{"type":"session_valid""#,
            Reply::SessionInvalid => r#"{"type":"session_invalid""#,
            Reply::SessionRegenerated { .. } => r#"{"type":"session_regenerated""#,
            Reply::SessionDestroyed => r#"{"type":"session_destroyed""#,
            Reply::Error(_) => r#"{"type":"error""#,
        }
    }
}

fn put_fields(out: &mut Vec<u8>, reply: &Reply<'_>) {
    match reply {
        Reply::InitOk | Reply::SessionInvalid => {}
        Reply::EchoOk { json } => {
            put(out, r#","echo":"#);
            put(out, json);
        }
        Reply::SessionCreated {
            session_id,
            expires_at,
        } => {
            put(out, r#","session_id":""#);
            put(out, session_id.expose());
            put(out, r#"","expires_at":"#);
            put_number(out, *expires_at);
        }
        Reply::SessionValid {
            user_id,
            expires_in,
        } => {
            put(out, r#","user_id":"#);
            put_string(out, user_id);
            put(out, r#","expires_in":"#);
            put_number(out, *expires_in);
        }
        Reply::SessionRegenerated { new_session_id } => {
            put(out, r#","new_session_id":""#);
            put(out, new_session_id.expose());
            put(out, "\"");
        }
        Reply::SessionDestroyed => put(out, r#","message":"Session destroyed""#),
        Reply::Error(error) => {
            put(out, r#","code":"#);
            put_number(out, error.code as u64);
            put(out, r#","text":"#);
            put_string(out, &error.text);
        }
    }
}

/// Text that is JSON already.
fn put(out: &mut Vec<u8>, json: &str) {
    out.extend_from_slice(json.as_bytes());
}

fn put_number(out: &mut Vec<u8>, number: u64) {
    put(out, itoa::Buffer::new().format(number));
}

fn put_string(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("a string can be written to memory");
}
