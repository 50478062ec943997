//! From a hash to a slot, in many small hash tables: each grows by itself, so that no insertion has to wait
//! until a table of millions has moved.
//!
//! The tables are open-addressed with linear probing. An entry carries 32 bits of its hash, so a table can
//! move without a look at what its slots hold, and a search seldom looks at a slot in vain.

use super::slab::Slot;

/// A table of 10 million slots in this many parts moves at most 4096 entries at a time.
const PARTS: usize = 4096;

/// The entries of a part when it gets its first one: a cache line of them.
const FIRST_CAPACITY: usize = 8;

/// Slots by hash. What the slots hold, and whether it is what is looked for, the caller knows.
pub struct Index<T> {
    parts: Box<[Part<T>]>,
}

impl<T> Index<T> {
    pub fn new() -> Self {
        let part = || Part {
            entries: Vec::new(),
            len: 0,
        };
        Self {
            parts: std::iter::repeat_with(part).take(PARTS).collect(),
        }
    }

    /// The slot of this hash that `is_it`.
    pub fn find(&self, hash: u64, is_it: impl Fn(Slot<T>) -> bool) -> Option<Slot<T>> {
        let part = &self.parts[part_of(hash)];
        let at = part.position(tag_of(hash), is_it)?;
        Some(part.entries[at].slot)
    }

    /// Reads the place where a search for this hash would begin, so that the search finds it in the cache.
    pub fn touch(&self, hash: u64) -> u32 {
        let part = &self.parts[part_of(hash)];
        match part.entries.get(part.home(tag_of(hash))) {
            Some(entry) => entry.tag,
            None => 0,
        }
    }

    pub fn insert(&mut self, hash: u64, slot: Slot<T>) {
        let part = &mut self.parts[part_of(hash)];
        // At most three quarters full, so that searches stay short.
        if (part.len + 1) * 4 > part.entries.len() * 3 {
            part.grow();
        }
        part.place(Entry {
            tag: tag_of(hash),
            slot,
        });
        part.len += 1;
    }

    pub fn remove(&mut self, hash: u64, slot: Slot<T>) {
        self.parts[part_of(hash)].remove(tag_of(hash), slot);
    }
}

fn part_of(hash: u64) -> usize {
    (hash >> 32) as usize % PARTS
}

#[expect(clippy::cast_possible_truncation, reason = "the low half is meant")]
fn tag_of(hash: u64) -> u32 {
    hash as u32
}

struct Entry<T> {
    tag: u32,
    slot: Slot<T>,
}

impl<T> Entry<T> {
    const EMPTY: Self = Self {
        tag: 0,
        slot: Slot::NONE,
    };
}

struct Part<T> {
    /// A power of two of them, or none.
    entries: Vec<Entry<T>>,
    len: usize,
}

impl<T> Part<T> {
    fn home(&self, tag: u32) -> usize {
        tag as usize & self.entries.len().wrapping_sub(1)
    }

    fn after(&self, at: usize) -> usize {
        (at + 1) & (self.entries.len() - 1)
    }

    fn position(&self, tag: u32, is_it: impl Fn(Slot<T>) -> bool) -> Option<usize> {
        let mut at = self.home(tag);
        loop {
            let entry = self.entries.get(at)?;
            if entry.slot.is_none() {
                return None;
            }
            if entry.tag == tag && is_it(entry.slot) {
                return Some(at);
            }
            at = self.after(at);
        }
    }

    fn place(&mut self, entry: Entry<T>) {
        let mut at = self.home(entry.tag);
        while !self.entries[at].slot.is_none() {
            at = self.after(at);
        }
        self.entries[at] = entry;
    }

    fn grow(&mut self) {
        let capacity = (self.entries.len() * 2).max(FIRST_CAPACITY);
        let roomier = std::iter::repeat_with(|| Entry::EMPTY)
            .take(capacity)
            .collect();
        for entry in std::mem::replace(&mut self.entries, roomier) {
            if !entry.slot.is_none() {
                self.place(entry);
            }
        }
    }

    /// Takes an entry out, and moves those behind it up that would no longer be found across the gap.
    fn remove(&mut self, tag: u32, slot: Slot<T>) {
        let Some(mut gap) = self.position(tag, |other| other == slot) else {
            return;
        };
        self.len -= 1;
        let mask = self.entries.len() - 1;
        let mut at = self.after(gap);
        while !self.entries[at].slot.is_none() {
            let from_home = at.wrapping_sub(self.home(self.entries[at].tag)) & mask;
            let from_gap = at.wrapping_sub(gap) & mask;
            if from_home >= from_gap {
                self.entries.swap(at, gap);
                gap = at;
            }
            at = self.after(at);
        }
        self.entries[gap] = Entry::EMPTY;
    }
}

#[cfg(test)]
mod tests {
    use super::super::slab::Slab;
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn finds_what_is_in_it_and_nothing_else_through_growth_and_removal() {
        let mut slab = Slab::new();
        let mut index = Index::new();
        let mut model = HashMap::new();
        // Few parts and many equal tags, so that searches run into each other and around the end.
        let hash = |n: u64| (n % 3) << 32 | (n * 7919 % 61) | (n % 2) << 30;
        let mut random = 1_u64;
        for step in 0..20_000 {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let n = (random >> 33) % 400;
            if let Some(slot) = model.remove(&n) {
                index.remove(hash(n), slot);
                slab.remove(slot);
            } else {
                let slot = slab.insert(n);
                index.insert(hash(n), slot);
                model.insert(n, slot);
            }
            if step % 100 == 0 {
                for n in 0..400 {
                    let found = index.find(hash(n), |slot| slab[slot] == n);
                    assert!(found == model.get(&n).copied(), "{n} at step {step}");
                }
            }
        }
        let empty = Index::<u64>::new();
        assert!(empty.find(7, |_| true).is_none());
        assert_eq!(empty.touch(7), 0);
    }
}
