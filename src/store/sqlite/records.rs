//! Presents the sessions of a file to the rules: their rows, and the uses that this node has not written.

use super::tables::{Interruption, Result, Row, Tables};
use super::uses::Uses;
use crate::session::{Lifetime, SessionKey, Timestamp};
use crate::store::records::{self, Change, Found, NewSession, Records, Totals};
use crate::store::{Cursor, ListOrder};

/// The tables within a transaction, and the unwritten uses.
pub struct FileRecords<'a> {
    pub now: Timestamp,
    pub tables: Tables<'a>,
    pub uses: &'a mut Uses,
    /// Whether the policy remembers retired keys; otherwise the store need not search for them.
    pub remembers_retired: bool,
}

/// A session, with its times as far as this node knows them.
pub struct Session {
    row: Row,
    lifetime: Lifetime,
}

impl PartialEq for Session {
    fn eq(&self, other: &Self) -> bool {
        self.row.id == other.row.id
    }
}

impl FileRecords<'_> {
    fn with_known_uses(&self, row: Row) -> Session {
        let lifetime = self.uses.recall(&row, self.now);
        Session { row, lifetime }
    }
}

impl Records for FileRecords<'_> {
    type Record = Session;
    type Error = Interruption<rusqlite::Error>;

    fn find(&mut self, key: &SessionKey) -> Result<Option<Found<Session>>> {
        if let Some(row) = self.tables.by_key(key)? {
            return Ok(Some(Found::Current(self.with_known_uses(row))));
        }
        if !self.remembers_retired {
            return Ok(None);
        }
        let found = self.tables.by_retired_key(key)?;
        Ok(found.map(|(row, retirement)| Found::Retired {
            record: self.with_known_uses(row),
            retirement,
        }))
    }

    fn of_user(
        &mut self,
        user: &str,
        after: Option<u128>,
        order: ListOrder,
        at_most: usize,
    ) -> Result<Vec<Session>> {
        let rows = self.tables.of_user(user, after, order, at_most)?;
        Ok(rows
            .into_iter()
            .map(|row| self.with_known_uses(row))
            .collect())
    }

    fn place(&self, session: &Session) -> u128 {
        session.row.id.unsigned_abs().into()
    }

    fn users(
        &mut self,
        after: Option<&Cursor>,
        at_most: usize,
    ) -> Result<Option<Vec<(String, Cursor)>>> {
        let after = after.map_or(Ok(""), |after| str::from_utf8(after.as_bytes()));
        let Ok(after) = after else { return Ok(None) };
        let names = self.tables.users(after, at_most)?;
        let with_cursor = |name: String| {
            let cursor = Cursor::from_bytes(name.as_str());
            (name, cursor)
        };
        Ok(Some(names.into_iter().map(with_cursor).collect()))
    }

    fn due(&mut self, by: Timestamp, at_most: usize) -> Result<Vec<Session>> {
        let rows = self.tables.due(by, at_most)?;
        Ok(rows
            .into_iter()
            .map(|row| self.with_known_uses(row))
            .collect())
    }

    fn totals(&mut self) -> Result<Totals> {
        self.tables.totals()
    }

    fn session<'r>(&'r self, session: &'r Session) -> records::Session<'r> {
        records::Session {
            user: &session.row.user,
            first_key: session.row.first_key.unwrap_or(session.row.key),
            lifetime: session.lifetime,
            data: session.row.data.as_deref(),
            binding: session.row.binding.as_ref(),
        }
    }

    fn insert(&mut self, new: &NewSession<'_>) -> Result<Session> {
        let used_by = self.uses.node();
        let row = match self.tables.insert(new, used_by) {
            Err(error) if error.is_taken_key() => {
                if let Some(taken) = self.tables.by_key(&new.key)? {
                    self.tables.remove(&taken)?;
                }
                self.tables.insert(new, used_by)?
            }
            row => row?,
        };
        Ok(Session {
            row,
            lifetime: new.lifetime,
        })
    }

    fn touch(&mut self, session: &Session, lifetime: &Lifetime) -> Result<()> {
        match self.uses.note(&session.row, lifetime) {
            Some(used_by) => self.tables.set_last_use(&session.row, lifetime, used_by),
            None => Ok(()),
        }
    }

    fn change(&mut self, session: &Session, change: &Change<'_>) -> Result<()> {
        let row = &session.row;
        if let Some(new) = &change.new_key {
            self.tables.rekey(row, new.key, &change.lifetime)?;
            if let Some(retirement) = &new.retirement {
                self.tables.retire(row, retirement)?;
            }
        }
        if let Some(binding) = change.binding {
            self.tables.set_binding(row, binding)?;
        }
        if let Some(data) = change.data {
            self.tables.set_data(row, data)?;
        }
        self.tables
            .set_last_use(row, &change.lifetime, self.uses.node())?;
        match change.user {
            Some(user) => self.tables.set_user(row, user),
            None => Ok(()),
        }
    }

    fn forget_retired(
        &mut self,
        session: &Session,
        is_enough: impl Fn(Timestamp, usize) -> bool,
    ) -> Result<()> {
        let retired = self.tables.retired_of(&session.row)?;
        for (index, oldest) in retired.iter().enumerate() {
            if is_enough(oldest.at, retired.len() - index) {
                break;
            }
            self.tables.forget_retired(oldest)?;
        }
        Ok(())
    }

    fn reschedule(&mut self, session: &Session) -> Result<()> {
        self.tables
            .reschedule(&session.row, session.lifetime.expires_at())
    }

    fn remove(&mut self, session: &Session) -> Result<()> {
        self.tables.remove(&session.row)
    }

    fn remove_all(&mut self) -> Result<()> {
        self.tables.remove_all()
    }
}
