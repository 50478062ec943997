//! Serves all connections to a Unix socket with one thread.
//!
//! Each round of the loop reads once from every connection that has sent something, makes one batch of all requests,
//! and then writes the replies. So requests of many processes share one commit, and a lone request waits for no other:
//! there is no timer and no delay. A connection that floods the node costs the others at most one read a round.
//!
//! The memory of a connection is bounded: one line, and the replies to one read. The node reads no more from a peer
//! that does not take its replies. A connection that waits holds no buffer.

mod connection;

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Write};
use std::os::unix::net::{UnixListener as StdListener, UnixStream as StdStream};
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::net::{UnixListener, UnixStream};
use mio::{Events, Interest, Poll, Token};
use tracing::{debug, info, warn};

use self::connection::{Connection, State};
use crate::audit::Peer;
use crate::authority::SessionAuthority;
use crate::handler::Handler;
use crate::lines::{Arrival, READ_BYTES};
use crate::messages::Options;
use crate::outage::{Outage, Turn};
use crate::round::{MAX_REPLY_BYTES_HELD, Round, Streams};

/// How many connections share a round at most. Together they hold a few megabytes of buffers.
const MAX_CONNECTIONS_PER_ROUND: usize = 64;

/// After so many bytes, further connections wait for the next round. What a round reads and writes then stays in the
/// processor's cache: with sixteen connections of 64 KiB in a round, requests took 8 % longer.
const BYTES_PER_ROUND: usize = 256 * 1024;

/// A buffer of replies that grew beyond this is freed when it is empty.
const KEPT_REPLY_BYTES: usize = 256 * 1024;

/// How long the node waits for peers to take their replies after it was asked to stop.
const FAREWELL: Duration = Duration::from_secs(2);

/// How long the node waits before it tries to accept again, when the system has no descriptor left for a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

const LISTENER: Token = Token(usize::MAX - 1);
const STOP: Token = Token(usize::MAX - 2);

/// A node that serves every process that connects to a Unix socket.
pub struct Server {
    handler: Handler,
    options: Options,
    max_connections: usize,
    poll: Poll,
    listener: UnixListener,
    /// Watched for as long as it is open.
    _stop: UnixStream,
    connections: Connections,
    /// The connections that wait for their turn.
    queue: VecDeque<usize>,
    /// Whether a connection may wait to be accepted.
    must_accept: bool,
    accepting: Outage,
    is_stopping: bool,
    /// Memory to read into, and for replies, that no connection uses at present.
    read_buffers: Vec<Vec<u8>>,
    reply_buffers: Vec<Vec<u8>>,
    /// The number of messages in the latest batch, which predicts the size of the next one.
    batch_size: usize,
}

/// Connections by number. The number of one that has ended is used again.
#[derive(Default)]
struct Connections {
    slots: Vec<Option<Box<Connection>>>,
    free: Vec<usize>,
}

/// The connections of a round: for each, its replies and its peer.
struct RoundStreams<'a>(Vec<(&'a mut Vec<u8>, Option<Peer>)>);

impl Streams for RoundStreams<'_> {
    fn replies(&mut self, stream: usize) -> &mut Vec<u8> {
        self.0[stream].0
    }

    fn peer(&self, stream: usize) -> Option<Peer> {
        self.0[stream].1
    }
}

