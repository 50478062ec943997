//! What every black-box test needs: the built binary, started, fed and read with a deadline,
//! and the few lines of JSON that all of them send and read.

use std::fmt::Display;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::program;

/// Far beyond what any step takes: it only keeps a hanging node from hanging the tests.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// The session that the course's samples speak of.
pub const PRELOADED: &[&str] = &["--preload", "abc123=user123"];

/// No options at all.
pub const DEFAULTS: &[&str] = &[];

/// The binary under test, untouched by the options in the environment of whoever runs the tests.
pub fn command(args: &[&str]) -> Command {
    let mut command = Command::new(program());
    command.args(args);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("SESSION_NODE_") {
            command.env_remove(name);
        }
    }
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Waits for the end of `child`; one that does not end in time is killed and fails the test.
pub fn wait(child: &mut Child) -> ExitStatus {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("the child can be waited for") {
            return status;
        }
        if start.elapsed() > DEADLINE {
            let _ = child.kill();
            panic!("the node did not end within {DEADLINE:?}");
        }
        thread::sleep(Duration::from_millis(2));
    }
}

/// The most memory a process has held so far.
#[cfg(target_os = "linux")]
pub fn peak_memory_kib(child: &Child) -> u64 {
    memory_kib(child, "VmHWM")
}

/// What the system tells of a process's memory under this name.
#[cfg(target_os = "linux")]
pub fn memory_kib(child: &Child, name: &str) -> u64 {
    let path = format!("/proc/{}/status", child.id());
    let status = std::fs::read_to_string(path).expect("the process runs");
    let mut lines = status.lines().filter_map(|line| line.split_once(':'));
    let figure = lines.find(|(key, _)| *key == name);
    let digits = figure.and_then(|(_, text)| text.split_whitespace().next());
    digits
        .and_then(|text| text.parse().ok())
        .expect("a number of KiB")
}

/// Everything a node wrote, and how it ended.
pub struct Output {
    pub stdout: Vec<u8>,
    pub stderr: String,
    pub status: ExitStatus,
}

impl Output {
    /// The replies, each of which must be a complete line of UTF-8.
    pub fn lines(&self) -> Vec<&str> {
        let text = std::str::from_utf8(&self.stdout).expect("stdout is UTF-8");
        assert!(
            text.is_empty() || text.ends_with('\n'),
            "the last reply is cut off"
        );
        text.lines().collect()
    }

    /// Checks that the node ended well, whatever it had to say on stderr.
    #[expect(
        clippy::return_self_not_must_use,
        reason = "whoever checks the end need not read the rest"
    )]
    pub fn ended_well(self) -> Self {
        assert_eq!(
            self.status.code(),
            Some(0),
            "exit status; stderr: {}",
            self.stderr
        );
        self
    }
}

/// A running node, spoken to line by line.
pub struct Node {
    pub child: Child,
    stdin: Option<ChildStdin>,
    replies: Receiver<Vec<u8>>,
    stderr: Option<JoinHandle<Vec<u8>>>,
}

impl Node {
    pub fn start(args: &[&str]) -> Self {
        Self::spawn(&mut command(args))
    }

    /// Starts a node by a command whose three streams are pipes.
    pub fn spawn(command: &mut Command) -> Self {
        let mut child = command.spawn().expect("the node starts");
        let mut stdout = BufReader::new(child.stdout.take().expect("stdout is a pipe"));
        let mut stderr = child.stderr.take().expect("stderr is a pipe");
        let (sender, replies) = mpsc::channel();
        thread::spawn(move || {
            loop {
                let mut line = Vec::new();
                match stdout.read_until(b'\n', &mut line) {
                    Ok(0) | Err(_) => break,
                    Ok(_) if sender.send(line).is_err() => break,
                    Ok(_) => {}
                }
            }
        });
        let stderr = thread::spawn(move || {
            let mut bytes = Vec::new();
            stderr.read_to_end(&mut bytes).expect("stderr can be read");
            bytes
        });
        Self {
            stdin: child.stdin.take(),
            child,
            replies,
            stderr: Some(stderr),
        }
    }

