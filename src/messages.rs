//! Groups lines into messages. A message is a JSON object, usually on one line. People paste messages over several
//! lines, and some programs print them so.
//!
//! A faulty message also gets a reply if the node knows whom to tell, because a peer that sends a line and waits for a
//! line must not wait forever.

use tracing::warn;

use crate::lines::{Line, Lines, Next};
use crate::protocol::{
    self, Error, Fault, Incoming, Message, Nesting, Progress, ReplyFormat, ReturnAddress,
};
use crate::session::Policy;

/// How a node reads its input and forms its replies.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The longest message, in bytes without its last line ending. The node refuses a longer one.
    pub max_line_bytes: usize,
    /// The form of the replies.
    pub reply_format: ReplyFormat,
    /// Whether the node refuses a request that has an unknown field. If false, it ignores the field.
    pub strict: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_line_bytes: 1024 * 1024,
            reply_format: ReplyFormat::Envelope,
            strict: false,
        }
    }
}

/// Reads messages batch by batch, and remembers between batches what concerns the whole stream.
pub struct MessageReader {
    policy: Policy,
    is_strict: bool,
    max_message_bytes: usize,
    partial: Option<PartialMessage>,
    /// Whether the latest readable message was a bare body, or none was readable yet. If so, a fault without a sender
    /// gets a bare error.
    speaks_bare: bool,
    /// Whether a fault without a sender always gets a bare error.
    always_bare: bool,
}

/// A message of which the first lines have arrived.
struct PartialMessage {
    first_line: u64,
    /// The message's offset in the present batch, in bytes.
    start: usize,
    nesting: Nesting,
}

impl MessageReader {
    /// Makes a reader that checks requests against `policy`.
    pub fn new(options: &Options, policy: Policy) -> Self {
        Self {
            policy,
            is_strict: options.strict,
            max_message_bytes: options.max_line_bytes,
            partial: None,
            // Until a message is readable, a person who types is the likeliest peer, and should see what was wrong.
            speaks_bare: true,
            always_bare: options.reply_format == ReplyFormat::Body,
        }
    }

    /// Reads the messages of a batch that need an answer, in order.
    pub fn messages<'a>(&'a mut self, lines: Lines<'a>) -> Messages<'a> {
        Messages {
            reader: self,
            lines,
        }
    }

    /// Reads a message that begins on this line. Returns `None` if the message gets no reply.
    fn read<'a>(&mut self, first_line: u64, bytes: &'a [u8]) -> Option<Message<'a>> {
        match self.decode(bytes) {
            Ok(incoming) => self.accept(incoming),
            Err(fault) => self.refuse(first_line, fault),
        }
    }

    fn decode<'a>(&self, bytes: &'a [u8]) -> Result<Incoming<'a>, Fault<'a>> {
        protocol::decode(bytes, &self.policy, self.is_strict)
    }

    fn accept<'a>(&mut self, incoming: Incoming<'a>) -> Option<Message<'a>> {
        match incoming {
            Incoming::Request(message) => {
                self.speaks_bare = message.return_address.is_bare();
                Some(message)
            }
            Incoming::Reply { is_bare } => {
                self.speaks_bare = is_bare;
                None
            }
        }
    }

    /// Refuses a faulty message with an error to its sender. If nobody can be told, writes the fault to stderr.
    #[cold]
    fn refuse<'a>(&mut self, first_line: u64, fault: Fault<'a>) -> Option<Message<'a>> {
        let text = fault.reason.describe(first_line);
        let answers_bare = self.speaks_bare || self.always_bare;
        let can_be_told = |address: &ReturnAddress<'_>| answers_bare || !address.is_bare();
        let Some(return_address) = fault.return_address.filter(can_be_told) else {
            warn!("{text}");
            return None;
        };
        Some(Message {
            return_address,
            request: Err(Error::malformed(text)),
        })
    }
}

/// The messages of a batch, in order. Read them to the end, because the next batch continues from here.
pub struct Messages<'a> {
    reader: &'a mut MessageReader,
    lines: Lines<'a>,
}

impl<'a> Iterator for Messages<'a> {
    type Item = Message<'a>;

    fn next(&mut self) -> Option<Message<'a>> {
        loop {
            let Some(line) = self.lines.next() else {
                return self.end_batch();
            };
            let message = if self.reader.partial.is_some() {
                self.continue_partial(&line)
            } else if line.is_cut {
                self.too_long(line.number, line.bytes)
            } else if line.bytes.trim_ascii().is_empty() {
                None
            } else {
                match self.reader.decode(line.bytes) {
                    Ok(incoming) => self.reader.accept(incoming),
                    Err(fault) => self.begin_or_refuse(&line, fault),
                }
            };
            if message.is_some() {
                return message;
            }
        }
    }
}

impl<'a> Messages<'a> {
    /// Leaves the messages that were not read for the next batch. Only after a message was read as a whole.
    #[cfg(feature = "socket")]
    pub fn pause(self) {
        self.lines.pause();
    }

    /// Begins a message of several lines if a line by itself is no message but can begin one. Otherwise refuses the
    /// line.
    #[cold]
    fn begin_or_refuse(&mut self, line: &Line<'a>, fault: Fault<'a>) -> Option<Message<'a>> {
        let mut nesting = Nesting::default();
        if nesting.read(line.bytes) != Progress::Open {
            return self.reader.refuse(line.number, fault);
        }
        self.reader.partial = Some(PartialMessage {
            first_line: line.number,
            start: line.start,
            nesting,
        });
        None
    }

    /// Adds a line to the partial message.
    ///
    /// If the line cannot continue the message, it is read again as the start of the next message. So a client that
    /// sends one message per line gets a reply to each, whatever came before.
    #[cold]
    fn continue_partial(&mut self, line: &Line<'a>) -> Option<Message<'a>> {
        let mut partial = self.reader.partial.take()?;
        let (first_line, start) = (partial.first_line, partial.start);
        let with_line = self.lines.span(start, line);
        if line.is_cut || with_line.len() > self.reader.max_message_bytes {
            self.lines.unread(line);
            return self.too_long(first_line, self.lines.since(start));
        }
        if protocol::is_whole(line.bytes) {
            self.lines.unread(line);
            let before = self.lines.since(start).trim_ascii_end();
            return self.reader.read(first_line, before);
        }
        match partial.nesting.read(line.bytes) {
            Progress::Open => {
                self.reader.partial = Some(partial);
                None
            }
            Progress::Whole => self.reader.read(first_line, with_line),
            Progress::Broken => {
                self.lines.unread(line);
                self.reader.read(first_line, with_line)
            }
        }
    }

    /// Holds a partial message back for the next batch. If no more of it can arrive, reads it as it is.
    fn end_batch(&mut self) -> Option<Message<'a>> {
        let mut partial = self.reader.partial.take()?;
        match self.lines.followed_by() {
            Next::MoreLines => {
                self.lines.hold(partial.start);
                partial.start = 0;
                self.reader.partial = Some(partial);
                None
            }
            Next::TooLong => self.too_long(partial.first_line, self.lines.since(partial.start)),
            Next::End => {
                let bytes = self.lines.since(partial.start).trim_ascii_end();
                self.reader.read(partial.first_line, bytes)
            }
        }
    }

    /// Refuses a message that is too long. `beginning` is the part of it that the reader still has.
    #[cold]
    fn too_long(&mut self, first_line: u64, beginning: &[u8]) -> Option<Message<'a>> {
        let max_bytes = self.reader.max_message_bytes;
        let fault = protocol::decode_beginning(beginning, max_bytes);
        self.reader.refuse(first_line, fault)
    }
}
