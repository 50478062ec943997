//! A growing array of values in chunks that never move. Growing allocates one chunk and copies no value, however many
//! values there are.

use std::ops::{Index, IndexMut};

/// The number of values in a chunk. A chunk of 64-byte values takes 256 KiB: little enough for an allocator to supply
/// without a pause, and much more than the pointer to the chunk.
pub const CHUNK: usize = 4096;

/// Values by number, counted from 0.
pub struct Chunked<T> {
    chunks: Vec<Vec<T>>,
}

impl<T> Chunked<T> {
    pub fn new() -> Self {
        Self { chunks: Vec::new() }
    }

    pub fn len(&self) -> usize {
        self.chunks
            .last()
            .map_or(0, |last| (self.chunks.len() - 1) * CHUNK + last.len())
    }

    pub fn push(&mut self, value: T) {
        match self.chunks.last_mut() {
            Some(last) if last.len() < CHUNK => last.push(value),
            _ => {
                let mut chunk = Vec::with_capacity(CHUNK);
                chunk.push(value);
                self.chunks.push(chunk);
            }
        }
    }

    /// Frees the last chunk with its values. Returns false if no chunk was left.
    pub fn free_chunk(&mut self) -> bool {
        self.chunks.pop().is_some()
    }

    pub fn get(&self, number: usize) -> Option<&T> {
        self.chunks.get(number / CHUNK)?.get(number % CHUNK)
    }

    pub fn get_mut(&mut self, number: usize) -> Option<&mut T> {
        self.chunks.get_mut(number / CHUNK)?.get_mut(number % CHUNK)
    }
}

impl<T> Index<usize> for Chunked<T> {
    type Output = T;

    fn index(&self, number: usize) -> &T {
        &self.chunks[number / CHUNK][number % CHUNK]
    }
}

impl<T> IndexMut<usize> for Chunked<T> {
    fn index_mut(&mut self, number: usize) -> &mut T {
        &mut self.chunks[number / CHUNK][number % CHUNK]
    }
}
