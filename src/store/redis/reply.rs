//! The answers of scripts, parsed. Nothing behind this file sees a letter or a position in an answer.

use std::time::Duration;

use redis::{FromRedisValue, Value, from_redis_value};

use super::exchange::Answer;
use crate::session::{Handle, Lifetime, SessionKey, Timestamp};
use crate::store::{Conflict, EventKind, Listed, Reason, StoreError};

const UNREADABLE: &str = "a script gave an answer that the node cannot read";

/// The answer of a script.
pub struct Reply {
    /// The user's name; empty where the servers hold nothing of the user, so that nothing can have ended either.
    pub user: String,
    /// The sessions that the script ended.
    pub ended: Vec<Ended>,
    pub finding: Finding,
    /// The times of the session, if the script told them.
    pub detail: Option<Lifetime>,
}

/// What a script has found or done. An age is in seconds, rounded up. `Resolved` means that the script resolved a key
/// for the operation's own script, which runs next.
pub enum Finding {
    Created {
        expires_at: Timestamp,
    },
    UserLimit {
        limit: usize,
    },
    Valid {
        used: Use,
        data: Option<String>,
    },
    ReauthenticationRequired {
        auth_age: u64,
    },
    Invalid,
    Regenerated(Rotation),
    Updated(Use),
    Conflict(Conflict),
    Listed {
        shown: Vec<Shown>,
        next: Option<u64>,
    },
    Left(Box<Departure>),
    Destroyed,
    DestroyedMany {
        count: u64,
    },
    Resolved,
}

/// A use of a session.
#[derive(Clone, Copy)]
pub struct Use {
    pub expires_in: Duration,
    /// For how long the pointer should stay, if it has to be kept.
    pub pointer_life: Duration,
}

/// The keys of a regenerated session.
pub struct Rotation {
    /// For how long the pointer of the new key should stay.
    pub pointer_life: Duration,
    /// For how long the pointers of `retired` should stay.
    pub retired_life: Duration,
    /// Retired keys whose pointers would go too early.
    pub retired: Vec<SessionKey>,
    /// Keys that do not lead to the session any more.
    pub forgotten: Vec<SessionKey>,
}

/// A session that has left its user. Times are in milliseconds.
pub struct Departure {
    pub created_at: u64,
    pub ttl: u64,
    /// 0 for none.
    pub idle_timeout: u64,
    pub data: Option<String>,
    pub binding: Option<Vec<u8>>,
    /// The keys that led to it.
    pub keys: Vec<SessionKey>,
}

/// A session that a script ended.
pub struct Ended {
    /// How: expired, evicted or destroyed for a reason.
    pub kind: EventKind,
    pub handle: Handle,
    /// The keys that led to it.
    pub keys: Vec<SessionKey>,
}

/// A session in a list, and its data.
pub type Shown = (Listed, Option<String>);

/// Reads the answers to the commands of one operation. Takes all of `answers`, also after a failure.
pub fn read(answers: impl Iterator<Item = Answer>) -> Result<Vec<Reply>, StoreError> {
    let mut replies = Vec::new();
    let mut failure = None;
    for answer in answers {
        match answer {
            // The answer to writing a pointer.
            Ok(Value::Okay) => {}
            Ok(value) => match parse_reply(value) {
                Some(reply) => replies.push(reply),
                None => failure = Some(StoreError::MayHaveTakenEffect(UNREADABLE.to_owned())),
            },
            Err(error) => failure = Some(error),
        }
    }
    match failure {
        // A script has run, while a pointer without a script has no effect.
        Some(StoreError::NoEffect(why)) if !replies.is_empty() => {
            Err(StoreError::MayHaveTakenEffect(why))
        }
        Some(failure) => Err(failure),
        None => Ok(replies),
    }
}

/// Parses what `answer` in `shared.lua` builds.
fn parse_reply(value: Value) -> Option<Reply> {
    type Parts = (String, Option<String>, Vec<Vec<u8>>, Value, Value);
    let (letter, user, ended, fields, detail): Parts = parse(value)?;
    Some(Reply {
        user: user.unwrap_or_default(),
        ended: ended
            .iter()
            .map(|ended| parse_ended(ended))
            .collect::<Option<_>>()?,
        finding: parse_finding(&letter, fields)?,
        detail: match detail {
            Value::Nil => None,
            detail => {
                let (times, idle_timeout) = parse(detail)?;
                Some(lifetime(times, idle_timeout))
            }
        },
    })
}

