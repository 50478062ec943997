//! Detects which of the standard descriptors were closed when the process started.
//!
//! Before `main`, Rust's runtime opens `/dev/null` in place of each closed descriptor, which hides that it was closed.
//! A node without stdin would then end as if its input had ended, and a node without stdout would lose every reply. So
//! this module checks earlier, when the system's loader calls the program's initializers.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::{Errno, fcntl_getfd};
use rustix::stdio;

static STDIN_WAS_CLOSED: AtomicBool = AtomicBool::new(false);
static STDOUT_WAS_CLOSED: AtomicBool = AtomicBool::new(false);

/// Runs before Rust's runtime has started, so it only asks the system and stores the answers.
#[ctor::ctor]
fn check_descriptors() {
    let stdin = fcntl_getfd(stdio::stdin());
    let stdout = fcntl_getfd(stdio::stdout());
    STDIN_WAS_CLOSED.store(stdin == Err(Errno::BADF), Ordering::Relaxed);
    STDOUT_WAS_CLOSED.store(stdout == Err(Errno::BADF), Ordering::Relaxed);
}

/// Checks that the process was given a stdin.
///
/// # Errors
///
/// If not: the error of a read from a closed descriptor.
pub fn stdin_was_open() -> io::Result<()> {
    was_open(&STDIN_WAS_CLOSED)
}

/// Checks that the process was given a stdout.
///
/// # Errors
///
/// If not: the error of a write to a closed descriptor.
pub fn stdout_was_open() -> io::Result<()> {
    was_open(&STDOUT_WAS_CLOSED)
}

fn was_open(was_closed: &AtomicBool) -> io::Result<()> {
    if was_closed.load(Ordering::Relaxed) {
        return Err(Errno::BADF.into());
    }
    Ok(())
}
