//! The other operation that concerns no one user: the list of all users. Every command that it sends is short, however
//! many users there are, and however many sessions they have: the servers' tables are scanned.

use std::collections::HashSet;

use redis::{Value, cmd, from_redis_value};

use super::exchange::{Answer, Command};
use super::places::UserDigest;
use super::pointers::Pointers;
use super::reply::parse_head;
use super::servers::Servers;
use crate::session::{Handle, Policy, Timestamp, truncated_digest};
use crate::store::{Cursor, ListUsersOptions, StoreError};

/// How many users are counted with one pipeline.
const COUNTED_AT_A_TIME: usize = 32;

/// After counting so many sessions, a page ends early, so that no other request waits long for it.
const COUNTED_PER_PAGE: usize = 10_000;

/// After so many scans, a page ends early: a server may hold little else but keys of others.
const SCANS_PER_PAGE: usize = 100;

/// Stands for the server behind all others.
const NO_SERVER: u64 = u64::MAX;

/// A scan finds fewer users at once, so a cursor with more is forged.
const MOST_FOUND: usize = 4096;

/// Some of the users, each with the number of live sessions.
pub struct UserPage {
    pub users: Vec<(String, u64)>,
    /// Where the list goes on.
    pub next: Option<Cursor>,
}

/// Lists users.
pub struct UserLister<'a> {
    pub policy: &'a Policy,
    pub servers: &'a mut Servers,
    pub pointers: &'a Pointers,
}

/// How far a list has come: on which server, how far in the scan of it, and which users the scan has found that the
/// list has not shown.
#[derive(Default)]
struct Position {
    /// Servers are in the order of digests of their names.
    server: u64,
    scan: u64,
    found: Vec<UserDigest>,
}

impl UserLister<'_> {
    /// Lists the users that follow a cursor; `None` if the cursor is none of these lists.
    pub fn list(&mut self, options: &ListUsersOptions) -> Result<Option<UserPage>, StoreError> {
        let position = options.after.as_ref().map(Position::from_cursor);
        let Some(mut position) = position.unwrap_or_else(|| Some(Position::default())) else {
            return Ok(None);
        };
        let links = self.links()?;
        let now = self.time_of(links[0].1)?;
        let mut users = Vec::new();
        let mut shown = HashSet::new();
        let (mut counted, mut scans) = (0, 0);
        let next = loop {
            let server = links.iter().find(|(server, _)| *server >= position.server);
            match server {
                _ if !position.found.is_empty() => {
                    let room = (options.limit - users.len()).min(COUNTED_AT_A_TIME);
                    let some = position
                        .found
                        .split_off(position.found.len().saturating_sub(room));
                    let some: Vec<_> = some.into_iter().filter(|it| shown.insert(*it)).collect();
                    for (name, live, all) in self.count(now, &some)? {
                        counted += all;
                        users.extend((live > 0).then_some((name, live)));
                    }
                }
                None => break None,
                Some(_) if scans == SCANS_PER_PAGE => break Some(position),
                Some(&(server, link)) => {
                    let count = options.limit.max(10);
                    let (next, found) =
                        scan(self.servers, self.pointers, link, position.scan, count)?;
                    scans += 1;
                    position = Position {
                        // Behind the end of a scan, the next server begins.
                        server: server + u64::from(next.is_none()),
                        scan: next.unwrap_or(0),
                        found,
                    };
                }
            }
            if users.len() == options.limit || counted >= COUNTED_PER_PAGE {
                break Some(position);
            }
        };
        // A page that is full may be the last.
        let next = next.filter(|position| !position.is_behind(&links));
        let next = next.map(|position| position.to_cursor());
        Ok(Some(UserPage { users, next }))
    }

    /// The links to all servers, in their order.
    fn links(&mut self) -> Result<Vec<(u64, usize)>, StoreError> {
        let mut links = Vec::new();
        for link in self.servers.primaries()? {
            let digest = truncated_digest(b"server", self.servers.name_of(link).as_bytes());
            let (first, _) = digest.split_first_chunk().expect("a digest has 16 bytes");
            links.push((u64::from_be_bytes(*first).min(NO_SERVER - 1), link));
        }
        links.sort_unstable();
        Ok(links)
    }

    /// Counts the sessions of users: the live ones, and all.
    fn count(
        &mut self,
        now: Timestamp,
        users: &[UserDigest],
    ) -> Result<Vec<(String, u64, usize)>, StoreError> {
        let mut counted = Vec::new();
        let mut unfinished = Vec::new();
        let commands: Vec<_> = users.iter().flat_map(|user| self.read(*user, 0)).collect();
        let mut answers = self.servers.exchange(&commands).into_iter();
        for user in users {
            let name: Option<String> = parse(answers.next())?;
            let (next, heads) = parse_heads(answers.next())?;
            // A hash that has gone has no name.
            if let Some(name) = name {
                if next != 0 {
                    unfinished.push((counted.len(), *user, next));
                }
                counted.push((name, heads));
            }
        }
        for (place, user, mut next) in unfinished {
            while next != 0 {
                let [_, read] = self.read(user, next);
                let answer = self.servers.exchange(&[read]).pop();
                let heads;
                (next, heads) = parse_heads(answer)?;
                counted[place].1.extend(heads);
            }
        }
        let count = |(name, heads): (String, Vec<(Handle, Head)>)| {
            let mut seen = HashSet::new();
            // A scan may show a field twice.
            let heads = heads.into_iter().filter(|(handle, _)| seen.insert(*handle));
            let live = heads.filter(|(_, head)| {
                let life = parse_head(head).map(|life| life.limited_to(self.policy.max_ttl));
                life.is_some_and(|life| life.is_live(now))
            });
            let live = live.count() as u64;
            (name, live, seen.len())
        };
        Ok(counted.into_iter().map(count).collect())
    }

    /// Reads the name of a user and some of the sessions.
    fn read(&self, user: UserDigest, cursor: u64) -> [Command; 2] {
        let key = self.pointers.hash(user);
        let mut name = cmd("HGET");
        name.arg(&key).arg("u");
        let mut scan = cmd("HSCAN");
        scan.arg(&key).arg(cursor);
        scan.arg("MATCH").arg("s*").arg("COUNT").arg(1000);
        [(key.clone(), name), (key, scan)].map(|(key, cmd)| Command { key, cmd })
    }

    fn time_of(&mut self, link: usize) -> Result<Timestamp, StoreError> {
        let time = self.servers.ask(link, &cmd("TIME"));
        let time = time.map_err(StoreError::NoEffect)?;
        let (seconds, micros): (u64, u64) = from_redis_value(time).map_err(|_| unreadable())?;
        Ok(Timestamp::from_millis(seconds * 1000 + micros / 1000))
    }
}

