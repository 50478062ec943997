//! The command line as clap reads it: each value by itself, not yet held against the others.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

use super::names::{IdFormatName, LogLevel, OnReuseName, OnUserLimitName, ReplyFormatName};
#[cfg(feature = "redis")]
use super::redis::RedisArguments;

/// The longest duration that may be asked for: far beyond any login, and far from where milliseconds in 64
/// bits run out.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// A server-side session authority: reads one JSON request a line on stdin, writes one JSON reply a line
/// on stdout.
#[derive(Parser)]
#[command(allow_negative_numbers = true, version, max_term_width = 100, after_help = EXAMPLE)]
pub struct Arguments {
    /// Lifetime of a session: seconds (3600), or with a unit (30m, 1h, 7d)
    #[arg(
        long,
        env = "SESSION_NODE_TTL",
        value_name = "DURATION",
        default_value = "3600"
    )]
    #[arg(value_parser = duration, help_heading = "Sessions", hide_env_values = true)]
    pub ttl: Duration,

    /// Longest lifetime that may be asked for; `--ttl` may not exceed it
    #[arg(
        long,
        env = "SESSION_NODE_MAX_TTL",
        value_name = "DURATION",
        default_value = "30d"
    )]
    #[arg(value_parser = duration, help_heading = "Sessions", hide_env_values = true)]
    pub max_ttl: Duration,

    /// End a session that was not used for that long; 0 for never
    #[arg(
        long,
        env = "SESSION_NODE_IDLE_TIMEOUT",
        value_name = "DURATION",
        default_value = "0"
    )]
    #[arg(value_parser = duration_or_zero, help_heading = "Sessions", hide_env_values = true)]
    pub idle_timeout: Duration,

    /// For that long after a regeneration the old id still validates, for requests already on their way
    #[arg(
        long,
        env = "SESSION_NODE_ROTATION_GRACE",
        value_name = "DURATION",
        default_value = "0"
    )]
    #[arg(value_parser = duration_or_zero, help_heading = "Sessions", hide_env_values = true)]
    pub rotation_grace: Duration,

    /// What follows when a retired id turns up after its grace
    #[arg(
        long,
        env = "SESSION_NODE_ON_REUSE",
        value_name = "ACTION",
        default_value = "ignore"
    )]
    #[arg(help_heading = "Sessions", hide_env_values = true)]
    pub on_reuse: OnReuseName,

    /// How session ids look
    #[arg(
        long,
        env = "SESSION_NODE_ID_FORMAT",
        value_name = "FORMAT",
        default_value = "uuid"
    )]
    #[arg(help_heading = "Sessions", hide_env_values = true)]
    pub id_format: IdFormatName,

    /// A session with this id exists at the start, in a store in memory; repeatable. For tests and demonstrations:
    /// an id on a command line is no secret
    #[arg(
        long,
        env = "SESSION_NODE_PRELOAD",
        value_name = "ID=USER",
        value_delimiter = ','
    )]
    #[arg(help_heading = "Sessions", hide_env_values = true)]
    pub preload: Vec<String>,

    /// Live sessions that the node will hold; a create beyond them is refused with error 11 [default: 10000000]
    #[arg(long, env = "SESSION_NODE_MAX_SESSIONS", value_name = "COUNT")]
    #[arg(value_parser = max_sessions, help_heading = "Limits", hide_env_values = true)]
    pub max_sessions: Option<usize>,

    /// Live sessions that a user may have [default: no limit]
    #[arg(long, env = "SESSION_NODE_MAX_SESSIONS_PER_USER", value_name = "COUNT")]
    #[arg(value_parser = max_sessions, help_heading = "Limits", hide_env_values = true)]
    pub max_sessions_per_user: Option<usize>,

    /// What becomes of a user beyond that limit
    #[arg(
        long,
        env = "SESSION_NODE_ON_USER_LIMIT",
        value_name = "ACTION",
        default_value = "evict-oldest"
    )]
    #[arg(help_heading = "Limits", hide_env_values = true)]
    pub on_user_limit: OnUserLimitName,

    /// Longest data of a session, in bytes of compact JSON (2 to 1048576)
    #[arg(
        long,
        env = "SESSION_NODE_MAX_DATA_BYTES",
        value_name = "BYTES",
        default_value = "4096"
    )]
    #[arg(value_parser = max_data_bytes, help_heading = "Limits", hide_env_values = true)]
    pub max_data_bytes: usize,

    /// Longest message, in bytes without its last line ending (64 to 1073741824); a longer one is refused with error 12
    #[arg(
        long,
        env = "SESSION_NODE_MAX_LINE_BYTES",
        value_name = "BYTES",
        default_value = "1048576"
    )]
    #[arg(value_parser = max_line_bytes, help_heading = "Limits", hide_env_values = true)]
    pub max_line_bytes: usize,

    /// Form of replies
    #[arg(
        long,
        env = "SESSION_NODE_REPLY_FORMAT",
        value_name = "FORMAT",
        default_value = "envelope"
    )]
    #[arg(help_heading = "Running", hide_env_values = true)]
    pub reply_format: ReplyFormatName,

    /// Refuse a request that has a field which it does not know with error 12, rather than ignore the field: a
    /// misspelt `max_age` or `binding` then does no harm
    #[arg(long, env = "SESSION_NODE_STRICT")]
    #[arg(help_heading = "Running", hide_env_values = true)]
    pub strict: bool,

    /// Where sessions are kept: `memory:` ends with the process, `sqlite:PATH` is a file that outlives it,
    /// `redis://…` servers that nodes share
    #[arg(
        long,
        env = "SESSION_NODE_STORE",
        value_name = "URL",
        default_value = "memory:"
    )]
    #[arg(help_heading = "Running", hide_env_values = true)]
    pub store: String,

    /// Where session events go, one JSON object a line: a file, which is appended to, or `-` for stderr
    #[arg(long, env = "SESSION_NODE_AUDIT", value_name = "FILE")]
    #[arg(help_heading = "Running", hide_env_values = true)]
    pub audit: Option<PathBuf>,

    /// Let the audit hold successful validations, too
    #[arg(long, env = "SESSION_NODE_AUDIT_VALIDATED", requires = "audit")]
    #[arg(help_heading = "Running", hide_env_values = true)]
    pub audit_validated: bool,

    /// What is said on stderr
    #[arg(
        long,
        env = "SESSION_NODE_LOG",
        value_name = "LEVEL",
        default_value = "warn"
    )]
    #[arg(help_heading = "Running", hide_env_values = true)]
    pub log: LogLevel,

    #[cfg(feature = "redis")]
    #[command(flatten)]
    pub redis: RedisArguments,
}

