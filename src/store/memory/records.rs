//! Presents the sessions in memory to the rules.

use std::mem;

use super::headroom::Headroom;
use super::slab::Slot;
use super::tables::{MAX_SESSION_BYTES, RareFields, Session, Tables};
use crate::session::{Lifetime, SessionKey, Timestamp};
use crate::store::records::{self, Change, Found, NewSession, Records, Totals};
use crate::store::{Cursor, ListOrder, StoreError};

/// The tables, and what limits their growth.
pub struct MemoryRecords<'a> {
    pub tables: &'a mut Tables,
    pub headroom: &'a mut Headroom,
    /// Tables that were replaced as a whole, and that are freed chunk by chunk.
    pub freeing: &'a mut Vec<Tables>,
    /// The index of the present operation among those that were prefetched.
    pub operation: usize,
}

type Result<T> = std::result::Result<T, StoreError>;

impl Records for MemoryRecords<'_> {
    type Record = Slot<Session>;
    type Error = StoreError;

    #[inline]
    fn find(&mut self, key: &SessionKey) -> Result<Option<Found<Slot<Session>>>> {
        let Some(record) = self.tables.find(key, self.operation) else {
            return Ok(None);
        };
        let session = &self.tables[record];
        Ok(Some(match session.retirement(key) {
            Some(retirement) if session.key != *key => Found::Retired { record, retirement },
            _ => Found::Current(record),
        }))
    }

    fn of_user(
        &mut self,
        user: &str,
        after: Option<u128>,
        order: ListOrder,
        at_most: usize,
    ) -> Result<Vec<Slot<Session>>> {
        let sessions = self.tables.of_user(user, after, order);
        Ok(sessions.take(at_most).collect())
    }

    fn place(&self, record: &Slot<Session>) -> u128 {
        self.tables.place(*record)
    }

    fn users(
        &mut self,
        after: Option<&Cursor>,
        at_most: usize,
    ) -> Result<Option<Vec<(String, Cursor)>>> {
        let after = after.map_or(Some(0), Cursor::place);
        let after = after.and_then(|place| u32::try_from(place).ok());
        let with_cursor = |(slot, name): (Slot<_>, &str)| {
            let cursor = Cursor::at(slot.to_number().into());
            (name.to_owned(), cursor)
        };
        Ok(after.map(|after| {
            let users = self.tables.users(after).take(at_most);
            users.map(with_cursor).collect()
        }))
    }

    fn due(&mut self, by: Timestamp, at_most: usize) -> Result<Vec<Slot<Session>>> {
        Ok(self.tables.due(by, at_most))
    }

    #[inline]
    fn totals(&mut self) -> Result<Totals> {
        Ok(Totals {
            sessions: self.tables.len() as u64,
            users: self.tables.user_count() as u64,
        })
    }

    // The rules ask for one part or another, several times for each operation.
    #[expect(
        clippy::inline_always,
        reason = "otherwise a validation executes 170 instructions more"
    )]
    #[inline(always)]
    fn session<'r>(&'r self, record: &'r Slot<Session>) -> records::Session<'r> {
        let session = &self.tables[*record];
        records::Session {
            user: self.tables.name_of_user(session),
            first_key: session.first_key(),
            lifetime: session.lifetime(),
            data: session.data(),
            binding: session.binding(),
        }
    }

    #[inline]
    fn reserve(&mut self, data: Option<&str>) -> Result<()> {
        let freeing: usize = self.freeing.iter().map(Tables::max_bytes).sum();
        let more = MAX_SESSION_BYTES + data.map_or(0, str::len);
        let all = self.tables.max_bytes() + freeing + more;
        if self.headroom.allows(all) {
            Ok(())
        } else {
            Err(StoreError::OutOfMemory)
        }
    }

    #[inline]
    fn insert(&mut self, new: &NewSession<'_>) -> Result<Slot<Session>> {
        let rare = RareFields::of(new.data, new.binding).map(Box::new);
        Ok(self.tables.insert(new.key, new.user, &new.lifetime, rare))
    }

    #[inline]
    fn touch(&mut self, record: &Slot<Session>, lifetime: &Lifetime) -> Result<()> {
        self.tables[*record].set_lifetime(lifetime);
        Ok(())
    }

    fn change(&mut self, record: &Slot<Session>, change: &Change<'_>) -> Result<()> {
        self.tables.change_lifetime(*record, &change.lifetime);
        if let Some(data) = change.data {
            self.tables.set_data(*record, data);
        }
        if let Some(binding) = change.binding {
            self.tables.set_binding(*record, binding);
        }
        if let Some(new) = &change.new_key {
            self.tables.rekey(*record, new.key, new.retirement);
        }
        if let Some(user) = change.user {
            self.tables.set_user(*record, user);
        }
        Ok(())
    }

    fn forget_retired(
        &mut self,
        record: &Slot<Session>,
        is_enough: impl Fn(Timestamp, usize) -> bool,
    ) -> Result<()> {
        self.tables.forget_retired(*record, is_enough);
        Ok(())
    }

    fn reschedule(&mut self, record: &Slot<Session>) -> Result<()> {
        self.tables.reschedule(*record);
        Ok(())
    }

    fn remove(&mut self, record: &Slot<Session>) -> Result<()> {
        self.tables.remove(*record);
        Ok(())
    }

    fn remove_all(&mut self) -> Result<()> {
        let empty = self.tables.emptied();
        let all = mem::replace(self.tables, empty);
        self.freeing.push(all);
        Ok(())
    }
}
