//! Lines into messages. A message is a JSON object, usually on one line; one that a person pastes, or that a program
//! prints prettily, stands on several. Every message gets one reply, a faulty one too, wherever somebody can be told:
//! a peer that sends a line and waits for a line must not wait for ever.

use tracing::warn;

use crate::lines::{Line, Lines, Next};
use crate::protocol::{
    self, Error, Fault, Incoming, Message, Nesting, Progress, ReplyFormat, ReturnAddress,
};
use crate::session::Policy;

/// How a node reads its input and forms its replies.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The longest message that is read, in bytes, its last line ending not counted. A longer one is refused.
    pub max_line_bytes: usize,
    /// The form of replies.
    pub reply_format: ReplyFormat,
    /// Whether a request that has a field which it does not know is malformed, rather than carried out without it.
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

/// What is remembered of a stream from one batch to the next.
pub struct MessageReader {
    policy: Policy,
    is_strict: bool,
    max_message_bytes: usize,
    begun: Option<Begun>,
    /// Whether a fault without a sender is answered with a bare error.
    speaks_bare: bool,
    /// Whether it always is.
    always_bare: bool,
}

/// A message whose first lines have been read.
struct Begun {
    first_line: u64,
    /// Where it begins in the present batch.
    start: usize,
    nesting: Nesting,
}

impl MessageReader {
    /// A reader of messages that keep to `policy`, which are read and answered as `options` say.
    pub fn new(options: &Options, policy: Policy) -> Self {
        Self {
            policy,
            is_strict: options.strict,
            max_message_bytes: options.max_line_bytes,
            begun: None,
            // Nothing speaks against it yet, and somebody who types is told what was wrong.
            speaks_bare: true,
            always_bare: options.reply_format == ReplyFormat::Body,
        }
    }

    /// The messages of a batch that are to be answered, in order.
    pub fn messages<'a>(&'a mut self, lines: Lines<'a>) -> Messages<'a> {
        Messages {
            reader: self,
            lines,
        }
    }

    /// Reads a message that begins on the line of this number. None when nobody is to be answered.
    fn read<'a>(&mut self, first_line: u64, bytes: &'a [u8]) -> Option<Message<'a>> {
        match self.decode(bytes) {
            Ok(incoming) => self.take(incoming),
            Err(fault) => self.refuse(first_line, fault),
        }
    }

    fn decode<'a>(&self, bytes: &'a [u8]) -> Result<Incoming<'a>, Fault<'a>> {
        protocol::decode(bytes, &self.policy, self.is_strict)
    }

    fn take<'a>(&mut self, incoming: Incoming<'a>) -> Option<Message<'a>> {
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

    /// Tells the sender of a fault; where nobody can be told, says so on stderr.
    #[cold]
    fn refuse<'a>(&mut self, first_line: u64, fault: Fault<'a>) -> Option<Message<'a>> {
        let text = fault.reason.describe(first_line);
        let answers_bare = self.speaks_bare || self.always_bare;
        let told = |address: &ReturnAddress<'_>| answers_bare || !address.is_bare();
        let Some(return_address) = fault.return_address.filter(told) else {
            warn!("{text}");
            return None;
        };
        Some(Message {
            return_address,
            request: Err(Error::malformed(text)),
        })
    }
}

/// The messages of a batch. To be read to the end, as its lines are.
pub struct Messages<'a> {
    reader: &'a mut MessageReader,
    lines: Lines<'a>,
}

impl<'a> Iterator for Messages<'a> {
    type Item = Message<'a>;

    fn next(&mut self) -> Option<Message<'a>> {
        loop {
            let Some(line) = self.lines.next() else {
                return self.end();
            };
            let read = if self.reader.begun.is_some() {
                self.go_on(&line)
            } else if line.is_cut {
                self.too_long(line.number, line.bytes)
            } else if line.bytes.trim_ascii().is_empty() {
                None
            } else {
                match self.reader.decode(line.bytes) {
                    Ok(incoming) => self.reader.take(incoming),
                    Err(fault) => self.begin_or_refuse(&line, fault),
                }
            };
            if read.is_some() {
                return read;
            }
        }
    }
}

impl<'a> Messages<'a> {
    /// Takes a line that is no message for the beginning of one, if it can be.
    #[cold]
    fn begin_or_refuse(&mut self, line: &Line<'a>, fault: Fault<'a>) -> Option<Message<'a>> {
        let mut nesting = Nesting::default();
        if nesting.read(line.bytes) != Progress::Open {
            return self.reader.refuse(line.number, fault);
        }
        self.reader.begun = Some(Begun {
            first_line: line.number,
            start: line.start,
            nesting,
        });
        None
    }

    /// Reads a line behind those that a message has begun with.
    ///
    /// One that cannot go on with the message is read again by itself, so that a client which sends messages of one
    /// line gets a reply to each, whatever came before.
    #[cold]
    fn go_on(&mut self, line: &Line<'a>) -> Option<Message<'a>> {
        let mut begun = self.reader.begun.take()?;
        let (first_line, start) = (begun.first_line, begun.start);
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
        match begun.nesting.read(line.bytes) {
            Progress::Open => {
                self.reader.begun = Some(begun);
                None
            }
            Progress::Whole => self.reader.read(first_line, with_line),
            Progress::Broken => {
                self.lines.unread(line);
                self.reader.read(first_line, with_line)
            }
        }
    }

    /// Keeps a message that has begun for the next batch, or gives it up where no more of it can come.
    fn end(&mut self) -> Option<Message<'a>> {
        let mut begun = self.reader.begun.take()?;
        match self.lines.followed_by() {
            Next::MoreLines => {
                self.lines.hold(begun.start);
                begun.start = 0;
                self.reader.begun = Some(begun);
                None
            }
            Next::TooLong => self.too_long(begun.first_line, self.lines.since(begun.start)),
            Next::End => {
                let bytes = self.lines.since(begun.start).trim_ascii_end();
                self.reader.read(begun.first_line, bytes)
            }
        }
    }

    #[cold]
    fn too_long(&mut self, first_line: u64, beginning: &[u8]) -> Option<Message<'a>> {
        let max_bytes = self.reader.max_message_bytes;
        let fault = protocol::decode_beginning(beginning, max_bytes);
        self.reader.refuse(first_line, fault)
    }
}
