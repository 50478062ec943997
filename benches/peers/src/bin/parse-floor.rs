//! Reads, splits and parses every request with `serde_json` into borrowed structs, and writes a reply of the right
//! size, but keeps and looks up nothing: what no node on this parser can beat.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;

use serde::Deserialize;

#[derive(Deserialize)]
struct Message<'a> {
    src: &'a str,
    dest: &'a str,
    #[serde(borrow)]
    body: Body<'a>,
}

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    msg_id: u64,
    user_id: Option<&'a str>,
    session_id: Option<&'a str>,
    old_session_id: Option<&'a str>,
}

fn main() -> std::io::Result<()> {
    let mut input = File::from(std::io::stdin().as_fd().try_clone_to_owned()?);
    let mut output = File::from(std::io::stdout().as_fd().try_clone_to_owned()?);
    let mut buffer = vec![0; 1024 * 1024];
    let mut replies = Vec::new();
    let mut filled = 0;
    loop {
        let arrived = input.read(&mut buffer[filled..filled + 64 * 1024])?;
        if arrived == 0 {
            return Ok(());
        }
        filled += arrived;
        replies.clear();
        let mut start = 0;
        for end in memchr::memchr_iter(b'\n', &buffer[..filled]) {
            answer(&buffer[start..end], &mut replies);
            start = end + 1;
        }
        buffer.copy_within(start..filled, 0);
        filled -= start;
        output.write_all(&replies)?;
    }
}

fn answer(line: &[u8], replies: &mut Vec<u8>) {
    let message: Message = serde_json::from_slice(line).expect("a request");
    let body = message.body;
    let mut put = |parts: [&str; 5]| {
        for part in parts {
            replies.extend_from_slice(part.as_bytes());
        }
    };
    let mut number = [0; 20];
    let id = write_number(body.msg_id, &mut number);
    put(["{\"src\":\"", message.dest, "\",\"dest\":\"", message.src, "\",\"body\":"]);
    let present = body.session_id.or(body.old_session_id).or(body.user_id);
    std::hint::black_box(present);
    match body.kind {
        "create_session" => {
            put(["{\"type\":\"session_created\",\"in_reply_to\":", id, ",\"session_id\":\"00000000-0000-4000-8000-", "", ""]);
            let padding = &"000000000000"[id.len().min(12)..];
            put([padding, id, "\",\"expires_at\":1790003600}}\n", "", ""]);
        }
        "regenerate_session" => {
            put(["{\"type\":\"session_regenerated\",\"in_reply_to\":", id, ",\"new_session_id\":\"10000000-0000-4000-8000-", "", ""]);
            let padding = &"000000000000"[id.len().min(12)..];
            put([padding, id, "\"}}\n", "", ""]);
        }
        "destroy_session" => {
            put(["{\"type\":\"session_destroyed\",\"in_reply_to\":", id, ",\"message\":\"Session destroyed\"}}\n", "", ""]);
        }
        "init" => put(["{\"type\":\"init_ok\",\"in_reply_to\":", id, "}}\n", "", ""]),
        _ => put(["{\"type\":\"session_valid\",\"in_reply_to\":", id, ",\"user_id\":\"user00000001\",\"expires_in\":3600}}\n", "", ""]),
    }
}

fn write_number(mut number: u64, digits: &mut [u8; 20]) -> &str {
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return std::str::from_utf8(&digits[at..]).expect("digits");
        }
    }
}
