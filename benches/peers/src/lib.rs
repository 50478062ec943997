//! What the two floors share: a loop on the raw descriptors that answers what one read brought with one write.
//! The standard library's own handles would cut input into 8 KiB and output into lines, and the floors would
//! not be floors.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;

/// What a pipe holds, and so the most that one read can bring.
const READ_BYTES: usize = 64 * 1024;

/// Answers lines until standard input ends: `answer` is given each line without its line ending, and
/// appends its reply. A last line without a line ending is not answered: the driver sends none.
///
/// # Errors
///
/// When standard input cannot be read, or standard output cannot be written.
pub fn answer_batches(mut answer: impl FnMut(&[u8], &mut Vec<u8>)) -> io::Result<()> {
    let mut input = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let mut output = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let mut buffer = vec![0; 2 * READ_BYTES];
    let mut filled = 0;
    let mut replies = Vec::with_capacity(2 * READ_BYTES);
    loop {
        if buffer.len() < filled + READ_BYTES {
            buffer.resize(filled + READ_BYTES, 0);
        }
        let read = input.read(&mut buffer[filled..filled + READ_BYTES])?;
        if read == 0 {
            return Ok(());
        }
        filled += read;
        let mut start = 0;
        for end in memchr::memchr_iter(b'\n', &buffer[..filled]) {
            answer(&buffer[start..end], &mut replies);
            start = end + 1;
        }
        buffer.copy_within(start..filled, 0);
        filled -= start;
        output.write_all(&replies)?;
        replies.clear();
    }
}
