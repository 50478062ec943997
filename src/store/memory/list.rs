//! Linked lists through the values of a slab. A value joins at the end and leaves from anywhere in a few steps, however
//! long the list is. A list costs eight bytes per value.

use super::slab::{Slab, Slot};

/// A value's neighbours in one list.
pub struct Links<T> {
    previous: Slot<T>,
    next: Slot<T>,
}

impl<T> Links<T> {
    /// The links of a value that is in no list.
    pub const NONE: Self = Self {
        previous: Slot::NONE,
        next: Slot::NONE,
    };

    /// The next member, or [`Slot::NONE`].
    pub fn next(&self) -> Slot<T> {
        self.next
    }

    /// The previous member, or [`Slot::NONE`].
    pub fn previous(&self) -> Slot<T> {
        self.previous
    }
}

/// Iterates over the members of a list from `first` on, which may be [`Slot::NONE`]. `step` returns the next member.
pub fn iterate<'a, T>(
    first: Slot<T>,
    slab: &'a Slab<T>,
    step: impl Fn(&T) -> Slot<T> + 'a,
) -> impl Iterator<Item = Slot<T>> + 'a {
    let member = |slot: Slot<T>| Some(slot).filter(|slot| !slot.is_none());
    std::iter::successors(member(first), move |slot| member(step(&slab[*slot])))
}

/// The two ends of a list, which begins with the oldest member.
pub struct List<T> {
    first: Slot<T>,
    last: Slot<T>,
}

impl<T> List<T> {
    pub const EMPTY: Self = Self {
        first: Slot::NONE,
        last: Slot::NONE,
    };

    /// The oldest member, or [`Slot::NONE`].
    pub fn first(&self) -> Slot<T> {
        self.first
    }

    /// The youngest member, or [`Slot::NONE`].
    pub fn last(&self) -> Slot<T> {
        self.last
    }

    pub fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// Adds `slot` at the end. `links` selects the links of a value that belong to this list.
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

    /// Removes `slot`, which must be a member.
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
                let seen: Vec<_> = iterate(list.first(), &slab, |it| it.links.next()).collect();
                assert!(seen == left, "after {number} of {order:?}");
                let back = iterate(list.last(), &slab, |it| it.links.previous());
                assert!(
                    back.eq(left.iter().rev().copied()),
                    "after {number} of {order:?}"
                );
            }
            assert!(list.is_empty());
        }
    }
}
