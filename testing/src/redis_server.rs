//! Real servers for tests: each on a free port of the loopback interface, with a directory of its own, and gone with
//! the test, however that ends.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use redis::{Client, Cmd, Connection, Value, cmd};
use session_node::store::{RedisOptions, RedisStore, RedisUrl};

use crate::scratch;

/// Far beyond what any step takes.
const DEADLINE: Duration = Duration::from_secs(30);

/// Starts a server, says its number, and kills it when the test's end of the pipe is closed: also when the test was
/// killed itself.
const KEEPER: &str =
    r#"cd "$1" && shift && "$@" >log 2>&1 & echo $!; read -r _; kill -9 $! 2>/dev/null"#;

/// A running server.
pub struct RedisServer {
    keeper: Child,
    pid: u32,
    pub port: u16,
    directory: PathBuf,
    arguments: Vec<String>,
}

impl RedisServer {
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// A server with these arguments beside those that keep it to itself.
    pub fn start_with(arguments: &[&str]) -> Self {
        static SERVERS: AtomicUsize = AtomicUsize::new(0);
        let number = SERVERS.fetch_add(1, Ordering::Relaxed);
        let directory = scratch().join(format!("redis-{}-{number}", std::process::id()));
        fs::create_dir_all(&directory).expect("a directory");
        let arguments: Vec<_> = arguments.iter().map(ToString::to_string).collect();
        // A port that was free a moment ago can be taken by now: then the server ends at once, and another one is
        // tried.
        for _ in 0..20 {
            let port = free_port();
            let (keeper, pid) = spawn(&directory, port, &arguments);
            let server = Self {
                keeper,
                pid,
                port,
                directory: directory.clone(),
                arguments: arguments.clone(),
            };
            if server.answers() {
                return server;
            }
        }
        panic!("redis-server does not start");
    }

    /// What `--store` is to be given.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Waits until the server answers, or has ended.
    fn answers(&self) -> bool {
        let start = Instant::now();
        while start.elapsed() < DEADLINE {
            if let Ok(mut connection) = self.try_connect() {
                let answer = cmd("PING").query::<Value>(&mut connection);
                // One that wants a password or is loading has answered, too.
                if answer.is_ok() || answer.is_err_and(|error| !error.is_io_error()) {
                    return true;
                }
            }
            if !self.is_alive() {
                return false;
            }
            thread::sleep(Duration::from_millis(10));
        }
        false
    }

    fn is_alive(&self) -> bool {
        let status = fs::read_to_string(format!("/proc/{}/stat", self.pid));
        status.is_ok_and(|status| !status.contains(") Z "))
    }

    fn try_connect(&self) -> redis::RedisResult<Connection> {
        let client = Client::open(("127.0.0.1", self.port))?;
        client.get_connection_with_timeout(Duration::from_secs(5))
    }

    /// Runs a command on the server.
    pub fn run(&self, command: &Cmd) -> Value {
        let mut connection = self.try_connect().expect("the server can be reached");
        command
            .query(&mut connection)
            .expect("the command is carried out")
    }

    /// Runs a command of words on the server.
    pub fn say(&self, words: &str) -> Value {
        let mut words = words.split(' ');
        let mut command = cmd(words.next().expect("a word"));
        for word in words {
            command.arg(word);
        }
        self.run(&command)
    }

    /// What it is called in its cluster.
    pub fn cluster_id(&self) -> String {
        match self.say("CLUSTER MYID") {
            Value::BulkString(id) => String::from_utf8(id).expect("ASCII"),
            other => panic!("{other:?}"),
        }
    }

    /// Whether it is a replica that has all of its primary.
    pub fn follows(&self) -> bool {
        let Value::BulkString(info) = self.say("INFO replication") else {
            return false;
        };
        String::from_utf8_lossy(&info).contains("master_link_status:up")
    }

    /// How many keys it holds, those that have expired and were not looked at since excepted.
    pub fn key_count(&self) -> usize {
        self.keys().len()
    }

    /// All keys that are there.
    pub fn keys(&self) -> Vec<String> {
        let mut connection = self.try_connect().expect("the server can be reached");
        cmd("KEYS")
            .arg("*")
            .query(&mut connection)
            .expect("the keys")
    }

