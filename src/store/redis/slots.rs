//! How a cluster divides all keys among its servers.

use std::ops::RangeInclusive;

use redis::Value;

/// Into how many slots.
pub const SLOTS: usize = 16_384;

/// The ranges of slots that the reply to CLUSTER SLOTS tells, each with the host and the port of who has it.
pub fn ranges(value: &Value, own_host: &str) -> Option<Vec<(RangeInclusive<usize>, String, u16)>> {
    let Value::Array(entries) = value else {
        return None;
    };
    let range = |entry: &Value| {
        let Value::Array(parts) = entry else {
            return None;
        };
        let [
            Value::Int(first),
            Value::Int(last),
            Value::Array(primary),
            ..,
        ] = parts.as_slice()
        else {
            return None;
        };
        let host = match primary.first()? {
            Value::BulkString(host) if !host.is_empty() => String::from_utf8(host.clone()).ok()?,
            _ => own_host.to_owned(),
        };
        let Value::Int(port) = primary.get(1)? else {
            return None;
        };
        let range = usize::try_from(*first).ok()?..=usize::try_from(*last).ok()?;
        (*range.end() < SLOTS).then_some((range, host, u16::try_from(*port).ok()?))
    };
    let ranges: Vec<_> = entries.iter().map(range).collect::<Option<_>>()?;
    (!ranges.is_empty()).then_some(ranges)
}

/// Which slot a key is in: that of what it has in braces, if that is something.
pub fn slot_of(key: &str) -> u16 {
    let hashed = key
        .split_once('{')
        .and_then(|(_, rest)| rest.split_once('}'))
        .filter(|(tag, _)| !tag.is_empty())
        .map_or(key, |(tag, _)| tag);
    crc16::State::<crc16::XMODEM>::calculate(hashed.as_bytes()) % 16_384
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_the_cluster_specification() {
        // From its text: the slot of "123456789" is its CRC16, 0x31C3, and that of a tag is that of its name.
        assert_eq!(slot_of("123456789"), 0x31c3);
        assert_eq!(slot_of("session-node:u:{123456789}"), 0x31c3);
        assert_eq!(slot_of("foo{}"), slot_of_whole("foo{}"));
    }

    fn slot_of_whole(key: &str) -> u16 {
        crc16::State::<crc16::XMODEM>::calculate(key.as_bytes()) % 16_384
    }
}
