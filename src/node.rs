//! Runs the loop: read, batch, apply, write. One read yields a batch of messages, the store applies the batch as one
//! unit, and one write sends all replies.
//!
//! A node is a deterministic function of its input, clock, id generator and store: if these four are the same, the
//! replies are the same, byte for byte. The node knows no rules and no JSON.

use std::io::{self, ErrorKind, Read, Write};

use tracing::debug;

use crate::authority::SessionAuthority;
use crate::handler::{Handler, PendingReply};
use crate::lines::LineReader;
use crate::messages::{MessageReader, Messages, Options};
use crate::protocol::{self, ReturnAddress};
use crate::session::Timestamp;
use crate::store::Operation;

/// How many bytes of replies the node may hold before it writes them. Lists of sessions may be long, so the node
/// carries out a batch list by list: a peer that asks for many lists with one write must not fill the memory with
/// replies.
const MAX_REPLY_BYTES_HELD: usize = 1024 * 1024;

/// Why a node stopped before its input ended.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The node could not read requests.
    #[error("cannot read requests from the input (stdin)")]
    Input(#[source] io::Error),
    /// The node could not write replies.
    #[error("cannot write replies to the output (stdout)")]
    Output(#[source] io::Error),
}

/// Answers a stream of requests with a stream of replies, by asking a session authority.
pub struct Node {
    handler: Handler,
    options: Options,
    replies: Vec<u8>,
    /// The number of messages in the latest batch, which predicts the size of the next one.
    batch_size: usize,
}

impl Node {
    /// Makes a node that asks `authority`.
    pub fn new(authority: SessionAuthority, options: Options) -> Self {
        Self {
            handler: Handler::new(authority),
            options,
            replies: Vec::new(),
            batch_size: 0,
        }
    }

    /// Answers every request from `input` on `output`, until `input` ends or the reader of `output` goes away. The node
    /// answers everything that one read yields before it reads again.
    ///
    /// Pass raw files, not buffered ones: the node reads and writes whole batches itself.
    ///
    /// # Errors
    ///
    /// If `input` cannot be read, or if `output` cannot be written although its reader is still there.
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

    /// Carries out a batch, and writes its replies.
    fn answer(&mut self, messages: Messages<'_>, output: &mut impl Write) -> io::Result<()> {
        let now = self.handler.authority.now();
        let mut pending = Vec::with_capacity(self.batch_size);
        let mut operations = Vec::with_capacity(self.batch_size);
        for message in messages {
            let reply = self.handler.begin(message.request, &mut operations);
            pending.push((message.return_address, reply));
            if let Some(Operation::List { .. } | Operation::ListUsers { .. }) = operations.last() {
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
            // The audit asks in the order of the operations, so the search never has to go back.
            while pending.get(place)?.1.operation() < Some(operation) {
                place += 1;
            }
            pending[place].0.src_json()
        };
        self.handler.authority.carry_out(now, operations, source);
        debug!("{} requests", pending.len());
        for (return_address, reply) in pending {
            self.handler.count(reply);
            let detail = self.handler.detail(reply);
            let reply = self.handler.reply(reply, operations);
            let format = self.options.reply_format;
            protocol::encode(
                return_address,
                format,
                &reply,
                detail,
                now,
                &mut self.replies,
            );
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
