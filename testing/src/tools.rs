//! Tools that a test needs and a machine may lack. A test says which one it needs with [`needs!`](crate::needs): where
//! the tool is missing, the test names itself as skipped, or fails if the environment requires the tool.

use std::env;
use std::io::Write;
use std::path::PathBuf;

/// A program or a library that no toolchain of Rust brings.
pub struct Tool {
    name: &'static str,
    file: &'static str,
    kind: Kind,
    /// The variable whose presence makes a missing tool a failure.
    required_by: Option<&'static str>,
}

enum Kind {
    Program,
    /// A library in one of these directories.
    Library(&'static [&'static str]),
}

pub const REDIS_SERVER: Tool = Tool {
    name: "redis-server",
    file: "redis-server",
    kind: Kind::Program,
    required_by: Some("SESSION_NODE_REQUIRE_REDIS"),
};

/// Answers a process that asks for the time instead of the C library.
pub const LIBFAKETIME: Tool = Tool {
    name: "libfaketime",
    file: "libfaketime.so.1",
    // Where a distribution or an administrator puts it.
    kind: Kind::Library(&[
        "/usr/lib/x86_64-linux-gnu/faketime",
        "/usr/lib/aarch64-linux-gnu/faketime",
        "/usr/lib/faketime",
        "/usr/lib64/faketime",
        "/usr/local/lib/faketime",
    ]),
    required_by: Some("SESSION_NODE_REQUIRE_FAKETIME"),
};

pub const PYTHON: Tool = Tool {
    name: "python3",
    file: "python3",
    kind: Kind::Program,
    required_by: None,
};

/// Listens on a socket and starts a program for it, as systemd does.
pub const SYSTEMD_SOCKET_ACTIVATE: Tool = Tool {
    name: "systemd-socket-activate",
    file: "systemd-socket-activate",
    kind: Kind::Program,
    required_by: None,
};

/// Makes a terminal for a program.
pub const SCRIPT: Tool = Tool {
    name: "`script` (util-linux)",
    file: "script",
    kind: Kind::Program,
    required_by: None,
};

impl Tool {
    /// Where the tool is, if it is installed.
    pub fn path(&self) -> Option<PathBuf> {
        let directories: Vec<PathBuf> = match self.kind {
            Kind::Program => env::split_paths(&env::var_os("PATH")?).collect(),
            Kind::Library(directories) => directories.iter().map(PathBuf::from).collect(),
        };
        let mut paths = directories.iter().map(|place| place.join(self.file));
        paths.find(|path| path.is_file())
    }

    /// Whether `test` can use the tool. If it cannot, says that the test is skipped, or fails if it must not be.
    pub fn is_there_for(&self, test: &str) -> bool {
        let is_there = self.path().is_some();
        let name = self.name;
        if let Some(variable) = self.required_by {
            assert!(
                is_there || env::var_os(variable).is_none(),
                "no {name} is installed, and {variable} asks for it"
            );
        }
        if !is_there {
            let line = format!("skipped: {test}: no {name} is installed\n");
            // Not with a macro that prints: the harness hides what those print in a test that passes.
            let _ = std::io::stderr().write_all(line.as_bytes());
        }
        is_there
    }
}

/// Skips the test that says it, by name, where the [`Tool`] is not installed.
#[macro_export]
macro_rules! needs {
    ($tool:ident) => {
        if !$crate::tools::$tool.is_there_for($crate::test_name!()) {
            return;
        }
    };
}

/// The name of the test that says it, as the harness has it. Not the name of the thread, which is the main one when
/// tests run one at a time.
#[macro_export]
macro_rules! test_name {
    () => {{
        fn here() {}
        $crate::tools::name_of_caller(std::any::type_name_of_val(&here))
    }};
}

#[doc(hidden)]
pub fn name_of_caller(here: &'static str) -> &'static str {
    let name = here.strip_suffix("::here").unwrap_or(here);
    name.split_once("::").map_or(name, |(_, test)| test)
}
