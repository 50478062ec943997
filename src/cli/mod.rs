//! The command line, and nothing that acts on it.

mod mistake;
mod names;
#[cfg(feature = "redis")]
mod redis;
mod store;

use std::path::PathBuf;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use session_node::handler::Terms;
use session_node::id::IdFormat;
use session_node::protocol::{Limits, ReplyFormat};
use session_node::session::Policy;
use session_node::store::Record;
#[cfg(feature = "redis")]
use session_node::store::{RedisOptions, RedisUrl};

use self::names::{IdFormatName, LogLevel, OnReuseName, OnUserLimitName, ReplyFormatName};
use self::store::parse_store;

pub use self::store::StoreUrl;

/// The longest duration that may be asked for: far beyond any login, and far from where milliseconds in 64
/// bits run out.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// A user's name and a session id are strings of a request, with a request's limits.
const MAX_STRING_BYTES: usize = 256;

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
    ttl: Duration,

    /// Longest lifetime that may be asked for; `--ttl` may not exceed it
    #[arg(
        long,
        env = "SESSION_NODE_MAX_TTL",
        value_name = "DURATION",
        default_value = "30d"
    )]
    #[arg(value_parser = duration, help_heading = "Sessions", hide_env_values = true)]
    max_ttl: Duration,

    /// End a session that was not used for that long; 0 for never
    #[arg(
        long,
        env = "SESSION_NODE_IDLE_TIMEOUT",
        value_name = "DURATION",
        default_value = "0"
    )]
    #[arg(value_parser = duration_or_zero, help_heading = "Sessions", hide_env_values = true)]
    idle_timeout: Duration,

    /// For that long after a regeneration the old id still validates, for requests already on their way
    #[arg(
        long,
        env = "SESSION_NODE_ROTATION_GRACE",
        value_name = "DURATION",
        default_value = "0"
    )]
    #[arg(value_parser = duration_or_zero, help_heading = "Sessions", hide_env_values = true)]
    rotation_grace: Duration,

    /// What follows when a retired id turns up after its grace
    #[arg(
        long,
        env = "SESSION_NODE_ON_REUSE",
        value_name = "ACTION",
        default_value = "ignore"
    )]
    #[arg(help_heading = "Sessions", hide_env_values = true)]
    on_reuse: OnReuseName,

    /// How session ids look
    #[arg(
        long,
        env = "SESSION_NODE_ID_FORMAT",
        value_name = "FORMAT",
        default_value = "uuid"
    )]
    #[arg(help_heading = "Sessions", hide_env_values = true)]
    id_format: IdFormatName,

    /// A session with this id exists at the start; repeatable. For tests and demonstrations: an id on a
    /// command line is no secret
    #[arg(
        long,
        env = "SESSION_NODE_PRELOAD",
        value_name = "ID=USER",
        value_delimiter = ','
    )]
    #[arg(help_heading = "Sessions", hide_env_values = true)]
    preload: Vec<String>,

    /// Live sessions that the node will hold; a create beyond them is refused with error 11 [default: 10000000]
    #[arg(long, env = "SESSION_NODE_MAX_SESSIONS", value_name = "COUNT")]
    #[arg(value_parser = max_sessions, help_heading = "Limits", hide_env_values = true)]
    max_sessions: Option<usize>,

    /// Live sessions that a user may have [default: no limit]
    #[arg(long, env = "SESSION_NODE_MAX_SESSIONS_PER_USER", value_name = "COUNT")]
    #[arg(value_parser = max_sessions, help_heading = "Limits", hide_env_values = true)]
    max_sessions_per_user: Option<usize>,

    /// What becomes of a user beyond that limit
    #[arg(
        long,
        env = "SESSION_NODE_ON_USER_LIMIT",
        value_name = "ACTION",
        default_value = "evict-oldest"
    )]
    #[arg(help_heading = "Limits", hide_env_values = true)]
    on_user_limit: OnUserLimitName,

    /// Longest data of a session, in bytes of compact JSON (2 to 1048576)
    #[arg(
        long,
        env = "SESSION_NODE_MAX_DATA_BYTES",
        value_name = "BYTES",
        default_value = "4096"
    )]
    #[arg(value_parser = max_data_bytes, help_heading = "Limits", hide_env_values = true)]
    max_data_bytes: usize,

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
    reply_format: ReplyFormatName,

    /// Refuse a request that has a field which it does not know with error 12, rather than ignore the field: a
    /// misspelt `max_age` or `binding` then does no harm
    #[arg(long, env = "SESSION_NODE_STRICT")]
    #[arg(help_heading = "Running", hide_env_values = true)]
    strict: bool,

    /// Where sessions are kept: `memory:` ends with the process, `sqlite:PATH` is a file that outlives it,
    /// `redis://…` servers that nodes share
    #[arg(
        long,
        env = "SESSION_NODE_STORE",
        value_name = "URL",
        default_value = "memory:"
    )]
    #[arg(help_heading = "Running", hide_env_values = true)]
    store: String,

    /// Where session events go, one JSON object a line: a file, which is appended to, or `-` for stderr
    #[arg(long, env = "SESSION_NODE_AUDIT", value_name = "FILE")]
    #[arg(help_heading = "Running", hide_env_values = true)]
    pub audit: Option<PathBuf>,

    /// Let the audit hold successful validations, too
    #[arg(long, env = "SESSION_NODE_AUDIT_VALIDATED", requires = "audit")]
    #[arg(help_heading = "Running", hide_env_values = true)]
    audit_validated: bool,

    /// What is said on stderr
    #[arg(
        long,
        env = "SESSION_NODE_LOG",
        value_name = "LEVEL",
        default_value = "warn"
    )]
    #[arg(help_heading = "Running", hide_env_values = true)]
    log: LogLevel,

    #[cfg(feature = "redis")]
    #[command(flatten)]
    redis: redis::RedisArguments,
}

