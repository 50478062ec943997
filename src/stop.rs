//! Signals: stopping on SIGTERM and SIGINT, between batches and never within one, and what is to happen on SIGHUP.
//!
//! A blocked read cannot be interrupted without `unsafe`, and waiting with `poll` would cost every lone
//! request a system call. So a second thread waits for signals. While the node waits for input, nothing is
//! in hand and that thread may end the process; while the node works on a batch, the thread only leaves word,
//! and the node's next read fails with [`Stopped`]. It fails rather than ends, since the half of a line that may
//! have arrived is not a last line.

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
/// A signal has come.
const STOPPING: u8 = 2;

/// Why a read failed: the process was asked to stop. Everything that was taken up has been answered.
#[derive(Debug, thiserror::Error)]
#[error("asked to stop")]
pub struct Stopped;

impl Stopped {
    /// Whether this is why a read failed.
    pub fn is_why(error: &io::Error) -> bool {
        matches!(error.get_ref(), Some(inner) if inner.is::<Self>())
    }
}

/// An input that can be read until the process is asked to stop.
pub struct UntilSignal<R> {
    input: R,
    state: Arc<AtomicU8>,
}

impl<R: Read> UntilSignal<R> {
    /// Wraps `input`, and from now on SIGTERM and SIGINT stop it. A second signal ends the process at once,
    /// whatever it is doing: the way out when nobody reads the replies. A signal that the process was started
    /// to ignore stays ignored: a shell without job control starts `session-node &` so that Ctrl-C spares it.
    ///
    /// SIGHUP calls `on_hang_up` at once, on the thread that waits for signals. It stops nothing, so it needs no
    /// ignoring.
    ///
    /// # Errors
    ///
    /// When the signals cannot be handled or the thread cannot be started.
    pub fn new(input: R, on_hang_up: impl Fn() + Send + 'static) -> io::Result<Self> {
        let state = Arc::new(AtomicU8::new(WORKING));
        let ignored = ignored_signals();
        let stopping = [SIGTERM, SIGINT]
            .into_iter()
            .filter(|signal| !ignored.contains(signal));
        let mut signals = Signals::new(stopping.chain([SIGHUP]))?;
        let seen = Arc::clone(&state);
        thread::Builder::new()
            .name("signals".into())
            .spawn(move || {
                for signal in signals.forever() {
                    if signal == SIGHUP {
                        on_hang_up();
                        continue;
                    }
                    match seen.swap(STOPPING, Ordering::AcqRel) {
                        WORKING => {}
                        WAITING => exit(0),
                        // What a shell reports of a process that a signal ended.
                        _ => exit(128 + signal),
                    }
                }
            })?;
        Ok(Self { input, state })
    }

    fn moves(&self, from: u8, to: u8) -> bool {
        self.state
            .compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }
}

/// The signals that the process was started to ignore. Outside of Linux, none are known.
fn ignored_signals() -> Vec<i32> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok());
    // Signal 1 is the lowest bit.
    let is_ignored = |signal: &i32| mask.unwrap_or(0) >> (signal - 1) & 1 == 1;
    (1..=64).filter(is_ignored).collect()
}

/// Ends the process, which skips the end of `main`.
fn exit(status: i32) -> ! {
    stderr::flush();
    process::exit(status)
}

impl<R: Read> Read for UntilSignal<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.moves(WORKING, WAITING) {
            return Err(io::Error::other(Stopped));
        }
        let arrived = self.input.read(buffer);
        if !self.moves(WAITING, WORKING) {
            // The process is ending at this moment. What arrived was never taken up.
            return Err(io::Error::other(Stopped));
        }
        arrived
    }
}
