//! One node that serves many connections, beside one on a pipe, sixteen on one file, and Redis on its own socket.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::arena::Arena;
use crate::machine;
use crate::options::Sizes;
use crate::report::{Goal, Limit, Part, table};
use crate::stats::{Distribution, Spread, distribution, ratio};

/// How many processes of an application ask at the same time.
const CLIENTS: usize = 16;
const IDLE: usize = 1000;
const BUSY: usize = 100;

/// In a round, pipe and socket have this many turns each.
const TURNS: usize = 20;

const VALIDATE: &str = r#"{"type":"validate_session","msg_id":1,"session_id":"abc123"}"#;
const CREATE: &str = r#"{"type":"create_session","msg_id":1,"user_id":"alice"}"#;
const GET: &str = "*2\r\n$3\r\nGET\r\n$6\r\nabc123\r\n";
const SET: &str = "*3\r\n$3\r\nSET\r\n$6\r\nabc123\r\n$5\r\nalice\r\n";

/// A way to a process that answers line by line.
struct Way {
    to: Box<dyn Write + Send>,
    from: Box<dyn BufRead + Send>,
    /// How many lines a reply has.
    lines: usize,
}

/// Processes that end, and a directory that goes, when this is dropped.
#[derive(Default)]
struct Scene {
    processes: Vec<Child>,
    directory: PathBuf,
}

/// The figures of one round.
struct Round {
    pipe: Distribution,
    socket: Distribution,
    piped: f64,
    sockets: f64,
    busy: f64,
    busy_beside_idle: f64,
    /// Creates a second, and the distribution: one node on a file, and sixteen.
    on_file: Option<[(f64, Distribution); 2]>,
    /// Requests a second, and the server's processor time for each, in µs: the node, and Redis.
    beside_redis: Option<[(f64, f64); 2]>,
}

pub fn measure(arena: &Arena, sizes: &Sizes) -> Result<Part> {
    let mut rounds = Vec::new();
    for round in 1..=sizes.rounds {
        eprintln!("sockets, round {round}");
        rounds.push(measure_round(arena, sizes, round)?);
    }
    let of = |figure: &dyn Fn(&Round) -> f64, to: &dyn Fn(&Round) -> f64| {
        Some(Spread::of(
            rounds.iter().map(|round| figure(round) / to(round)),
        ))
    };
    let files: Vec<_> = rounds.iter().filter_map(|round| round.on_file).collect();
    let redis: Vec<_> = rounds
        .iter()
        .filter_map(|round| round.beside_redis)
        .collect();
    let ones: Vec<_> = files.iter().map(|[one, _]| *one).collect();
    let many: Vec<_> = files.iter().map(|[_, many]| *many).collect();
    let at_least = |figure, least, measured| Goal::new(figure, Limit::AtLeast(least), measured);
    let at_most = |figure, most, measured| Goal::new(figure, Limit::AtMost(most), measured);
    let goals = vec![
        at_most(
            "one validation at a time, p50: socket against pipe",
            1.15,
            of(&|it| it.socket[0], &|it| it.pipe[0]),
        ),
        at_least(
            "piped validations a second: 16 connections against one pipe",
            0.9,
            of(&|it| it.sockets, &|it| it.piped),
        ),
        at_least(
            "lone creates a second on SQLite, 16 clients: one node against 16 nodes",
            6.0,
            ratio(&ones, &many, |it| it.0),
        ),
        at_most(
            "their p99: one node against 16 nodes",
            0.1,
            ratio(&ones, &many, |it| it.1[1]),
        ),
        at_least(
            "validations a second of 100 busy connections: beside 1000 idle ones against alone",
            0.9,
            of(&|it| it.busy_beside_idle, &|it| it.busy),
        ),
        at_least(
            "lone validations a second, 16 connections: against Redis GET on its own socket",
            1.5,
            (!redis.is_empty())
                .then(|| Spread::of(redis.iter().map(|[node, redis]| node.0 / redis.0))),
        ),
    ];
    Ok(Part {
        goals,
        text: text(&rounds),
        plot: None,
    })
}

