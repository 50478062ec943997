//! The connection to one server, which is made when it is needed and made again after it broke.

use std::mem;
use std::time::{Duration, Instant};

use redis::{Client, Cmd, Connection, ConnectionAddr, ConnectionInfo, RedisError, Value, cmd};

use super::options::{RedisOptions, address};
use super::scripts;

/// For how long nothing is tried after a connection could not be made: doubled each time, up to the second.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// After how long without use a connection is tried before something is entrusted to it: the server may have gone
/// meanwhile, and of what is written to a dead connection nobody can say whether it had an effect.
const TRIED_AFTER: Duration = Duration::from_secs(1);

/// One server, and the connection to it while there is one.
pub struct Link {
    info: ConnectionInfo,
    name: String,
    connection: Option<Connection>,
    used_at: Instant,
    /// Whether the server was made to know the scripts since the connection was made.
    pub knows_scripts: bool,
    is_given_up: bool,
    /// After a failure: for how long not to try again, since when, and what was wrong.
    failed: Option<(Duration, Instant, String)>,
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
            failed: None,
        }
    }

    /// The host and the port.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn host(&self) -> &str {
        match self.info.addr() {
            ConnectionAddr::Tcp(host, _) | ConnectionAddr::TcpTls { host, .. } => host,
            _ => "",
        }
    }

    /// Makes the connection if there is none.
    ///
    /// # Errors
    ///
    /// When it cannot be made, or could not a moment ago: nothing was sent then.
    pub fn open(&mut self, options: &RedisOptions) -> Result<(), String> {
        if mem::take(&mut self.is_given_up) {
            self.connection = None;
        }
        if self.connection.is_some() && self.used_at.elapsed() > TRIED_AFTER {
            let _ = self.request(&cmd("PING"));
        }
        if self.connection.is_some() && self.knows_scripts {
            return Ok(());
        }
        if let Some((pause, since, why)) = &self.failed
            && since.elapsed() < *pause
        {
            return Err(why.clone());
        }
        match self.make(options) {
            Ok(()) => {
                self.failed = None;
                Ok(())
            }
            Err(error) => {
                self.connection = None;
                let why = self.explain(&error);
                let pause = match &self.failed {
                    Some((pause, ..)) => (*pause * 2).min(LONGEST_PAUSE),
                    None => FIRST_PAUSE,
                };
                self.failed = Some((pause, Instant::now(), why.clone()));
                Err(why)
            }
        }
    }

    fn make(&mut self, options: &RedisOptions) -> Result<(), RedisError> {
        if self.connection.is_none() {
            let client = Client::open(self.info.clone())?;
            let connection = client.get_connection_with_timeout(options.connect_timeout)?;
            connection.set_read_timeout(Some(options.response_timeout))?;
            connection.set_write_timeout(Some(options.response_timeout))?;
            self.connection = Some(connection);
        }
        let connection = self.connection.as_mut().expect("it was just made");
        let mut bytes = Vec::new();
        let mut count = 0;
        for command in scripts::load() {
            command.write_packed_command(&mut bytes);
            count += 1;
        }
        connection.send_packed_command(&bytes)?;
        for _ in 0..count {
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

    /// Gives the connection up before the next use. Not at once: there may be replies on their way.
    pub fn give_up(&mut self) {
        self.is_given_up = true;
    }

    /// Sends what is encoded already. To be followed by as many calls of [`Link::receive`] as there are commands.
    ///
    /// # Errors
    ///
    /// When not all of it could be sent. The connection is given up then.
    pub fn send(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.used_at = Instant::now();
        self.with_connection(|connection| connection.send_packed_command(bytes))
    }

    /// Reads one reply.
    ///
    /// # Errors
    ///
    /// When none came in time. The connection is given up then, so that no reply is taken for another's.
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

    /// Asks one thing, on a connection that is made if need be.
    ///
    /// # Errors
    ///
    /// When it cannot be asked, or the server says no.
    pub fn ask(&mut self, options: &RedisOptions, command: &Cmd) -> Result<Value, String> {
        self.open(options)?;
        self.request(command)
    }

    /// Asks something on the connection that was used last, and waits for up to `longest`.
    ///
    /// # Errors
    ///
    /// As [`Link::ask`], and when that connection is lost: another one would not know what was sent on it.
    pub fn ask_for_longer(
        &mut self,
        options: &RedisOptions,
        longest: Duration,
        command: &Cmd,
    ) -> Result<Value, String> {
        self.with_connection(|connection| connection.set_read_timeout(Some(longest)))?;
        let value = self.request(command);
        self.with_connection(|connection| {
            connection.set_read_timeout(Some(options.response_timeout))
        })?;
        value
    }
}
