//! What has become of each command of a pipeline: answered, or still to be sent.

use std::collections::{BTreeMap, HashMap};
use std::mem;

use super::command::{Answer, Command};
use crate::store::StoreError;

/// A command on its way to a server.
#[derive(Clone, Copy)]
pub struct Sending {
    pub command: usize,
    /// The link that an `ASK` named; the command's slot says the link otherwise.
    pub asking: Option<usize>,
}

/// Commands, and the answers that have come so far.
pub struct Exchange<'c> {
    pub commands: &'c [Command],
    answers: Vec<Option<Answer>>,
    unsent: Vec<Sending>,
    /// Why something is still to be sent.
    pub why: String,
}

impl<'c> Exchange<'c> {
    pub fn of(commands: &'c [Command]) -> Self {
        let asking = None;
        let all = 0..commands.len();
        Self {
            commands,
            answers: all.clone().map(|_| None).collect(),
            unsent: all.map(|command| Sending { command, asking }).collect(),
            why: String::new(),
        }
    }

    pub fn is_over(&self) -> bool {
        self.unsent.is_empty()
    }

    /// Takes what is to be sent, divided by link and in the order of the commands. `home` finds the link of a key.
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

    pub fn answer(&mut self, command: usize, answer: Answer) {
        self.answers[command] = Some(answer);
    }

    /// Has a command sent again in the next round: through the link `asking`, or where its slot is then.
    pub fn send_again(&mut self, command: usize, asking: Option<usize>, why: &str) {
        why.clone_into(&mut self.why);
        self.unsent.push(Sending { command, asking });
    }

    /// Answers each unsent command for whose key a later command may have taken effect. Sent again, it would take
    /// effect out of order: a session could begin after the end of all of its user's sessions.
    pub fn give_up_overtaken(&mut self) {
        if self.is_over() {
            return;
        }
        let mut latest = HashMap::new();
        for (command, answer) in self.answers.iter().enumerate() {
            if matches!(answer, Some(Ok(_) | Err(StoreError::MayHaveTakenEffect(_)))) {
                latest.insert(&self.commands[command].key, command);
            }
        }
        for sending in mem::take(&mut self.unsent) {
            let command = sending.command;
            if latest.get(&self.commands[command].key) > Some(&command) {
                let why = "a later command was carried out before it could be sent again";
                self.answers[command] = Some(Err(StoreError::NoEffect(why.to_owned())));
            } else {
                self.unsent.push(sending);
            }
        }
    }

    /// Ends the exchange: what is unsent had no effect.
    pub fn into_answers(self) -> Vec<Answer> {
        let unsent = || Err(StoreError::NoEffect(self.why.clone()));
        let answers = self.answers.into_iter();
        answers
            .map(|answer| answer.unwrap_or_else(unsent))
            .collect()
    }
}
