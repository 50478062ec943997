//! The loop: a read gives a batch of messages, the batch becomes operations, the store applies them as one unit,
//! and their outcomes leave with one write.
//!
//! A node is a deterministic function of its input, its clock, its id generator and its store: the same
//! four give the same bytes. It knows no rule of a session's life and no JSON.

use std::io::{self, ErrorKind, Read, Write};

use tracing::debug;

use crate::authority::SessionAuthority;
use crate::handler::{Handler, PendingReply};
use crate::lines::LineReader;
use crate::messages::{MessageReader, Messages, Options};
use crate::protocol::{self, ReturnAddress};
use crate::session::Timestamp;
use crate::store::Operation;

/// A list of sessions may be long, so a batch is carried out list by list, and what has been replied is written when
/// it is more than this: a peer that asks for many lists with one write must not fill the memory with them.
const MAX_REPLY_BYTES_HELD: usize = 1024 * 1024;

/// Why a node stopped before its input ended.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The requests could not be read.
    #[error("cannot read requests from the input (stdin)")]
    Input(#[source] io::Error),
    /// The replies could not be written.
    #[error("cannot write replies to the output (stdout)")]
    Output(#[source] io::Error),
}

/// A session authority on a stream of requests and a stream of replies.
pub struct Node {
    handler: Handler,
    options: Options,
    replies: Vec<u8>,
    /// Of the latest batch: a good guess at the next one's.
    batch_size: usize,
}

impl Node {
    /// A node that asks `authority`.
    pub fn new(authority: SessionAuthority, options: Options) -> Self {
        Self {
            handler: Handler::new(authority),
            options,
            replies: Vec::new(),
            batch_size: 0,
        }
    }

    /// Answers every request that comes from `input` on `output`, until `input` ends or nobody reads
    /// `output` any more. Whatever was taken from `input` by one read has been answered before the next.
    ///
    /// Give it raw files, not buffered ones: it reads and writes whole batches itself.
    ///
    /// # Errors
    ///
    /// When `input` cannot be read, or `output` cannot be written for another reason than that its reader
    /// has gone.
    pub fn run(&mut self, mut input: impl Read, mut output: impl Write) -> Result<(), RunError> {
        let policy = self.handler.authority.policy().clone();
        let mut lines = LineReader::new(self.options.max_line_bytes);
        let mut messages = MessageReader::new(&self.options, policy);
        while let Some(batch) = lines.read_batch(&mut input).map_err(RunError::Input)? {
            match self.answer(messages.messages(batch), &mut output) {
                Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
                answered => answered.map_err(RunError::Output)?,
            }
        }
        Ok(())
    }

    /// Carries out a batch, and writes the replies.
    fn answer(&mut self, messages: Messages<'_>, output: &mut impl Write) -> io::Result<()> {
        let now = self.handler.authority.now();
        let mut pending = Vec::with_capacity(self.batch_size);
        let mut operations = Vec::with_capacity(self.batch_size);
        for message in messages {
            let reply = self.handler.take_up(message.request, &mut operations);
            pending.push((message.return_address, reply));
            if let Some(Operation::List { .. }) = operations.last() {
                self.carry_out(now, &pending, &operations);
                pending.clear();
                operations.clear();
                if self.replies.len() > MAX_REPLY_BYTES_HELD {
                    self.write_replies(output)?;
                }
            }
        }
        self.batch_size = pending.len();
        self.carry_out(now, &pending, &operations);
        self.write_replies(output)
    }

    /// Applies `operations`, and adds the replies to `self.replies`.
    fn carry_out(
        &mut self,
        now: Timestamp,
        pending: &[(ReturnAddress<'_>, PendingReply<'_>)],
        operations: &[Operation<'_>],
    ) {
        let mut place = 0;
        let source = |operation| {
            // Events come in the order of their operations.
            while pending.get(place)?.1.operation() < Some(operation) {
                place += 1;
            }
            pending[place].0.src_json()
        };
        self.handler.authority.carry_out(now, operations, source);
        debug!("{} requests", pending.len());
        for (return_address, reply) in pending {
            let reply = self.handler.reply(reply, operations);
            let format = self.options.reply_format;
            protocol::encode(return_address, format, &reply, now, &mut self.replies);
        }
    }

    fn write_replies(&mut self, output: &mut impl Write) -> io::Result<()> {
        let written = output
            .write_all(&self.replies)
            .and_then(|()| output.flush());
        self.replies.clear();
        written
    }
}