fn text(rounds: &[Round]) -> String {
    let rate = |figure: &dyn Fn(&Round) -> Option<f64>| {
        let values: Vec<_> = rounds.iter().filter_map(figure).collect();
        let whole = |value: f64| format!("{value:.0}");
        if values.is_empty() {
            "not measured".to_owned()
        } else {
            Spread::of(values).show(whole)
        }
    };
    let micros = |figure: &dyn Fn(&Round) -> Option<f64>| {
        let values: Vec<_> = rounds.iter().filter_map(figure).collect();
        if values.is_empty() {
            "not measured".to_owned()
        } else {
            Spread::of(values).to_string()
        }
    };
    let rows = [
        [
            "one validation at a time, pipe: p50, µs",
            &micros(&|it| Some(it.pipe[0])),
        ],
        [
            "one validation at a time, socket: p50, µs",
            &micros(&|it| Some(it.socket[0])),
        ],
        [
            "piped validations a second, one pipe",
            &rate(&|it| Some(it.piped)),
        ],
        [
            "piped validations a second, 16 connections",
            &rate(&|it| Some(it.sockets)),
        ],
        [
            "lone validations a second, 100 busy connections",
            &rate(&|it| Some(it.busy)),
        ],
        [
            "the same beside 1000 idle connections",
            &rate(&|it| Some(it.busy_beside_idle)),
        ],
        [
            "lone creates a second on SQLite, 16 connections to one node",
            &rate(&|it| Some(it.on_file?[0].0)),
        ],
        [
            "lone creates a second on SQLite, 16 nodes",
            &rate(&|it| Some(it.on_file?[1].0)),
        ],
        [
            "their p99 with one node, µs",
            &micros(&|it| Some(it.on_file?[0].1[1])),
        ],
        [
            "their p99 with 16 nodes, µs",
            &micros(&|it| Some(it.on_file?[1].1[1])),
        ],
        [
            "lone validations a second, 16 connections",
            &rate(&|it| Some(it.beside_redis?[0].0)),
        ],
        [
            "lone GETs a second from Redis on a Unix socket, 16 connections",
            &rate(&|it| Some(it.beside_redis?[1].0)),
        ],
        [
            "the node's processor time for each, µs",
            &micros(&|it| Some(it.beside_redis?[0].1)),
        ],
        [
            "the processor time of Redis for each, µs",
            &micros(&|it| Some(it.beside_redis?[1].1)),
        ],
    ];
    let rows = rows.map(|row| row.map(str::to_owned));
    "\n### Sockets\n\nOne node that serves a Unix socket: median of the rounds (least to most).\n"
        .to_owned()
        + &table("| figure | measured |\n| --- | --: |", rows)
}

fn measure_round(arena: &Arena, sizes: &Sizes, round: usize) -> Result<Round> {
    let preload = ["--preload", "abc123=alice", "--max-connections", "4096"];
    let mut scene = Scene::new(round)?;
    let socket = scene.serve(arena, &preload)?;
    let mut pipe = scene.pipe(arena, &preload[..2])?;
    let [pipe_lone, socket_lone] = alternate(&mut pipe, &mut Way::to(&socket)?, sizes.pings)?;
    let piped = stream(vec![pipe], sizes.requests_fast / 4)?;
    let sockets = stream(ways(&socket, CLIENTS)?, sizes.requests_fast / 4)?;
    let lone = sizes.pings / 10;
    let busy = ask_all(ways(&socket, BUSY)?, VALIDATE, lone / 2)?.0;
    let mut idle = ways(&socket, IDLE)?;
    for way in &mut idle {
        // Only then is the connection settled.
        way.ask(VALIDATE)?;
    }
    let busy_beside_idle = ask_all(ways(&socket, BUSY)?, VALIDATE, lone / 2)?.0;
    drop(idle);
    let on_file = cfg!(feature = "sqlite")
        .then(|| create_on_file(arena, round, lone / 20))
        .transpose()?;
    let mut beside_redis = None;
    if machine::has("redis-server") {
        let redis = scene.redis(arena)?;
        let mut way = Way::to(&redis)?;
        way.ask(SET)?;
        let gets = ways(&redis, CLIENTS)?
            .into_iter()
            .map(|way| Way { lines: 2, ..way });
        let gets: Vec<_> = gets.collect();
        let node = scene.cost(0, || ask_all(ways(&socket, CLIENTS)?, VALIDATE, lone * 4))?;
        beside_redis = Some([node, scene.cost(2, || ask_all(gets, GET, lone * 4))?]);
    }
    Ok(Round {
        pipe: pipe_lone,
        socket: socket_lone,
        piped,
        sockets,
        busy,
        busy_beside_idle,
        on_file,
        beside_redis,
    })
}

