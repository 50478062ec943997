//! Maps hashes to slots in a hash table that grows by one bucket at a time (linear hashing, Litwin 1980). So no
//! insertion waits for a table of millions to move.
//!
//! Each bucket is one cache line, so a search waits for memory once. The table splits its buckets in turn, not the
//! fullest first. A bucket that fills up before its turn continues in an overflow bucket. Each entry carries 32 bits of
//! its hash, so a split reads no slot, and a search rarely reads a wrong slot.

use super::chunked::Chunked;
use super::slab::Slot;

/// The number of entries in a bucket. They fill a cache line together with the number of an overflow bucket.
const BUCKET: usize = 7;

/// The average number of entries per bucket. Buckets that are still to be split hold up to twice as many. With a higher
/// average many of them would overflow; with a lower one, more memory would be unused.
const LOAD: usize = 4;

/// Stands for no overflow bucket.
const NONE: u32 = u32::MAX;

/// Slots by hash. Only the caller knows what a slot holds.
pub struct Index<T> {
    len: usize,
    buckets: Chunked<Bucket<T>>,
    overflow: Chunked<Bucket<T>>,
    /// The first unused overflow bucket. The others follow through `next`.
    first_spare: u32,
}

#[repr(align(64))]
struct Bucket<T> {
    /// Entries in no order. An entry without a slot is free.
    entries: [Entry<T>; BUCKET],
    /// The overflow bucket that continues this bucket, or [`NONE`].
    next: u32,
}

struct Entry<T> {
    hash: u32,
    slot: Slot<T>,
}

impl<T> Entry<T> {
    const FREE: Self = Self {
        hash: 0,
        slot: Slot::NONE,
    };

    fn is_free(&self) -> bool {
        self.slot.is_none()
    }
}

impl<T> Bucket<T> {
    const EMPTY: Self = Self {
        entries: [Entry::FREE; BUCKET],
        next: NONE,
    };
}

impl<T> Index<T> {
    pub fn new() -> Self {
        let mut buckets = Chunked::new();
        buckets.push(Bucket::EMPTY);
        Self {
            len: 0,
            buckets,
            overflow: Chunked::new(),
            first_spare: NONE,
        }
    }

    /// Frees one chunk; call until it returns false.
    pub fn free_chunk(&mut self) -> bool {
        self.buckets.free_chunk() || self.overflow.free_chunk()
    }

    /// Finds the slot with this hash for which `is_match` returns true.
    pub fn find(&self, hash: u32, is_match: impl Fn(Slot<T>) -> bool) -> Option<Slot<T>> {
        let mut bucket = &self.buckets[self.home(hash)];
        loop {
            let found = bucket
                .entries
                .iter()
                .find(|entry| entry.hash == hash && !entry.is_free() && is_match(entry.slot));
            if let Some(entry) = found {
                return Some(entry.slot);
            }
            bucket = self.overflow.get(bucket.next as usize)?;
        }
    }

    /// Reads the cache line where a search for this hash begins, so that the search finds it in the cache.
    pub fn prefetch(&self, hash: u32) -> u32 {
        self.buckets[self.home(hash)].next
    }

    /// Guesses the slot that [`Self::find`] will find. No branch depends on the entries, because the processor could
    /// not predict it.
    pub fn guess(&self, hash: u32) -> Slot<T> {
        let bucket = &self.buckets[self.home(hash)];
        bucket.entries.iter().fold(Slot::NONE, |guess, entry| {
            if entry.hash == hash {
                entry.slot
            } else {
                guess
            }
        })
    }

    pub fn insert(&mut self, hash: u32, slot: Slot<T>) {
        self.len += 1;
        if self.len > self.buckets.len() * LOAD {
            self.split_one();
        }
        self.place(Entry { hash, slot });
    }

    /// Removes the entry with this hash and `slot`, if any. A slot may have entries with other hashes.
    pub fn remove(&mut self, hash: u32, slot: Slot<T>) {
        let home = self.home(hash);
        let mut bucket = &mut self.buckets[home];
        loop {
            let entries = &mut bucket.entries;
            let is_match = |entry: &&mut Entry<T>| entry.hash == hash && entry.slot == slot;
            if let Some(entry) = entries.iter_mut().find(is_match) {
                *entry = Entry::FREE;
                self.len -= 1;
                return;
            }
            let next = bucket.next as usize;
            match self.overflow.get_mut(next) {
                Some(next) => bucket = next,
                None => return,
            }
        }
    }

