//! The peer that keeps a real node busy: a mix of requests such as an application sends, some that no application
//! should, and a count of everything that the node says.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::Value;

/// Requests that are written together.
const BATCH: usize = 256;

/// Batches on their way: while the node works on one, the next is there already. So few fit into a pipe.
const ON_THE_WAY: usize = 2;

/// Sessions that are in use. Others are left to expire, as when a browser is closed.
const IN_USE: usize = 5_000;

const USERS: u32 = 50_000;

/// What the peer has counted. The names are those that `stats` has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub created: u64,
    pub validated: u64,
    pub invalid: u64,
    pub regenerated: u64,
    pub errors: u64,
    pub requests: u64,
}

/// What is to be counted when its reply comes, and which replies there may be.
#[derive(Clone, Copy, Debug)]
enum Sent {
    Create,
    Validate,
    Guess,
    Regenerate,
    Update,
    List,
    Destroy,
    DestroyUser,
    Malformed,
}

/// A node and what it was asked.
pub struct Peer {
    node: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    random: StdRng,
    ids: Vec<String>,
    on_the_way: VecDeque<(Instant, Vec<Sent>)>,
    lines: String,
    line: String,
    pub counts: Counts,
    /// From the writing of each batch to its last reply, since somebody last asked.
    pub batch_times: Vec<Duration>,
}

impl Peer {
    /// Starts the program at `node`.
    pub fn start(node: &str, ttl: u64, idle_timeout: u64) -> Result<Self> {
        let mut node = Command::new(node)
            .args(["--ttl", &ttl.to_string()])
            .args(["--idle-timeout", &idle_timeout.to_string()])
            // Some lines are no requests, and each would be worth a warning.
            .args(["--log", "error"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("the node does not start")?;
        let stdin = node.stdin.take().context("a pipe")?;
        let stdout = BufReader::with_capacity(1 << 16, node.stdout.take().context("a pipe")?);
        Ok(Self {
            node,
            stdin,
            stdout,
            random: StdRng::seed_from_u64(1),
            ids: Vec::new(),
            on_the_way: VecDeque::new(),
            lines: String::new(),
            line: String::new(),
            counts: Counts::default(),
            batch_times: Vec::new(),
        })
    }

    /// Sends one batch more, and takes the replies to an earlier one.
    pub fn go_on(&mut self) -> Result<()> {
        self.lines.clear();
        let batch = (0..BATCH).map(|_| self.request()).collect();
        self.on_the_way.push_back((Instant::now(), batch));
        self.stdin.write_all(self.lines.as_bytes())?;
        if self.on_the_way.len() >= ON_THE_WAY {
            self.take_replies()?;
        }
        Ok(())
    }

    /// Takes all replies that are due.
    pub fn settle(&mut self) -> Result<()> {
        while !self.on_the_way.is_empty() {
            self.take_replies()?;
        }
        Ok(())
    }

    /// How long a lone validation takes, with nothing else on its way.
    pub fn probe(&mut self) -> Result<Duration> {
        self.settle()?;
        self.lines.clear();
        self.validate();
        let start = Instant::now();
        self.stdin.write_all(self.lines.as_bytes())?;
        self.take_reply(Sent::Validate)?;
        Ok(start.elapsed())
    }

    /// What the node says of itself.
    pub fn stats(&mut self) -> Result<Value> {
        self.settle()?;
        self.stdin.write_all(b"{\"type\":\"stats\"}\n")?;
        self.read_line()?;
        Ok(serde_json::from_str(&self.line)?)
    }

    /// The memory that the node has now.
    pub fn resident_kib(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.node.id()))?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let digits = resident.and_then(|text| text.split_whitespace().next());
        digits.context("VmRSS")?.parse().context("VmRSS")
    }

    /// Ends the input: the node has to end with it, and well.
    pub fn finish(mut self) -> Result<()> {
        drop(self.stdin);
        let rest = self.stdout.read_line(&mut self.line)?;
        ensure!(rest == 0, "a reply that nobody asked for");
        let status = self.node.wait()?;
        ensure!(status.success(), "the node ended with {status}");
        Ok(())
    }

