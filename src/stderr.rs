//! Writes lines to stderr through a bounded queue in memory and one thread that empties it.
//!
//! Nobody has to read a node's stderr, and a full pipe there must not delay a reply. So the node only adds to the
//! queue, which never waits. The queue drops lines that do not fit, each as a whole. When the queue has room again, one
//! line in their place counts them. Only the message of a panic bypasses the queue.
//!
//! `tracing-appender` does not serve here: it bounds its queue in messages rather than bytes, and it reports no dropped
//! lines. Besides, only `main` can wait for its thread, while a signal ends the process from another thread.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Write};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// How many bytes may wait for a reader.
const MAX_BYTES: usize = 4 * 1024 * 1024;

/// How many bytes one write may pass on. A pipe usually holds that many.
const PIECE_BYTES: usize = 64 * 1024;

/// How long the end of the process may wait for the queue to empty.
const FLUSH_TIMEOUT: Duration = Duration::from_millis(500);

/// How long to wait after a failed write (a full disk, a full non-blocking descriptor) before the next.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(50);

static QUEUE: Mutex<Queue> = Mutex::new(Queue::new());
/// Signals that the queue is no longer empty.
static FILLED: Condvar = Condvar::new();
/// Signals that the queue is empty.
static EMPTIED: Condvar = Condvar::new();

/// Lines on their way to stderr.
struct Queue {
    bytes: VecDeque<u8>,
    /// How many lines were dropped after the last of `bytes`.
    dropped_lines: u64,
}

impl Queue {
    const fn new() -> Self {
        Self {
            bytes: VecDeque::new(),
            dropped_lines: 0,
        }
    }

    /// Adds the leading lines that fit, and counts the others as dropped.
    fn push(&mut self, lines: &[u8]) {
        self.report_dropped_lines();
        let fitting = if self.dropped_lines == 0 {
            self.push_fitting(lines)
        } else {
            0
        };
        let lost = memchr::memchr_iter(b'\n', &lines[fitting..]).count();
        self.dropped_lines += lost as u64;
    }

    /// Adds the leading whole lines that fit. Returns their length in bytes.
    fn push_fitting(&mut self, lines: &[u8]) -> usize {
        let room = MAX_BYTES - self.bytes.len();
        let length = match lines.get(..room) {
            None => lines.len(),
            Some(start) => memchr::memrchr(b'\n', start).map_or(0, |end| end + 1),
        };
        // When memory is exhausted, a dropped line is better than an aborted process.
        if self.bytes.try_reserve(length).is_err() {
            return 0;
        }
        self.bytes.extend(&lines[..length]);
        length
    }

    /// Adds a line that reports the number of dropped lines, if it is not zero and the line fits.
    fn report_dropped_lines(&mut self) {
        if self.dropped_lines == 0 {
            return;
        }
        let report = format!(
            " WARN {} lines are missing here: stderr did not take them in time\n",
            self.dropped_lines
        );
        if self.push_fitting(report.as_bytes()) > 0 {
            self.dropped_lines = 0;
        }
    }
}

/// Adds `lines`, each with its newline, and never waits for a reader.
pub fn push(lines: &[u8]) {
    queue().push(lines);
    FILLED.notify_one();
}

/// Waits until the queue is empty, for half a second at most, because nobody may be reading.
pub fn flush() {
    // A poisoned lock must not panic here: this runs while the process ends, perhaps because of a panic.
    drop(
        EMPTIED
            .wait_timeout_while(queue(), FLUSH_TIMEOUT, |queue| !queue.bytes.is_empty())
            .unwrap_or_else(PoisonError::into_inner),
    );
}

/// Flushes the queue when it is dropped, at the end of `main`.
#[must_use]
pub struct FlushAtEnd(());

impl Drop for FlushAtEnd {
    fn drop(&mut self) {
        flush();
    }
}

/// Starts the thread that empties the queue. Until then, the queue only collects lines.
///
/// # Errors
///
/// If the thread cannot be started.
pub fn start() -> io::Result<FlushAtEnd> {
    // A power of two, so that doubling reaches the bound exactly.
    queue().bytes.reserve(PIECE_BYTES);
    thread::Builder::new()
        .name("stderr".into())
        .spawn(empty_queue)?;
    Ok(FlushAtEnd(()))
}

/// The queue as a writer, for [`tracing_subscriber`] and the audit. Every write must consist of whole lines.
pub struct Lines;

impl Write for Lines {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        push(lines);
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Empties the queue piece by piece, for as long as the process runs.
fn empty_queue() {
    let mut piece = Vec::with_capacity(PIECE_BYTES);
    let mut waiting = queue();
    loop {
        if waiting.bytes.is_empty() {
            EMPTIED.notify_all();
            waiting = FILLED.wait(waiting).unwrap_or_else(PoisonError::into_inner);
            continue;
        }
        let (front, _) = waiting.bytes.as_slices();
        piece.clear();
        piece.extend_from_slice(&front[..front.len().min(PIECE_BYTES)]);
        // The piece stays in the queue until it has been written, so it takes room as long as nobody reads.
        drop(waiting);
        let written = io::stderr().write(&piece);
        let done = match written {
            Ok(length) => length,
            // Nobody will read what is in the queue. A named pipe may get another reader for later lines.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => usize::MAX,
            Err(_) => {
                thread::sleep(PAUSE_AFTER_FAILURE);
                0
            }
        };
        waiting = queue();
        let done = done.min(waiting.bytes.len());
        waiting.bytes.drain(..done);
        waiting.report_dropped_lines();
    }
}

fn queue() -> MutexGuard<'static, Queue> {
    QUEUE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(queue: &Queue) -> String {
        String::from_utf8(queue.bytes.iter().copied().collect()).expect("UTF-8")
    }

    #[test]
    fn lines_that_do_not_fit_are_dropped_whole_and_counted_in_their_place() {
        let mut queue = Queue::new();
        queue.push(format!("{}\n", "x".repeat(MAX_BYTES - 10)).as_bytes());
        queue.push(b"123456\n12\n3\n");
        queue.push(b"4\n");
        assert_eq!(queue.bytes.len(), MAX_BYTES - 2);
        assert_eq!(queue.dropped_lines, 3);

        queue.bytes.drain(..MAX_BYTES - 9);
        queue.push(b"later\n");
        let report = " WARN 3 lines are missing here: stderr did not take them in time\n";
        assert_eq!(text(&queue), format!("123456\n{report}later\n"));
        assert_eq!(queue.dropped_lines, 0);
    }
}