const EXAMPLE: &str = r#"Example:
  echo '{"type":"create_session","msg_id":1,"user_id":"alice"}' | session-node

Exit status: 0 when stdin ended, the reader of stdout went away or SIGTERM or SIGINT came;
1 when a stream or the store failed; 2 when the command line is wrong."#;

/// The same, or 0.
fn duration_or_zero(text: &str) -> Result<Duration, String> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    duration(text).map_err(|expected| format!("{expected}, or 0"))
}

/// Whole seconds, or numbers with units.
fn duration(text: &str) -> Result<Duration, String> {
    let parsed = match text.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => humantime::parse_duration(text).ok(),
    };
    parsed
        .filter(|duration| duration.subsec_nanos() == 0)
        .filter(|duration| (Duration::from_secs(1)..=LONGEST).contains(duration))
        .ok_or_else(|| {
            "expected whole seconds (3600) or a number with a unit (30m, 1h, 7d), from 1s to 36500d"
                .into()
        })
}

fn max_sessions(text: &str) -> Result<usize, String> {
    number(text, 1, 4_000_000_000)
}

fn max_data_bytes(text: &str) -> Result<usize, String> {
    number(text, 2, 1024 * 1024)
}

fn max_line_bytes(text: &str) -> Result<usize, String> {
    number(text, 64, 1024 * 1024 * 1024)
}

fn number(text: &str, least: usize, most: usize) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|number| (least..=most).contains(number))
        .ok_or_else(|| format!("expected a whole number from {least} to {most}"))
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
