//! The operator's choice of servers, and how the node uses them.

use std::fmt;
use std::time::Duration;

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo};

/// The addresses of the servers, and the node's name and password.
#[derive(Clone)]
pub struct RedisUrl {
    scheme: &'static str,
    pub(super) servers: Vec<ConnectionInfo>,
    pub(super) is_cluster: bool,
}

/// Why a text is not a [`RedisUrl`]. Never repeats it, since it may hold a password.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct RedisUrlError(String);

/// The choice of servers, and how the node uses them.
#[derive(Clone)]
pub struct RedisOptions {
    /// The servers.
    pub url: RedisUrl,
    /// What the names of all keys begin with, so that several applications can share a server. Nodes that share
    /// sessions have the same prefix. [`RedisOptions::is_prefix`] says what it may hold.
    pub prefix: String,
    /// How long the node waits for a connection.
    pub connect_timeout: Duration,
    /// How long the node waits for a reply.
    pub response_timeout: Duration,
    /// How many replicas must hold a change before the node reports it.
    pub wait_replicas: u32,
    /// How long the node waits for replicas.
    pub wait_timeout: Duration,
}

impl RedisUrl {
    /// The schemes that the node understands.
    pub const SCHEMES: [&str; 6] = [
        "redis",
        "rediss",
        "valkey",
        "valkeys",
        "redis-cluster",
        "rediss-cluster",
    ];

    /// Reads `SCHEME://[USER][:PASSWORD@]HOST[:PORT][/DATABASE]`, with one of [`RedisUrl::SCHEMES`]; those with a
    /// second `s` use TLS. For a cluster, some of its servers: `HOST:PORT,HOST:PORT`.
    ///
    /// # Errors
    ///
    /// When the text is something else.
    pub fn parse(text: &str) -> Result<Self, RedisUrlError> {
        let wrong = |what: &str| RedisUrlError(what.to_owned());
        let expected = "expected a URL such as redis://USER:PASSWORD@HOST:6379/0 or \
                        redis-cluster://HOST:6379,HOST:6379";
        let (scheme, rest) = text.split_once("://").ok_or_else(|| wrong(expected))?;
        let scheme = Self::SCHEMES.into_iter().find(|known| *known == scheme);
        let scheme = scheme.ok_or_else(|| wrong(expected))?;
        let parse = |rest: &str| {
            let scheme = scheme.trim_end_matches("-cluster");
            let info = format!("{scheme}://{rest}").into_connection_info();
            info.map_err(|_| wrong(expected))
        };
        let is_cluster = scheme.ends_with("-cluster");
        let servers = if is_cluster {
            // The user and the password, with the `@` behind them.
            let (identity, hosts) = rest.split_at(rest.rfind('@').map_or(0, |at| at + 1));
            let server = |host| parse(&format!("{identity}{host}"));
            hosts.split(',').map(server).collect::<Result<_, _>>()?
        } else {
            vec![parse(rest)?]
        };
        let is_other = |info: &ConnectionInfo| info.redis_settings().db() != 0;
        if is_cluster && servers.iter().any(is_other) {
            return Err(wrong("a cluster has no database but 0"));
        }
        Ok(Self {
            scheme,
            servers,
            is_cluster,
        })
    }
}

/// Shows no user and no password.
impl fmt::Display for RedisUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}://", self.scheme)?;
        for (place, server) in self.servers.iter().enumerate() {
            let separator = if place == 0 { "" } else { "," };
            write!(formatter, "{separator}{}", address(server))?;
        }
        Ok(())
    }
}

/// Shows no password in a test or a log either.
impl fmt::Debug for RedisUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl RedisOptions {
    /// Takes these servers, and the defaults for the rest.
    pub fn new(url: RedisUrl) -> Self {
        Self {
            url,
            prefix: "session-node:".to_owned(),
            connect_timeout: Duration::from_secs(2),
            response_timeout: Duration::from_secs(2),
            wait_replicas: 0,
            wait_timeout: Duration::from_secs(1),
        }
    }

    /// Whether `text` can be a prefix: letters, digits, `:`, `-`, `_` and `.`, which mean nothing in a pattern or to a
    /// cluster.
    pub fn is_prefix(text: &str) -> bool {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b":-_.".contains(&byte);
        text.len() <= 64 && text.bytes().all(is_plain)
    }
}

/// Shows the host and the port of a server.
pub fn address(server: &ConnectionInfo) -> String {
    match server.addr() {
        ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => {
            format!("{host}:{port}")
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_its_user_and_password() {
        for (text, expected) in [
            ("redis://127.0.0.1", "redis://127.0.0.1:6379"),
            ("redis://:secret@host:1/2", "redis://host:1"),
            ("rediss://me:s%40cret@host", "rediss://host:6379"),
            ("valkey://me:secret@host:7", "valkey://host:7"),
            (
                "redis-cluster://me:secret@a:1,b:2",
                "redis-cluster://a:1,b:2",
            ),
            ("rediss-cluster://a:1", "rediss-cluster://a:1"),
        ] {
            assert_eq!(RedisUrl::parse(text).expect(text).to_string(), expected);
        }
    }

    #[test]
    fn what_is_no_url_of_servers_is_refused_without_repeating_it() {
        let wrong = " redis: redis:// redis:secret@host http://me:secret@host redis://host:port redis+unix:///secret \
                     redis-cluster:// redis-cluster://me:secret@a:1,,b:2 redis-cluster://a:1/3";
        for wrong in wrong.split(' ') {
            let error = RedisUrl::parse(wrong).expect_err(wrong).to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn a_prefix_has_nothing_that_means_something_in_a_pattern_or_to_a_cluster() {
        assert!(RedisOptions::is_prefix("shop-1.sessions_a:"));
        assert!(RedisOptions::is_prefix(""));
        for wrong in ["{shop}:", "shop*", "a b", "ü", "a?b", "[a]", "a\\b"] {
            assert!(!RedisOptions::is_prefix(wrong), "{wrong}");
        }
        assert!(!RedisOptions::is_prefix(&"x".repeat(65)));
    }
}
