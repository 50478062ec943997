//! The contestants: which there are, and how each is started and spoken to.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::machine::{self, CpuTime};
use crate::wire::{Dialect, Kind, ReplyReader, Request};

/// Something to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contestant {
    SessionNode,
    ParseFloor,
    EchoFloor,
    CourseNode,
    MaelstromNode,
    Python,
    Redis,
    /// session-node with its sessions on a Redis server: not one of those that take turns.
    NodeOnRedis,
}

impl Contestant {
    /// Those that take turns, in the order of the tables.
    pub const ALL: [Self; 7] = [
        Self::SessionNode,
        Self::ParseFloor,
        Self::EchoFloor,
        Self::CourseNode,
        Self::MaelstromNode,
        Self::Python,
        Self::Redis,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::SessionNode => "session-node",
            Self::ParseFloor => "parse floor",
            Self::EchoFloor => "echo floor",
            Self::CourseNode => "course-style Rust",
            Self::MaelstromNode => "maelstrom-node crate",
            Self::Python => "Python",
            Self::Redis => "Redis",
            Self::NodeOnRedis => "session-node on Redis",
        }
    }

    pub fn dialect(self) -> Dialect {
        match self {
            Self::Redis => Dialect::Resp,
            _ => Dialect::Json,
        }
    }

    /// Whether it answers so many requests a second that few of them would be over at once.
    pub fn is_fast(self) -> bool {
        matches!(self, Self::SessionNode | Self::ParseFloor | Self::Redis)
    }

    /// How many requests are written at once, and how many may be unanswered. Redis gets pipelines of 256,
    /// several on their way at a time, so that it never waits for the driver. The others' pipes hold fewer
    /// requests than their limit, which is there for the one that reads faster than it answers.
    pub fn pipeline(self) -> Pipeline {
        match self {
            Self::Redis => Pipeline {
                piece: 256,
                window: 8 * 256,
            },
            _ => Pipeline {
                piece: 512,
                window: 16 * 1024,
            },
        }
    }
}

/// How requests are sent.
#[derive(Clone, Copy)]
pub struct Pipeline {
    /// Requests in one write.
    pub piece: usize,
    /// Requests that are sent and not answered, at the most.
    pub window: u64,
}

/// Starts contestants.
pub struct Arena {
    node: PathBuf,
    peers: PathBuf,
    present: Vec<Contestant>,
    /// What is missing, and why.
    pub absent: Vec<String>,
    /// Whether the contestants have a processor of their own.
    pub pinned: bool,
}

impl Arena {
    /// Builds the peers, and looks for the programs that are not built here.
    pub fn prepare(node: &Path, target: &Path) -> Result<Self> {
        let peers = build_peers(target)?;
        let mut present = Contestant::ALL.to_vec();
        let mut absent = Vec::new();
        for (contestant, program) in [
            (Contestant::Python, "python3"),
            (Contestant::Redis, "redis-server"),
        ] {
            if !machine::has(program) {
                present.retain(|one| *one != contestant);
                absent.push(format!(
                    "{}: skipped, there is no {program} here",
                    contestant.name()
                ));
            }
        }
        Ok(Self {
            node: node.to_owned(),
            peers,
            present,
            absent,
            pinned: machine::pin_driver(),
        })
    }

    /// The contestants that can be started.
    pub fn contestants(&self) -> impl Iterator<Item = Contestant> {
        self.present.iter().copied()
    }

    pub fn has(&self, contestant: Contestant) -> bool {
        self.present.contains(&contestant)
    }

    /// Starts a contestant and waits until it answers.
    pub fn start(&self, contestant: Contestant) -> Result<Running> {
        let mut running = match contestant {
            Contestant::Redis => self.start_redis(),
            _ => self.start_on_pipes(contestant, &[]),
        }
        .with_context(|| format!("cannot start {}", contestant.name()))?;
        running.greet()?;
        Ok(running)
    }

    /// Starts a node that keeps its sessions on the Redis server that listens on `port`.
    pub fn start_on_redis(&self, port: u16) -> Result<Running> {
        let store = format!("redis://127.0.0.1:{port}");
        let mut running = self.start_on_pipes(Contestant::NodeOnRedis, &["--store", &store])?;
        running.greet()?;
        Ok(running)
    }

    fn start_on_pipes(&self, contestant: Contestant, arguments: &[&str]) -> Result<Running> {
        let mut process = self
            .command(contestant)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let input = process.stdin.take().context("no pipe to the contestant")?;
        let output = process
            .stdout
            .take()
            .context("no pipe from the contestant")?;
        Ok(Running::new(
            contestant,
            process,
            Box::new(input),
            Box::new(output),
        ))
    }