/// What a hash holds of a session.
type Head = Vec<u8>;

/// Finds some of a server's users, and where the scan goes on. Looks at about `count` keys.
pub fn scan(
    servers: &mut Servers,
    pointers: &Pointers,
    link: usize,
    cursor: u64,
    count: usize,
) -> Result<(Option<u64>, Vec<UserDigest>), StoreError> {
    let mut scan = cmd("SCAN");
    scan.arg(cursor).arg("MATCH").arg(pointers.all_hashes());
    scan.arg("COUNT").arg(count);
    let page = servers.ask(link, &scan).map_err(StoreError::NoEffect)?;
    let (next, hashes): (u64, Vec<Vec<u8>>) = from_redis_value(page).map_err(|_| unreadable())?;
    let users = hashes.iter().filter_map(|hash| pointers.user_of(hash));
    Ok((Some(next).filter(|next| *next != 0), users.collect()))
}

fn parse<T: redis::FromRedisValue>(answer: Option<Answer>) -> Result<T, StoreError> {
    let value = answer.unwrap_or(Ok(Value::Nil))?;
    from_redis_value(value).map_err(|_| unreadable())
}

/// Reads the answer to HSCAN: where it goes on, and the sessions.
fn parse_heads(answer: Option<Answer>) -> Result<(u64, Vec<(Handle, Head)>), StoreError> {
    let (next, pairs): (u64, Vec<(Vec<u8>, Head)>) = parse(answer)?;
    let session = |(field, head): (Vec<u8>, Head)| {
        let handle = field.strip_prefix(b"s")?.try_into().ok()?;
        Some((Handle::from_bytes(handle), head))
    };
    Ok((next, pairs.into_iter().filter_map(session).collect()))
}

fn unreadable() -> StoreError {
    StoreError::NoEffect("the server gave an answer that the node cannot read".to_owned())
}

impl Position {
    /// Whether all users of all servers have been shown.
    fn is_behind(&self, links: &[(u64, usize)]) -> bool {
        self.found.is_empty() && links.iter().all(|(server, _)| *server < self.server)
    }

    fn to_cursor(&self) -> Cursor {
        let mut bytes = self.server.to_be_bytes().to_vec();
        bytes.extend(self.scan.to_be_bytes());
        bytes.extend(self.found.as_flattened());
        Cursor::from_bytes(bytes)
    }

    fn from_cursor(cursor: &Cursor) -> Option<Self> {
        let (server, rest) = cursor.as_bytes().split_first_chunk()?;
        let (scan, rest) = rest.split_first_chunk()?;
        let (found, []) = rest.as_chunks() else {
            return None;
        };
        if found.len() > MOST_FOUND {
            return None;
        }
        Some(Self {
            server: u64::from_be_bytes(*server),
            scan: u64::from_be_bytes(*scan),
            found: found.to_vec(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_survives_its_cursor_and_nothing_else_is_one() {
        let position = Position {
            server: 7,
            scan: u64::MAX,
            found: vec![[1; 16], [2; 16]],
        };
        let again = Position::from_cursor(&position.to_cursor()).expect("it is a position");
        assert_eq!((again.server, again.scan), (7, u64::MAX));
        assert_eq!(again.found, position.found);
        for wrong in [0, 15, 17, 33, 16 * (MOST_FOUND + 2)] {
            let wrong = vec![0; wrong];
            assert!(Position::from_cursor(&Cursor::from_bytes(wrong)).is_none());
        }
    }
}
