//! One node under load: a child process, what is sent to it, what comes back, and what it cost.

use std::fs;
use std::io::{Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// A kind of node that takes part.
pub struct Kind {
    pub name: &'static str,
    pub command: Vec<String>,
    /// Requests sent, of those sent to the fastest: slow nodes get a part, so that a round ends in time.
    pub share: f64,
    /// Whether it answers requests at all, or only writes lines back.
    pub answers: bool,
}

pub struct Contestant {
    child: Child,
    stdin: ChildStdin,
    stdout: ChildStdout,
}

/// What a number of requests took.
#[derive(Clone, Copy, Default)]
pub struct Cost {
    pub requests: usize,
    pub wall: Duration,
    /// On the contestant's side, by the kernel's accounting of all its threads.
    pub cpu: Duration,
}

impl Cost {
    pub fn per_second(&self) -> f64 {
        to_f64(self.requests) / self.wall.as_secs_f64()
    }

    pub fn cpu_micros(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / to_f64(self.requests)
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
pub fn to_f64(count: usize) -> f64 {
    count as f64
}

impl Contestant {
    /// Starts a node on the second processor, where there is one and `taskset` to say so.
    pub fn start(kind: &Kind) -> Self {
        let pinned = ["taskset", "-c", "1"].map(String::from);
        let mut words = kind.command.clone();
        if can_pin() {
            words.splice(0..0, pinned);
        }
        let mut child = Command::new(&words[0])
            .args(&words[1..])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", kind.name));
        let stdin = child.stdin.take().expect("stdin is a pipe");
        let stdout = child.stdout.take().expect("stdout is a pipe");
        Self {
            child,
            stdin,
            stdout,
        }
    }

    /// Sends all requests as fast as they are taken, and checks that each reply contains what is expected of it.
    /// `on_reply` is given every reply.
    pub fn exchange(&mut self, requests: &Requests, mut on_reply: impl FnMut(&[u8])) -> Cost {
        let pid = self.child.id();
        let cpu_before = cpu_time(pid);
        let start = Instant::now();
        let (stdin, stdout) = (&mut self.stdin, &mut self.stdout);
        thread::scope(|scope| {
            scope.spawn(|| stdin.write_all(&requests.bytes).expect("the node reads"));
            let mut buffer = vec![0; 1024 * 1024];
            let mut filled = 0;
            let mut seen = 0;
            while seen < requests.expected.len() {
                let arrived = stdout.read(&mut buffer[filled..]).expect("the node writes");
                assert!(arrived > 0, "the node ended");
                filled += arrived;
                let mut start = 0;
                for end in memchr::memchr_iter(b'\n', &buffer[..filled]) {
                    let reply = &buffer[start..end];
                    requests.check(reply);
                    on_reply(reply);
                    seen += 1;
                    start = end + 1;
                }
                buffer.copy_within(start..filled, 0);
                filled -= start;
            }
        });
        Cost {
            requests: requests.expected.len(),
            wall: start.elapsed(),
            cpu: cpu_time(pid).saturating_sub(cpu_before),
        }
    }

    /// Sends the same request again and again, each after the reply to the last, and returns how long each took,
    /// shortest first.
    pub fn one_at_a_time(&mut self, request: &[u8], times: usize) -> Vec<Duration> {
        let mut buffer = [0; 4096];
        let mut took: Vec<Duration> = (0..times)
            .map(|_| {
                let start = Instant::now();
                self.stdin.write_all(request).expect("the node reads");
                let mut arrived = 0;
                while !buffer[..arrived].ends_with(b"\n") {
                    arrived += self
                        .stdout
                        .read(&mut buffer[arrived..])
                        .expect("the node writes");
                }
                start.elapsed()
            })
            .collect();
        took.sort_unstable();
        took
    }

    pub fn resident_bytes(&self) -> usize {
        resident_bytes(self.child.id())
    }

    /// Ends the node, and waits until it has.
    pub fn finish(self) {
        let Self {
            mut child,
            stdin,
            stdout,
        } = self;
        drop((stdin, stdout));
        child.kill().expect("a child can be ended");
        child.wait().expect("a child can be waited for");
    }
}

/// Requests in one piece, with the type of reply that each must get.
#[derive(Default)]
pub struct Requests {
    bytes: Vec<u8>,
    expected: Vec<&'static str>,
}

impl Requests {
    pub fn add(&mut self, request: &str, field: &str, value: &str, expected: &'static str) {
        // From 1 on: to the `maelstrom-node` crate, 0 is no number.
        let number = self.expected.len() + 1;
        writeln!(
            self.bytes,
            r#"{{"src":"c1","dest":"n1","body":{{"type":"{request}","msg_id":{number},"{field}":"{value}"}}}}"#
        )
        .expect("memory can be written");
        self.expected.push(expected);
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Finds the request by `in_reply_to`, since not every contestant answers in order.
    fn check(&self, reply: &[u8]) {
        const IN_REPLY_TO: &[u8] = b"\"in_reply_to\":";
        let at = memchr::memmem::find(reply, IN_REPLY_TO).expect("a reply to something");
        let number = reply[at + IN_REPLY_TO.len()..].trim_ascii_start();
        let digits = number.iter().take_while(|byte| byte.is_ascii_digit());
        let number = digits.fold(0, |number, digit| number * 10 + usize::from(digit - b'0'));
        let is_there = memchr::memmem::find(reply, self.expected[number - 1].as_bytes()).is_some();
        assert!(
            is_there,
            "reply to {number}: {}",
            String::from_utf8_lossy(reply)
        );
    }
}

/// The value of a string field of a reply.
pub fn string_of<'a>(reply: &'a [u8], name: &str) -> &'a str {
    let reply = str::from_utf8(reply).expect("replies are UTF-8");
    let (_, value) = reply.split_once(name).expect("the reply has the field");
    value
        .trim_start_matches(['"', ':', ' '])
        .split('"')
        .next()
        .expect("a value")
}

/// Time on a processor, of all threads that a process has now.
pub fn cpu_time(pid: u32) -> Duration {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("/proc is there");
    let nanos = tasks.filter_map(|task| {
        let file = task.ok()?.path().join("schedstat");
        fs::read_to_string(file)
            .ok()?
            .split(' ')
            .next()?
            .parse::<u64>()
            .ok()
    });
    Duration::from_nanos(nanos.sum())
}

pub fn resident_bytes(pid: u32) -> usize {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("/proc is there");
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .expect("VmRSS");
    let kibibytes: usize = line
        .split_whitespace()
        .nth(1)
        .and_then(|n| n.parse().ok())
        .expect("a number");
    kibibytes * 1024
}

pub fn can_pin() -> bool {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    cores > 1
        && Command::new("taskset")
            .arg("-V")
            .stdout(Stdio::null())
            .status()
            .is_ok()
}
