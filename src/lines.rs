//! Cutting a stream of bytes into lines, in bounded memory. Knows nothing of what the lines say.

use std::io::{self, ErrorKind, Read};

/// How much one read asks for: what a pipe holds by default on Linux, so that one read can empty it.
const READ_BYTES: usize = 64 * 1024;

const BYTE_ORDER_MARK: &[u8] = "\u{FEFF}".as_bytes();

/// Bytes that may stand in a line beside those that count: a byte-order mark and a carriage return.
const UNCOUNTED_BYTES: usize = BYTE_ORDER_MARK.len() + 1;

/// Reads a stream batch by batch: each time the whole lines that have arrived.
///
/// It holds at most one line of the greatest length and what one read brings. A longer line is dropped
/// while it arrives, and shows up as a [`Line`] without bytes.
pub struct LineReader {
    max_line_bytes: usize,
    buffer: Vec<u8>,
    /// `buffer[handed_out..filled]` is the beginning of a line whose end has not arrived.
    handed_out: usize,
    filled: usize,
    /// Whether the beginning of the line that is arriving was dropped, because the line is too long.
    dropping: bool,
    lines_before: u64,
}

impl LineReader {
    /// A reader of lines of up to `max_line_bytes`, line endings not counted.
    pub fn new(max_line_bytes: usize) -> Self {
        Self {
            max_line_bytes,
            buffer: Vec::new(),
            handed_out: 0,
            filled: 0,
            dropping: false,
            lines_before: 0,
        }
    }

    /// Waits until at least one line has arrived whole, and gives out all that have. None when the stream
    /// has ended and everything has been given out; a last line without a line ending counts.
    ///
    /// # Errors
    ///
    /// When `input` cannot be read.
    pub fn read_batch(&mut self, input: &mut impl Read) -> io::Result<Option<Lines<'_>>> {
        self.buffer.copy_within(self.handed_out..self.filled, 0);
        self.filled -= self.handed_out;
        self.handed_out = 0;
        loop {
            let arrived = self.fill(input)?;
            let end_of_lines =
                memchr::memrchr(b'\n', &self.buffer[self.filled - arrived..self.filled])
                    .map(|at| self.filled - arrived + at + 1);
            match end_of_lines {
                Some(end) => return Ok(Some(self.hand_out(end))),
                None if arrived == 0 && (self.filled > 0 || self.dropping) => {
                    return Ok(Some(self.hand_out(self.filled)));
                }
                None if arrived == 0 => return Ok(None),
                None if self.dropping || self.filled > self.max_line_bytes + UNCOUNTED_BYTES => {
                    self.dropping = true;
                    self.filled = 0;
                }
                None => {}
            }
        }
    }

    /// One read behind what is there. Returns how many bytes came; 0 at the end of the stream.
    fn fill(&mut self, input: &mut impl Read) -> io::Result<usize> {
        let wanted = self.filled + READ_BYTES;
        if self.buffer.len() < wanted {
            // Memory that comes zeroed from the system, rather than `resize`, which writes the zeros.
            let mut roomier = vec![0; wanted];
            roomier[..self.filled].copy_from_slice(&self.buffer[..self.filled]);
            self.buffer = roomier;
        }
        loop {
            match input.read(&mut self.buffer[self.filled..wanted]) {
                Ok(arrived) => {
                    self.filled += arrived;
                    return Ok(arrived);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn hand_out(&mut self, end: usize) -> Lines<'_> {
        self.handed_out = end;
        Lines {
            text: Some(&self.buffer[..end]),
            max_line_bytes: self.max_line_bytes,
            first_is_cut: std::mem::take(&mut self.dropping),
            number: &mut self.lines_before,
        }
    }
}

/// A line, or the place where one was too long.
#[derive(Clone, Copy)]
pub struct Line<'a> {
    /// Counted from 1.
    pub number: u64,
    /// Without its line ending; none when the line was longer than allowed.
    pub bytes: Option<&'a [u8]>,
}

/// The lines of a batch, in order. To be read to the end: the next batch's line numbers build on it.
pub struct Lines<'a> {
    text: Option<&'a [u8]>,
    max_line_bytes: usize,
    first_is_cut: bool,
    number: &'a mut u64,
}

