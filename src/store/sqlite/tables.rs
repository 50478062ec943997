//! The SQL. Keeps sessions, their retired keys and the totals consistent within one transaction. Knows no rule.

use std::cell::Cell;

use rusqlite::{Connection, ErrorCode, OptionalExtension, Params, Row as SqlRow};

use crate::session::{Binding, Lifetime, SessionKey, Timestamp};
use crate::store::ListOrder;
use crate::store::records::{NewSession, Retirement, Totals};

/// The result of a statement.
pub type Result<T> = std::result::Result<T, Interruption<rusqlite::Error>>;

/// Why a transaction stops.
#[derive(Debug)]
pub enum Interruption<F> {
    /// The transaction may only read, and an operation has to write.
    NeedsToWrite,
    /// A statement failed.
    Failed(F),
}

impl<F> Interruption<F> {
    pub fn map<G>(self, change: impl FnOnce(F) -> G) -> Interruption<G> {
        match self {
            Self::NeedsToWrite => Interruption::NeedsToWrite,
            Self::Failed(failure) => Interruption::Failed(change(failure)),
        }
    }
}

impl From<rusqlite::Error> for Interruption<rusqlite::Error> {
    fn from(error: rusqlite::Error) -> Self {
        Self::Failed(error)
    }
}

impl Interruption<rusqlite::Error> {
    /// Whether an insertion failed because another session has the key.
    pub fn is_taken_key(&self) -> bool {
        let code = match self {
            Self::Failed(error) => error.sqlite_error_code(),
            Self::NeedsToWrite => None,
        };
        code == Some(ErrorCode::ConstraintViolation)
    }
}

/// A session as the file stores it.
pub struct Row {
    pub id: i64,
    pub key: SessionKey,
    pub first_key: Option<SessionKey>,
    pub user: String,
    pub lifetime: Lifetime,
    pub used_by: i64,
    pub data: Option<String>,
    pub binding: Option<Binding>,
}

/// A retired key, and when a regeneration retired it.
pub struct Retired {
    pub id: i64,
    pub at: Timestamp,
}

/// The tables, within a transaction.
pub struct Tables<'c> {
    connection: &'c Connection,
    may_write: bool,
    /// The totals to be stored at the end of the transaction, once they are known.
    totals: Cell<Option<Totals>>,
    has_written: Cell<bool>,
}

/// The columns of a [`Row`], in the order in which [`read_row`] reads them.
macro_rules! select_rows {
    ($rest:literal) => {
        concat!(
            "SELECT sessions.id, sessions.key, first_key, user, created_at, auth_time, last_used_at, used_by, ends_at, \
             idle_timeout, data, binding FROM sessions ",
            $rest
        )
    };
}

impl<'c> Tables<'c> {
    pub fn new(connection: &'c Connection, may_write: bool) -> Self {
        Self {
            connection,
            may_write,
            totals: Cell::new(None),
            has_written: Cell::new(false),
        }
    }

    pub fn by_key(&self, key: &SessionKey) -> Result<Option<Row>> {
        let sql = select_rows!("WHERE sessions.key = ?1");
        let mut statement = self.connection.prepare_cached(sql)?;
        let row = statement.query_row([key.as_bytes()], read_row).optional()?;
        Ok(row)
    }

