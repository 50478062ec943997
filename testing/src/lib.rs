//! What the tests share, and with them the soak bench and the fuzz targets: the program started, fed and read with a
//! deadline, a node in this process at a hand-moved time, a naive model of the protocol, and the tools around a test.

#![allow(
    missing_docs,
    reason = "nobody outside of this repository uses it, and most names say what they are"
)]

pub mod errors;
#[cfg(target_os = "linux")]
pub mod fake_time;
pub mod model;
mod node;
pub mod place;
#[cfg(feature = "redis")]
pub mod redis_server;
pub mod responder;
pub mod ruled;
pub mod soak;
#[cfg(unix)]
pub mod socket;
pub mod timed;
pub mod tools;
pub mod turns;
pub mod witness;
#[cfg(target_os = "linux")]
pub mod wrong_clock;

use std::path::Path;
use std::sync::OnceLock;

pub use node::*;

/// Where Cargo has put what a test needs.
struct Paths {
    program: &'static Path,
    scratch: &'static Path,
}

static PATHS: OnceLock<Paths> = OnceLock::new();

/// Tells this crate where the program is and where tests may write. Each test crate calls it once, in its `main.rs`.
///
/// Cargo says both only to a test crate of the package itself, and only while it compiles that crate. The test harness
/// leaves no place to run code before the tests, so a constructor passes them on. To look for the program beside the
/// test instead would find an old one wherever `build.build-dir` keeps the two apart.
#[macro_export]
macro_rules! set_up {
    () => {
        #[::ctor::ctor]
        fn set_up() {
            $crate::set_paths(
                env!("CARGO_BIN_EXE_session-node"),
                env!("CARGO_TARGET_TMPDIR"),
            );
        }
    };
}

#[doc(hidden)]
pub fn set_paths(program: &'static str, scratch: &'static str) {
    let paths = Paths {
        program: Path::new(program),
        scratch: Path::new(scratch),
    };
    let _ = PATHS.set(paths);
}

fn paths() -> &'static Paths {
    PATHS
        .get()
        .expect("the main.rs of every test crate calls set_up!()")
}

/// The program under test, just built.
pub fn program() -> &'static Path {
    paths().program
}

/// A directory for what a test writes.
pub fn scratch() -> &'static Path {
    paths().scratch
}
