//! Parses the value of `--store`.

use std::fmt;
#[cfg(feature = "sqlite")]
use std::path::PathBuf;

#[cfg(feature = "redis")]
use session_node::store::{RedisOptions, RedisUrl};

#[cfg(feature = "redis")]
use super::redis::RedisArguments;

/// The stores in this build, as messages name them.
const STORES: &[&str] = &[
    "memory:",
    #[cfg(feature = "sqlite")]
    "sqlite:PATH",
    #[cfg(feature = "redis")]
    "redis://HOST",
];

/// The URL schemes of servers. A build without the store on Redis also knows them, to say what is missing.
const REDIS_SCHEMES: [&str; 6] = [
    "redis",
    "rediss",
    "valkey",
    "valkeys",
    "redis-cluster",
    "rediss-cluster",
];

/// A kind of store, with everything needed to open it.
pub enum StoreConfig {
    /// The store in memory.
    Memory,
    /// The store in the SQLite file at this path.
    #[cfg(feature = "sqlite")]
    Sqlite(PathBuf),
    /// The store on Redis or Valkey, with these options.
    #[cfg(feature = "redis")]
    Redis(RedisOptions),
}

impl StoreConfig {
    /// Parses the value of `--store`.
    ///
    /// # Errors
    ///
    /// A message that says what is wrong. The message never repeats the value, which may contain a password.
    pub fn parse(
        text: &str,
        #[cfg(feature = "redis")] redis: RedisArguments,
    ) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("memory", "")) => Ok(Self::Memory),
            Some(("sqlite", path)) => parse_sqlite(path),
            #[cfg(feature = "redis")]
            Some((scheme, _)) if REDIS_SCHEMES.contains(&scheme) => match RedisUrl::parse(text) {
                Ok(url) => Ok(Self::Redis(redis.options(url))),
                Err(error) => Err(format!("--store: {error}")),
            },
            #[cfg(not(feature = "redis"))]
            Some((scheme, _)) if REDIS_SCHEMES.contains(&scheme) => {
                Err("--store: this build has no Redis store; build it with --features redis".into())
            }
            _ => Err(format!(
                "--store: unknown kind of store; expected {}",
                STORES.join(" or ")
            )),
        }
    }
}

fn parse_sqlite(path: &str) -> Result<StoreConfig, String> {
    if path.starts_with("//") {
        return Err("--store: write sqlite:PATH, without // before the path".into());
    }
    #[cfg(not(feature = "sqlite"))]
    return Err("--store: this build has no SQLite store; build it with --features sqlite".into());
    #[cfg(feature = "sqlite")]
    if path.is_empty() {
        Err("--store: expected the path of a file after sqlite:".into())
    } else {
        Ok(StoreConfig::Sqlite(path.into()))
    }
}

impl fmt::Display for StoreConfig {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => formatter.write_str("memory"),
            #[cfg(feature = "sqlite")]
            Self::Sqlite(path) => path.display().fmt(formatter),
            #[cfg(feature = "redis")]
            Self::Redis(options) => options.url.fmt(formatter),
        }
    }
}
