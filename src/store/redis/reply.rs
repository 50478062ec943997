//! What the scripts answer, in the words of this program.

use redis::Value;

use crate::session::{Handle, Lifetime, SessionKey, Timestamp};

/// The answer of a script.
pub struct Reply {
    /// What it is, as the script says.
    pub letter: u8,
    /// Whose session it is about, where that is known.
    pub user: Option<String>,
    /// Two numbers, which mean what the script says.
    pub one: u64,
    pub other: u64,
    /// The session's data.
    pub data: Option<String>,
    /// What ended on the way.
    pub ended: Vec<Ended>,
    /// The sessions of a list.
    pub shown: Vec<Shown>,
}

/// A session that ended, or keys of which something is to be told.
pub struct Ended {
    /// Why, as the script says.
    pub letter: u8,
    pub handle: Handle,
    /// The keys that led to it.
    pub keys: Vec<SessionKey>,
}

/// A session in a list.
pub struct Shown {
    pub handle: Handle,
    pub lifetime: Lifetime,
    pub is_own: bool,
    pub data: Option<String>,
}

impl Reply {
    /// Reads an answer; none when it is not of the form that the scripts give.
    pub fn read(value: Value) -> Option<Self> {
        let Value::Array(parts) = value else {
            return None;
        };
        let mut parts = parts.into_iter();
        let letter = *bytes(parts.next()?)?.first()?;
        let user = text(parts.next()?);
        let one = number(&parts.next()?)?;
        let other = number(&parts.next()?)?;
        let data = text(parts.next()?);
        let ended = array(parts.next()?)?;
        let shown = parts.next().map_or(Some(Vec::new()), array)?;
        Some(Self {
            letter,
            user,
            one,
            other,
            data,
            ended: ended.into_iter().map(Ended::read).collect::<Option<_>>()?,
            shown: shown.into_iter().map(Shown::read).collect::<Option<_>>()?,
        })
    }
}

impl Ended {
    fn read(value: Value) -> Option<Self> {
        let bytes = bytes(value)?;
        let (&letter, rest) = bytes.split_first()?;
        let (handle, keys) = rest.split_first_chunk()?;
        let (keys, []) = keys.as_chunks() else {
            return None;
        };
        Some(Self {
            letter,
            handle: Handle::from_bytes(*handle),
            keys: keys.iter().copied().map(SessionKey::from_bytes).collect(),
        })
    }
}

impl Shown {
    fn read(value: Value) -> Option<Self> {
        let mut parts = array(value)?.into_iter();
        let handle = Handle::from_bytes(bytes(parts.next()?)?.try_into().ok()?);
        let mut moment = || Some(Timestamp::from_millis(number(&parts.next()?)?));
        let (created_at, auth_time, last_used_at, ends_at) =
            (moment()?, moment()?, moment()?, moment()?);
        let idle_timeout_millis = Some(number(&parts.next()?)?).filter(|it| *it != 0);
        Some(Self {
            handle,
            lifetime: Lifetime {
                created_at,
                auth_time,
                last_used_at,
                ends_at,
                idle_timeout_millis,
            },
            is_own: number(&parts.next()?)? == 1,
            data: parts.next().and_then(text),
        })
    }
}

fn array(value: Value) -> Option<Vec<Value>> {
    match value {
        Value::Array(parts) => Some(parts),
        _ => None,
    }
}

fn bytes(value: Value) -> Option<Vec<u8>> {
    match value {
        Value::BulkString(bytes) => Some(bytes),
        _ => None,
    }
}

/// Some text, or none where there is none: a script can only give what was given to it.
fn text(value: Value) -> Option<String> {
    String::from_utf8(bytes(value)?).ok()
}

fn number(value: &Value) -> Option<u64> {
    match value {
        Value::Int(number) => u64::try_from(*number).ok(),
        _ => None,
    }
}