impl<'a> Iterator for Lines<'a> {
    type Item = Line<'a>;

    fn next(&mut self) -> Option<Line<'a>> {
        let text = self.text?;
        let mut line = match memchr::memchr(b'\n', text) {
            Some(end) => {
                self.text = Some(&text[end + 1..]).filter(|rest| !rest.is_empty());
                &text[..end]
            }
            None => self.text.take()?,
        };
        *self.number += 1;
        if *self.number == 1 {
            line = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line);
        }
        line = line.strip_suffix(b"\r").unwrap_or(line);
        let is_cut = std::mem::take(&mut self.first_is_cut);
        Some(Line {
            number: *self.number,
            bytes: Some(line).filter(|line| !is_cut && line.len() <= self.max_line_bytes),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives out one piece a read, as a slow writer would.
    struct Pieces(Vec<Vec<u8>>);

    impl Read for Pieces {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.0.is_empty() {
                return Ok(0);
            }
            let piece = self.0.remove(0);
            buffer[..piece.len()].copy_from_slice(&piece);
            Ok(piece.len())
        }
    }

    /// What each batch holds: the lines' numbers and texts, `None` for a line that is too long.
    fn batches(max_line_bytes: usize, pieces: &[&str]) -> Vec<Vec<(u64, Option<String>)>> {
        let mut input = Pieces(
            pieces
                .iter()
                .map(|piece| piece.as_bytes().to_vec())
                .collect(),
        );
        let mut reader = LineReader::new(max_line_bytes);
        let mut batches = Vec::new();
        while let Some(lines) = reader.read_batch(&mut input).expect("readable") {
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
            batches.push(
                lines
                    .map(|line| (line.number, line.bytes.map(text)))
                    .collect(),
            );
        }
        batches
    }

    fn line(number: u64, text: &str) -> (u64, Option<String>) {
        (number, Some(text.to_owned()))
    }

    #[test]
    fn a_batch_is_the_whole_lines_that_have_arrived() {
        assert_eq!(
            batches(100, &["one\ntwo\nth", "r", "ee\n", "four\n"]),
            [
                vec![line(1, "one"), line(2, "two")],
                vec![line(3, "three")],
                vec![line(4, "four")]
            ]
        );
    }

    #[test]
    fn a_last_line_without_an_ending_counts() {
        assert_eq!(
            batches(100, &["one\nlast"]),
            [vec![line(1, "one")], vec![line(2, "last")]]
        );
        assert!(batches(100, &[]).is_empty());
    }

    #[test]
    fn line_endings_and_a_byte_order_mark_are_no_part_of_a_line() {
        assert_eq!(
            batches(3, &["\u{FEFF}one\r\n\u{FEFF}\r\n\n"]),
            [vec![line(1, "one"), line(2, "\u{FEFF}"), line(3, "")]]
        );
    }

    #[test]
    fn a_line_of_the_greatest_length_is_whole_and_one_byte_more_is_too_long() {
        for ending in ["\n", "\r\n", ""] {
            let (fits, long) = (format!("12345{ending}"), format!("123456{ending}"));
            assert_eq!(batches(5, &[&fits]), [[line(1, "12345")]]);
            assert_eq!(batches(5, &[&long]), [[(1, None)]]);
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_dropped_piece_by_piece_and_the_next_one_is_whole() {
        let long = "x".repeat(50);
        assert_eq!(
            batches(5, &["a\n", &long, &long, "\nb\n", &long, &long]),
            [
                vec![line(1, "a")],
                vec![(2, None), line(3, "b")],
                vec![(4, None)]
            ]
        );
    }

    #[test]
    fn an_endless_line_is_read_in_constant_memory() {
        let mut input = io::repeat(b'x').take(50_000_000);
        let mut reader = LineReader::new(1000);
        let long = reader
            .read_batch(&mut input)
            .expect("readable")
            .expect("a line")
            .next();
        assert!(long.is_some_and(|line| line.bytes.is_none()));
        assert!(reader.buffer.capacity() <= 4 * READ_BYTES);
    }
}