    fn request(&mut self) -> Sent {
        let (sent, line) = match self.random.random_range(0..1000) {
            0..100 => {
                let user = self.user();
                let data = match self.random.random_range(0..4) {
                    0 => r#","data":{"cart":[1,2,3],"locale":"de"}"#,
                    _ => "",
                };
                let line = format!(r#"{{"type":"create_session","user_id":"{user}"{data}}}"#);
                (Sent::Create, line)
            }
            100..160 => (Sent::Regenerate, {
                let id = self.give_up_an_id();
                format!(r#"{{"type":"regenerate_session","old_session_id":"{id}"}}"#)
            }),
            160..200 => (Sent::Update, {
                let id = self.id().to_owned();
                let filler = "x".repeat(self.random.random_range(0..200));
                format!(
                    r#"{{"type":"update_session","session_id":"{id}","data":{{"f":"{filler}"}}}}"#
                )
            }),
            200..210 => (Sent::List, {
                let user = self.user();
                format!(r#"{{"type":"list_sessions","user_id":"{user}"}}"#)
            }),
            210..250 => (Sent::Destroy, {
                let id = self.give_up_an_id();
                format!(r#"{{"type":"destroy_session","session_id":"{id}"}}"#)
            }),
            250..255 => (Sent::DestroyUser, {
                let user = self.user();
                format!(r#"{{"type":"destroy_user_sessions","user_id":"{user}"}}"#)
            }),
            255..265 => (Sent::Malformed, r#"{"type":"validate_session"}"#.to_owned()),
            265..270 => (Sent::Malformed, r#"{"type":}"#.to_owned()),
            270..290 => (Sent::Guess, {
                let number: u64 = self.random.random();
                format!(r#"{{"type":"validate_session","session_id":"guess-{number}"}}"#)
            }),
            _ => return self.validate(),
        };
        self.lines.push_str(&line);
        self.lines.push('\n');
        sent
    }

    fn validate(&mut self) -> Sent {
        let at = self.place();
        let id = self.ids.get(at).map_or("none-yet", String::as_str);
        let _ = writeln!(
            self.lines,
            r#"{{"type":"validate_session","session_id":"{id}"}}"#
        );
        Sent::Validate
    }

    fn user(&mut self) -> String {
        format!("user{:06}", self.random.random_range(0..USERS))
    }

    fn place(&mut self) -> usize {
        self.random.random_range(0..self.ids.len().max(1))
    }

    fn id(&mut self) -> &str {
        let at = self.place();
        self.ids.get(at).map_or("none-yet", String::as_str)
    }

    /// An id that is not used again.
    fn give_up_an_id(&mut self) -> String {
        let at = self.place();
        if at < self.ids.len() {
            self.ids.swap_remove(at)
        } else {
            "none-yet".to_owned()
        }
    }

    /// A new session is used from now on; if there are enough of those, another one is not any more.
    fn remember(&mut self, id: String) {
        let at = self.place();
        if self.ids.len() < IN_USE {
            self.ids.push(id);
        } else {
            self.ids[at] = id;
        }
    }

    fn take_replies(&mut self) -> Result<()> {
        let Some((start, batch)) = self.on_the_way.pop_front() else {
            return Ok(());
        };
        for sent in batch {
            self.take_reply(sent)?;
        }
        self.batch_times.push(start.elapsed());
        Ok(())
    }

    fn take_reply(&mut self, sent: Sent) -> Result<()> {
        self.read_line()?;
        let rest = self.line.strip_prefix(r#"{"type":""#);
        let kind = rest.and_then(|rest| rest.split('"').next());
        let kind = kind.with_context(|| format!("a reply without a type: {}", self.line))?;
        let counts = &mut self.counts;
        counts.requests += 1;
        match (sent, kind) {
            (Sent::Create, "session_created") => {
                counts.created += 1;
                let id = field(&self.line, r#""session_id":""#)?;
                self.remember(id);
            }
            (Sent::Regenerate, "session_regenerated") => {
                counts.regenerated += 1;
                let id = field(&self.line, r#""new_session_id":""#)?;
                self.remember(id);
            }
            (Sent::Validate, "session_valid") => counts.validated += 1,
            (Sent::Guess | Sent::Validate | Sent::Regenerate | Sent::Update, "session_invalid") => {
                counts.invalid += 1;
            }
            (Sent::Malformed, "error") => counts.errors += 1,
            (Sent::Update, "session_updated")
            | (Sent::List, "session_list")
            | (Sent::Destroy, "session_destroyed")
            | (Sent::DestroyUser, "user_sessions_destroyed") => {}
            _ => anyhow::bail!("{sent:?} was answered with {kind}"),
        }
        Ok(())
    }

    fn read_line(&mut self) -> Result<()> {
        self.line.clear();
        let bytes = self.stdout.read_line(&mut self.line)?;
        ensure!(bytes > 0, "the node has ended");
        Ok(())
    }
}

fn field(line: &str, name: &str) -> Result<String> {
    let (_, rest) = line.split_once(name).context("an id in the reply")?;
    Ok(rest.split('"').next().unwrap_or_default().to_owned())
}
