//! One round of the loop: the messages that have arrived, on one stream or on many, become one batch, and each stream
//! gets its replies.

use tracing::debug;

use crate::audit::{Origin, Peer};
use crate::handler::{Handler, PendingReply};
use crate::protocol::{self, Message, ReplyFormat, ReturnAddress};
use crate::session::Timestamp;
use crate::store::Operation;

/// How many bytes of replies a stream may hold before the node writes them. Lists of sessions may be long, so the node
/// carries out a batch list by list: a peer that asks for many lists with one write must not fill the memory with
/// replies.
pub const MAX_REPLY_BYTES_HELD: usize = 1024 * 1024;

/// The streams of a round, numbered from 0.
pub trait Streams {
    /// The replies of a stream that are still to be written.
    fn replies(&mut self, stream: usize) -> &mut Vec<u8>;

    /// The process at the other end of a stream, if the system tells.
    fn peer(&self, stream: usize) -> Option<Peer>;
}

/// The only stream of a node that answers on standard output.
impl Streams for Vec<u8> {
    #[inline]
    fn replies(&mut self, _: usize) -> &mut Vec<u8> {
        self
    }

    fn peer(&self, _: usize) -> Option<Peer> {
        None
    }
}

/// The messages of a round that are not carried out yet, stream by stream.
pub struct Round<'a> {
    now: Timestamp,
    format: ReplyFormat,
    pending: Vec<(ReturnAddress<'a>, PendingReply<'a>)>,
    operations: Vec<Operation<'a>>,
    /// The stream of the first pending message.
    first_stream: usize,
    /// Where the messages of each stream but the present one end. Streams are not told apart by a number in each
    /// message, because moving it cost every request 60 instructions.
    ends: Vec<usize>,
}

impl<'a> Round<'a> {
    /// Begins a round at `now`, with room for `expected` messages. It begins with stream 0.
    pub fn new(now: Timestamp, format: ReplyFormat, expected: usize) -> Self {
        Self {
            now,
            format,
            pending: Vec::with_capacity(expected),
            operations: Vec::with_capacity(expected),
            first_stream: 0,
            ends: Vec::new(),
        }
    }

    /// The number of messages that are not carried out yet.
    pub fn len(&self) -> usize {
        self.pending.len()
    }

    /// Goes on to the next stream.
    #[cfg(feature = "socket")]
    pub fn next_stream(&mut self) {
        self.ends.push(self.pending.len());
    }

    /// Adds a message of the present stream. Returns whether it asks for a list, which has to be carried out before
    /// more is added.
    #[inline]
    pub fn add(&mut self, handler: &mut Handler, message: Message<'a>) -> bool {
        let reply = handler.begin(message.request, &mut self.operations);
        self.pending.push((message.return_address, reply));
        let last = self.operations.last();
        matches!(
            last,
            Some(Operation::List { .. } | Operation::ListUsers { .. })
        )
    }

    /// Carries out the messages as one batch, and adds the replies to their streams.
    pub fn carry_out(&mut self, handler: &mut Handler, streams: &mut impl Streams) {
        let (pending, operations) = (self.pending.as_slice(), self.operations.as_slice());
        let (mut place, ends, first_stream) = (0, &self.ends, self.first_stream);
        let origin = |operation| {
            // The audit asks in the order of the operations, so the search never has to go back.
            while pending.get(place)?.1.operation() < Some(operation) {
                place += 1;
            }
            let stream = first_stream + ends.partition_point(|end| *end <= place);
            Some(Origin {
                src_json: pending[place].0.src_json(),
                peer: streams.peer(stream),
            })
        };
        handler.authority.carry_out(self.now, operations, origin);
        debug!("{} requests", pending.len());
        let mut start = 0;
        for (number, end) in ends.iter().copied().chain([pending.len()]).enumerate() {
            let replies = streams.replies(first_stream + number);
            self.encode(&pending[start..end], handler, replies);
            start = end;
        }
        self.first_stream += self.ends.len();
        self.ends.clear();
        self.pending.clear();
        self.operations.clear();
    }

    fn encode(
        &self,
        pending: &[(ReturnAddress<'a>, PendingReply<'a>)],
        handler: &mut Handler,
        replies: &mut Vec<u8>,
    ) {
        for (return_address, reply) in pending {
            handler.count(reply);
            let detail = handler.detail(reply);
            let reply = handler.reply(reply, &self.operations);
            let (format, now) = (self.format, self.now);
            protocol::encode(return_address, format, &reply, detail, now, replies);
        }
    }
}