    fn start_redis(&self) -> Result<Running> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut process = self
            .command(Contestant::Redis)
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no", "--loglevel", "warning"])
            .stdout(Stdio::null())
            .spawn()?;
        let connection = match connect(port) {
            Ok(connection) => connection,
            Err(error) => {
                process.kill()?;
                process.wait()?;
                return Err(error);
            }
        };
        connection.set_nodelay(true)?;
        let output = connection.try_clone()?;
        let mut running = Running::new(
            Contestant::Redis,
            process,
            Box::new(connection),
            Box::new(output),
        );
        running.port = Some(port);
        Ok(running)
    }

    fn command(&self, contestant: Contestant) -> Command {
        let (program, argument) = match contestant {
            Contestant::SessionNode | Contestant::NodeOnRedis => (self.node.clone(), None),
            Contestant::ParseFloor => (self.peers.join("parse-floor"), None),
            Contestant::EchoFloor => (self.peers.join("echo-floor"), None),
            Contestant::CourseNode => (self.peers.join("course-node"), None),
            Contestant::MaelstromNode => (self.peers.join("maelstrom-peer"), None),
            Contestant::Python => (
                PathBuf::from("python3"),
                Some(peers_source().join("node.py")),
            ),
            Contestant::Redis => (PathBuf::from("redis-server"), None),
        };
        let mut command = if self.pinned {
            let mut command = Command::new("taskset");
            command.args(["-c", "1"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        command.args(argument);
        if contestant == Contestant::SessionNode {
            // Room for the largest run, whatever the default.
            command.args(["--max-sessions", "20000000"]);
        }
        command
    }
}

fn peers_source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("peers")
}

/// Builds the peers, and says where they are.
fn build_peers(target: &Path) -> Result<PathBuf> {
    let target = target.join("peers");
    let status = Command::new(env!("CARGO"))
        .args(["build", "--release", "--locked", "--manifest-path"])
        .arg(peers_source().join("Cargo.toml"))
        .env("CARGO_TARGET_DIR", &target)
        .status()
        .context("cannot run cargo to build benches/peers")?;
    ensure!(status.success(), "benches/peers does not build");
    Ok(target.join("release"))
}

fn connect(port: u16) -> Result<TcpStream> {
    for _ in 0..100 {
        if let Ok(connection) = TcpStream::connect(("127.0.0.1", port)) {
            return Ok(connection);
        }
        thread::sleep(Duration::from_millis(50));
    }
    bail!("redis-server does not listen")
}

/// A contestant that was started. Ends when it is dropped.
pub struct Running {
    pub contestant: Contestant,
    /// Where it listens, if it does.
    pub port: Option<u16>,
    process: Child,
    pub input: Box<dyn Write + Send>,
    pub output: Box<dyn Read + Send>,
    pub replies: ReplyReader,
    next_msg_id: u64,
}

impl Running {
    fn new(
        contestant: Contestant,
        process: Child,
        input: Box<dyn Write + Send>,
        output: Box<dyn Read + Send>,
    ) -> Self {
        Self {
            contestant,
            port: None,
            process,
            input,
            output,
            replies: ReplyReader::new(contestant.dialect()),
            next_msg_id: 0,
        }
    }

    /// CPU time so far.
    pub fn cpu_time(&self) -> Result<CpuTime> {
        CpuTime::of(self.process.id())
    }

    /// Memory now.
    pub fn resident_bytes(&self) -> Result<usize> {
        machine::resident_bytes(self.process.id())
    }

    /// Appends a request, with a number of its own.
    pub fn put(&mut self, request: Request<'_>, out: &mut Vec<u8>) {
        self.next_msg_id += 1;
        self.contestant
            .dialect()
            .put(request, self.next_msg_id, out);
    }

    /// Takes numbers for requests that are written elsewhere: the first of them.
    pub fn reserve_msg_ids(&mut self, count: usize) -> u64 {
        let first = self.next_msg_id + 1;
        self.next_msg_id += count as u64;
        first
    }

    /// Sends one request and waits for its reply.
    pub fn ask(&mut self, request: &[u8]) -> Result<Kind> {
        self.input.write_all(request)?;
        loop {
            if let Some((kind, _)) = self.replies.next(false) {
                return Ok(kind);
            }
            self.replies.fill(&mut self.output)?;
        }
    }

    fn greet(&mut self) -> Result<()> {
        let mut request = Vec::new();
        self.put(Request::Init, &mut request);
        let kind = self.ask(&request)?;
        ensure!(
            matches!(kind, Kind::InitOk | Kind::Echoed),
            "{} does not answer init",
            self.contestant.name()
        );
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself: then there is nothing left to do.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
