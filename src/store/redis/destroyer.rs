//! The one operation that concerns no one user: the end of all sessions.

use std::iter;

use redis::{cmd, from_redis_value};

use super::pointers::Pointers;
use super::reply::{self, Finding};
use super::report::Report;
use super::requests;
use super::servers::Servers;
use super::upkeep::Upkeep;
use crate::store::{EventKind, StoreError};

/// How many keys a server looks at for one page of a scan.
const KEYS_PER_PAGE: usize = 1000;

/// Ends all sessions, user by user.
pub struct Destroyer<'a, 'r> {
    pub servers: &'a mut Servers,
    pub pointers: &'a mut Pointers,
    pub report: &'a mut Report<'r>,
    /// How many live sessions have ended so far.
    pub count: u64,
}

impl Destroyer<'_, '_> {
    /// Ends all sessions, and returns how many were live. A scan finds every hash that exists from its beginning to
    /// its end.
    pub fn destroy_all(mut self) -> Result<u64, StoreError> {
        let mut result = self.destroy_all_users();
        if result.is_ok() && self.count > 0 {
            let waited = self.servers.wait_for_replicas();
            result = waited.map_err(StoreError::MayHaveTakenEffect);
        }
        match result {
            Err(StoreError::NoEffect(why)) if self.count > 0 => {
                Err(StoreError::MayHaveTakenEffect(why))
            }
            result => result.map(|()| self.count),
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
        scan.arg("COUNT").arg(KEYS_PER_PAGE);
        let page = self.servers.ask(link, &scan)?;
        from_redis_value(page).map_err(|_| "no answer to SCAN".to_owned())
    }

    /// Ends all sessions in these hashes. When one hash fails, the others still end.
    fn destroy_users(&mut self, hashes: Vec<Vec<u8>>) -> Result<(), StoreError> {
        let hashes = hashes.into_iter().flat_map(String::from_utf8);
        let commands: Vec<_> = hashes.map(requests::destroy_user).collect();
        let mut result = Ok(());
        let mut upkeep = Upkeep::after(iter::empty(), self.report.now, self.pointers);
        for answer in self.servers.exchange(&commands) {
            match reply::read(iter::once(answer)) {
                Ok(replies) => {
                    for reply in replies {
                        upkeep.drop_ended(0, &reply.ended);
                        // One event stands for all sessions that were live.
                        self.report
                            .note_ends(&reply, |kind| kind == EventKind::Expired);
                        if let Finding::DestroyedMany { count } = reply.finding {
                            self.count += count;
                        }
                    }
                }
                Err(failure) => result = Err(failure),
            }
        }
        self.servers.exchange(&upkeep.commands);
        result
    }
}
