//! Which messages a stream holds, and which of them are answered: decided naively, over the whole stream at once and
//! looking at everything as often as it likes. A node has to answer these and no others.

use session_node::session::Policy;
use session_node::testing::wire::{
    self, Error, ErrorCode, Fault, Incoming, Message, decode_beginning,
};
use session_node::{Options, ReplyFormat};

use super::json::{is_json, is_open};

/// Bytes that are a message or should be one, and whether they are too long.
type Unit<'a> = (&'a [u8], bool);

/// The messages of a stream that are to be answered, in order.
pub fn messages<'a>(stream: &'a [u8], options: &Options, policy: &Policy) -> Vec<Message<'a>> {
    let mut answered = Vec::new();
    let mut speaks_bare = true;
    let mut is_bare_stream = true;
    for (bytes, is_too_long) in units(stream, options.max_line_bytes) {
        let read = if is_too_long {
            let kept = &bytes[..bytes.len().min(4096)];
            Err(decode_beginning(kept, options.max_line_bytes))
        } else {
            wire::decode(bytes, policy, options.strict)
        };
        match read {
            Ok(Incoming::Reply { is_bare }) => speaks_bare = is_bare,
            Ok(Incoming::Request(message)) => {
                speaks_bare = message.return_address.is_bare();
                answered.push(message);
            }
            Err(fault) => {
                let may_be_bare = speaks_bare || options.reply_format == ReplyFormat::Body;
                let is_somebodys_reply = fault.return_address.is_none();
                let error = error(fault, may_be_bare);
                assert!(
                    !is_bare_stream || error.is_some() || is_somebodys_reply,
                    "on a stream of bare bodies everybody is answered"
                );
                answered.extend(error);
            }
        }
        is_bare_stream &= speaks_bare;
    }
    answered
}

fn error(fault: Fault<'_>, may_be_bare: bool) -> Option<Message<'_>> {
    let return_address = fault.return_address?;
    (may_be_bare || !return_address.is_bare()).then(|| Message {
        return_address,
        request: Err(Error::new(ErrorCode::MalformedRequest, "")),
    })
}

/// Cuts a stream where messages end.
fn units(stream: &[u8], max_bytes: usize) -> Vec<Unit<'_>> {
    let stream = stream.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(stream);
    let mut units = Vec::new();
    // Where the message begins whose end has not come.
    let mut begun: Option<usize> = None;
    let mut at = 0;
    for line in stream.split(|byte| *byte == b'\n') {
        let start = at;
        at += line.len() + 1;
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let end = start + line.len();
        if let Some(from) = begun {
            let joined = &stream[from..end];
            if line.len() > max_bytes || joined.len() > max_bytes {
                units.push((&stream[from..start], true));
            } else if is_whole_message(line) {
                units.push((stream[from..start].trim_ascii_end(), false));
            } else if is_open(&readable(joined)) {
                continue;
            } else {
                units.push((joined, false));
                if is_json(&readable(joined)) {
                    begun = None;
                    continue;
                }
            }
            begun = None;
        }
        if line.len() > max_bytes {
            units.push((line, true));
        } else if is_open(&readable(line)) {
            begun = Some(start);
        } else if !line.trim_ascii().is_empty() {
            units.push((line, false));
        }
    }
    if let Some(from) = begun {
        units.push((stream[from..].trim_ascii_end(), false));
    }
    units
}

fn readable(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).replace('\0', "\u{FFFD}")
}

/// Whether a line is a whole object with a `body` or a `type`.
fn is_whole_message(line: &[u8]) -> bool {
    let text = readable(line);
    let names = super::json::names(&text);
    names.iter().any(|name| name == "body" || name == "type")
}
