//! What runs on the servers. Each script reads and writes the hash of one user, so that it is atomic wherever that is.

use std::sync::LazyLock;

use redis::{Cmd, Script, cmd};

/// What a script may do where the server has no memory left: all but those that make more of something go on.
const ALSO_WHEN_FULL: &str = "#!lua flags=allow-oom\n";
const ONLY_WITH_ROOM: &str = "#!lua\n";

/// The scripts, under the names of their files.
#[derive(Clone, Copy, Debug)]
pub enum ScriptName {
    Create,
    Validate,
    Regenerate,
    Update,
    Present,
    List,
    Destroy,
    DestroyByHandle,
    DestroyUser,
}

/// A script for the servers, with the name that it has there: a digest of its text.
struct Loadable {
    text: String,
    digest: String,
}

static SCRIPTS: LazyLock<[Loadable; 9]> = LazyLock::new(|| {
    let script = |first_line: &str, body: &str| {
        // The first line tells Redis, from version 7 on, to refuse the script as a whole where it could not write:
        // on a replica, so that nobody is recognised by what may be old, or without the memory that it needs.
        let text = format!("{first_line}{}\n{body}", include_str!("shared.lua"));
        let digest = Script::new(&text).get_hash().to_owned();
        Loadable { text, digest }
    };
    // In the order of `ScriptName`.
    [
        script(ONLY_WITH_ROOM, include_str!("create.lua")),
        script(ALSO_WHEN_FULL, include_str!("validate.lua")),
        script(ONLY_WITH_ROOM, include_str!("regenerate.lua")),
        script(ONLY_WITH_ROOM, include_str!("update.lua")),
        script(ALSO_WHEN_FULL, include_str!("present.lua")),
        script(ALSO_WHEN_FULL, include_str!("list.lua")),
        script(ALSO_WHEN_FULL, include_str!("destroy.lua")),
        script(ALSO_WHEN_FULL, include_str!("destroy_by_handle.lua")),
        script(ALSO_WHEN_FULL, include_str!("destroy_user.lua")),
    ]
});

/// The command that runs a script on the hash `key`. Its further arguments are to be added.
pub fn run(name: ScriptName, key: &str) -> Cmd {
    let mut command = cmd("EVALSHA");
    command.arg(&SCRIPTS[name as usize].digest).arg(1).arg(key);
    command
}

/// The commands that make a server know all scripts.
pub fn load() -> impl Iterator<Item = Cmd> {
    SCRIPTS.iter().map(|script| {
        let mut command = cmd("SCRIPT");
        command.arg("LOAD").arg(&script.text);
        command
    })
}
