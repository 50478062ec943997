//! What `--store` can say.

use std::fmt;
#[cfg(feature = "sqlite")]
use std::path::PathBuf;

#[cfg(feature = "redis")]
use session_node::store::{RedisOptions, RedisUrl};

#[cfg(feature = "redis")]
use super::redis::RedisArguments;

/// The stores that this build has.
const STORES: &[&str] = &[
    "memory:",
    #[cfg(feature = "sqlite")]
    "sqlite:PATH",
    #[cfg(feature = "redis")]
    "redis://HOST",
];

/// What names servers, also in a build that cannot use them.
const REDIS_SCHEMES: [&str; 6] = [
    "redis",
    "rediss",
    "valkey",
    "valkeys",
    "redis-cluster",
    "rediss-cluster",
];

/// Where sessions are kept, with all that it takes to open the store.
pub enum StoreConfig {
    /// In the process.
    Memory,
    /// In the SQLite file at this path.
    #[cfg(feature = "sqlite")]
    Sqlite(PathBuf),
    /// On servers, used like this.
    #[cfg(feature = "redis")]
    Redis(RedisOptions),
}

impl StoreConfig {
    /// Reads what `--store` says. Never repeats it where it is wrong, since it may hold a password.
    ///
    /// # Errors
    ///
    /// What is wrong.
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