    /// Takes the node's stdin, for a thread that writes while this one reads.
    pub fn take_stdin(&mut self) -> ChildStdin {
        self.stdin.take().expect("stdin is still open")
    }

    /// Writes exactly these bytes, in one write where the pipe allows.
    pub fn write(&mut self, bytes: impl AsRef<[u8]>) {
        let stdin = self.stdin.as_mut().expect("stdin is still open");
        stdin
            .write_all(bytes.as_ref())
            .expect("the node reads its stdin");
    }

    pub fn send(&mut self, line: impl Display) {
        self.write(format!("{line}\n"));
    }

    /// The next reply, without its newline.
    pub fn recv(&mut self) -> String {
        let mut line = self
            .replies
            .recv_timeout(DEADLINE)
            .expect("a reply in time");
        assert_eq!(line.pop(), Some(b'\n'), "the reply is cut off");
        String::from_utf8(line).expect("a reply is UTF-8")
    }

    /// Sends one request body in an envelope and returns the body of its reply.
    pub fn ask(&mut self, request: impl Display) -> Value {
        self.send(message(request));
        body(&self.recv())
    }

    /// The most memory the node has held so far.
    #[cfg(target_os = "linux")]
    pub fn peak_memory_kib(&self) -> u64 {
        peak_memory_kib(&self.child)
    }

    /// Ends the input and collects what is left.
    pub fn finish(mut self) -> Output {
        drop(self.stdin.take());
        self.collect()
    }

    /// Waits for the node to end, with its input left as it is.
    pub fn collect(&mut self) -> Output {
        let mut stdout = Vec::new();
        loop {
            match self.replies.recv_timeout(DEADLINE) {
                Ok(line) => stdout.extend(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("the node neither answers nor ends"),
            }
        }
        let status = wait(&mut self.child);
        let stderr = self.stderr.take().expect("collected once").join();
        let stderr = stderr.expect("stderr was read");
        Output {
            stdout,
            stderr: String::from_utf8(stderr).expect("stderr is UTF-8"),
            status,
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Feeds the node the whole input, ends it, and returns what came out.
pub fn run(args: &[&str], input: impl Into<Vec<u8>>) -> Output {
    let mut node = Node::start(args);
    let mut stdin = node.take_stdin();
    let input = input.into();
    // From a thread, since input and output may each be larger than a pipe. A node that ends
    // early breaks this pipe; the caller sees that from its output.
    let writer = thread::spawn(move || stdin.write_all(&input));
    let output = node.finish();
    let _ = writer.join().expect("the writer does not panic");
    output
}

/// Runs a node that has no reason to complain, and returns its replies.
pub fn replies(args: &[&str], input: impl Into<Vec<u8>>) -> Vec<String> {
    let output = run(args, input).ended_well();
    assert_eq!(output.stderr, "", "stderr");
    output.lines().into_iter().map(String::from).collect()
}

/// Sends all the request bodies of `pairs` at once, each in an envelope, and compares the replies
/// byte for byte with the reply bodies.
pub fn assert_answers(args: &[&str], pairs: &[(&str, &str)]) {
    let input: String = pairs
        .iter()
        .map(|(request, _)| message(request) + "\n")
        .collect();
    let expected: Vec<String> = pairs.iter().map(|(_, answer)| reply(answer)).collect();
    assert_eq!(replies(args, input), expected);
}

/// A request from `c1` to `n1`.
pub fn message(body: impl Display) -> String {
    format!(r#"{{"src":"c1","dest":"n1","body":{body}}}"#)
}

/// The line in which `n1` answers `c1`.
pub fn reply(body: impl Display) -> String {
    format!(r#"{{"src":"n1","dest":"c1","body":{body}}}"#)
}

/// The body of a reply, or the whole of a bare one.
pub fn body(line: &str) -> Value {
    let mut value: Value = serde_json::from_str(line).expect("a reply is JSON");
    match value.get_mut("body") {
        Some(body) => body.take(),
        None => value,
    }
}

/// A string that the reply body must have.
pub fn text(body: &Value, key: &str) -> String {
    let value = body.get(key).and_then(Value::as_str);
    value
        .unwrap_or_else(|| panic!("{key} is a string in {body}"))
        .to_owned()
}