impl Server {
    /// Makes a server that asks `authority`, and answers up to `max_connections` peers that connect to `listener`. It
    /// stops when something arrives on `stop`, or its other end is closed.
    ///
    /// # Errors
    ///
    /// If the system cannot watch the sockets.
    pub fn new(
        authority: SessionAuthority,
        options: Options,
        max_connections: usize,
        listener: StdListener,
        stop: StdStream,
    ) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        stop.set_nonblocking(true)?;
        let (mut listener, mut stop) =
            (UnixListener::from_std(listener), UnixStream::from_std(stop));
        let poll = Poll::new()?;
        let registry = poll.registry();
        registry.register(&mut listener, LISTENER, Interest::READABLE)?;
        registry.register(&mut stop, STOP, Interest::READABLE)?;
        Ok(Self {
            handler: Handler::new(authority),
            options,
            max_connections,
            poll,
            listener,
            _stop: stop,
            connections: Connections::default(),
            queue: VecDeque::new(),
            // Somebody may have connected before the server began to watch.
            must_accept: true,
            accepting: Outage::default(),
            is_stopping: false,
            read_buffers: Vec::new(),
            reply_buffers: Vec::new(),
            batch_size: 0,
        })
    }

    /// Serves until it is asked to stop. Then it answers what it has read, and waits a moment for peers to take their
    /// replies.
    ///
    /// # Errors
    ///
    /// If the system cannot watch the sockets any more.
    pub fn serve(&mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(256);
        while !self.is_stopping {
            if self.must_accept {
                self.accept();
            }
            let timeout = match (self.queue.is_empty(), self.must_accept) {
                (false, _) => Some(Duration::ZERO),
                (true, true) => Some(ACCEPT_PAUSE),
                (true, false) => None,
            };
            self.wait(&mut events, timeout)?;
            self.answer_round();
        }
        // Whoever has sent something by now is still answered.
        for _ in 0..self.queue.len().div_ceil(MAX_CONNECTIONS_PER_ROUND) {
            self.answer_round();
        }
        let deadline = Instant::now() + FAREWELL;
        while self.connections.all().any(|one| !one.replies.is_empty()) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                warn!("some peers did not take all their replies before the node stopped");
                break;
            }
            self.wait(&mut events, Some(left))?;
        }
        Ok(())
    }

    /// Waits until a connection can be read or written, and notes which.
    fn wait(&mut self, events: &mut Events, timeout: Option<Duration>) -> io::Result<()> {
        match self.poll.poll(events, timeout) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            polled => polled?,
        }
        for event in &*events {
            match event.token() {
                LISTENER => self.must_accept = true,
                STOP => self.is_stopping = true,
                Token(number) => self.note(number, event),
            }
        }
        Ok(())
    }

    fn note(&mut self, number: usize, event: &Event) {
        let Some(mut connection) = self.connections.take(number) else {
            return;
        };
        let socket = &mut connection.socket;
        socket.may_have_more |= event.is_readable() || event.is_read_closed();
        if event.is_read_closed() {
            socket.state = socket.state.max(State::HalfClosed);
        }
        if event.is_writable() && !connection.replies.is_empty() {
            connection.write();
        }
        self.put_back(number, connection);
    }

    /// Takes up all connections that wait to be accepted.
    fn accept(&mut self) {
        loop {
            match self.listener.accept() {
                Ok((stream, _)) => self.add(stream),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::Interrupted | ErrorKind::ConnectionAborted
                    ) => {}
                Err(error) => {
                    if self.accepting.note(true) == Some(Turn::Begins) {
                        warn!("cannot accept connections: {error}");
                    }
                    return;
                }
            }
        }
        if self.accepting.note(false) == Some(Turn::Ends) {
            info!("accepted all connections that have waited");
        }
        self.must_accept = false;
    }

    fn add(&mut self, mut stream: UnixStream) {
        if self.connections.len() >= self.max_connections {
            let most = self.max_connections;
            let text = format!("the node already serves its limit of {most} connections");
            warn!("refused a connection: {text}");
            // Whoever connects waits for an answer. A new connection has room for one.
            let error = format!("{{\"type\":\"error\",\"code\":11,\"text\":\"{text}\"}}\n");
            let _ = stream.write_all(error.as_bytes());
            return;
        }
        let peer = peer_of(&stream);
        let policy = self.handler.authority.policy().clone();
        let number = self.connections.free_number();
        let interest = Interest::READABLE | Interest::WRITABLE;
        let registry = self.poll.registry();
        if let Err(error) = registry.register(&mut stream, Token(number), interest) {
            warn!("cannot watch a connection: {error}");
            return;
        }
        debug!("connection {number} has begun: {peer:?}");
        let mut connection = Connection::new(stream, peer, &self.options, policy);
        // Something may have arrived before the server began to watch.
        connection.socket.may_have_more = true;
        self.put_back(number, Box::new(connection));
    }

    /// Keeps a connection, and lets it wait for its turn if there is something to do. Closes it if it is over.
    fn put_back(&mut self, number: usize, mut connection: Box<Connection>) {
        if connection.is_over() {
            debug!("connection {number} has ended");
            self.connections.forget(number);
            return;
        }
        if connection.wants_turn() {
            connection.is_queued = true;
            self.queue.push_back(number);
        }
        self.connections.put(number, connection);
    }

    /// Reads once from the connections whose turn it is, carries out what has arrived as one batch, and writes the
    /// replies.
    fn answer_round(&mut self) {
        let mut turn = self.take_turn();
        if turn.is_empty() {
            return;
        }
        let now = self.handler.authority.now();
        let mut round = Round::new(now, self.options.reply_format, self.batch_size);
        let mut streams = RoundStreams(Vec::with_capacity(turn.len()));
        let (mut count, mut bytes) = (0, 0);
        for (_, connection) in &mut turn {
            if bytes >= BYTES_PER_ROUND {
                break;
            }
            if count > 0 {
                round.next_stream();
            }
            count += 1;
            bytes += read(connection, &mut round, &mut streams, &mut self.handler);
        }
        self.batch_size = round.len();
        round.carry_out(&mut self.handler, &mut streams);
        drop((round, streams));
        let unread = turn.split_off(count);
        for (number, mut connection) in turn {
            connection.write();
            self.take_buffers(&mut connection);
            self.put_back(number, connection);
        }
        for (number, mut connection) in unread.into_iter().rev() {
            self.take_buffers(&mut connection);
            connection.is_queued = true;
            self.queue.push_front(number);
            self.connections.put(number, connection);
        }
    }

    /// Takes the connections whose turn it is, each with memory to work with.
    fn take_turn(&mut self) -> Vec<(usize, Box<Connection>)> {
        let count = self.queue.len().min(MAX_CONNECTIONS_PER_ROUND);
        let mut turn = Vec::with_capacity(count);
        for number in self.queue.drain(..count) {
            let Some(mut connection) = self.connections.take(number) else {
                continue;
            };
            // The one that waited may have ended, and another may have its number.
            if !connection.is_queued || !connection.replies.is_empty() {
                self.connections.put(number, connection);
                continue;
            }
            connection.is_queued = false;
            let buffer = self.read_buffers.pop();
            connection
                .lines
                .lend(buffer.unwrap_or_else(|| vec![0; READ_BYTES]));
            connection.replies = self.reply_buffers.pop().unwrap_or_default();
            turn.push((number, connection));
        }
        turn
    }

    /// Takes back what a connection does not need while it waits.
    fn take_buffers(&mut self, connection: &mut Connection) {
        if let Some(buffer) = connection.lines.reclaim()
            && buffer.len() == READ_BYTES
            && self.read_buffers.len() < MAX_CONNECTIONS_PER_ROUND
        {
            self.read_buffers.push(buffer);
        }
        if connection.replies.is_empty() {
            let buffer = std::mem::take(&mut connection.replies);
            if buffer.capacity() <= KEPT_REPLY_BYTES
                && self.reply_buffers.len() < MAX_CONNECTIONS_PER_ROUND
            {
                self.reply_buffers.push(buffer);
            }
        }
    }
}