    /// Stops the server in its tracks, so that it holds its connections and does not answer.
    pub fn pause(&self) {
        signal("STOP", self.pid);
    }

    pub fn resume(&self) {
        signal("CONT", self.pid);
    }

    /// Ends the server without a chance to say goodbye.
    pub fn kill(&mut self) {
        signal("KILL", self.pid);
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }

    /// Starts it again where it was, after [`RedisServer::kill`].
    pub fn restart(&mut self) {
        (self.keeper, self.pid) = spawn(&self.directory, self.port, &self.arguments);
        assert!(self.answers(), "redis-server does not start again");
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.resume();
        self.kill();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn spawn(directory: &Path, port: u16, arguments: &[String]) -> (Child, u32) {
    let mut keeper = Command::new("sh")
        .args(["-c", KEEPER, "sh"])
        .arg(directory)
        .args(["redis-server", "--port", &port.to_string()])
        .args(["--bind", "127.0.0.1", "--save", "", "--dir", "."])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a shell");
    let mut line = String::new();
    BufReader::new(keeper.stdout.take().expect("a pipe"))
        .read_line(&mut line)
        .expect("the number of the server");
    let pid = line.trim().parse().expect("a number");
    (keeper, pid)
}

/// A port that nobody listens on at the moment.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    // A cluster's servers talk to each other on a port that is 10,000 higher.
    let port = listener.local_addr().expect("an address").port();
    if port < 55_000 { port } else { port - 10_000 }
}

fn signal(name: &str, pid: u32) {
    let _ = Command::new("kill")
        .args([format!("-{name}"), pid.to_string()])
        .stderr(Stdio::null())
        .status();
}

/// A running cluster: three primaries, and a replica of each if that was asked for.
pub struct Cluster {
    pub servers: Vec<RedisServer>,
}

impl Cluster {
    pub fn start() -> Self {
        Self::start_with(0)
    }

    pub fn start_with(replicas: usize) -> Self {
        let mut options = vec!["--cluster-enabled", "yes", "--cluster-node-timeout", "1000"];
        options.extend(["--repl-diskless-sync-delay", "0"]);
        let servers: Vec<_> = (0..3 * (1 + replicas))
            .map(|_| RedisServer::start_with(&options))
            .collect();
        let mut create = Command::new("redis-cli");
        create.args(["--cluster", "create"]);
        create.args(
            servers
                .iter()
                .map(|server| format!("127.0.0.1:{}", server.port)),
        );
        create.args(["--cluster-replicas", &replicas.to_string(), "--cluster-yes"]);
        let output = create.output().expect("redis-cli");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "no cluster: {text}");
        let cluster = Self { servers };
        wait_until("all servers agree", || cluster.is_whole());
        for replica in &cluster.servers[3..] {
            wait_until("a replica follows", || replica.follows());
        }
        cluster
    }

    /// Whether each server knows who has every slot.
    pub fn is_whole(&self) -> bool {
        let is_whole = |server: &RedisServer| {
            let Value::BulkString(info) = server.say("CLUSTER INFO") else {
                return false;
            };
            let info = String::from_utf8_lossy(&info).into_owned();
            info.contains("cluster_state:ok") && info.contains("cluster_slots_ok:16384")
        };
        self.servers.iter().all(is_whole)
    }

    /// What `--store` is to be given: one server is enough to find the others.
    pub fn url(&self) -> String {
        format!("redis-cluster://127.0.0.1:{}", self.servers[0].port)
    }
}

/// Waits for something that another process brings about.
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < DEADLINE, "waited in vain until {what}");
        thread::sleep(Duration::from_millis(50));
    }
}

/// A prefix that no other test has.
pub fn prefix() -> String {
    static PREFIXES: AtomicUsize = AtomicUsize::new(0);
    format!("t{}:", PREFIXES.fetch_add(1, Ordering::Relaxed))
}

/// The options of a store at `url`.
pub fn options(url: &str, prefix: &str) -> RedisOptions {
    RedisOptions {
        prefix: prefix.to_owned(),
        ..RedisOptions::new(RedisUrl::parse(url).expect("a URL"))
    }
}

/// A store at `url`, as one more node would open it.
pub fn connect(url: &str, prefix: &str) -> RedisStore {
    RedisStore::connect(options(url, prefix)).expect("the server can be reached")
}
