//! What a server's error means for the command that met it.

use redis::ServerError;

use super::commands::Answer;
use crate::store::StoreError;

/// What becomes of a command.
pub enum Verdict {
    /// It has its answer.
    Final(Answer),
    /// It goes to this host and port, which now have its slot.
    Moved(String, u16),
    /// It goes to this host and port, which have its key while its slot moves.
    Ask(String, u16),
    /// The server does not know the script: the node loads it and sends the command again.
    NoScript,
    /// This server cannot carry it out: the node asks anew where the slot is and sends the command there.
    Elsewhere(String),
    /// The server has become a replica, so its name may lead to another server by now. The command had no effect.
    Demoted(String),
}

impl Verdict {
    /// Judges an error of the server `name` at `host`, which is of a cluster or on its own.
    pub fn on(error: &ServerError, name: &str, host: &str, is_cluster: bool) -> Self {
        let details = error.details().unwrap_or_default();
        let why = format!("{name}: {} {details}", error.code());
        match error.code() {
            "MOVED" if !is_cluster => {
                Self::Final(Err(StoreError::NoEffect(name_the_cluster(name))))
            }
            "MOVED" => match address(details, host) {
                Some((host, port)) => Self::Moved(host, port),
                None => Self::Elsewhere(why),
            },
            "ASK" => match address(details, host) {
                Some((host, port)) => Self::Ask(host, port),
                None => Self::Elsewhere(why),
            },
            "NOSCRIPT" => Self::NoScript,
            "READONLY" | "CLUSTERDOWN" | "MASTERDOWN" if is_cluster => Self::Elsewhere(why),
            "READONLY" => Self::Demoted(why),
            // With these, a server refuses a command before it begins.
            "CLUSTERDOWN" | "MASTERDOWN" | "LOADING" | "OOM" | "NOREPLICAS" | "MISCONF"
            | "NOPERM" | "NOAUTH" | "BUSY" | "TRYAGAIN" | "WRONGTYPE" => {
                Self::Final(Err(StoreError::NoEffect(why)))
            }
            _ => Self::Final(Err(StoreError::MayHaveTakenEffect(why))),
        }
    }
}

/// Tells the operator that the server `name` was named as one on its own, but is part of a cluster.
pub fn name_the_cluster(name: &str) -> String {
    format!("{name} is part of a cluster, which is named with redis-cluster://")
}

/// Reads the host and the port from `SLOT HOST:PORT`. A server that leaves the host out means its own.
fn address(details: &str, own_host: &str) -> Option<(String, u16)> {
    let (host, port) = details.rsplit_once(' ')?.1.rsplit_once(':')?;
    let host = if host.is_empty() { own_host } else { host };
    Some((host.to_owned(), port.parse().ok()?))
}
