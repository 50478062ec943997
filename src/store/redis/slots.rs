//! How a cluster divides all keys among its servers.

use std::ops::RangeInclusive;

use redis::{Value, from_redis_value};

/// The number of slots.
pub const SLOTS: usize = 16_384;

/// Reads a reply to CLUSTER SLOTS: ranges of slots, each with the host and the port of the server that has it. A server
/// that leaves the host out means its own.
pub fn ranges(value: Value, own_host: &str) -> Option<Vec<(RangeInclusive<usize>, String, u16)>> {
    let entries: Vec<Vec<Value>> = from_redis_value(value).ok()?;
    let range = |entry: Vec<Value>| {
        let [
            Value::Int(first),
            Value::Int(last),
            Value::Array(primary),
            ..,
        ] = entry.as_slice()
        else {
            return None;
        };
        let [host, Value::Int(port), ..] = primary.as_slice() else {
            return None;
        };
        let host = match host {
            Value::BulkString(host) if !host.is_empty() => String::from_utf8(host.clone()).ok()?,
            _ => own_host.to_owned(),
        };
        let range = usize::try_from(*first).ok()?..=usize::try_from(*last).ok()?;
        (*range.end() < SLOTS).then_some((range, host, u16::try_from(*port).ok()?))
    };
    let ranges: Vec<_> = entries.into_iter().map(range).collect::<Option<_>>()?;
    (!ranges.is_empty()).then_some(ranges)
}

/// Finds the slot of a key: of the part in braces, if that is not empty.
pub fn slot_of(key: &str) -> usize {
    let in_braces = key
        .split_once('{')
        .and_then(|(_, rest)| rest.split_once('}'))
        .filter(|(tag, _)| !tag.is_empty());
    let hashed = in_braces.map_or(key, |(tag, _)| tag);
    usize::from(crc16::State::<crc16::XMODEM>::calculate(hashed.as_bytes())) % SLOTS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_the_cluster_specification() {
        // Its text says that the CRC16 of "123456789" is 0x31C3, and that only a tag that is not empty counts.
        assert_eq!(slot_of("123456789"), 0x31c3);
        assert_eq!(slot_of("session-node:u:{123456789}"), 0x31c3);
        assert_eq!(slot_of("foo{}"), 5542);
    }
}
