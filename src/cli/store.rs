//! What `--store` can say.

use std::fmt;
use std::path::Path;

#[cfg(feature = "redis")]
use session_node::store::RedisUrl;

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

/// Where sessions are kept.
pub enum StoreUrl<'a> {
    /// In the process.
    Memory,
    /// In the SQLite file at this path. Only in builds with the feature `sqlite`.
    Sqlite(&'a Path),
    /// On these servers.
    #[cfg(feature = "redis")]
    Redis(RedisUrl),
}

impl fmt::Display for StoreUrl<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => formatter.write_str("memory"),
            Self::Sqlite(path) => path.display().fmt(formatter),
            #[cfg(feature = "redis")]
            Self::Redis(url) => url.fmt(formatter),
        }
    }
}

/// What `--store` says. Never repeats it where it is wrong, since it may hold a password.
pub fn parse_store(text: &str) -> Result<StoreUrl<'_>, String> {
    match text.split_once(':') {
        Some(("memory", "")) => Ok(StoreUrl::Memory),
        Some(("sqlite", path)) if path.starts_with("//") => {
            Err("--store: write sqlite:PATH, without // before the path".into())
        }
        Some(("sqlite", _)) if !cfg!(feature = "sqlite") => {
            Err("--store: this build has no SQLite store; build it with --features sqlite".into())
        }
        Some(("sqlite", "")) => Err("--store: expected the path of a file after sqlite:".into()),
        Some(("sqlite", path)) => Ok(StoreUrl::Sqlite(Path::new(path))),
        Some((scheme, _)) if REDIS_SCHEMES.contains(&scheme) => parse_redis(text),
        _ => Err(format!(
            "--store: unknown kind of store; expected {}",
            STORES.join(" or ")
        )),
    }
}

#[cfg(feature = "redis")]
fn parse_redis(text: &str) -> Result<StoreUrl<'_>, String> {
    let url = RedisUrl::parse(text);
    url.map(StoreUrl::Redis)
        .map_err(|error| format!("--store: {error}"))
}

#[cfg(not(feature = "redis"))]
fn parse_redis(_text: &str) -> Result<StoreUrl<'_>, String> {
    Err("--store: this build has no Redis store; build it with --features redis".into())
}
