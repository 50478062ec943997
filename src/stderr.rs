//! Everything that the program writes to stderr: a bounded queue in memory, and one thread that empties it.
//!
//! Whoever starts a node need not read its stderr, and a full pipe there must not keep a reply back. So the node
//! only adds to the queue, which never waits. Lines that do not fit are dropped whole and counted; when the queue
//! has room again, one line says at that place how many are missing. Only the message of a panic goes another way.
//!
//! `tracing-appender` was weighed and left out: it bounds its queue in messages and not in bytes, reports no dropped
//! lines, and its thread can be waited for in `main` only, while a signal ends the process from another thread.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Write};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// The most bytes that wait for a reader.
const MAX_BYTES: usize = 4 * 1024 * 1024;

/// The most bytes that one write hands over: what a pipe usually holds.
const PIECE_BYTES: usize = 64 * 1024;

/// How long the end of the process may wait for the queue to empty.
const LONGEST_FLUSH: Duration = Duration::from_millis(500);

/// How long to wait after a failed write (a full disk, a full descriptor that does not block) before the next.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(50);

static QUEUE: Mutex<Queue> = Mutex::new(Queue::new());
/// The queue is no longer empty.
static FILLED: Condvar = Condvar::new();
/// The queue is empty.
static EMPTIED: Condvar = Condvar::new();

/// Lines on their way to stderr.
struct Queue {
    bytes: VecDeque<u8>,
    /// Lines that were dropped after the last of `bytes`.
    lost_lines: u64,
}

impl Queue {
    const fn new() -> Self {
        Self {
            bytes: VecDeque::new(),
            lost_lines: 0,
        }
    }

    /// Adds as many of `lines` as fit, and counts the others as lost.
    fn push(&mut self, lines: &[u8]) {
        self.report_lost_lines();
        let fitting = if self.lost_lines == 0 {
            self.add_what_fits(lines)
        } else {
            0
        };
        let lost = memchr::memchr_iter(b'\n', &lines[fitting..]).count();
        self.lost_lines += lost as u64;
    }

    /// Adds the whole lines at the beginning of `lines` for which there is room. Returns their length.
    fn add_what_fits(&mut self, lines: &[u8]) -> usize {
        let room = MAX_BYTES - self.bytes.len();
        let length = match lines.get(..room) {
            None => lines.len(),
            Some(start) => memchr::memrchr(b'\n', start).map_or(0, |end| end + 1),
        };
        // Where memory has ended, a lost line is better than an aborted process.
        if self.bytes.try_reserve(length).is_err() {
            return 0;
        }
        self.bytes.extend(&lines[..length]);
        length
    }

    /// Adds the line that stands for the lost ones, if there are any and it fits.
    fn report_lost_lines(&mut self) {
        if self.lost_lines == 0 {
            return;
        }
        let report = format!(
            " WARN {} lines are missing here: stderr did not take them in time\n",
            self.lost_lines
        );
        if self.add_what_fits(report.as_bytes()) > 0 {
            self.lost_lines = 0;
        }
    }
}

/// Adds `lines`, each with its newline, and never waits for a reader.
pub fn push(lines: &[u8]) {
    queue().push(lines);
    FILLED.notify_one();
}

/// Waits until everything has been written, but not for long: nobody may be reading.
pub fn flush() {
    // Not an `expect` on poison: this runs while the process ends, perhaps because of a panic.
    drop(
        EMPTIED
            .wait_timeout_while(queue(), LONGEST_FLUSH, |queue| !queue.bytes.is_empty())
            .unwrap_or_else(PoisonError::into_inner),
    );
}

/// Flushes when it is dropped, at the end of `main`.
#[must_use]
pub struct FlushAtEnd(());

impl Drop for FlushAtEnd {
    fn drop(&mut self) {
        flush();
    }
}

/// Starts the thread that writes the queue out. Before that, lines only gather.
///
/// # Errors
///
/// When the thread cannot be started.
pub fn start() -> io::Result<FlushAtEnd> {
    // A power of two, which doubles to the bound exactly.
    queue().bytes.reserve(PIECE_BYTES);
    thread::Builder::new()
        .name("stderr".into())
        .spawn(write_out)?;
    Ok(FlushAtEnd(()))
}

/// The queue as a writer, for [`tracing_subscriber`] and the audit. Give it whole lines with each write.
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

/// Writes what is in the queue, piece by piece, for as long as the process runs.
fn write_out() {
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
        // The piece stays in the queue until it has been written: it takes room as long as nobody reads.
        drop(waiting);
        let written = io::stderr().write(&piece);
        let done = match written {
            Ok(length) => length,
            // Nobody is there to read what waits. A pipe with a name may get another reader for what comes.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => usize::MAX,
            Err(_) => {
                thread::sleep(PAUSE_AFTER_FAILURE);
                0
            }
        };
        waiting = queue();
        let done = done.min(waiting.bytes.len());
        waiting.bytes.drain(..done);
        waiting.report_lost_lines();
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
    fn what_does_not_fit_is_dropped_line_by_line_and_counted_where_it_is_missing() {
        let mut queue = Queue::new();
        queue.push(format!("{}\n", "x".repeat(MAX_BYTES - 10)).as_bytes());
        queue.push(b"123456\n12\n3\n");
        queue.push(b"4\n");
        assert_eq!(queue.bytes.len(), MAX_BYTES - 2);
        assert_eq!(queue.lost_lines, 3);

        queue.bytes.drain(..MAX_BYTES - 9);
        queue.push(b"later\n");
        let report = " WARN 3 lines are missing here: stderr did not take them in time\n";
        assert_eq!(text(&queue), format!("123456\n{report}later\n"));
        assert_eq!(queue.lost_lines, 0);
    }
}
