//! Parses the command line with clap, and checks each value by itself. `config` checks the values together.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use session_node::session::Policy;

use super::names::{IdFormatName, LogLevel, OnReuseName, OnUserLimitName, ReplyFormatName};
#[cfg(feature = "redis")]
use super::redis::RedisArguments;
#[cfg(feature = "socket")]
use super::socket::SocketArguments;

/// Manages server-side login sessions: reads one JSON request per line from stdin and writes one JSON reply per line
/// to stdout.
#[derive(Parser)]
#[command(allow_negative_numbers = true, version, max_term_width = 100, after_help = EXAMPLE)]
pub struct Arguments {
    /// Lifetime of a session: seconds (3600), or with a unit (30m, 1h, 7d)
    #[arg(long, value_name = "DURATION", default_value = "3600", value_parser = duration, help_heading = "Sessions")]
    pub ttl: Duration,

    /// Longest lifetime that `--ttl` or a request may set; it also limits existing sessions
    #[arg(long, value_name = "DURATION", default_value = "30d", value_parser = duration, help_heading = "Sessions")]
    pub max_ttl: Duration,

    /// How long a session may go unused before it ends; 0 for no limit
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "0",
        value_parser = duration_or_zero,
        help_heading = "Sessions"
    )]
    pub idle_timeout: Duration,

    /// How long an old id stays valid after a regeneration, for requests in flight
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "0",
        value_parser = duration_or_zero,
        help_heading = "Sessions"
    )]
    pub rotation_grace: Duration,

    /// What to do when a retired id is presented after its grace
    #[arg(
        long,
        value_name = "ACTION",
        default_value = "ignore",
        help_heading = "Sessions"
    )]
    pub on_reuse: OnReuseName,

    /// Format of session ids
    #[arg(
        long,
        value_name = "FORMAT",
        default_value = "uuid",
        help_heading = "Sessions"
    )]
    pub id_format: IdFormatName,

    /// Create a session with this id at the start, in a store in memory; repeatable
    ///
    /// For tests and demonstrations only: other users can read an id on a command line.
    #[arg(
        long,
        value_name = "ID=USER",
        value_delimiter = ',',
        help_heading = "Sessions"
    )]
    pub preload: Vec<String>,

    /// How many live sessions the node holds; a full node refuses to create more, with error 11 [default: 10000000]
    #[arg(long, value_name = "COUNT", value_parser = max_sessions, help_heading = "Limits")]
    pub max_sessions: Option<usize>,

    /// How many live sessions a user may have [default: no limit]
    #[arg(long, value_name = "COUNT", value_parser = max_sessions, help_heading = "Limits")]
    pub max_sessions_per_user: Option<usize>,

    /// What to do when a user has reached that limit
    #[arg(
        long,
        value_name = "ACTION",
        default_value = "evict-oldest",
        help_heading = "Limits"
    )]
    pub on_user_limit: OnUserLimitName,

    /// Longest data of a session, in bytes of compact JSON (2 to 1048576)
    #[arg(long, value_name = "BYTES", default_value = "4096", value_parser = max_data_bytes, help_heading = "Limits")]
    pub max_data_bytes: usize,

    /// Longest name of a user, in bytes (1 to 1024)
    #[arg(long, value_name = "BYTES", default_value = "256", value_parser = max_user_id_bytes, help_heading = "Limits")]
    pub max_user_id_bytes: usize,

    /// Longest message, in bytes without its last line ending (64 to 1073741824); the node refuses a longer one with
    /// error 12
    #[arg(
        long,
        value_name = "BYTES",
        default_value = "1048576",
        value_parser = max_line_bytes,
        help_heading = "Limits"
    )]
    pub max_line_bytes: usize,

    /// Form of the replies
    #[arg(
        long,
        value_name = "FORMAT",
        default_value = "envelope",
        help_heading = "Running"
    )]
    pub reply_format: ReplyFormatName,

    /// Refuse a request that has an unknown field with error 12, so that a misspelt `max_age` or `binding` is not
    /// ignored
    #[arg(long, help_heading = "Running")]
    pub strict: bool,

    /// Where sessions live: `memory:` ends with the process, `sqlite:PATH` is a file that outlives it, `redis://…`
    /// names servers that nodes share
    #[arg(
        long,
        value_name = "URL",
        default_value = "memory:",
        help_heading = "Running"
    )]
    pub store: String,

    /// Where to append session events, one JSON object per line: a file, or `-` for stderr
    #[arg(long, value_name = "FILE", help_heading = "Running")]
    pub audit: Option<PathBuf>,

    /// Also audit successful validations
    #[arg(long, requires = "audit", help_heading = "Running")]
    pub audit_validated: bool,

    /// What to report on stderr
    #[arg(
        long,
        value_name = "LEVEL",
        default_value = "warn",
        help_heading = "Running"
    )]
    pub log: LogLevel,

    #[cfg(feature = "redis")]
    #[command(flatten)]
    pub redis: RedisArguments,

    #[cfg(feature = "socket")]
    #[command(flatten)]
    pub socket: SocketArguments,
}

const EXAMPLE: &str = r#"Example:
  echo '{"type":"create_session","msg_id":1,"user_id":"alice"}' | session-node

Exit status: 0 if stdin ended, the reader of stdout went away, or SIGTERM or SIGINT arrived;
1 if a stream or the store failed; 2 if the command line is wrong."#;

/// Parses a [`duration`], or 0.
fn duration_or_zero(text: &str) -> Result<Duration, String> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    duration(text).map_err(|expected| format!("{expected}, or 0"))
}

/// Parses a number of whole seconds, or numbers with units.
fn duration(text: &str) -> Result<Duration, String> {
    let parsed = match text.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => humantime::parse_duration(text).ok(),
    };
    parsed
        .filter(|duration| duration.subsec_nanos() == 0)
        .filter(|duration| (Duration::from_secs(1)..=Policy::LONGEST).contains(duration))
        .ok_or_else(|| {
            "expected whole seconds (3600) or a number with a unit (30m, 1h, 7d), from 1s to 36500d"
                .into()
        })
}

fn max_sessions(text: &str) -> Result<usize, String> {
    number(text, 1..=Policy::MOST_SESSIONS)
}

fn max_user_id_bytes(text: &str) -> Result<usize, String> {
    number(text, Policy::USER_ID_BYTES)
}

fn max_data_bytes(text: &str) -> Result<usize, String> {
    number(text, Policy::DATA_BYTES)
}

fn max_line_bytes(text: &str) -> Result<usize, String> {
    number(text, 64..=1024 * 1024 * 1024)
}

fn number(text: &str, range: RangeInclusive<usize>) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| {
        let (least, most) = range.into_inner();
        format!("expected a whole number from {least} to {most}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_duration_is_whole_seconds_or_a_number_with_a_unit() {
        let seconds = |text| duration(text).map(|duration| duration.as_secs()).ok();
        assert_eq!(seconds("3600"), Some(3600));
        assert_eq!(seconds("30m"), Some(1800));
        assert_eq!(seconds("1h"), Some(3600));
        assert_eq!(seconds("7d"), Some(604_800));
        assert_eq!(seconds("1"), Some(1));
        assert_eq!(seconds("36500d"), Some(3_153_600_000));
        for wrong in [
            "",
            "0",
            "0s",
            "-1",
            "1.5",
            "500ms",
            "soon",
            "1h x",
            "36501d",
            "99999999999999999999",
        ] {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
    }
}
