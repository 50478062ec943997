//! Handles signals. SIGTERM and SIGINT stop the node between batches, never within one; SIGHUP calls a function.
//!
//! A blocked read cannot be interrupted without `unsafe`, and waiting with `poll` would cost every lone request a
//! system call. So a second thread waits for signals. While the node waits for input, it holds no work, and the thread
//! may end the process. While the node works on a batch, the thread only sets a flag, and the node's next read fails
//! with [`Stopped`]. The read must fail rather than report the end of the input, because a half-read line is not a last
//! line.

use std::fs;
use std::io::{self, Read};
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::stderr;

/// The node works on a batch.
const WORKING: u8 = 0;
/// The node waits for input.
const WAITING: u8 = 1;
/// A signal has arrived.
const STOPPING: u8 = 2;

/// The error of a read after a signal. The node has answered everything that it has read.
#[derive(Debug, thiserror::Error)]
#[error("asked to stop")]
pub struct Stopped;

impl Stopped {
    /// Whether this error is the cause of `error`.
    pub fn is_cause_of(error: &io::Error) -> bool {
        matches!(error.get_ref(), Some(inner) if inner.is::<Self>())
    }
}

/// An input that fails with [`Stopped`] once the process is asked to stop.
pub struct UntilSignal<R> {
    input: R,
    state: Arc<AtomicU8>,
}

impl<R: Read> UntilSignal<R> {
    /// Wraps `input`. From now on SIGTERM and SIGINT stop it.
    ///
    /// A second signal ends the process at once, whatever it is doing, in case nobody reads the replies. A signal that
    /// the process ignored when it started stays ignored: a shell without job control starts `session-node &` that way,
    /// so that Ctrl-C spares it.
    ///
    /// SIGHUP calls `on_hang_up` at once, on the thread that waits for signals. It is handled even if it was ignored,
    /// because it stops nothing.
    ///
    /// # Errors
    ///
    /// If the signals cannot be handled or the thread cannot be started.
    pub fn new(input: R, on_hang_up: impl Fn() + Send + 'static) -> io::Result<Self> {
        let state = Arc::new(AtomicU8::new(WORKING));
        let shared_state = Arc::clone(&state);
        handle_signals(on_hang_up, move |signal| {
            match shared_state.swap(STOPPING, Ordering::AcqRel) {
                WORKING => {}
                WAITING => exit(0),
                _ => exit_by(signal),
            }
        })?;
        Ok(Self { input, state })
    }

    fn transition(&self, from: u8, to: u8) -> bool {
        self.state
            .compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }
}

/// Returns a stream that ends when the process is asked to stop. Signals are as in [`UntilSignal::new`].
///
/// # Errors
///
/// If the signals cannot be handled or the thread cannot be started.
#[cfg(feature = "socket")]
pub fn stream_of_signals(
    on_hang_up: impl Fn() + Send + 'static,
) -> io::Result<std::os::unix::net::UnixStream> {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
    let mut ours = Some(ours);
    handle_signals(on_hang_up, move |signal| {
        // Dropping our end ends the stream.
        if ours.take().is_none() {
            exit_by(signal);
        }
    })?;
    Ok(theirs)
}

/// Starts a thread that calls a function when the process is asked to stop, and another at SIGHUP.
fn handle_signals(
    on_hang_up: impl Fn() + Send + 'static,
    mut on_stop: impl FnMut(i32) + Send + 'static,
) -> io::Result<()> {
    let ignored = ignored_signals();
    let stopping = [SIGTERM, SIGINT]
        .into_iter()
        .filter(|signal| !ignored.contains(signal));
    let mut signals = Signals::new(stopping.chain([SIGHUP]))?;
    let thread = thread::Builder::new().name("signals".into());
    thread.spawn(move || {
        for signal in signals.forever() {
            if signal == SIGHUP {
                on_hang_up();
            } else {
                on_stop(signal);
            }
        }
    })?;
    Ok(())
}

/// Ends the process with the status that a shell reports for a process that this signal ended.
fn exit_by(signal: i32) -> ! {
    exit(128 + signal)
}

/// The signals that the process ignored when it started. Only Linux tells; elsewhere the list is empty.
fn ignored_signals() -> Vec<i32> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok());
    // Signal 1 is the lowest bit.
    let is_ignored = |signal: &i32| mask.unwrap_or(0) >> (signal - 1) & 1 == 1;
    (1..=64).filter(is_ignored).collect()
}

/// Ends the process. `process::exit` skips the end of `main`, so this flushes stderr first.
fn exit(status: i32) -> ! {
    stderr::flush();
    process::exit(status)
}

impl<R: Read> Read for UntilSignal<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.transition(WORKING, WAITING) {
            return Err(io::Error::other(Stopped));
        }
        let arrived = self.input.read(buffer);
        if !self.transition(WAITING, WORKING) {
            // The process is about to end, so nobody will handle what arrived.
            return Err(io::Error::other(Stopped));
        }
        arrived
    }
}
