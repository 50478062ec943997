//! A client for people and scripts: sends the lines of stdin to a node that serves a socket, and prints its replies.

use std::io::{self, BufRead, BufReader, ErrorKind, IsTerminal, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;
use std::sync::mpsc;
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
/// If the node cannot be reached or goes away before stdin has ended, or stdin cannot be read.
pub fn call(path: &Path, hint: &str) -> anyhow::Result<ExitCode> {
    let name = path.display();
    let node = UnixStream::connect(path);
    let node = node.with_context(|| format!("cannot connect to a node at {name}"))?;
    let mut to_node = node.try_clone().context("cannot use the connection")?;
    if io::stdin().is_terminal() {
        let _ = io::stderr().write_all(hint.as_bytes());
    }
    // The node stops reading when nobody takes its replies, so one thread sends while another reads.
    let (sender, sent) = mpsc::channel();
    let thread = thread::Builder::new().name("sender".into());
    thread
        .spawn(move || {
            // The main thread looks when the node has closed the connection, which it does after this end of it.
            let _ = sender.send(io::copy(&mut io::stdin().lock(), &mut to_node));
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
            // Nobody wants to know more.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(status(was_error)),
            written => written.context("cannot write to standard output")?,
        }
    }
    match sent.try_recv() {
        Ok(Ok(_)) => Ok(status(was_error)),
        Ok(Err(error)) if !is_of_connection(&error) => {
            Err(error).context("cannot read standard input")
        }
        _ => bail!("the node at {name} has closed the connection"),
    }
}

/// Whether an error of the sender says that the node has gone, and not that stdin cannot be read.
fn is_of_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::BrokenPipe | ErrorKind::ConnectionReset
    )
}

fn status(was_error: bool) -> ExitCode {
    ExitCode::from(if was_error { A_REPLY_WAS_AN_ERROR } else { 0 })
}
