//! Starts the contestants, each as a process.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::contestant::Contestant;
use crate::machine;
use crate::wire::{Kind, ReplyReader, Request};

const PEERS_SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/peers");

/// Knows where the contestants' programs are.
pub struct Arena {
    node: PathBuf,
    peers: PathBuf,
    /// The contestants whose programs this machine has.
    pub contestants: Vec<Contestant>,
    /// Whether driver and contestants have a core each.
    pub is_pinned: bool,
}

impl Arena {
    /// Builds the peers into `target`, looks for the programs that others install, and pins the driver.
    pub fn prepare(node: &Path, target: &Path) -> Result<Self> {
        let target = target.join("peers");
        let status = Command::new(env!("CARGO"))
            .args(["build", "--release", "--locked", "--manifest-path"])
            .arg(Path::new(PEERS_SOURCE).join("Cargo.toml"))
            .env("CARGO_TARGET_DIR", &target)
            .status()?;
        ensure!(status.success(), "benches/peers does not build");
        let mut contestants = Contestant::ALL.to_vec();
        contestants.retain(|contestant| match contestant {
            Contestant::Python => machine::has("python3"),
            Contestant::Redis => machine::has("redis-server"),
            _ => true,
        });
        Ok(Self {
            node: node.to_owned(),
            peers: target.join("release"),
            contestants,
            is_pinned: machine::pin_driver(),
        })
    }

    /// Starts a contestant and waits until it answers.
    pub fn start(&self, contestant: Contestant) -> Result<Running> {
        let running = match contestant {
            Contestant::Redis => self.start_redis(),
            _ => self.start_on_pipes(contestant),
        };
        let name = contestant.name();
        let mut running = running.with_context(|| format!("cannot start {name}"))?;
        let mut request = Vec::new();
        running.put(Request::Init, &mut request);
        let kind = running.ask(&request)?;
        ensure!(
            matches!(kind, Kind::InitOk | Kind::Echoed),
            "{name} does not answer init"
        );
        Ok(running)
    }

    fn start_on_pipes(&self, contestant: Contestant) -> Result<Running> {
        let mut command = self.command(contestant);
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let input = process.stdin.take().context("stdin is a pipe")?;
        let output = process.stdout.take().context("stdout is a pipe")?;
        let process = Process(process);
        Ok(Running::new(contestant, process, input, output))
    }

    fn start_redis(&self) -> Result<Running> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut command = self.command(Contestant::Redis);
        command
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no", "--loglevel", "warning"])
            .stdout(Stdio::null());
        let process = Process(command.spawn()?);
        let connection = connect(port)?;
        connection.set_nodelay(true)?;
        let output = connection.try_clone()?;
        let mut running = Running::new(Contestant::Redis, process, connection, output);
        running.port = port;
        Ok(running)
    }

    /// The command line of a node, pinned to the second core.
    pub fn node_command(&self) -> Command {
        self.pinned(&self.node)
    }

    /// The command line of a program, pinned to the second core.
    pub fn pinned(&self, program: impl AsRef<Path>) -> Command {
        let program = program.as_ref();
        if self.is_pinned {
            let mut command = Command::new("taskset");
            command.args(["-c", "1"]).arg(program);
            command
        } else {
            Command::new(program)
        }
    }

    /// The contestant's command line, pinned to the second core.
    fn command(&self, contestant: Contestant) -> Command {
        let peer = |name| self.peers.join(name);
        let program = match contestant {
            Contestant::SessionNode | Contestant::NodeOnRedis(_) => self.node.clone(),
            Contestant::ParseFloor => peer("parse-floor"),
            Contestant::EchoFloor => peer("echo-floor"),
            Contestant::CourseNode => peer("course-node"),
            Contestant::MaelstromNode => peer("maelstrom-peer"),
            Contestant::Python => "python3".into(),
            Contestant::Redis => "redis-server".into(),
        };
        let mut command = self.pinned(program);
        match contestant {
            // Room for the largest run, whatever the default.
            Contestant::SessionNode => command.args(["--max-sessions", "20000000"]),
            Contestant::NodeOnRedis(port) => {
                command.args(["--store", &format!("redis://127.0.0.1:{port}")])
            }
            Contestant::Python => command.arg(Path::new(PEERS_SOURCE).join("node.py")),
            _ => &mut command,
        };
        command
    }
}

/// Connects to a server as soon as it listens.
fn connect(port: u16) -> Result<TcpStream> {
    let mut attempts = 0;
    loop {
        match TcpStream::connect(("127.0.0.1", port)) {
            Err(_) if attempts < 100 => attempts += 1,
            connected => return connected.context("redis-server does not listen"),
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// A process that ends when it is dropped.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail if the process has ended already, which is all that they are for.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A contestant that was started.
pub struct Running {
    pub contestant: Contestant,
    /// Where it listens, if it is Redis.
    pub port: u16,
    process: Process,
    pub input: Box<dyn Write + Send>,
    pub output: Box<dyn Read + Send>,
    pub replies: ReplyReader,
    last_msg_id: u64,
}

impl Running {
    fn new(
        contestant: Contestant,
        process: Process,
        input: impl Write + Send + 'static,
        output: impl Read + Send + 'static,
    ) -> Self {
        Self {
            contestant,
            port: 0,
            process,
            input: Box::new(input),
            output: Box::new(output),
            replies: ReplyReader::new(contestant.dialect()),
            last_msg_id: 0,
        }
    }

    pub fn pid(&self) -> u32 {
        self.process.0.id()
    }

    /// Appends a request with a new number.
    pub fn put(&mut self, request: Request<'_>, out: &mut Vec<u8>) {
        let msg_id = self.reserve_msg_ids(1);
        self.contestant.dialect().put(request, msg_id, out);
    }

    /// Takes `count` numbers for requests, and returns the first.
    pub fn reserve_msg_ids(&mut self, count: usize) -> u64 {
        let first = self.last_msg_id + 1;
        self.last_msg_id += count as u64;
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
}
