//! Lists that run through the values of a slab: joining one and leaving it from the middle take a few steps,
//! however long it is, and eight bytes a value.

use super::slab::{Slab, Slot};

/// A value's place in one list.
pub struct Links<T> {
    previous: Slot<T>,
    next: Slot<T>,
}

impl<T> Links<T> {
    /// In no list.
    pub const NONE: Self = Self {
        previous: Slot::NONE,
        next: Slot::NONE,
    };
}

impl<T> Links<T> {
    /// The member behind this one, or none.
    pub fn next(&self) -> Slot<T> {
        self.next
    }
}

/// The members of a list from `first` on, which may be none.
pub fn iterate<'a, T>(
    first: Slot<T>,
    slab: &'a Slab<T>,
    links: impl Fn(&T) -> &Links<T> + 'a,
) -> impl Iterator<Item = Slot<T>> + 'a {
    let member = |slot: Slot<T>| Some(slot).filter(|slot| !slot.is_none());
    std::iter::successors(member(first), move |slot| member(links(&slab[*slot]).next))
}

/// The ends of a list, oldest member first.
pub struct List<T> {
    first: Slot<T>,
    last: Slot<T>,
}

impl<T> List<T> {
    pub const EMPTY: Self = Self {
        first: Slot::NONE,
        last: Slot::NONE,
    };

    /// The member that has been here longest.
    pub fn first(&self) -> Slot<T> {
        self.first
    }

    pub fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// Adds `slot` at the end. `links` says which of a value's links this list runs through.
    pub fn push(
        &mut self,
        slab: &mut Slab<T>,
        slot: Slot<T>,
        links: impl Fn(&mut T) -> &mut Links<T>,
    ) {
        let last = std::mem::replace(&mut self.last, slot);
        if last.is_none() {
            self.first = slot;
        } else {
            links(&mut slab[last]).next = slot;
        }
        *links(&mut slab[slot]) = Links {
            previous: last,
            next: Slot::NONE,
        };
    }

    /// Takes `slot`, which has to be a member, out of the list.
    pub fn remove(
        &mut self,
        slab: &mut Slab<T>,
        slot: Slot<T>,
        links: impl Fn(&mut T) -> &mut Links<T>,
    ) {
        let Links { previous, next } = std::mem::replace(links(&mut slab[slot]), Links::NONE);
        if previous.is_none() {
            self.first = next;
        } else {
            links(&mut slab[previous]).next = next;
        }
        if next.is_none() {
            self.last = previous;
        } else {
            links(&mut slab[next]).previous = previous;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Member {
        links: Links<Member>,
    }

    fn links(member: &mut Member) -> &mut Links<Member> {
        &mut member.links
    }

    #[test]
    fn members_leave_from_either_end_and_from_the_middle() {
        for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2], [1, 2, 0]] {
            let mut slab = Slab::new();
            let mut list = List::EMPTY;
            let members = [(); 3].map(|()| slab.insert(Member { links: Links::NONE }));
            for member in members {
                list.push(&mut slab, member, links);
            }
            let mut left = members.to_vec();
            for number in order {
                list.remove(&mut slab, members[number], links);
                left.retain(|member| *member != members[number]);
                let seen: Vec<_> = iterate(list.first(), &slab, |member| &member.links).collect();
                assert!(seen == left, "after {number} of {order:?}");
            }
            assert!(list.is_empty());
        }
    }
}
