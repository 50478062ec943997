//! One connection to the socket.

use std::io::{self, ErrorKind, Read, Write};

use mio::net::UnixStream;

use crate::audit::Peer;
use crate::lines::LineReader;
use crate::messages::{MessageReader, Options};
use crate::session::Policy;

/// A connection, with what has arrived of a line, and the replies that its peer has not taken. While it waits it holds
/// no buffer.
pub struct Connection {
    pub socket: Socket,
    pub lines: LineReader,
    pub messages: MessageReader,
    pub peer: Option<Peer>,
    /// Replies, of which the first `sent` bytes are written.
    pub replies: Vec<u8>,
    sent: usize,
    /// Whether it waits for its turn.
    pub is_queued: bool,
}

/// The connection's socket, and what is known of it.
pub struct Socket {
    pub stream: UnixStream,
    /// Whether a read may bring something at once. The system tells only when this changes.
    pub may_have_more: bool,
    /// How many bytes the latest read has brought.
    pub arrived: usize,
    pub state: State,
}

/// What may still come from the peer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Requests.
    Open,
    /// Nothing after what has arrived.
    HalfClosed,
    /// Nothing.
    Ended,
    /// Nothing, and the peer takes no replies either.
    Broken,
}

impl Connection {
    pub fn new(stream: UnixStream, peer: Option<Peer>, options: &Options, policy: Policy) -> Self {
        Self {
            socket: Socket {
                stream,
                may_have_more: false,
                arrived: 0,
                state: State::Open,
            },
            lines: LineReader::new(options.max_line_bytes),
            messages: MessageReader::new(options, policy),
            peer,
            replies: Vec::new(),
            sent: 0,
            is_queued: false,
        }
    }

    /// Whether the connection should have a turn: its peer has sent something, and has taken all replies.
    pub fn wants_turn(&self) -> bool {
        self.socket.may_have_more && self.replies.is_empty() && !self.is_queued
    }

    /// Whether nothing remains to be done for the peer.
    pub fn is_over(&self) -> bool {
        let state = self.socket.state;
        state == State::Broken || (state == State::Ended && self.replies.is_empty())
    }

    /// Writes as many replies as the peer takes now.
    pub fn write(&mut self) {
        while self.sent < self.replies.len() {
            match self.socket.stream.write(&self.replies[self.sent..]) {
                Ok(0) => self.socket.state = State::Broken,
                Ok(written) => {
                    self.sent += written;
                    continue;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => self.socket.state = State::Broken,
            }
            return;
        }
        self.replies.clear();
        self.sent = 0;
    }
}

/// Reads, and notes whether more may be there.
impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let arrived = self.stream.read(buffer);
        self.arrived = *arrived.as_ref().unwrap_or(&0);
        match &arrived {
            // Less than what was asked for is all that there is, unless the end comes next.
            Ok(0) => {
                self.state = State::Ended;
                self.may_have_more = false;
            }
            Ok(count) => {
                self.may_have_more = *count == buffer.len() || self.state == State::HalfClosed;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => self.may_have_more = false,
            Err(_) => self.state = State::Broken,
        }
        arrived
    }
}
