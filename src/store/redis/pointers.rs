//! Pointers: keys on the servers, each of which leads from a session's key to the session's place.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use redis::cmd;

use super::exchange::Command;
use super::places::{Known, Place, Places, UserDigest};
use super::reply::Use;
use crate::session::{SessionKey, whole_millis};

/// How much longer than its session a pointer stays, so that it never goes first.
const SLACK: Duration = Duration::from_secs(5);

/// The pointers on the servers, and what this node remembers of them. A method that takes commands adds to them.
pub struct Pointers {
    /// What the names of all keys begin with.
    pub prefix: String,
    pub places: Places,
}

impl Pointers {
    /// Reads where a pointer leads, and for how long it stays.
    pub fn read(&self, key: &SessionKey, commands: &mut Vec<Command>) {
        commands.push(self.command("GET", key));
        commands.push(self.command("PTTL", key));
    }

    /// Writes the pointer of a session that may live for `life`, and remembers it.
    pub fn make(
        &mut self,
        key: &SessionKey,
        place: Place,
        life: Duration,
        commands: &mut Vec<Command>,
    ) {
        let stay = life + SLACK;
        let mut set = self.command("SET", key);
        set.arg(&place.to_bytes()).arg("PX").arg(whole_millis(stay));
        commands.push(set);
        self.places.learn(key, place, stay);
    }

    /// Makes a pointer stay for `life` from now on, unless it stays longer already.
    pub fn prolong(&self, key: &SessionKey, life: Duration, commands: &mut Vec<Command>) {
        let mut expire = self.command("PEXPIRE", key);
        expire.arg(whole_millis(life + SLACK)).arg("GT");
        commands.push(expire);
    }

    /// Prolongs the pointer of a session that was used, if it would go before the session expires.
    pub fn keep(&mut self, key: &SessionKey, known: Known, used: Use, commands: &mut Vec<Command>) {
        let expires_at = self.places.now + used.expires_in;
        let goes_early = |known: Known| known.pointer_until < expires_at;
        // Another operation of the batch may have prolonged the pointer, or deleted it.
        if goes_early(known) && self.places.get(key).is_some_and(goes_early) {
            self.prolong(key, used.pointer_life, commands);
            self.places
                .learn(key, known.place, used.pointer_life + SLACK);
        }
    }

    /// Deletes a pointer, and forgets it.
    pub fn drop(&mut self, key: &SessionKey, commands: &mut Vec<Command>) {
        self.places.forget(key);
        commands.push(self.command("DEL", key));
    }

    /// The command `name` on a key's pointer.
    fn command(&self, name: &str, key: &SessionKey) -> Command {
        let pointer = format!(
            "{}k:{}",
            self.prefix,
            URL_SAFE_NO_PAD.encode(key.as_bytes())
        );
        let mut cmd = cmd(name);
        cmd.arg(&pointer);
        Command { key: pointer, cmd }
    }

    /// Names a user's hash. A cluster takes the slot from what is in braces.
    pub fn hash(&self, user: UserDigest) -> String {
        let name = URL_SAFE_NO_PAD.encode(user);
        format!("{}u:{{{name}}}", self.prefix)
    }

    /// Finds the user whose hash has this name; `None` if it is not the name of a hash.
    pub fn user_of(&self, hash: &[u8]) -> Option<UserDigest> {
        let name = str::from_utf8(hash).ok()?.strip_prefix(&self.prefix)?;
        let name = name.strip_prefix("u:{")?.strip_suffix('}')?;
        URL_SAFE_NO_PAD.decode(name).ok()?.try_into().ok()
    }

    /// The pattern that the names of all users' hashes match.
    pub fn all_hashes(&self) -> String {
        format!("{}u:*", self.prefix)
    }
}
