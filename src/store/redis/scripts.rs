//! The scripts that run on the servers. Each reads and writes the keys of one user, which are in one slot, so it is
//! atomic on any cluster.

use std::sync::LazyLock;

use redis::{Cmd, Script, cmd};

use super::exchange::Command;
use crate::session::{Policy, whole_millis};

/// The first lines of scripts. A server without memory still runs the scripts that need no more of it.
const ALSO_WHEN_FULL: &str = "#!lua flags=allow-oom\n";
const ONLY_WITH_ROOM: &str = "#!lua\n";

/// The scripts, named as their files.
#[derive(Clone, Copy, Debug)]
pub enum ScriptName {
    Create,
    Validate,
    Regenerate,
    Update,
    Resolve,
    List,
    Destroy,
    DestroyByHandle,
    DestroyUser,
    Leave,
    Room,
}

static SCRIPTS: LazyLock<[Script; 11]> = LazyLock::new(|| {
    // Because of the first line, Redis 7 and later refuse the whole script where it could not write. So a replica,
    // whose sessions may be out of date, validates nothing, and a server without memory does nothing by halves.
    let script = |first_line: &str, body: &str| {
        Script::new(&format!(
            "{first_line}{}\n{body}",
            include_str!("shared.lua")
        ))
    };
    // In the order of `ScriptName`.
    [
        script(ONLY_WITH_ROOM, include_str!("create.lua")),
        script(ALSO_WHEN_FULL, include_str!("validate.lua")),
        script(ONLY_WITH_ROOM, include_str!("regenerate.lua")),
        script(ONLY_WITH_ROOM, include_str!("update.lua")),
        script(ALSO_WHEN_FULL, include_str!("resolve.lua")),
        script(ALSO_WHEN_FULL, include_str!("list.lua")),
        script(ALSO_WHEN_FULL, include_str!("destroy.lua")),
        script(ALSO_WHEN_FULL, include_str!("destroy_by_handle.lua")),
        script(ALSO_WHEN_FULL, include_str!("destroy_user.lua")),
        script(ONLY_WITH_ROOM, include_str!("leave.lua")),
        script(ALSO_WHEN_FULL, include_str!("room.lua")),
    ]
});

/// Runs a script on the hash `key`, under a policy. With `detail`, it tells the times of the session. The caller adds
/// the script's arguments.
pub fn run(name: ScriptName, key: String, policy: &Policy, detail: bool) -> Command {
    let mut cmd = cmd("EVALSHA");
    cmd.arg(SCRIPTS[name as usize].get_hash()).arg(1).arg(&key);
    cmd.arg(whole_millis(policy.max_ttl)).arg(u8::from(detail));
    Command { key, cmd }
}

/// Loads all scripts: one command for each.
pub fn load() -> Vec<Cmd> {
    SCRIPTS.iter().map(Cmd::load_script).collect()
}
