//! Parses the options that apply only to `--store redis://…`.

use std::time::Duration;

use clap::Args;
use session_node::store::{RedisOptions, RedisUrl};

/// The longest timeout that an option accepts. While the node waits for a server, it serves nobody.
const LONGEST: Duration = Duration::from_secs(3600);

/// The options of the store on Redis or Valkey.
#[derive(Args)]
#[expect(
    clippy::struct_field_names,
    reason = "they are the names of the options"
)]
#[command(next_help_heading = "Redis")]
pub struct RedisArguments {
    /// Prefix of all keys on the server; nodes that share sessions need the same prefix
    #[arg(long, value_name = "TEXT", default_value = "session-node:", value_parser = prefix)]
    redis_prefix: String,

    /// How long to wait for a connection: seconds, or with a unit (500ms, 2s)
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = timeout)]
    redis_connect_timeout: Duration,

    /// How long to wait for a reply; a request without one gets error 13
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = timeout)]
    redis_response_timeout: Duration,

    /// How many replicas must hold a change before the node reports it; 0 to wait for none
    #[arg(long, value_name = "COUNT", default_value = "0")]
    redis_wait_replicas: u32,

    /// How long to wait for those replicas
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = timeout)]
    redis_wait_timeout: Duration,
}

impl RedisArguments {
    /// Makes the options of a store on the servers at `url`.
    pub fn options(self, url: RedisUrl) -> RedisOptions {
        RedisOptions {
            url,
            prefix: self.redis_prefix,
            connect_timeout: self.redis_connect_timeout,
            response_timeout: self.redis_response_timeout,
            wait_replicas: self.redis_wait_replicas,
            wait_timeout: self.redis_wait_timeout,
        }
    }
}

fn prefix(text: &str) -> Result<String, String> {
    RedisOptions::is_prefix(text)
        .then(|| text.to_owned())
        .ok_or_else(|| "expected at most 64 letters, digits and : - _ .".into())
}

/// Parses a number of seconds, or numbers with units, from 1 millisecond to [`LONGEST`].
fn timeout(text: &str) -> Result<Duration, String> {
    let parsed = match text.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => humantime::parse_duration(text).ok(),
    };
    parsed
        .filter(|duration| (Duration::from_millis(1)..=LONGEST).contains(duration))
        .ok_or_else(|| {
            "expected seconds (2) or a number with a unit (500ms, 2s), from 1ms to 1h".into()
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_seconds_or_a_number_with_a_unit() {
        assert_eq!(timeout("2"), Ok(Duration::from_secs(2)));
        assert_eq!(timeout("500ms"), Ok(Duration::from_millis(500)));
        for wrong in ["", "0", "0s", "-1", "soon", "500us", "2h"] {
            assert!(timeout(wrong).is_err(), "{wrong}");
        }
    }
}
