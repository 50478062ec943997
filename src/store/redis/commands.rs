//! Commands on their way to the servers, already encoded.

use std::ops::Range;

use redis::{Cmd, Value};

use super::slots::slot_of;
use crate::store::StoreError;

/// A server's reply to a command, or why there is none. The reason never repeats what was sent.
pub type Answer = Result<Value, StoreError>;

/// Encoded commands in their order. Each concerns one key.
#[derive(Default)]
pub struct Commands {
    bytes: Vec<u8>,
    keys: String,
    list: Vec<Command>,
}

/// Where one command's bytes and key are.
struct Command {
    slot: u16,
    key: Range<usize>,
    bytes: Range<usize>,
}

impl Commands {
    /// Adds a command that concerns `key`.
    pub fn add(&mut self, key: &str, command: &Cmd) {
        let (key_start, start) = (self.keys.len(), self.bytes.len());
        self.keys.push_str(key);
        command.write_packed_command(&mut self.bytes);
        self.list.push(Command {
            slot: slot_of(key),
            key: key_start..self.keys.len(),
            bytes: start..self.bytes.len(),
        });
    }

    pub fn slot(&self, command: usize) -> usize {
        usize::from(self.list[command].slot)
    }

    pub fn key(&self, command: usize) -> &str {
        &self.keys[self.list[command].key.clone()]
    }

    pub fn bytes(&self, command: usize) -> &[u8] {
        &self.bytes[self.list[command].bytes.clone()]
    }

    pub fn len(&self) -> usize {
        self.list.len()
    }
}
