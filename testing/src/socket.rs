//! A node that serves a Unix socket, and connections to it.

use std::fmt::Display;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::place::Place;
use crate::{DEADLINE, body, command, wait};

/// Far beyond what any reply takes: it only keeps a hanging node from hanging the tests.
const PATIENCE: Duration = Duration::from_secs(30);

/// A directory for a socket. It is not below the target directory, because the path of a socket must be short.
pub fn socket_place() -> Place {
    let name = Place::new("sock");
    let name = name.0.file_name().expect("a name");
    let path = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&path).expect("a directory");
    Place(path)
}

/// What `--listen` is to be given.
pub fn address(path: &Path) -> String {
    format!("unix:{}", path.display())
}

/// The command that starts a node on a socket, with these arguments besides.
pub fn listening(path: &Path, args: &[&str]) -> Command {
    let address = address(path);
    command(&[&["--listen", &address], args].concat())
}

/// The command that asks the node on this path.
pub fn calling(path: &Path) -> Command {
    let mut command = command(&["call", "--socket"]);
    command.arg(path);
    command
}

pub fn signal(child: &Child, name: &str) {
    let status = Command::new("kill")
        .args([format!("-{name}"), child.id().to_string()])
        .status();
    assert!(status.expect("kill(1) runs").success());
}

/// A running node that serves a socket. Dropping it kills it.
pub struct SocketNode {
    pub child: Child,
    pub path: PathBuf,
    stderr: Option<JoinHandle<String>>,
    /// The connection by which the start was noticed. It is the first that [`SocketNode::connect`] returns, so that the
    /// node has no others than the test's.
    first: Mutex<Option<UnixStream>>,
    _place: Option<Place>,
}

impl SocketNode {
    /// Starts a node on a fresh path, and waits until it serves.
    pub fn start(args: &[&str]) -> Self {
        let place = socket_place();
        let path = place.0.join("s");
        Self::spawn_in(&mut listening(&path, args), &path, Some(place))
    }

    /// Starts a node on this path, and waits until it serves.
    pub fn start_at(path: &Path, args: &[&str]) -> Self {
        Self::spawn(&mut listening(path, args), path)
    }

    /// Starts a node by a command whose three streams are pipes, and waits until it serves this path.
    pub fn spawn(command: &mut Command, path: &Path) -> Self {
        Self::spawn_in(command, path, None)
    }

    fn spawn_in(command: &mut Command, path: &Path, place: Option<Place>) -> Self {
        let mut child = command.spawn().expect("the node starts");
        let mut pipe = child.stderr.take().expect("stderr is a pipe");
        let stderr = thread::spawn(move || {
            let mut text = String::new();
            pipe.read_to_string(&mut text).expect("stderr is UTF-8");
            text
        });
        let mut node = Self {
            child,
            path: path.to_owned(),
            stderr: Some(stderr),
            first: Mutex::new(None),
            _place: place,
        };
        node.wait_until_it_serves();
        node
    }

    fn wait_until_it_serves(&mut self) {
        let start = Instant::now();
        loop {
            if let Ok(stream) = UnixStream::connect(&self.path) {
                self.first = Mutex::new(Some(stream));
                return;
            }
            if let Some(status) = self.child.try_wait().expect("it can be waited for") {
                let stderr = self.stderr.take().expect("not collected yet").join();
                panic!("the node ended: {status}, {stderr:?}");
            }
            assert!(start.elapsed() < DEADLINE, "the node does not serve");
            thread::sleep(Duration::from_millis(2));
        }
    }

    pub fn connect(&self) -> Connection {
        let first = self.first.lock();
        let first = first.unwrap_or_else(PoisonError::into_inner).take();
        let stream = first.map_or_else(|| UnixStream::connect(&self.path), Ok);
        Connection::new(stream.expect("the node accepts"))
    }

    pub fn connect_many(&self, count: usize) -> Vec<Connection> {
        (0..count).map(|_| self.connect()).collect()
    }

    pub fn signal(&self, name: &str) {
        signal(&self.child, name);
    }