    /// The number of the bucket where the search for this hash begins. The hash's low bits give the number, as many
    /// bits as it takes to number all buckets. If that bucket does not exist yet, its entries are still in the bucket
    /// whose split will create it. That bucket's number lacks the highest bit.
    fn home(&self, hash: u32) -> usize {
        let power = self.buckets.len().next_power_of_two();
        let number = hash as usize & (power - 1);
        if number < self.buckets.len() {
            number
        } else {
            number - power / 2
        }
    }

    fn place(&mut self, entry: Entry<T>) {
        let home = self.home(entry.hash);
        let mut bucket = &mut self.buckets[home];
        loop {
            if let Some(free) = bucket.entries.iter_mut().find(|entry| entry.is_free()) {
                *free = entry;
                return;
            }
            let next = bucket.next as usize;
            match self.overflow.get_mut(next) {
                Some(next) => bucket = next,
                None => break,
            }
        }
        let number = self.take_spare();
        let next = std::mem::replace(&mut self.buckets[home].next, number);
        let added = &mut self.overflow[number as usize];
        added.next = next;
        added.entries[0] = entry;
    }

    /// Takes an overflow bucket without entries.
    fn take_spare(&mut self) -> u32 {
        if self.first_spare == NONE {
            self.overflow.push(Bucket::EMPTY);
            return u32::try_from(self.overflow.len() - 1)
                .expect("there are fewer overflow buckets than slots");
        }
        let number = self.first_spare;
        self.first_spare = self.overflow[number as usize].next;
        number
    }

    /// Adds a bucket, and moves the entries that now belong there.
    fn split_one(&mut self) {
        let new = self.buckets.len();
        let old = new - (1 << new.ilog2());
        self.buckets.push(Bucket::EMPTY);
        let mut left = std::mem::replace(&mut self.buckets[old], Bucket::EMPTY);
        loop {
            for entry in left.entries {
                if !entry.is_free() {
                    self.place(entry);
                }
            }
            let number = left.next;
            let Some(next) = self.overflow.get_mut(number as usize) else {
                return;
            };
            left = std::mem::replace(next, Bucket::EMPTY);
            next.next = std::mem::replace(&mut self.first_spare, number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::slab::Slab;
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn the_index_finds_exactly_its_entries_through_growth_and_removal() {
        let mut slab = Slab::new();
        let mut index = Index::new();
        let mut model = HashMap::new();
        // Many hashes are equal, and many differ only in high bits, so that buckets overflow.
        let hash = |n: u32| (n % 3) << 28 | (n * 7919 % 61) << 4;
        let mut random = 1_u64;
        for step in 0..20_000 {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let n = (random >> 33) as u32 % 400;
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
        let most = model.len();
        assert!(index.len == most && index.overflow.len() > 0);
        assert!(
            index.overflow.len() < 1000,
            "overflow buckets are used again"
        );
    }

    #[test]
    fn few_buckets_overflow_with_random_hashes() {
        let mut slab = Slab::new();
        let mut index = Index::new();
        for n in 0..100_000_u32 {
            index.insert(n.wrapping_mul(0x9e37_79b1).reverse_bits(), slab.insert(n));
        }
        assert_eq!(index.buckets.len(), 100_000 / LOAD);
        assert!(index.overflow.len() < index.buckets.len() / 10);
    }

    #[test]
    fn a_slot_may_have_several_hashes_of_one_bucket() {
        let mut slab = Slab::new();
        let mut index = Index::new();
        let slot = slab.insert(());
        index.insert(1, slot);
        index.insert(2, slot);
        index.remove(2, slot);
        assert!(index.find(1, |_| true) == Some(slot));
        assert!(index.find(2, |_| true).is_none());
    }

    #[test]
    fn a_missing_entry_is_neither_found_nor_removed() {
        let mut slab = Slab::new();
        let mut index = Index::new();
        let slots = [(); 2].map(|()| slab.insert(()));
        index.insert(7, slots[0]);
        index.remove(7, slots[1]);
        assert!(index.find(7, |_| true) == Some(slots[0]));
        assert!(index.find(7, |_| false).is_none());
        assert!(index.find(8, |_| true).is_none());
    }
}
