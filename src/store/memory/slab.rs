//! Values in numbered slots, which never move. A slot's number takes four bytes, half as much as a pointer.

use std::marker::PhantomData;

use super::chunked::Chunked;

/// The number of a slot in a [`Slab`] of `T`, or [`Slot::NONE`].
pub struct Slot<T>(u32, PhantomData<fn() -> T>);

impl<T> Slot<T> {
    /// Stands for no slot.
    pub const NONE: Self = Self(u32::MAX, PhantomData);

    pub fn is_none(self) -> bool {
        self.0 == u32::MAX
    }

    fn number(self) -> usize {
        self.0 as usize
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
            let entry = &mut self.entries[free.number()];
            let Entry::Free { next } = std::mem::replace(entry, Entry::Used(value)) else {
                unreachable!("the list of free slots holds free slots only");
            };
            self.first_free = next;
            return free;
        }
        let number = self.entries.len();
        self.entries.push(Entry::Used(value));
        Slot(
            u32::try_from(number).expect("sessions in memory end before 2^32 slots do"),
            PhantomData,
        )
    }

    /// Frees one chunk; call until it returns false.
    pub fn free_chunk(&mut self) -> bool {
        self.entries.free_chunk()
    }

    pub fn get(&self, slot: Slot<T>) -> Option<&T> {
        match self.entries.get(slot.number())? {
            Entry::Used(value) => Some(value),
            Entry::Free { .. } => None,
        }
    }

    pub fn remove(&mut self, slot: Slot<T>) -> Option<T> {
        let entry = self.entries.get_mut(slot.number())?;
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
        match &mut self.entries[slot.number()] {
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