const EXAMPLE: &str = r#"Example:
  echo '{"type":"create_session","msg_id":1,"user_id":"alice"}' | session-node

Exit status: 0 when stdin ended, the reader of stdout went away or SIGTERM or SIGINT came;
1 when a stream or the store failed; 2 when the command line is wrong."#;

/// A session that exists at the start.
pub struct Preload<'a> {
    /// Its id. Not secret, since it stood on a command line, and still never shown.
    pub id: &'a str,
    /// Whose it is.
    pub user: &'a str,
}

impl Arguments {
    /// Reads the command line and the environment. Where only help or version was asked for, prints it and ends
    /// the process.
    ///
    /// # Errors
    ///
    /// When they are wrong: what to tell whoever wrote them.
    pub fn read() -> Result<Self, String> {
        let checked = Self::try_parse().and_then(|arguments| {
            let checked = arguments.check();
            checked
                .map(|()| arguments)
                .map_err(|message| Self::command().error(ErrorKind::ValueValidation, message))
        });
        checked.map_err(|error| {
            if !error.use_stderr() {
                error.exit();
            }
            mistake::message(error, &mut Self::command())
        })
    }

    /// What clap cannot check of one value alone, or would show in its message: an id in `--preload`, or a
    /// password in `--store`.
    fn check(&self) -> Result<(), String> {
        if self.ttl > self.max_ttl {
            return Err("--ttl must not be longer than --max-ttl".into());
        }
        for preload in &self.preload {
            parse_preload(preload)?;
        }
        let preloads: Vec<_> = self.preloads().collect();
        for (index, preload) in preloads.iter().enumerate() {
            if preloads[..index].iter().any(|other| other.id == preload.id) {
                return Err("--preload must not give the same ID twice".into());
            }
        }
        if preloads.len() > self.max_sessions() {
            return Err("--preload must not name more sessions than --max-sessions allows".into());
        }
        match parse_store(&self.store)? {
            #[cfg(feature = "redis")]
            StoreUrl::Redis(_) if self.max_sessions.is_some() => Err(
                "--max-sessions: nobody counts the sessions of all nodes on Redis; use the server's \
                 maxmemory instead"
                    .into(),
            ),
            _ => Ok(()),
        }
    }

