//! A command for the servers, and what comes back.

use redis::{Cmd, ToRedisArgs, Value};

use crate::store::StoreError;

/// A command, with the one key that it concerns.
pub struct Command {
    pub key: String,
    pub cmd: Cmd,
}

/// A server's reply to a command, or why there is none. The reason never repeats what was sent.
pub type Answer = Result<Value, StoreError>;

impl Command {
    pub fn arg(&mut self, argument: impl ToRedisArgs) -> &mut Self {
        self.cmd.arg(argument);
        self
    }
}
