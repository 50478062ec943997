//! The connection to one server. The node makes it when it needs it, and again after it broke.

use std::mem;
use std::time::{Duration, Instant};

use redis::{Client, Cmd, Connection, ConnectionAddr, ConnectionInfo, RedisError, Value, cmd};

use super::options::{RedisOptions, address};
use super::scripts;

/// How long the node tries nothing after it could not connect. Each failure doubles the pause, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// After how long without use the node tests a connection before it sends commands. The server may have gone meanwhile,
/// and nobody can say whether a command that was written to a dead connection took effect.
const TESTED_AFTER: Duration = Duration::from_secs(1);

/// A server, and the connection to it while there is one.
pub struct Link {
    info: ConnectionInfo,
    /// The host and the port.
    pub name: String,
    connection: Option<Connection>,
    used_at: Instant,
    /// Whether the node has loaded the scripts since it connected.
    pub knows_scripts: bool,
    /// Whether the node closes the connection before the next use. Not at once, as replies may be on their way.
    pub is_given_up: bool,
    /// Whether the batch at work has sent commands through the link.
    pub is_used: bool,
    failed: Option<Failure>,
}

/// Why the node could not connect, and when it may try again.
struct Failure {
    at: Instant,
    pause: Duration,
    why: String,
}

impl Link {
    pub fn new(info: ConnectionInfo) -> Self {
        Self {
            name: address(&info),
            info,
            connection: None,
            used_at: Instant::now(),
            knows_scripts: false,
            is_given_up: false,
            is_used: false,
            failed: None,
        }
    }

    pub fn host(&self) -> &str {
        match self.info.addr() {
            ConnectionAddr::Tcp(host, _) | ConnectionAddr::TcpTls { host, .. } => host,
            _ => "",
        }
    }

    /// Connects if there is no connection. A failure, also one of a moment ago, means that nothing was sent.
    pub fn open(&mut self, options: &RedisOptions) -> Result<(), String> {
        if mem::take(&mut self.is_given_up) {
            self.connection = None;
        }
        if self.connection.is_some() && self.used_at.elapsed() > TESTED_AFTER {
            let _ = self.request(&cmd("PING"));
        }
        if self.connection.is_some() && self.knows_scripts {
            return Ok(());
        }
        if let Some(failure) = &self.failed
            && failure.at.elapsed() < failure.pause
        {
            return Err(failure.why.clone());
        }
        let Err(error) = self.connect(options) else {
            self.failed = None;
            return Ok(());
        };
        self.connection = None;
        let why = self.explain(&error);
        let longer = |failure: &Failure| (failure.pause * 2).min(LONGEST_PAUSE);
        self.failed = Some(Failure {
            at: Instant::now(),
            pause: self.failed.as_ref().map_or(FIRST_PAUSE, longer),
            why: why.clone(),
        });
        Err(why)
    }

    /// Connects if there is no connection, and loads the scripts.
    fn connect(&mut self, options: &RedisOptions) -> Result<(), RedisError> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => {
                let client = Client::open(self.info.clone())?;
                let connection = client.get_connection_with_timeout(options.connect_timeout)?;
                connection.set_read_timeout(Some(options.response_timeout))?;
                connection.set_write_timeout(Some(options.response_timeout))?;
                none.insert(connection)
            }
        };
        let commands = scripts::load();
        let packed: Vec<u8> = commands.iter().flat_map(Cmd::get_packed_command).collect();
        connection.send_packed_command(&packed)?;
        for _ in commands {
            if let Value::ServerError(error) = connection.recv_response()? {
                return Err(error.into());
            }
        }
        self.knows_scripts = true;
        self.used_at = Instant::now();
        Ok(())
    }

    fn explain(&self, error: &RedisError) -> String {
        let name = &self.name;
        if error.is_timeout() {
            format!("{name} does not answer in time")
        } else if error.is_io_error() {
            format!("{name} is out of reach: {error}")
        } else {
            format!("{name} cannot be used: {error}")
        }
    }

    /// Sends encoded commands. The caller then calls [`Link::receive`] once for each. After a failure, the node closes
    /// the connection.
    pub fn send(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.used_at = Instant::now();
        self.with_connection(|connection| connection.send_packed_command(bytes))
    }

    /// Reads one reply. If none comes in time, the node closes the connection, so that no command gets the reply of
    /// another.
    pub fn receive(&mut self) -> Result<Value, String> {
        self.with_connection(Connection::recv_response)
    }

    fn with_connection<T>(
        &mut self,
        act: impl FnOnce(&mut Connection) -> Result<T, RedisError>,
    ) -> Result<T, String> {
        let Some(connection) = &mut self.connection else {
            return Err(format!("{}: the connection was lost", self.name));
        };
        act(connection).map_err(|error| {
            self.connection = None;
            self.explain(&error)
        })
    }

    fn request(&mut self, command: &Cmd) -> Result<Value, String> {
        self.send(&command.get_packed_command())?;
        match self.receive()? {
            Value::ServerError(error) => Err(format!("{}: {}", self.name, RedisError::from(error))),
            value => Ok(value),
        }
    }

    /// Connects if there is no connection, and sends one command. Fails also if the server refuses it.
    pub fn ask(&mut self, options: &RedisOptions, command: &Cmd) -> Result<Value, String> {
        self.open(options)?;
        self.request(command)
    }

    /// Sends `WAIT` on the connection that the node used last, since no other knows what was sent on it. The server has
    /// more time than usual for the reply.
    pub fn wait(&mut self, options: &RedisOptions, command: &Cmd) -> Result<Value, String> {
        let usual = options.response_timeout;
        let longer = Some(usual + options.wait_timeout);
        self.with_connection(|connection| connection.set_read_timeout(longer))?;
        let value = self.request(command);
        self.with_connection(|connection| connection.set_read_timeout(Some(usual)))?;
        value
    }
}