/// Sixteen clients create one session after another: with one node, and with a node for each on the same file.
fn create_on_file(arena: &Arena, round: usize, creates: usize) -> Result<[(f64, Distribution); 2]> {
    let mut scene = Scene::new(round + 100)?;
    let store = |name: &str| format!("sqlite:{}", scene.directory.join(name).display());
    let (one, many) = (store("one.db"), store("many.db"));
    let socket = scene.serve(arena, &["--store", &one])?;
    let with_one = ask_all(ways(&socket, CLIENTS)?, CREATE, creates * 5)?;
    let nodes = (0..CLIENTS).map(|_| scene.pipe(arena, &["--store", &many]));
    let with_many = ask_all(nodes.collect::<Result<_>>()?, CREATE, creates)?;
    Ok([with_one, with_many])
}

/// Asks one request at a time, in turns on either way.
fn alternate(one: &mut Way, other: &mut Way, pings: usize) -> Result<[Distribution; 2]> {
    let mut samples = [Vec::new(), Vec::new()];
    for _ in 0..TURNS {
        for (way, samples) in [&mut *one, &mut *other].into_iter().zip(&mut samples) {
            for number in 0..50 + pings / TURNS {
                let took = way.ask(VALIDATE)?;
                samples.extend((number >= 50).then_some(took));
            }
        }
    }
    Ok(samples.map(|mut samples| distribution(&mut samples)))
}

/// Sends `total` requests on all ways together without waiting. Returns how many were answered a second.
fn stream(ways: Vec<Way>, total: usize) -> Result<f64> {
    let each = total / ways.len();
    let count = each * ways.len();
    let started = Instant::now();
    let mut threads = Vec::new();
    for mut way in ways {
        threads.push(thread::spawn(move || -> Result<()> {
            let writer = thread::spawn(move || -> Result<()> {
                let some = format!("{VALIDATE}\n").repeat(1000);
                for _ in 0..each / 1000 {
                    way.to.write_all(some.as_bytes())?;
                }
                Ok(way.to.flush()?)
            });
            let (mut left, mut buffer) = (each / 1000 * 1000, vec![0; 1 << 16]);
            while left > 0 {
                let read = way.from.read(&mut buffer)?;
                ensure!(read > 0, "the node has gone");
                left -= memchr::memchr_iter(b'\n', &buffer[..read]).count();
            }
            writer.join().expect("no panic")
        }));
    }
    for thread in threads {
        thread.join().expect("no panic")?;
    }
    Ok(count as f64 / started.elapsed().as_secs_f64())
}

/// Asks `each` requests on every way, one at a time, all ways at once. Returns how many were answered a second, and how
/// long each took.
fn ask_all(ways: Vec<Way>, request: &'static str, each: usize) -> Result<(f64, Distribution)> {
    let count = ways.len() * each;
    let started = Instant::now();
    let ask = |mut way: Way| {
        thread::spawn(move || {
            (0..each)
                .map(|_| way.ask(request))
                .collect::<Result<Vec<_>>>()
        })
    };
    let threads: Vec<_> = ways.into_iter().map(ask).collect();
    let mut samples = Vec::new();
    for thread in threads {
        samples.extend(thread.join().expect("no panic")?);
    }
    let rate = count as f64 / started.elapsed().as_secs_f64();
    Ok((rate, distribution(&mut samples)))
}

