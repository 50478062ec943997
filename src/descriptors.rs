//! Which of the standard descriptors were closed when the process was started.
//!
//! Before `main`, Rust's runtime opens `/dev/null` in place of each closed one, and nobody can tell any more: a node
//! without stdin would end as if its input had ended, and one without stdout would lose every reply. Therefore this
//! module looks earlier, when the system's loader calls what a program has to initialize.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::{Errno, fcntl_getfd};
use rustix::stdio;

static STDIN_WAS_CLOSED: AtomicBool = AtomicBool::new(false);
static STDOUT_WAS_CLOSED: AtomicBool = AtomicBool::new(false);

/// Runs before Rust's runtime has begun: asks the system, stores the answers, and may use nothing else.
#[ctor::ctor]
fn look() {
    let stdin = fcntl_getfd(stdio::stdin());
    let stdout = fcntl_getfd(stdio::stdout());
    STDIN_WAS_CLOSED.store(stdin == Err(Errno::BADF), Ordering::Relaxed);
    STDOUT_WAS_CLOSED.store(stdout == Err(Errno::BADF), Ordering::Relaxed);
}

/// Whether the process was given a stdin.
///
/// # Errors
///
/// When it was not: the error of a read from a closed descriptor.
pub fn stdin_was_open() -> io::Result<()> {
    was_open(&STDIN_WAS_CLOSED)
}

/// Whether the process was given a stdout.
///
/// # Errors
///
/// When it was not: the error of a write to a closed descriptor.
pub fn stdout_was_open() -> io::Result<()> {
    was_open(&STDOUT_WAS_CLOSED)
}

fn was_open(was_closed: &AtomicBool) -> io::Result<()> {
    if was_closed.load(Ordering::Relaxed) {
        return Err(Errno::BADF.into());
    }
    Ok(())
}
