//! What has become of each command of a pipeline: answered, or still to be sent.

use std::collections::{BTreeMap, HashMap};
use std::mem;

use super::commands::{Answer, Commands};
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
    pub commands: &'c Commands,
    answers: Vec<Option<Answer>>,
    unsent: Vec<Sending>,
    /// Why something is still to be sent.
    why: String,
}

impl<'c> Exchange<'c> {
    pub fn of(commands: &'c Commands) -> Self {
        let sending = |command| Sending {
            command,
            asking: None,
        };
        Self {
            commands,
            answers: (0..commands.len()).map(|_| None).collect(),
            unsent: (0..commands.len()).map(sending).collect(),
            why: String::new(),
        }
    }

    pub fn is_over(&self) -> bool {
        self.unsent.is_empty()
    }

    /// Takes what is to be sent, divided by link and in the order of the commands. `link_of` says where a slot is.
    pub fn take_unsent(
        &mut self,
        link_of: impl Fn(usize) -> usize,
    ) -> BTreeMap<usize, Vec<Sending>> {
        let mut by_link: BTreeMap<usize, Vec<Sending>> = BTreeMap::new();
        self.unsent.sort_unstable_by_key(|sending| sending.command);
        for sending in mem::take(&mut self.unsent) {
            let home = || link_of(self.commands.slot(sending.command));
            let link = sending.asking.unwrap_or_else(home);
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
                latest.insert(self.commands.key(command), command);
            }
        }
        let (commands, answers) = (self.commands, &mut self.answers);
        self.unsent.retain(|&Sending { command, .. }| {
            let is_overtaken = latest.get(commands.key(command)) > Some(&command);
            if is_overtaken {
                let why = "a later command was carried out before it could be sent again";
                answers[command] = Some(Err(StoreError::NoEffect(why.to_owned())));
            }
            !is_overtaken
        });
    }

    /// Ends the exchange. `failure` says why the node cannot send any more, if it is not the reason of each command.
    pub fn into_answers(mut self, failure: Option<String>) -> Vec<Answer> {
        let why = failure.unwrap_or(self.why);
        for sending in self.unsent {
            self.answers[sending.command] = Some(Err(StoreError::NoEffect(why.clone())));
        }
        let answer = |answer: Option<_>| answer.expect("every command was answered or is unsent");
        self.answers.into_iter().map(answer).collect()
    }
}