/// Reads once from a connection, and adds its messages to the round. Returns how many bytes have arrived.
fn read<'a>(
    connection: &'a mut Connection,
    round: &mut Round<'a>,
    streams: &mut RoundStreams<'a>,
    handler: &mut Handler,
) -> usize {
    let Connection {
        socket,
        lines,
        messages,
        peer,
        replies,
        ..
    } = connection;
    streams.0.push((replies, *peer));
    let arrived = match lines.read_once(socket) {
        Ok(Arrival::Lines(lines)) => lines,
        Ok(Arrival::PartOfLine | Arrival::End) | Err(_) => return socket.arrived,
    };
    let mut messages = messages.messages(arrived);
    while let Some(message) = messages.next() {
        if round.add(handler, message) {
            round.carry_out(handler, streams);
            let held = streams.0.last().map_or(0, |(replies, _)| replies.len());
            if held > MAX_REPLY_BYTES_HELD {
                messages.pause();
                socket.may_have_more = true;
                break;
            }
        }
    }
    socket.arrived
}

/// The process that has connected.
fn peer_of(stream: &UnixStream) -> Option<Peer> {
    #[cfg(target_os = "linux")]
    {
        let peer = rustix::net::sockopt::socket_peercred(stream).ok()?;
        Some(Peer {
            uid: peer.uid.as_raw(),
            pid: u32::try_from(peer.pid.as_raw_nonzero().get()).ok(),
        })
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = stream;
        None
    }
}

impl Connections {
    fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    fn all(&self) -> impl Iterator<Item = &Connection> {
        self.slots.iter().flatten().map(|connection| &**connection)
    }

    fn free_number(&mut self) -> usize {
        self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        })
    }

    fn take(&mut self, number: usize) -> Option<Box<Connection>> {
        self.slots.get_mut(number)?.take()
    }

    fn put(&mut self, number: usize, connection: Box<Connection>) {
        self.slots[number] = Some(connection);
    }

    fn forget(&mut self, number: usize) {
        self.free.push(number);
    }
}