fn ways(socket: &Path, count: usize) -> Result<Vec<Way>> {
    (0..count).map(|_| Way::to(socket)).collect()
}

impl Way {
    fn to(socket: &Path) -> Result<Self> {
        let mut attempts = 0;
        let stream = loop {
            match UnixStream::connect(socket) {
                Err(_) if attempts < 200 => attempts += 1,
                connected => break connected.context("nobody listens")?,
            }
            thread::sleep(Duration::from_millis(20));
        };
        Ok(Self {
            to: Box::new(stream.try_clone()?),
            from: Box::new(BufReader::with_capacity(4096, stream)),
            lines: 1,
        })
    }

    /// Asks one request, and returns how long the reply took.
    fn ask(&mut self, request: &str) -> Result<Duration> {
        let mut bytes = request.as_bytes().to_vec();
        if !request.ends_with('\n') {
            bytes.push(b'\n');
        }
        let mut reply = Vec::new();
        let started = Instant::now();
        self.to.write_all(&bytes)?;
        for _ in 0..self.lines {
            self.from.read_until(b'\n', &mut reply)?;
        }
        let took = started.elapsed();
        let is_good = [&b"session_valid"[..], b"session_created", b"alice", b"+OK"];
        let is_good = is_good
            .iter()
            .any(|part| memchr::memmem::find(&reply, part).is_some());
        ensure!(is_good, "the reply is {}", String::from_utf8_lossy(&reply));
        Ok(took)
    }
}

impl Scene {
    fn new(number: usize) -> Result<Self> {
        let name = format!("session-node-bench-{}-{number}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        fs::create_dir_all(&directory)?;
        Ok(Self {
            processes: Vec::new(),
            directory,
        })
    }

    /// Runs something, and returns how many requests were answered a second, and how many µs of processor time each
    /// cost the process with this number.
    fn cost(
        &self,
        process: usize,
        run: impl FnOnce() -> Result<(f64, Distribution)>,
    ) -> Result<(f64, f64)> {
        let path = format!("/proc/{}/schedstat", self.processes[process].id());
        let spent = || -> Result<f64> {
            let text = fs::read_to_string(&path)?;
            let nanos = text.split(' ').next().context("no figure")?;
            Ok(nanos.parse::<f64>()? / 1000.0)
        };
        let (before, started) = (spent()?, Instant::now());
        let rate = run()?.0;
        let requests = rate * started.elapsed().as_secs_f64();
        Ok((rate, (spent()? - before) / requests))
    }

    /// Starts a node that serves a socket.
    fn serve(&mut self, arena: &Arena, args: &[&str]) -> Result<PathBuf> {
        let socket = self.directory.join("node.sock");
        let mut command = arena.node_command();
        command
            .args(args)
            .arg("--listen")
            .arg(format!("unix:{}", socket.display()));
        self.processes.push(command.spawn()?);
        Ok(socket)
    }

    /// Starts a node on a pipe.
    fn pipe(&mut self, arena: &Arena, args: &[&str]) -> Result<Way> {
        let mut command = arena.node_command();
        command
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut node = command.spawn()?;
        let to = node.stdin.take().context("stdin is a pipe")?;
        let from = node.stdout.take().context("stdout is a pipe")?;
        self.processes.push(node);
        Ok(Way {
            to: Box::new(to),
            from: Box::new(BufReader::with_capacity(4096, from)),
            lines: 1,
        })
    }

    /// Starts Redis on a socket.
    fn redis(&mut self, arena: &Arena) -> Result<PathBuf> {
        let socket = self.directory.join("redis.sock");
        let mut command = arena.pinned("redis-server");
        command.args([
            "--port",
            "0",
            "--save",
            "",
            "--loglevel",
            "warning",
            "--unixsocket",
        ]);
        command.arg(&socket).stdout(Stdio::null());
        self.processes.push(command.spawn()?);
        Ok(socket)
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        for process in &mut self.processes {
            let _ = process.kill();
            let _ = process.wait();
        }
        let _ = fs::remove_dir_all(&self.directory);
    }
}