    /// Kills the node with SIGKILL, and waits for its end.
    pub fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it can be waited for");
    }

    /// Waits for the node to end. Returns its status, and what it wrote to stderr.
    pub fn collect(mut self) -> (ExitStatus, String) {
        let status = wait(&mut self.child);
        let stderr = self.stderr.take().expect("collected once").join();
        (status, stderr.expect("stderr was read"))
    }

    /// Asks the node to stop, checks that it ends well, and returns what it wrote to stderr.
    pub fn stop(self) -> String {
        self.signal("TERM");
        let (status, stderr) = self.collect();
        assert_eq!(status.code(), Some(0), "{stderr}");
        stderr
    }
}

impl Drop for SocketNode {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A connection to a node, spoken to line by line.
pub struct Connection {
    pub stream: UnixStream,
    replies: BufReader<UnixStream>,
}

impl Connection {
    pub fn new(stream: UnixStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
        let replies = stream.try_clone().expect("a descriptor");
        Self {
            stream,
            replies: BufReader::new(replies),
        }
    }

    pub fn write(&mut self, bytes: impl AsRef<[u8]>) {
        let written = self.stream.write_all(bytes.as_ref());
        written.expect("the node reads");
    }

    pub fn send(&mut self, line: impl Display) {
        self.write(format!("{line}\n"));
    }

    /// The next reply, without its newline; `None` if the node has closed the connection.
    pub fn reply(&mut self) -> Option<String> {
        let mut line = Vec::new();
        match self.replies.read_until(b'\n', &mut line) {
            Ok(0) => return None,
            // The node has closed the connection before it has read everything.
            Err(error) if error.kind() == ErrorKind::ConnectionReset && line.is_empty() => {
                return None;
            }
            read => read.expect("a reply in time"),
        };
        assert_eq!(line.pop(), Some(b'\n'), "the reply is cut off");
        Some(String::from_utf8(line).expect("a reply is UTF-8"))
    }

    pub fn recv(&mut self) -> String {
        self.reply()
            .expect("a reply, not the end of the connection")
    }

    /// Sends one line, and returns the body of its reply.
    pub fn ask(&mut self, request: impl Display) -> Value {
        self.send(request);
        body(&self.recv())
    }

    /// Writes from a thread of its own.
    pub fn write_beside(&self, input: impl Into<Vec<u8>>) -> JoinHandle<io::Result<()>> {
        let mut stream = self.stream.try_clone().expect("a descriptor");
        let input = input.into();
        thread::spawn(move || stream.write_all(&input))
    }

    pub fn end_input(&self) {
        let ended = self.stream.shutdown(Shutdown::Write);
        ended.expect("the connection is open");
    }

    /// All replies until the node closes the connection.
    pub fn rest(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.reply()).collect()
    }
}

/// What a thread writes to a connection as fast as the node takes it.
pub struct Flood {
    written: Arc<AtomicUsize>,
    writer: JoinHandle<()>,
}

impl Flood {
    /// Writes these pieces until there are no more, or the connection has ended.
    pub fn of(
        connection: &Connection,
        mut pieces: impl Iterator<Item = String> + Send + 'static,
    ) -> Self {
        let mut stream = connection.stream.try_clone().expect("a descriptor");
        let written = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&written);
        let writer = thread::spawn(move || {
            loop {
                let batch: String = pieces.by_ref().take(100).collect();
                if batch.is_empty() || stream.write_all(batch.as_bytes()).is_err() {
                    return;
                }
                counter.fetch_add(batch.len(), Ordering::Relaxed);
            }
        });
        Self { written, writer }
    }

    /// Waits until the node takes no more. Returns how many bytes it has taken.
    pub fn clog(&self) -> usize {
        Self::clog_all(std::slice::from_ref(self))
    }

    /// Waits until the node takes no more of any of these. Returns how many bytes it has taken.
    pub fn clog_all(floods: &[Self]) -> usize {
        let start = Instant::now();
        let mut seen = 0;
        loop {
            // Half a second without progress: all buffers are full.
            thread::sleep(Duration::from_millis(500));
            let written = floods.iter().map(|one| one.written.load(Ordering::Relaxed));
            let now = written.sum();
            if now > 0 && now == seen {
                return now;
            }
            seen = now;
            assert!(start.elapsed() < DEADLINE, "the node takes without bound");
        }
    }

    pub fn join(self) {
        self.writer.join().expect("the writer does not panic");
    }
}
