//! A client for people and scripts: sends the lines of stdin to a node that serves a socket, and prints its replies.

use std::io::{self, BufRead, BufReader, IsTerminal, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Context, bail};
use serde::Deserialize;

/// The status of a call of which a reply was an error.
const A_REPLY_WAS_AN_ERROR: u8 = 3;

/// As much of a reply as says whether it is an error.
#[derive(Deserialize)]
struct Reply {
    body: Option<Box<Reply>>,
    r#type: Option<String>,
}

impl Reply {
    fn is_error(&self) -> bool {
        let body = self.body.as_deref().unwrap_or(self);
        body.r#type.as_deref() == Some("error")
    }
}

/// Sends stdin to the node at `path`, until both have ended. Returns the status to exit with.
///
/// # Errors
///
/// If the node cannot be reached, or goes away before stdin has ended.
pub fn call(path: &Path, hint: &str) -> anyhow::Result<ExitCode> {
    static HAS_SENT_ALL: AtomicBool = AtomicBool::new(false);
    let name = path.display();
    let node = UnixStream::connect(path);
    let node = node.with_context(|| format!("cannot connect to a node at {name}"))?;
    let mut to_node = node.try_clone().context("cannot use the connection")?;
    if io::stdin().is_terminal() {
        let _ = io::stderr().write_all(hint.as_bytes());
    }
    // The node stops reading when nobody takes its replies, so one thread sends while another reads.
    let sender = thread::Builder::new().name("sender".into());
    sender
        .spawn(move || {
            // A node that has gone is noticed where its replies end.
            let _ = io::copy(&mut io::stdin().lock(), &mut to_node);
            HAS_SENT_ALL.store(true, Ordering::Release);
            let _ = to_node.shutdown(Shutdown::Write);
        })
        .context("cannot start a thread")?;
    let mut replies = BufReader::new(node);
    let mut output = io::stdout().lock();
    let mut line = Vec::new();
    let mut was_error = false;
    loop {
        line.clear();
        let read = replies.read_until(b'\n', &mut line);
        if read.with_context(|| format!("the node at {name} has gone"))? == 0 {
            break;
        }
        let reply = serde_json::from_slice::<Reply>(&line);
        was_error |= reply.is_ok_and(|reply| reply.is_error());
        match output.write_all(&line).and_then(|()| output.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => break,
            written => written.context("cannot write to standard output")?,
        }
    }
    if !HAS_SENT_ALL.load(Ordering::Acquire) {
        bail!("the node at {name} has closed the connection");
    }
    let status = if was_error { A_REPLY_WAS_AN_ERROR } else { 0 };
    Ok(ExitCode::from(status))
}
