//! The one operation that is not about one user.

use std::iter;
use std::time::Duration;

use redis::{Value, cmd};

use super::ask::add_session;
use super::batch::{Batch, read};
use super::commands::Commands;
use super::scripts::{self, ScriptName};
use crate::store::{EventKind, Operation, Outcome, StoreError};

impl Batch<'_> {
    /// Ends all sessions, user by user: a scan finds every key that is there from its beginning to its end.
    pub fn destroy_all(&mut self) {
        let mut count = 0;
        let result = self.destroy_all_users(&mut count);
        let result = match result {
            Ok(()) if self.options.wait_replicas > 0 && count > 0 => {
                let waited = self.servers.wait_for_replicas();
                waited.map_err(StoreError::MayHaveTakenEffect)
            }
            result => result,
        };
        let outcome = match result {
            Ok(()) => {
                let kind = EventKind::AllDestroyed(count);
                self.outcomes.note(kind, || (None, None));
                Ok(Outcome::DestroyedMany { count })
            }
            Err(StoreError::NoEffect(why)) if count > 0 => {
                Err(self.explain(&Operation::DestroyAll, StoreError::MayHaveTakenEffect(why)))
            }
            Err(failure) => Err(self.explain(&Operation::DestroyAll, failure)),
        };
        self.outcomes.push(outcome);
    }

    fn destroy_all_users(&mut self, count: &mut u64) -> Result<(), StoreError> {
        let pattern = format!("{}u:*", self.options.prefix);
        for link in self.servers.primaries()? {
            let mut cursor = b"0".to_vec();
            loop {
                let mut scan = cmd("SCAN");
                scan.arg(&cursor)
                    .arg("MATCH")
                    .arg(&pattern)
                    .arg("COUNT")
                    .arg(1000);
                let page = self
                    .servers
                    .ask(link, &scan)
                    .map_err(StoreError::NoEffect)?;
                let Some((next, hashes)) = page_of_scan(page) else {
                    let why = "no answer to SCAN".to_owned();
                    return Err(StoreError::NoEffect(why));
                };
                self.destroy_hashes(&hashes, count)?;
                if next == b"0" {
                    break;
                }
                cursor = next;
            }
        }
        Ok(())
    }

    fn destroy_hashes(&mut self, hashes: &[String], count: &mut u64) -> Result<(), StoreError> {
        let mut commands = Commands::default();
        for hash in hashes {
            let mut command = scripts::run(ScriptName::DestroyUser, hash);
            add_session(&mut command, None);
            commands.add(hash, &command);
        }
        let answers = self.servers.exchange(&commands);
        let mut pointers = Commands::default();
        let mut failure = None;
        for answer in answers {
            let reply = match read(iter::once(answer)) {
                Ok(replies) => replies,
                Err(error) => {
                    failure = Some(error);
                    continue;
                }
            };
            for reply in reply {
                *count += reply.one;
                self.counters.destroyed += reply.one;
                for ended in &reply.ended {
                    if ended.letter == b'x' {
                        self.note_end(ended, reply.user.as_deref());
                    }
                    self.keep_pointers_of(ended, Duration::ZERO, |_| false, &mut pointers);
                }
            }
        }
        self.servers.exchange(&pointers);
        failure.map_or(Ok(()), Err)
    }
}

fn page_of_scan(page: Value) -> Option<(Vec<u8>, Vec<String>)> {
    let Value::Array(parts) = page else {
        return None;
    };
    let Ok([Value::BulkString(next), Value::Array(keys)]) = <[Value; 2]>::try_from(parts) else {
        return None;
    };
    let key = |key| match key {
        Value::BulkString(bytes) => String::from_utf8(bytes).ok(),
        _ => None,
    };
    Some((next, keys.into_iter().filter_map(key).collect()))
}