fn parse_finding(letter: &str, fields: Value) -> Option<Finding> {
    Some(match letter {
        "C" => {
            let [millis] = parse(fields)?;
            let expires_at = Timestamp::from_millis(millis);
            Finding::Created { expires_at }
        }
        "L" => {
            let [limit] = parse(fields)?;
            Finding::UserLimit { limit }
        }
        "V" => {
            let (times, data) = parse(fields)?;
            let used = Use::from_millis(times);
            Finding::Valid { used, data }
        }
        "A" => {
            let [millis]: [u64; 1] = parse(fields)?;
            let auth_age = millis.div_ceil(1000);
            Finding::ReauthenticationRequired { auth_age }
        }
        "I" => Finding::Invalid,
        "R" => {
            let (times, retired, forgotten): (_, Vec<u8>, Vec<u8>) = parse(fields)?;
            let [pointer_life, retired_life] = <[u64; 2]>::map(times, Duration::from_millis);
            Finding::Regenerated(Rotation {
                pointer_life,
                retired_life,
                retired: parse_keys(&retired)?,
                forgotten: parse_keys(&forgotten)?,
            })
        }
        "G" => Finding::Conflict(Conflict::Regenerated),
        "X" => Finding::Conflict(Conflict::Data),
        "U" => Finding::Updated(Use::from_millis(parse(fields)?)),
        "S" => {
            let (next, shown): (Option<u64>, Vec<Value>) = parse(fields)?;
            let shown = shown.into_iter().map(parse_shown).collect::<Option<_>>()?;
            Finding::Listed { shown, next }
        }
        "T" => {
            let (times, data, binding, keys): (_, _, _, Vec<u8>) = parse(fields)?;
            let [created_at, ttl, idle_timeout] = times;
            Finding::Left(Box::new(Departure {
                created_at,
                ttl,
                idle_timeout,
                data,
                binding,
                keys: parse_keys(&keys)?,
            }))
        }
        "D" => Finding::Destroyed,
        "M" => {
            let [count] = parse(fields)?;
            Finding::DestroyedMany { count }
        }
        "P" => Finding::Resolved,
        _ => return None,
    })
}

impl Use {
    fn from_millis(times: [u64; 2]) -> Self {
        let [expires_in, pointer_life] = times.map(Duration::from_millis);
        Self {
            expires_in,
            pointer_life,
        }
    }
}

/// Parses what `finish` in `shared.lua` builds.
fn parse_ended(bytes: &[u8]) -> Option<Ended> {
    let (letter, rest) = bytes.split_first()?;
    let (handle, keys) = rest.split_first_chunk()?;
    let kind = match letter {
        b'x' => EventKind::Expired,
        b'e' => EventKind::Evicted,
        b'i' => EventKind::Destroyed(Reason::Id),
        b'h' => EventKind::Destroyed(Reason::Handle),
        b'u' => EventKind::Destroyed(Reason::User),
        b'r' => EventKind::Destroyed(Reason::Reuse),
        _ => return None,
    };
    Some(Ended {
        kind,
        handle: Handle::from_bytes(*handle),
        keys: parse_keys(keys)?,
    })
}

/// Parses what `list.lua` builds for each session.
fn parse_shown(value: Value) -> Option<Shown> {
    let (handle, times, idle_timeout, is_current, data) = parse(value)?;
    let lifetime = lifetime(times, idle_timeout);
    let listed = Listed {
        handle: Handle::from_bytes(handle),
        lifetime,
        data: None,
        is_current,
    };
    Some((listed, data))
}

/// Makes a lifetime of the times in a session's head, and of its idle timeout, which is 0 for none.
fn lifetime(times: [u64; 4], idle_timeout: u64) -> Lifetime {
    let [created_at, auth_time, last_used_at, ends_at] = times.map(Timestamp::from_millis);
    Lifetime {
        created_at,
        auth_time,
        last_used_at,
        ends_at,
        idle_timeout_millis: Some(idle_timeout).filter(|millis| *millis > 0),
    }
}

impl Ended {
    /// Whether the session ended because a peer named it.
    pub fn is_by_request(&self) -> bool {
        matches!(self.kind, EventKind::Destroyed(Reason::Id | Reason::Handle))
    }
}

/// Parses what `write` in `shared.lua` stores of a session.
pub fn parse_head(bytes: &[u8]) -> Option<Lifetime> {
    let (_key, numbers) = bytes.split_first_chunk::<16>()?;
    let (numbers, []) = numbers.as_chunks::<6>() else {
        return None;
    };
    let number = |bytes: &[u8; 6]| {
        bytes
            .iter()
            .fold(0, |all, byte| all << 8 | u64::from(*byte))
    };
    let [_order, created, authenticated, used, ends, idle_timeout] = numbers else {
        return None;
    };
    let times = [created, authenticated, used, ends].map(number);
    Some(lifetime(times, number(idle_timeout)))
}

/// Parses keys that stand one behind the other.
fn parse_keys(bytes: &[u8]) -> Option<Vec<SessionKey>> {
    let (keys, []) = bytes.as_chunks() else {
        return None;
    };
    Some(keys.iter().copied().map(SessionKey::from_bytes).collect())
}

fn parse<T: FromRedisValue>(value: Value) -> Option<T> {
    from_redis_value(value).ok()
}
