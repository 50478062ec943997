//! The loop: a read gives a batch of messages, the batch becomes operations, the store applies them as one unit,
//! and their outcomes leave with one write.
//!
//! A node is a deterministic function of its input, its clock, its id generator and its store: the same
//! four give the same bytes. It knows no rule of a session's life and no JSON.

use std::io::{self, ErrorKind, Read, Write};

use tracing::debug;

use crate::audit::Audit;
use crate::clock::Clock;
use crate::handler::{Handler, Taken};
use crate::lines::LineReader;
use crate::messages::{MessageReader, Messages};
use crate::protocol::{self, Limits, ReplyFormat, ReturnAddress};
use crate::session::Timestamp;
use crate::store::{Operation, Outcome, Outcomes, Store};

/// A list of sessions may be long, so a batch is carried out list by list, and what has been replied is written when
/// it is more than this: a peer that asks for many lists with one write must not fill the memory with them.
const MAX_REPLY_BYTES_HELD: usize = 1024 * 1024;

/// How a node treats its input and forms its replies.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The longest message that is read, in bytes, its last line ending not counted. A longer one is refused.
    pub max_line_bytes: usize,
    /// The form of replies.
    pub reply_format: ReplyFormat,
    /// What requests may ask for at the most.
    pub limits: Limits,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_line_bytes: 1024 * 1024,
            reply_format: ReplyFormat::Envelope,
            limits: Limits::default(),
        }
    }
}

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

/// A session that was to exist at the start was not taken by the store.
#[derive(Debug, thiserror::Error)]
#[error("the store did not take a session that was to exist at the start")]
pub struct PreloadError;

/// A session authority on a stream of requests and a stream of replies.
pub struct Node<S, C> {
    store: S,
    clock: C,
    handler: Handler,
    options: Options,
    outcomes: Outcomes,
    audit: Option<Audit>,
    replies: Vec<u8>,
    /// Of the latest batch: a good guess at the next one's.
    batch_size: usize,
}

impl<S: Store, C: Clock> Node<S, C> {
    /// A node that keeps its sessions in `store`, at the times that `clock` shows.
    pub fn new(store: S, clock: C, handler: Handler, options: Options) -> Self {
        Self {
            store,
            clock,
            handler,
            options,
            outcomes: Outcomes::new(),
            audit: None,
            replies: Vec::new(),
            batch_size: 0,
        }
    }

    /// From now on, tells `audit` what happens to sessions, each time before the replies of a batch leave.
    #[must_use]
    pub fn with_audit(mut self, audit: Audit) -> Self {
        self.outcomes = Outcomes::recording(audit.record());
        self.audit = Some(audit);
        self
    }

    /// Begins a session of `user` under an id that was chosen beforehand: for tests and demonstrations, since
    /// such an id is no secret.
    ///
    /// # Errors
    ///
    /// When the store does not take the session.
    pub fn preload(&mut self, id: &str, user: &str) -> Result<(), PreloadError> {
        let now = self.clock.now();
        self.outcomes.clear();
        self.store
            .apply(now, &[self.handler.preload(id, user)], &mut self.outcomes);
        if let Some(audit) = &mut self.audit {
            audit.write(now, &self.outcomes, |_| None);
        }
        match self.outcomes.list() {
            [Ok(Outcome::Created { .. })] => Ok(()),
            _ => Err(PreloadError),
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
        let Options {
            max_line_bytes,
            reply_format,
            limits,
        } = self.options;
        let mut lines = LineReader::new(max_line_bytes);
        let mut messages = MessageReader::new(max_line_bytes, reply_format, limits);
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
        let now = self.clock.now();
        let mut requests = Vec::with_capacity(self.batch_size);
        let mut operations = Vec::with_capacity(self.batch_size);
        for message in messages {
            let (taken, operation) = self.handler.take_up(message.request);
            let ends_piece = matches!(operation, Some(Operation::List { .. }));
            requests.push((message.return_address, taken));
            operations.extend(operation);
            if ends_piece {
                self.carry_out(now, &requests, &operations);
                requests.clear();
                operations.clear();
                if self.replies.len() > MAX_REPLY_BYTES_HELD {
                    self.write_replies(output)?;
                }
            }
        }
        self.batch_size = requests.len();
        self.carry_out(now, &requests, &operations);
        self.write_replies(output)
    }

    /// Applies the operations of `requests`, and adds the replies to `self.replies`.
    fn carry_out(
        &mut self,
        now: Timestamp,
        requests: &[(ReturnAddress<'_>, Taken<'_>)],
        operations: &[Operation<'_>],
    ) {
        self.outcomes.clear();
        self.store.apply(now, operations, &mut self.outcomes);
        debug!("{} requests", requests.len());

        if let Some(audit) = &mut self.audit
            && !self.outcomes.events().is_empty()
        {
            let asked = requests.iter().filter(|(_, taken)| taken.asks());
            let senders: Vec<_> = asked.map(|(sender, _)| sender.src_json()).collect();
            let src_of = |operation: usize| senders.get(operation).copied().flatten();
            audit.write(now, &self.outcomes, src_of);
        }

        let mut outcomes_left = self.outcomes.list().iter();
        for (return_address, taken) in requests {
            let reply = self
                .handler
                .reply(taken, &mut outcomes_left, &self.outcomes, now);
            protocol::encode(
                return_address,
                self.options.reply_format,
                &reply,
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
