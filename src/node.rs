//! Runs the loop: read, batch, apply, write. One read yields a batch of messages, the store applies the batch as one
//! unit, and one write sends all replies.
//!
//! A node is a deterministic function of its input, clock, id generator and store: if these four are the same, the
//! replies are the same, byte for byte. The node knows no rules and no JSON.

use std::io::{self, ErrorKind, Read, Write};

use crate::authority::SessionAuthority;
use crate::handler::Handler;
use crate::lines::LineReader;
use crate::messages::{MessageReader, Messages, Options};
use crate::round::{MAX_REPLY_BYTES_HELD, Round};

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
        let mut round = Round::new(now, self.options.reply_format, self.batch_size);
        for message in messages {
            if round.add(&mut self.handler, message) {
                round.carry_out(&mut self.handler, &mut self.replies);
                if self.replies.len() > MAX_REPLY_BYTES_HELD {
                    self.write_replies(output)?;
                }
            }
        }
        self.batch_size = round.len();
        round.carry_out(&mut self.handler, &mut self.replies);
        self.write_replies(output)
    }

    fn write_replies(&mut self, output: &mut impl Write) -> io::Result<()> {
        let written = output
            .write_all(&self.replies)
            .and_then(|()| output.flush());
        self.replies.clear();
        written
    }
}