    /// Finds the session that had this key earlier, and the key's retirement.
    pub fn by_retired_key(&self, key: &SessionKey) -> Result<Option<(Row, Retirement)>> {
        let sql = "SELECT session, retired_at, auth_time FROM retired WHERE key = ?1";
        let mut statement = self.connection.prepare_cached(sql)?;
        let read = |row: &SqlRow<'_>| {
            let (at, auth_time) = (timestamp(row, 1)?, timestamp(row, 2)?);
            Ok((row.get::<_, i64>(0)?, Retirement { at, auth_time }))
        };
        let retired = statement.query_row([key.as_bytes()], read).optional()?;
        let Some((session, retirement)) = retired else {
            return Ok(None);
        };
        let mut statement = self
            .connection
            .prepare_cached(select_rows!("WHERE sessions.id = ?1"))?;
        let row = statement.query_row([session], read_row).optional()?;
        Ok(row.map(|row| (row, retirement)))
    }

    /// Lists up to `at_most` sessions of a user in this order, starting beyond the row `after`.
    pub fn of_user(
        &self,
        user: &str,
        after: Option<u128>,
        order: ListOrder,
        at_most: usize,
    ) -> Result<Vec<Row>> {
        let (sql, end) = match order {
            ListOrder::OldestFirst => (
                select_rows!("WHERE user = ?1 AND sessions.id > ?2 ORDER BY sessions.id LIMIT ?3"),
                i64::MIN,
            ),
            ListOrder::NewestFirst => (
                select_rows!(
                    "WHERE user = ?1 AND sessions.id < ?2 ORDER BY sessions.id DESC LIMIT ?3"
                ),
                i64::MAX,
            ),
        };
        let after = after.map_or(end, |after| i64::try_from(after).unwrap_or(i64::MAX));
        self.query(sql, (user, after, signed(at_most as u64)), read_row)
    }

    /// Lists up to `at_most` users by name, starting after `after`. Each is one step in the index, however many
    /// sessions they have.
    pub fn users(&self, after: &str, at_most: usize) -> Result<Vec<String>> {
        let sql = "WITH RECURSIVE users (user) AS (
                       SELECT min(user) FROM sessions WHERE user > ?1
                       UNION ALL
                       SELECT (SELECT min(user) FROM sessions WHERE user > users.user) FROM users
                       WHERE users.user IS NOT NULL)
                   SELECT user FROM users WHERE user IS NOT NULL LIMIT ?2";
        self.query(sql, (after, signed(at_most as u64)), |row| row.get(0))
    }

    /// Lists up to `at_most` sessions whose check is due by `now`, the longest overdue first.
    pub fn due(&self, now: Timestamp, at_most: usize) -> Result<Vec<Row>> {
        let sql = select_rows!("WHERE due_at <= ?1 ORDER BY due_at LIMIT ?2");
        self.query(sql, (millis(now), signed(at_most as u64)), read_row)
    }

    /// Adds a session. This node knows of its first use as `used_by`.
    ///
    /// # Errors
    ///
    /// If a statement fails. If another session has the key, nothing has changed.
    pub fn insert(&self, new: &NewSession<'_>, used_by: i64) -> Result<Row> {
        let is_new_user = !self.has_sessions(new.user)?;
        let sql = "INSERT INTO sessions (key, user, created_at, auth_time, last_used_at, used_by, ends_at, \
                   idle_timeout, due_at, data, binding) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
        let life = &new.lifetime;
        let values = (
            new.key.as_bytes(),
            new.user,
            millis(life.created_at),
            millis(life.auth_time),
            millis(life.last_used_at),
            used_by,
            millis(life.ends_at),
            life.idle_timeout_millis.map(signed),
            millis(life.expires_at()),
            new.data,
            new.binding.map(Binding::as_bytes),
        );
        self.write(sql, values)?;
        self.add_to_totals(1, i64::from(is_new_user))?;
        Ok(Row {
            id: self.connection.last_insert_rowid(),
            key: new.key,
            first_key: None,
            user: new.user.to_owned(),
            lifetime: new.lifetime,
            used_by,
            data: None,
            binding: None,
        })
    }

    /// Replaces a session's key, and stores the times that a regeneration may change.
    pub fn rekey(&self, row: &Row, key: SessionKey, life: &Lifetime) -> Result<()> {
        let sql = "UPDATE sessions SET key = ?2, first_key = coalesce(first_key, key), auth_time = ?3, ends_at = ?4, \
                   idle_timeout = ?5, due_at = min(due_at, ?6) WHERE id = ?1";
        let values = (
            row.id,
            key.as_bytes(),
            millis(life.auth_time),
            millis(life.ends_at),
            life.idle_timeout_millis.map(signed),
            millis(life.expires_at()),
        );
        self.write(sql, values)
    }

    pub fn set_binding(&self, row: &Row, binding: &Binding) -> Result<()> {
        let sql = "UPDATE sessions SET binding = ?2 WHERE id = ?1";
        self.write(sql, (row.id, binding.as_bytes()))
    }

    /// Gives a session that has no retired keys to another user. The session gets a new row number, which makes it the
    /// last of that user's, and of all.
    pub fn set_user(&self, row: &Row, user: &str) -> Result<()> {
        let is_new_user = !self.has_sessions(user)?;
        let sql =
            "UPDATE sessions SET user = ?2, id = (SELECT max(id) + 1 FROM sessions) WHERE id = ?1";
        self.write(sql, (row.id, user))?;
        let was_last = !self.has_sessions(&row.user)?;
        self.add_to_totals(0, i64::from(is_new_user) - i64::from(was_last))
    }

    /// Replaces a session's data.
    pub fn set_data(&self, row: &Row, data: &str) -> Result<()> {
        let sql = "UPDATE sessions SET data = ?2 WHERE id = ?1";
        self.write(sql, (row.id, data))
    }

    /// Stores a session's last use, and which node knows every use until then.
    pub fn set_last_use(&self, row: &Row, life: &Lifetime, used_by: i64) -> Result<()> {
        let sql = "UPDATE sessions SET last_used_at = ?2, used_by = ?3 WHERE id = ?1";
        self.write(sql, (row.id, millis(life.last_used_at), used_by))
    }

    /// Postpones the check of a session.
    pub fn reschedule(&self, row: &Row, at: Timestamp) -> Result<()> {
        let sql = "UPDATE sessions SET due_at = ?2 WHERE id = ?1";
        self.write(sql, (row.id, millis(at)))
    }

    pub fn remove(&self, row: &Row) -> Result<()> {
        self.write("DELETE FROM retired WHERE session = ?1", [row.id])?;
        self.write("DELETE FROM sessions WHERE id = ?1", [row.id])?;
        let was_last = !self.has_sessions(&row.user)?;
        self.add_to_totals(-1, -i64::from(was_last))
    }

    /// Removes all sessions. Without a condition, SQLite deletes page by page rather than row by row.
    pub fn remove_all(&self) -> Result<()> {
        self.totals.set(Some(Totals::default()));
        self.write("DELETE FROM retired", [])?;
        self.write("DELETE FROM sessions", [])
    }

    /// Remembers a session's present key as retired.
    pub fn retire(&self, row: &Row, retirement: &Retirement) -> Result<()> {
        let sql =
            "INSERT INTO retired (key, session, retired_at, auth_time) VALUES (?1, ?2, ?3, ?4)";
        let (at, auth_time) = (millis(retirement.at), millis(retirement.auth_time));
        self.write(sql, (row.key.as_bytes(), row.id, at, auth_time))
    }

    /// Lists a session's retired keys, oldest first.
    pub fn retired_of(&self, row: &Row) -> Result<Vec<Retired>> {
        let sql = "SELECT id, retired_at FROM retired WHERE session = ?1 ORDER BY id";
        self.query(sql, [row.id], |row| {
            Ok(Retired {
                id: row.get(0)?,
                at: timestamp(row, 1)?,
            })
        })
    }

    pub fn forget_retired(&self, retired: &Retired) -> Result<()> {
        self.write("DELETE FROM retired WHERE id = ?1", [retired.id])
    }

    pub fn totals(&self) -> Result<Totals> {
        if let Some(totals) = self.totals.get() {
            return Ok(totals);
        }
        let sql = "SELECT sessions, users FROM totals";
        let mut statement = self.connection.prepare_cached(sql)?;
        let read = |row: &SqlRow<'_>| {
            Ok(Totals {
                sessions: row.get::<_, i64>(0)?.unsigned_abs(),
                users: row.get::<_, i64>(1)?.unsigned_abs(),
            })
        };
        let totals = statement.query_row([], read)?;
        self.totals.set(Some(totals));
        Ok(totals)
    }

    fn add_to_totals(&self, sessions: i64, users: i64) -> Result<()> {
        let before = self.totals()?;
        self.totals.set(Some(Totals {
            sessions: before.sessions.saturating_add_signed(sessions),
            users: before.users.saturating_add_signed(users),
        }));
        Ok(())
    }

    /// Stores the transaction's time and the totals, if the transaction has written anything.
    pub fn finish(self, now: Timestamp) -> Result<()> {
        if !self.has_written.get() {
            return Ok(());
        }
        let Totals { sessions, users } = self.totals()?;
        // Keeps the later time, because another node's clock may be ahead.
        let sql = "UPDATE totals SET written_at = max(written_at, ?1), sessions = ?2, users = ?3";
        self.write(
            sql,
            (millis(now), sessions.cast_signed(), users.cast_signed()),
        )
    }

    fn has_sessions(&self, user: &str) -> Result<bool> {
        let sql = "SELECT 1 FROM sessions WHERE user = ?1 LIMIT 1";
        Ok(self.connection.prepare_cached(sql)?.exists([user])?)
    }

    fn query<T>(
        &self,
        sql: &str,
        parameters: impl Params,
        read: impl FnMut(&SqlRow<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map(parameters, read)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Executes a statement that writes, if the transaction may write.
    fn write(&self, sql: &str, values: impl Params) -> Result<()> {
        if !self.may_write {
            return Err(Interruption::NeedsToWrite);
        }
        self.has_written.set(true);
        self.connection.prepare_cached(sql)?.execute(values)?;
        Ok(())
    }
}

fn read_row(row: &SqlRow<'_>) -> rusqlite::Result<Row> {
    Ok(Row {
        id: row.get(0)?,
        key: SessionKey::from_bytes(row.get(1)?),
        first_key: row.get::<_, Option<_>>(2)?.map(SessionKey::from_bytes),
        user: row.get(3)?,
        lifetime: Lifetime {
            created_at: timestamp(row, 4)?,
            auth_time: timestamp(row, 5)?,
            last_used_at: timestamp(row, 6)?,
            ends_at: timestamp(row, 8)?,
            idle_timeout_millis: row.get::<_, Option<i64>>(9)?.map(i64::unsigned_abs),
        },
        used_by: row.get(7)?,
        data: row.get(10)?,
        binding: row.get::<_, Option<_>>(11)?.map(Binding::from_bytes),
    })
}

fn timestamp(row: &SqlRow<'_>, column: usize) -> rusqlite::Result<Timestamp> {
    let millis: i64 = row.get(column)?;
    Ok(Timestamp::from_millis(millis.unsigned_abs()))
}

/// SQLite's integers are signed. A later time than they hold is 292 million years away.
fn millis(at: Timestamp) -> i64 {
    signed(at.as_millis())
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
