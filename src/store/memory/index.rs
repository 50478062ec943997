//! From a hash to a slot, in many small hash tables: each grows by itself, so that no insertion has to wait
//! until a table of millions has moved.

use hashbrown::HashTable;

use super::slab::Slot;

/// A table of 10 million slots in this many parts moves at most 2500 of them at a time.
const PARTS: usize = 4096;

/// Slots by hash. What the slots hold, and whether it is what is looked for, the caller knows.
pub struct Index<T> {
    parts: Box<[HashTable<Slot<T>>]>,
}

impl<T> Index<T> {
    pub fn new() -> Self {
        Self {
            parts: (0..PARTS).map(|_| HashTable::new()).collect(),
        }
    }

    /// A table uses the lowest and the highest bits of a hash: the part is chosen by those between.
    fn part(hash: u64) -> usize {
        (hash >> 40) as usize % PARTS
    }

    /// The slot of this hash that `is_it`.
    pub fn find(&self, hash: u64, mut is_it: impl FnMut(Slot<T>) -> bool) -> Option<Slot<T>> {
        self.parts[Self::part(hash)]
            .find(hash, |slot| is_it(*slot))
            .copied()
    }

    /// Adds a slot. `hash_of` tells the hash of a slot that is here already, when it has to move.
    pub fn insert(&mut self, hash: u64, slot: Slot<T>, hash_of: impl Fn(Slot<T>) -> u64) {
        self.parts[Self::part(hash)].insert_unique(hash, slot, |slot| hash_of(*slot));
    }

    pub fn remove(&mut self, hash: u64, slot: Slot<T>) {
        let part = &mut self.parts[Self::part(hash)];
        if let Ok(entry) = part.find_entry(hash, |other| *other == slot) {
            entry.remove();
        }
    }
}
