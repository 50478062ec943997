//! The one operation that concerns no one user: the end of all sessions.

use std::iter;

use redis::{cmd, from_redis_value};

use super::pointers::Pointers;
use super::reply;
use super::report::Report;
use super::scripts::{self, ScriptName};
use super::servers::Servers;
use super::upkeep::Upkeep;
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
            let mut cursor = b"0".to_vec();
            loop {
                let (next, hashes) = self.scan(link, &cursor).map_err(StoreError::NoEffect)?;
                self.destroy_users(hashes)?;
                if next == b"0" {
                    break;
                }
                cursor = next;
            }
        }
        Ok(())
    }

    /// Reads the names of some of a server's hashes, and the cursor that leads to the next.
    fn scan(&mut self, link: usize, cursor: &[u8]) -> Result<(Vec<u8>, Vec<Vec<u8>>), String> {
        let mut scan = cmd("SCAN");
        scan.arg(cursor)
            .arg("MATCH")
            .arg(self.pointers.all_hashes());
        scan.arg("COUNT").arg(1000);
        let page = self.servers.ask(link, &scan)?;
        from_redis_value(page).map_err(|_| "no answer to SCAN".to_owned())
    }

    /// Ends all sessions in these hashes. When one hash fails, the others still end.
    fn destroy_users(&mut self, hashes: Vec<Vec<u8>>) -> Result<(), StoreError> {
        let hashes = hashes.into_iter().flat_map(String::from_utf8);
        let destroy = |hash| {
            let mut script = scripts::run(ScriptName::DestroyUser, hash, self.policy, false);
            // No session is spared.
            script.arg("").arg("");
            script
        };
        let commands: Vec<_> = hashes.map(destroy).collect();
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
