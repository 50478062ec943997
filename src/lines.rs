//! Splits a stream of bytes into lines, in bounded memory. Knows nothing of what the lines say.

use std::io::{self, ErrorKind, Read};

/// How many bytes one read asks for. A pipe holds that many by default on Linux, so one read can empty it.
pub const READ_BYTES: usize = 64 * 1024;

const BYTE_ORDER_MARK: &[u8] = "\u{FEFF}".as_bytes();

/// A line may contain these bytes beyond its counted length: a byte-order mark and a carriage return.
const UNCOUNTED_BYTES: usize = BYTE_ORDER_MARK.len() + 1;

/// How many bytes of an over-long line are kept, so that its sender can be told.
pub const KEPT_BYTES: usize = 4096;

/// Reads a stream batch by batch. Each batch holds the complete lines that have arrived.
///
/// The reader holds at most one line of the maximum length, the bytes of one read, and the lines that its user [holds
/// back](Lines::hold), which together are at most as long as the longest line. Of an over-long line, it keeps the
/// beginning and drops the rest as it arrives.
pub struct LineReader {
    max_line_bytes: usize,
    buffer: Vec<u8>,
    /// `buffer[handed_out..filled]` holds the bytes held back, then the beginning of an incomplete line.
    handed_out: usize,
    /// The number of bytes held back.
    held: usize,
    filled: usize,
    /// Whether the reader has dropped a part of the arriving line, because the line is too long.
    dropping: bool,
    /// Whether complete lines are left that were handed out and not read.
    #[cfg(feature = "socket")]
    is_paused: bool,
    lines_before: u64,
}

/// What follows after the lines of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// More lines may arrive.
    MoreLines,
    /// A line that is too long together with the bytes held back before it.
    TooLong,
    /// The end of the input.
    End,
}

/// What one read has brought.
#[cfg(feature = "socket")]
pub enum Arrival<'a> {
    /// Complete lines.
    Lines(Lines<'a>),
    /// A part of a line.
    PartOfLine,
    /// The end of the stream, with nothing before it.
    End,
}

/// What one read has brought, before it is handed out.
enum Piece {
    /// Lines that end before `end`.
    Lines { end: usize, next: Next },
    /// A line that is not complete yet.
    PartOfLine,
    /// The end of the stream, with nothing before it.
    End,
}

impl LineReader {
    /// Makes a reader of lines of up to `max_line_bytes` bytes, not counting line endings.
    pub fn new(max_line_bytes: usize) -> Self {
        Self {
            max_line_bytes,
            buffer: Vec::new(),
            handed_out: 0,
            held: 0,
            filled: 0,
            dropping: false,
            #[cfg(feature = "socket")]
            is_paused: false,
            lines_before: 0,
        }
    }

