//! The one operation that concerns no one user: the end of all sessions.

use std::iter;

use super::places::UserDigest;
use super::pointers::Pointers;
use super::reply;
use super::report::Report;
use super::scripts::{self, ScriptName};
use super::servers::Servers;
use super::upkeep::Upkeep;
use super::users::scan;
use crate::session::Policy;
use crate::store::{EventKind, StoreError};

/// Ends all sessions, user by user.
pub struct Destroyer<'a, 'r> {
    pub policy: &'a Policy,
    pub servers: &'a mut Servers,
    pub pointers: &'a mut Pointers,
    pub report: &'a mut Report<'r>,
}

impl Destroyer<'_, '_> {
    /// Ends all sessions, and returns how many were live. A scan finds every hash that exists from its beginning to
    /// its end.
    pub fn destroy_all(mut self) -> Result<u64, StoreError> {
        let before = self.report.counters.destroyed;
        let mut result = self.destroy_all_users();
        let count = self.report.counters.destroyed - before;
        if result.is_ok() && count > 0 {
            let waited = self.servers.wait_for_replicas();
            result = waited.map_err(StoreError::MayHaveTakenEffect);
        }
        match result {
            Ok(()) => Ok(count),
            Err(StoreError::NoEffect(why)) if count > 0 => Err(StoreError::MayHaveTakenEffect(why)),
            Err(failure) => Err(failure),
        }
    }

    fn destroy_all_users(&mut self) -> Result<(), StoreError> {
        for link in self.servers.primaries()? {
            let mut cursor = Some(0);
            while let Some(at) = cursor {
                let users;
                (cursor, users) = scan(self.servers, self.pointers, link, at, 1000)?;
                self.destroy_users(&users)?;
            }
        }
        Ok(())
    }

    /// Ends all sessions of these users. When one user's fail, the others' still end.
    fn destroy_users(&mut self, users: &[UserDigest]) -> Result<(), StoreError> {
        let destroy = |user: &UserDigest| {
            let hash = self.pointers.hash(*user);
            let mut script = scripts::run(ScriptName::DestroyUser, hash, self.policy, false);
            // No session is spared.
            script.arg("").arg("");
            script
        };
        let commands: Vec<_> = users.iter().map(destroy).collect();
        let mut result = Ok(());
        let mut upkeep = Upkeep::after(iter::empty(), self.pointers);
        for answer in self.servers.exchange(&commands) {
            match reply::read(iter::once(answer)) {
                Ok(replies) => {
                    for reply in replies {
                        upkeep.drop_ended(0, &reply.ended);
                        // One event stands for all sessions that were live.
                        self.report
                            .note_ends(&reply, |kind| kind == EventKind::Expired);
                    }
                }
                Err(failure) => result = Err(failure),
            }
        }
        self.servers.exchange(&upkeep.commands);
        result
    }
}
