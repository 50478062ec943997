//! The answers of scripts, parsed. Nothing behind this file sees a letter or a position in an answer.

use std::time::Duration;

use redis::{FromRedisValue, Value, from_redis_value};

use super::command::Answer;
use crate::session::{Handle, Lifetime, SessionKey, Timestamp};
use crate::store::{EventKind, Reason, StoreError};

/// The answer of a script.
pub struct Reply {
    /// The user's name; empty where the servers hold nothing of the user, so that nothing can have ended either.
    pub user: String,
    /// The sessions that the script ended.
    pub ended: Vec<Ended>,
    pub finding: Finding,
}

/// What a script has found or done.
pub enum Finding {
    Created {
        expires_at: Timestamp,
    },
    UserLimit {
        limit: usize,
    },
    Valid {
        used: Used,
        data: Option<String>,
    },
    /// The age is in seconds, rounded up.
    ReauthenticationRequired {
        auth_age: u64,
    },
    Invalid,
    Regenerated(Rotation),
    Updated(Used),
    Listed {
        sessions: Vec<Shown>,
        more: bool,
    },
    Destroyed,
    DestroyedMany {
        count: u64,
    },
    /// A script resolved a key for the operation's own script.
    Resolved,
}

/// A session after a use.
#[derive(Clone, Copy)]
pub struct Used {
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

/// A session that a script ended.
pub struct Ended {
    /// How: expired, evicted or destroyed for a reason.
    pub kind: EventKind,
    pub handle: Handle,
    /// The keys that led to it.
    pub keys: Vec<SessionKey>,
}

/// A session in a list.
pub struct Shown {
    pub handle: Handle,
    pub lifetime: Lifetime,
    pub is_current: bool,
    pub data: Option<String>,
}

/// Reads the answers to the commands of one operation. Takes all of `answers`, also after a failure.
pub fn read(answers: impl Iterator<Item = Answer>) -> Result<Vec<Reply>, StoreError> {
    let mut replies = Vec::new();
    let mut failure = None;
    for answer in answers {
        match answer {
            // The answer to writing a pointer.
            Ok(Value::Okay) => {}
            Ok(value) => match parse_reply(value).ok_or_else(unreadable) {
                Ok(reply) => replies.push(reply),
                Err(error) => failure = Some(error),
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

fn unreadable() -> StoreError {
    StoreError::MayHaveTakenEffect("a script gave an answer that the node cannot read".to_owned())
}

/// Parses what `answer` in `shared.lua` builds.
fn parse_reply(value: Value) -> Option<Reply> {
    let (letter, user, ended, fields): (String, Option<String>, Vec<Vec<u8>>, Value) =
        parse(value)?;
    Some(Reply {
        user: user.unwrap_or_default(),
        ended: ended
            .iter()
            .map(|ended| parse_ended(ended))
            .collect::<Option<_>>()?,
        finding: parse_finding(&letter, fields)?,
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
            let (expires_in, pointer_life, data) = parse(fields)?;
            let used = Used::from_millis(expires_in, pointer_life);
            Finding::Valid { used, data }
        }
        "A" => {
            let [millis]: [u64; 1] = parse(fields)?;
            let auth_age = millis.div_ceil(1000);
            Finding::ReauthenticationRequired { auth_age }
        }
        "I" => Finding::Invalid,
        "R" => {
            let (pointer_life, retired_life, retired, forgotten): (_, _, Vec<u8>, Vec<u8>) =
                parse(fields)?;
            Finding::Regenerated(Rotation {
                pointer_life: Duration::from_millis(pointer_life),
                retired_life: Duration::from_millis(retired_life),
                retired: parse_keys(&retired)?,
                forgotten: parse_keys(&forgotten)?,
            })
        }
        "U" => {
            let [expires_in, pointer_life] = parse(fields)?;
            Finding::Updated(Used::from_millis(expires_in, pointer_life))
        }
        "S" => {
            let (more, sessions): (bool, Vec<Value>) = parse(fields)?;
            let sessions = sessions
                .into_iter()
                .map(parse_shown)
                .collect::<Option<_>>()?;
            Finding::Listed { sessions, more }
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

impl Used {
    fn from_millis(expires_in: u64, pointer_life: u64) -> Self {
        Self {
            expires_in: Duration::from_millis(expires_in),
            pointer_life: Duration::from_millis(pointer_life),
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
    let (handle, [created_at, auth_time, last_used_at, ends_at], idle_timeout, is_current, data) =
        parse(value)?;
    Some(Shown {
        handle: Handle::from_bytes(handle),
        lifetime: Lifetime {
            created_at: Timestamp::from_millis(created_at),
            auth_time: Timestamp::from_millis(auth_time),
            last_used_at: Timestamp::from_millis(last_used_at),
            ends_at: Timestamp::from_millis(ends_at),
            idle_timeout_millis: match idle_timeout {
                0 => Lifetime::NEVER_IDLE,
                millis => millis,
            },
        },
        is_current,
        data,
    })
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