    /// Waits for at least one complete line, and returns all that have arrived; `None` at the end of the stream. A last
    /// line without a line ending counts as complete.
    ///
    /// # Errors
    ///
    /// If `input` cannot be read.
    pub fn read_batch(&mut self, input: &mut impl Read) -> io::Result<Option<Lines<'_>>> {
        self.forget_handed_out();
        loop {
            match self.read(input)? {
                Piece::Lines { end, next } => return Ok(Some(self.hand_out(end, next))),
                Piece::PartOfLine => {}
                Piece::End => return Ok(None),
            }
        }
    }

    /// Reads once, and returns the complete lines that have arrived by then. For an input that does not block, and that
    /// others wait beside.
    ///
    /// # Errors
    ///
    /// If `input` cannot be read now.
    #[cfg(feature = "socket")]
    pub fn read_once(&mut self, input: &mut impl Read) -> io::Result<Arrival<'_>> {
        self.forget_handed_out();
        if std::mem::take(&mut self.is_paused)
            && let Some(last) = memchr::memrchr(b'\n', &self.buffer[..self.filled])
        {
            return Ok(Arrival::Lines(self.hand_out(last + 1, Next::MoreLines)));
        }
        Ok(match self.read(input)? {
            Piece::Lines { end, next } => Arrival::Lines(self.hand_out(end, next)),
            Piece::PartOfLine => Arrival::PartOfLine,
            Piece::End => Arrival::End,
        })
    }

    /// Lends the reader memory to read into, which it returns with [`LineReader::reclaim`].
    #[cfg(feature = "socket")]
    pub fn lend(&mut self, mut buffer: Vec<u8>) {
        self.forget_handed_out();
        if self.buffer.len() < buffer.len() && self.filled + READ_BYTES <= buffer.len() {
            buffer[..self.filled].copy_from_slice(&self.buffer[..self.filled]);
            self.buffer = buffer;
        }
    }

    /// Takes memory back that the reader does not need while it waits. It keeps the beginning of a line that has not
    /// arrived as a whole.
    #[cfg(feature = "socket")]
    pub fn reclaim(&mut self) -> Option<Vec<u8>> {
        self.forget_handed_out();
        // A long line would be copied for each of its pieces.
        if self.filled > READ_BYTES / 4 {
            return None;
        }
        let kept = self.buffer[..self.filled].to_vec();
        Some(std::mem::replace(&mut self.buffer, kept)).filter(|buffer| !buffer.is_empty())
    }

    /// Forgets the lines of the latest batch, whose memory is needed for the next.
    fn forget_handed_out(&mut self) {
        if self.handed_out > 0 {
            self.buffer.copy_within(self.handed_out..self.filled, 0);
            self.filled -= self.handed_out;
            self.handed_out = 0;
        }
    }

    /// Reads once, and says what may be handed out by then.
    fn read(&mut self, input: &mut impl Read) -> io::Result<Piece> {
        let arrived = self.fill(input)?;
        let end_of_lines = memchr::memrchr(b'\n', &self.buffer[self.filled - arrived..self.filled])
            .map(|at| self.filled - arrived + at + 1);
        Ok(match end_of_lines {
            Some(end) => Piece::Lines {
                end,
                next: Next::MoreLines,
            },
            None if arrived == 0 && self.filled > 0 => Piece::Lines {
                end: self.filled,
                next: Next::End,
            },
            None if arrived == 0 => Piece::End,
            None if self.held > 0 && self.filled > self.max_line_bytes + UNCOUNTED_BYTES => {
                Piece::Lines {
                    end: self.held,
                    next: Next::TooLong,
                }
            }
            None => {
                if self.filled > self.max_line_bytes.max(KEPT_BYTES) + UNCOUNTED_BYTES {
                    self.dropping = true;
                    self.filled = KEPT_BYTES + UNCOUNTED_BYTES;
                }
                Piece::PartOfLine
            }
        })
    }

    /// Reads once. Returns the number of bytes that arrived, 0 at the end of the stream.
    fn fill(&mut self, input: &mut impl Read) -> io::Result<usize> {
        let wanted = self.filled + READ_BYTES;
        if self.buffer.len() < wanted {
            // The buffer grows by half, so a line that arrives in many small pieces is not copied for each piece. It
            // never grows beyond what the longest line needs.
            let longest = self.max_line_bytes.saturating_add(2 * READ_BYTES);
            let roomy = (wanted + self.filled / 2).min(longest).max(wanted);
            // The system supplies this memory zeroed, while `resize` would write the zeros.
            let mut roomier = vec![0; roomy];
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

    fn hand_out(&mut self, end: usize, next: Next) -> Lines<'_> {
        self.handed_out = end;
        Lines {
            text: &self.buffer[..end],
            at: std::mem::take(&mut self.held),
            next,
            max_line_bytes: self.max_line_bytes,
            first_is_cut: std::mem::take(&mut self.dropping),
            number: &mut self.lines_before,
            handed_out: &mut self.handed_out,
            held: &mut self.held,
            #[cfg(feature = "socket")]
            is_paused: &mut self.is_paused,
        }
    }
}

