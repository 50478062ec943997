//! Stores that are wrong on purpose.

use std::collections::HashSet;

use session_node::session::SessionKey;
use session_node::store::{Batch, Operation, Outcome, Outcomes, Store};

use super::USERS;

/// A store that believes what it has once seen to be valid.
pub struct Believing {
    store: Box<dyn Store>,
    valid: HashSet<SessionKey>,
}

impl Believing {
    pub fn new(store: Box<dyn Store>) -> Self {
        let valid = HashSet::new();
        Self { store, valid }
    }
}

impl Store for Believing {
    fn apply(&mut self, batch: &Batch<'_>, outcomes: &mut Outcomes) {
        let [operation] = batch.operations else {
            panic!("one at a time")
        };
        match operation {
            Operation::Validate { key, .. } if self.valid.contains(key) => {
                let user = outcomes.keep(USERS[0]);
                outcomes.push(Ok(Outcome::Valid {
                    user,
                    data: None,
                    expires_at: batch.now,
                }));
                return;
            }
            _ => self.store.apply(batch, outcomes),
        }
        if let (Operation::Validate { key, .. }, Ok(Outcome::Valid { user, .. })) =
            (operation, &outcomes.all()[0])
            && outcomes.text(user) == USERS[0]
        {
            self.valid.insert(*key);
        }
    }
}

/// A store that regenerates, or logs in, in two steps: it looks whether the session is live, and then takes it that it
/// still is.
pub struct LookingFirst {
    pub store: Box<dyn Store>,
    pub at_log_ins: bool,
}

impl Store for LookingFirst {
    fn apply(&mut self, batch: &Batch<'_>, outcomes: &mut Outcomes) {
        let [Operation::Regenerate { old, changes, .. }] = batch.operations else {
            return self.store.apply(batch, outcomes);
        };
        let is_log_in = changes.as_ref().is_some_and(|it| it.user.is_some());
        if is_log_in != self.at_log_ins {
            return self.store.apply(batch, outcomes);
        }
        let look = Operation::Validate {
            key: *old,
            conditions: None,
        };
        let mut seen = Outcomes::new();
        let first = Batch {
            operations: &[look],
            ..*batch
        };
        self.store.apply(&first, &mut seen);
        self.store.apply(batch, &mut Outcomes::new());
        outcomes.push(Ok(match &seen.all()[0] {
            Ok(Outcome::Valid { .. }) => Outcome::Regenerated,
            _ => Outcome::Invalid,
        }));
    }
}
