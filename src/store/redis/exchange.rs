//! Commands on their way: which are answered, and which are still to be sent.

use std::collections::{BTreeMap, HashMap};
use std::mem;

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

/// A command that is to be sent.
#[derive(Clone, Copy)]
pub struct Sending {
    pub command: usize,
    /// The link that an `ASK` named; otherwise the command's slot says the link.
    pub asking: Option<usize>,
}

/// Commands, with the answer to each as far as the node knows: the last reason not to carry it out, or the final one.
pub struct Exchange<'c> {
    pub commands: &'c [Command],
    pub answers: Vec<Answer>,
    pub unsent: Vec<Sending>,
}

impl<'c> Exchange<'c> {
    pub fn of(commands: &'c [Command]) -> Self {
        let asking = None;
        let all = 0..commands.len();
        Self {
            commands,
            answers: all.clone().map(|_| no_effect("")).collect(),
            unsent: all.map(|command| Sending { command, asking }).collect(),
        }
    }

    /// Takes what is unsent, divided by link and in the order of the commands. `home` finds the link of a key.
    pub fn take_unsent(&mut self, home: impl Fn(&str) -> usize) -> BTreeMap<usize, Vec<Sending>> {
        let mut by_link: BTreeMap<usize, Vec<Sending>> = BTreeMap::new();
        self.unsent.sort_unstable_by_key(|sending| sending.command);
        for sending in mem::take(&mut self.unsent) {
            let key = &self.commands[sending.command].key;
            let link = sending.asking.unwrap_or_else(|| home(key));
            by_link.entry(link).or_default().push(sending);
        }
        by_link
    }

    pub fn send_again(&mut self, command: usize, asking: Option<usize>) {
        self.unsent.push(Sending { command, asking });
    }

    /// Gives each unsent command up for whose key a later command may have taken effect. Sent again, it would take
    /// effect out of order: a session could begin after the end of all of its user's sessions.
    pub fn give_up_overtaken(&mut self) {
        if self.unsent.is_empty() {
            return;
        }
        let mut latest = HashMap::new();
        for (command, answer) in self.answers.iter().enumerate() {
            if matches!(answer, Ok(_) | Err(StoreError::MayHaveTakenEffect(_))) {
                latest.insert(&self.commands[command].key, command);
            }
        }
        for sending in mem::take(&mut self.unsent) {
            let command = sending.command;
            if latest.get(&self.commands[command].key) > Some(&command) {
                let why = "a later command was carried out before it could be sent again";
                self.answers[command] = no_effect(why);
            } else {
                self.unsent.push(sending);
            }
        }
    }
}

/// The answer to a command that certainly had no effect.
pub fn no_effect(why: &str) -> Answer {
    Err(StoreError::NoEffect(why.to_owned()))
}