/// A line of a batch.
#[derive(Clone, Copy)]
pub struct Line<'a> {
    /// The line's number in the stream, counted from 1.
    pub number: u64,
    /// The line's offset in its batch, in bytes.
    pub start: usize,
    /// The text without its line ending. Of an over-long line, the first [`KEPT_BYTES`].
    pub bytes: &'a [u8],
    /// Whether the line is too long.
    pub is_cut: bool,
}

/// The lines of a batch, in order. Read them to the end: the line numbers of the next batch continue from them.
pub struct Lines<'a> {
    text: &'a [u8],
    at: usize,
    next: Next,
    max_line_bytes: usize,
    first_is_cut: bool,
    number: &'a mut u64,
    handed_out: &'a mut usize,
    held: &'a mut usize,
    #[cfg(feature = "socket")]
    is_paused: &'a mut bool,
}

impl<'a> Lines<'a> {
    /// What follows after the last line.
    pub fn followed_by(&self) -> Next {
        self.next
    }

    /// The bytes from the offset `start` to the end of `last`, a line of this batch, without its ending.
    pub fn span(&self, start: usize, last: &Line<'_>) -> &'a [u8] {
        &self.text[start..last.start + last.bytes.len()]
    }

    /// The bytes from the offset `start` to the beginning of the next line.
    pub fn since(&self, start: usize) -> &'a [u8] {
        &self.text[start..self.at]
    }

    /// Goes back to before `line`, which must be the latest line, so that it comes next.
    pub fn unread(&mut self, line: &Line<'_>) {
        self.at = line.start;
        self.first_is_cut = line.is_cut;
        *self.number -= 1;
    }

    /// Leaves the lines that were not read for the next batch.
    #[cfg(feature = "socket")]
    pub fn pause(self) {
        *self.handed_out = self.at;
        *self.is_paused = true;
    }

    /// Holds back everything from the offset `start` on. The next batch begins with these bytes, and yields the lines
    /// after them. Call this after the last line.
    pub fn hold(&mut self, start: usize) {
        *self.handed_out = start;
        *self.held = self.text.len() - start;
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = Line<'a>;

    fn next(&mut self) -> Option<Line<'a>> {
        let rest = &self.text[self.at..];
        if rest.is_empty() {
            return None;
        }
        let mut start = self.at;
        let end = memchr::memchr(b'\n', rest);
        let mut bytes = &rest[..end.unwrap_or(rest.len())];
        self.at = end.map_or(self.text.len(), |end| start + end + 1);
        *self.number += 1;
        if *self.number == 1
            && let Some(marked) = bytes.strip_prefix(BYTE_ORDER_MARK)
        {
            bytes = marked;
            start += BYTE_ORDER_MARK.len();
        }
        bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        let is_cut = std::mem::take(&mut self.first_is_cut) || bytes.len() > self.max_line_bytes;
        if is_cut {
            bytes = &bytes[..bytes.len().min(KEPT_BYTES)];
        }
        Some(Line {
            number: *self.number,
            start,
            bytes,
            is_cut,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Yields one piece per read, as a slow writer would.
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

    /// For each batch, the numbers and texts of its lines; `None` for an over-long line.
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
                    .map(|line| (line.number, (!line.is_cut).then(|| text(line.bytes))))
                    .collect(),
            );
        }
        batches
    }

    fn line(number: u64, text: &str) -> (u64, Option<String>) {
        (number, Some(text.to_owned()))
    }

    #[test]
    fn a_batch_holds_the_complete_lines_that_have_arrived() {
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
    fn a_line_of_the_maximum_length_is_whole_and_one_byte_more_is_too_long() {
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
        assert!(long.is_some_and(|line| line.is_cut && line.bytes.len() == KEPT_BYTES));
        assert!(reader.buffer.capacity() <= 4 * READ_BYTES);
    }
}
