//! Values in numbered slots, which never move. A slot's number takes four bytes, half as much as a pointer.

use std::marker::PhantomData;
use std::num::NonZeroU32;

use super::chunked::Chunked;

/// The number of a slot in a [`Slab`] of `T`, counted from 1, or [`Slot::NONE`]. Because it is never 0, a value that
/// contains a slot leaves room to mark an entry of the slab as free.
pub struct Slot<T>(NonZeroU32, PhantomData<fn() -> T>);

impl<T> Slot<T> {
    /// Stands for no slot.
    pub const NONE: Self = Self(NonZeroU32::MAX, PhantomData);

    pub fn is_none(self) -> bool {
        self.0 == NonZeroU32::MAX
    }

    /// The slot's number, for [`Slot::from_number`].
    pub fn to_number(self) -> u32 {
        self.0.get()
    }

    /// The slot with this number, which may not exist.
    pub fn from_number(number: u32) -> Self {
        NonZeroU32::new(number).map_or(Self::NONE, |number| Self(number, PhantomData))
    }

    fn index(self) -> usize {
        self.0.get() as usize - 1
    }
}

// Derived implementations would require the same traits of `T`.
impl<T> Clone for Slot<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Slot<T> {}

impl<T> PartialEq for Slot<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

enum Entry<T> {
    Used(T),
    Free { next: Slot<T> },
}

/// Values in numbered slots. A new value takes a vacated slot if there is one.
pub struct Slab<T> {
    entries: Chunked<Entry<T>>,
    first_free: Slot<T>,
    len: usize,
}

impl<T> Slab<T> {
    pub fn new() -> Self {
        Self {
            entries: Chunked::new(),
            first_free: Slot::NONE,
            len: 0,
        }
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn insert(&mut self, value: T) -> Slot<T> {
        self.len += 1;
        let free = self.first_free;
        if !free.is_none() {
            let entry = &mut self.entries[free.index()];
            let Entry::Free { next } = std::mem::replace(entry, Entry::Used(value)) else {
                unreachable!("the list of free slots holds free slots only");
            };
            self.first_free = next;
            return free;
        }
        self.entries.push(Entry::Used(value));
        let number = u32::try_from(self.entries.len());
        Slot::from_number(number.expect("sessions in memory end before 2^32 slots do"))
    }

    /// Iterates over the used slots whose numbers are greater than `number`.
    pub fn used_after(&self, number: u32) -> impl Iterator<Item = (Slot<T>, &T)> {
        let last = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
        let slots = (number.saturating_add(1)..=last).map(Slot::from_number);
        slots.filter_map(|slot| Some((slot, self.get(slot)?)))
    }

    /// Frees one chunk; call until it returns false.
    pub fn free_chunk(&mut self) -> bool {
        self.entries.free_chunk()
    }

    pub fn get(&self, slot: Slot<T>) -> Option<&T> {
        match self.entries.get(slot.index())? {
            Entry::Used(value) => Some(value),
            Entry::Free { .. } => None,
        }
    }

    pub fn remove(&mut self, slot: Slot<T>) -> Option<T> {
        let entry = self.entries.get_mut(slot.index())?;
        if let Entry::Free { .. } = entry {
            return None;
        }
        let next = std::mem::replace(&mut self.first_free, slot);
        self.len -= 1;
        match std::mem::replace(entry, Entry::Free { next }) {
            Entry::Used(value) => Some(value),
            Entry::Free { .. } => None,
        }
    }
}

impl<T> std::ops::Index<Slot<T>> for Slab<T> {
    type Output = T;

    fn index(&self, slot: Slot<T>) -> &T {
        self.get(slot).expect("the slot is in use")
    }
}

impl<T> std::ops::IndexMut<Slot<T>> for Slab<T> {
    fn index_mut(&mut self, slot: Slot<T>) -> &mut T {
        match &mut self.entries[slot.index()] {
            Entry::Used(value) => value,
            Entry::Free { .. } => unreachable!("the slot is in use"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::chunked::CHUNK;
    use super::*;

    #[test]
    fn a_vacated_slot_is_used_again_before_a_new_one() {
        let mut slab = Slab::new();
        let slots: Vec<_> = (0..=2 * CHUNK).map(|n| slab.insert(n)).collect();
        assert_eq!(slab.len(), 2 * CHUNK + 1);
        assert!(slots.iter().enumerate().all(|(n, slot)| slab[*slot] == n));

        assert_eq!(slab.remove(slots[7]), Some(7));
        assert_eq!(slab.remove(slots[CHUNK]), Some(CHUNK));
        assert_eq!(slab.remove(slots[7]), None);
        assert!(slab.get(slots[7]).is_none());
        assert_eq!(slab.len(), 2 * CHUNK - 1);

        assert!(slab.insert(70) == slots[CHUNK]);
        assert!(slab.insert(71) == slots[7]);
        assert_eq!(slab[slots[7]], 71);
        assert_eq!(slab.len(), 2 * CHUNK + 1);
        assert!(slab.get(Slot::NONE).is_none());
    }
}