    /// Where sessions are kept.
    pub fn store(&self) -> StoreUrl<'_> {
        parse_store(&self.store).expect("the command line was checked")
    }

    /// How to use the servers at `url`.
    #[cfg(feature = "redis")]
    pub fn redis_options(&self, url: RedisUrl) -> RedisOptions {
        self.redis.options(url)
    }

    /// How many live sessions the node holds at the most.
    pub fn max_sessions(&self) -> usize {
        self.max_sessions.unwrap_or(Policy::default().max_sessions)
    }

    /// The sessions that exist at the start.
    pub fn preloads(&self) -> impl Iterator<Item = Preload<'_>> {
        self.preload
            .iter()
            .filter_map(|text| parse_preload(text).ok())
    }

    /// How session ids look.
    pub fn id_format(&self) -> IdFormat {
        self.id_format.0
    }

    /// The rules that are the same for all sessions.
    pub fn policy(&self) -> Policy {
        Policy {
            max_sessions: self.max_sessions(),
            max_sessions_per_user: self.max_sessions_per_user,
            on_user_limit: self.on_user_limit.0,
            rotation_grace: self.rotation_grace,
            on_reuse: self.on_reuse.0,
        }
    }

    /// What a session gets whose request asks for nothing in particular.
    pub fn terms(&self) -> Terms {
        Terms {
            ttl: self.ttl,
            idle_timeout: Some(self.idle_timeout).filter(|timeout| !timeout.is_zero()),
        }
    }

    /// What requests may ask for at the most.
    pub fn limits(&self) -> Limits {
        Limits {
            max_ttl: self.max_ttl,
            max_data_bytes: self.max_data_bytes,
            strict: self.strict,
        }
    }

    /// What the audit holds.
    pub fn record(&self) -> Record {
        if self.audit_validated {
            Record::Everything
        } else {
            Record::Changes
        }
    }

    /// The form of replies.
    pub fn reply_format(&self) -> ReplyFormat {
        self.reply_format.0
    }

    /// What is said on stderr.
    pub fn log(&self) -> tracing::Level {
        match self.log {
            LogLevel::Error => tracing::Level::ERROR,
            LogLevel::Warn => tracing::Level::WARN,
            LogLevel::Info => tracing::Level::INFO,
            LogLevel::Debug => tracing::Level::DEBUG,
        }
    }
}

fn parse_preload(text: &str) -> Result<Preload<'_>, String> {
    let fits = |text: &str| (1..=MAX_STRING_BYTES).contains(&text.len());
    text.split_once('=')
        .filter(|(id, user)| fits(id) && fits(user))
        .map(|(id, user)| Preload { id, user })
        .ok_or_else(|| format!("--preload must be ID=USER, each of 1 to {MAX_STRING_BYTES} bytes"))
}

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

    #[test]
    fn a_preload_is_cut_at_its_first_equals_sign() {
        let pair = |text| {
            parse_preload(text)
                .map(|preload| (preload.id, preload.user))
                .ok()
        };
        assert_eq!(pair("abc123=user123"), Some(("abc123", "user123")));
        assert_eq!(pair("a=b=c"), Some(("a", "b=c")));
        for wrong in ["", "abc123", "=user", "id="] {
            assert_eq!(pair(wrong), None, "{wrong}");
        }
        let long = "x".repeat(256);
        assert!(parse_preload(&format!("{long}={long}")).is_ok());
        assert!(parse_preload(&format!("{long}x=u")).is_err());
        assert!(parse_preload(&format!("i={long}x")).is_err());
    }
}
