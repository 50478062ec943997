//! Checks the values of the command line together, and builds the configuration.

use std::path::PathBuf;

use session_node::session::{MAX_STRING_BYTES, Policy, PolicyError};
use session_node::store::Record;
use session_node::{IdFormat, Options};
use tracing::Level;

use super::arguments::Arguments;
#[cfg(feature = "socket")]
use super::socket::Listen;
use super::store::StoreConfig;

/// How to run the node.
pub struct Config {
    /// The store that keeps the sessions.
    pub store: StoreConfig,
    /// The rules that apply to all sessions.
    pub policy: Policy,
    /// The sessions to create at the start.
    pub preloads: Vec<Preload>,
    /// The format of session ids.
    pub id_format: IdFormat,
    /// How the node reads its input and forms its replies.
    pub options: Options,
    /// Which session events the audit writes, and where, if at all.
    pub audit: Option<AuditConfig>,
    /// The socket that the node serves; `None` for stdin and stdout.
    #[cfg(feature = "socket")]
    pub socket: Option<SocketConfig>,
    /// The least severe level that the node reports on stderr.
    pub log: Level,
}

/// The socket that the node serves.
#[cfg(feature = "socket")]
pub struct SocketConfig {
    /// Which socket.
    pub listen: Listen,
    /// The permissions of the socket's file.
    pub mode: u32,
    /// How many connections the node serves at a time.
    pub max_connections: usize,
}

/// A session to create at the start.
pub struct Preload {
    /// The session's id. Other users can read it on the command line, but the node still never shows it.
    pub id: String,
    /// The name of the session's user.
    pub user: String,
}

/// Which session events the audit writes, and where.
pub struct AuditConfig {
    /// A file, or `-` for stderr.
    pub path: PathBuf,
    /// Which events the audit writes.
    pub record: Record,
}

impl Config {
    /// Checks the values against each other.
    ///
    /// # Errors
    ///
    /// A message that says what is wrong, and repeats neither an id of `--preload` nor a password of `--store`.
    pub fn check(arguments: Arguments) -> Result<Self, String> {
        let policy = policy(&arguments);
        policy.check().map_err(|error| match error {
            PolicyError::TtlBeyondMaximum => "--ttl must not be longer than --max-ttl".into(),
            error => error.to_string(),
        })?;
        let preloads = preloads(&arguments.preload, &policy)?;
        let store = StoreConfig::parse(
            &arguments.store,
            #[cfg(feature = "redis")]
            arguments.redis,
        )?;
        if !preloads.is_empty() && !matches!(store, StoreConfig::Memory) {
            return Err(
                "--preload goes with --store memory: alone: in a file or on a server, an id that has ended would be \
                 live again"
                    .into(),
            );
        }
        #[cfg(feature = "redis")]
        if matches!(store, StoreConfig::Redis(_)) && arguments.max_sessions.is_some() {
            return Err(
                "--max-sessions: nobody counts the sessions of all nodes on Redis; use the server's maxmemory instead"
                    .into(),
            );
        }
        Ok(Self {
            store,
            policy,
            preloads,
            id_format: arguments.id_format.0,
            options: Options {
                max_line_bytes: arguments.max_line_bytes,
                reply_format: arguments.reply_format.0,
                strict: arguments.strict,
            },
            audit: arguments.audit.map(|path| AuditConfig {
                path,
                record: if arguments.audit_validated {
                    Record::Everything
                } else {
                    Record::Changes
                },
            }),
            #[cfg(feature = "socket")]
            socket: arguments.socket.listen.map(|listen| SocketConfig {
                listen,
                mode: arguments.socket.listen_mode,
                max_connections: arguments.socket.max_connections as usize,
            }),
            log: arguments.log.level(),
        })
    }
}

fn policy(arguments: &Arguments) -> Policy {
    let max_sessions = arguments.max_sessions;
    Policy {
        ttl: arguments.ttl,
        max_ttl: arguments.max_ttl,
        idle_timeout: Some(arguments.idle_timeout).filter(|timeout| !timeout.is_zero()),
        max_data_bytes: arguments.max_data_bytes,
        max_user_id_bytes: arguments.max_user_id_bytes,
        max_sessions: max_sessions.unwrap_or(Policy::default().max_sessions),
        max_sessions_per_user: arguments.max_sessions_per_user,
        on_user_limit: arguments.on_user_limit.0,
        rotation_grace: arguments.rotation_grace,
        on_reuse: arguments.on_reuse.0,
    }
}

fn preloads(texts: &[String], policy: &Policy) -> Result<Vec<Preload>, String> {
    let mut preloads: Vec<Preload> = Vec::new();
    for text in texts {
        let preload = Preload::parse(text, policy.max_user_id_bytes)?;
        if preloads.iter().any(|other| other.id == preload.id) {
            return Err("--preload must not give the same ID twice".into());
        }
        preloads.push(preload);
    }
    if preloads.len() > policy.max_sessions {
        return Err("--preload must not name more sessions than --max-sessions allows".into());
    }
    Ok(preloads)
}

impl Preload {
    fn parse(text: &str, max_user_bytes: usize) -> Result<Self, String> {
        let fits = |text: &str, max_bytes| (1..=max_bytes).contains(&text.len());
        text.split_once('=')
            .filter(|(id, user)| fits(id, MAX_STRING_BYTES) && fits(user, max_user_bytes))
            .map(|(id, user)| Self {
                id: id.to_owned(),
                user: user.to_owned(),
            })
            .ok_or_else(|| {
                format!(
                    "--preload must be ID=USER: an ID of 1 to {MAX_STRING_BYTES} bytes, a USER of 1 to \
                     {max_user_bytes}"
                )
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preload_is_cut_at_its_first_equals_sign() {
        let pair = |text: &str| {
            let preload = Preload::parse(text, 256).ok()?;
            Some((preload.id, preload.user))
        };
        assert_eq!(
            pair("abc123=user123"),
            Some(("abc123".into(), "user123".into()))
        );
        assert_eq!(pair("a=b=c"), Some(("a".into(), "b=c".into())));
        for wrong in ["", "abc123", "=user", "id="] {
            assert_eq!(pair(wrong), None, "{wrong}");
        }
        let long = "x".repeat(256);
        assert!(Preload::parse(&format!("{long}={long}"), 256).is_ok());
        assert!(Preload::parse(&format!("{long}x=u"), 256).is_err());
        assert!(Preload::parse(&format!("i={long}x"), 256).is_err());
        assert!(Preload::parse(&format!("i={long}x"), 257).is_ok());
    }
}
