//! The two ends of the wire, which nobody outside can use, for those who measure and fuzz them.

pub use crate::handler::{Handler, PendingReply};
pub use crate::id::IdGenerator;
pub use crate::protocol::{
    Error, ErrorCode, Fault, Incoming, ListedSession, Message, Place, Reply, Request,
    ReturnAddress, Unreadable, decode, decode_beginning, encode,
};
