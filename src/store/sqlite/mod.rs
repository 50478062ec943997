//! Sessions in one SQLite file, which survive the process.
//!
//! A batch is one transaction, so its replies leave after one `fsync`, however many requests it holds. The store
//! remembers nothing of the file's contents between batches, so several nodes can use one file. A node keeps only those
//! uses of sessions to itself that are too recent to be worth a write ([`uses`]).
//!
//! [`schema`] opens the file and brings it up to date. [`tables`] holds the SQL and knows no rule. [`records`] presents
//! both to the [rules](super::rules).

mod records;
mod schema;
mod tables;
mod uses;

use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode, TransactionBehavior};
use tracing::{info, warn};

use self::records::FileRecords;
use self::tables::{Interruption, Tables};
use self::uses::Uses;
use super::rules::{Counters, DUE_PER_OPERATION, Rules};
use super::{Batch, Operation, Outcomes, Store, StoreError};
use crate::outage::{Outage, Turn};
use crate::session::Timestamp;

pub use schema::OpenError;

/// Sessions in a SQLite file.
///
/// ```
/// use session_node::SessionAuthority;
/// use session_node::store::SqliteStore;
///
/// let directory = std::env::temp_dir().join(format!("session-node-{}", std::process::id()));
/// std::fs::create_dir_all(&directory)?;
/// let file = directory.join("sessions.db");
/// let open = || SqliteStore::open(&file).map(|store| SessionAuthority::builder().store(store));
/// let id = open()?.build()?.create("alice")?.id;
/// assert_eq!(open()?.build()?.validate(id.expose())?.user(), Some("alice"));
/// std::fs::remove_dir_all(&directory)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct SqliteStore {
    path: PathBuf,
    connection: Connection,
    earliest_now: Timestamp,
    uses: Uses,
    counters: Counters,
    outage: Outage,
}

/// What a transaction may write.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Reading,
    Writing,
    /// As [`Mode::Reading`], but the store keeps back uses that only `last_seen_at` shows, so that a full disk does not
    /// keep sessions from being validated.
    ReadingKeepingUses,
}

/// Why a transaction failed.
enum Failure {
    /// The transaction was rolled back, or never began.
    RolledBack(rusqlite::Error),
    /// The commit failed.
    Commit(rusqlite::Error),
}

impl SqliteStore {
    /// Opens the file at `path`. If it does not exist, creates one that only its owner may read.
    ///
    /// # Errors
    ///
    /// If the file cannot be created, read or written, or if it does not hold sessions in a form that this version
    /// knows.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let (connection, earliest_now) = schema::open(path)?;
        Ok(Self {
            path: path.to_owned(),
            connection,
            earliest_now,
            uses: Uses::new(rand::random()),
            counters: Counters::default(),
            outage: Outage::default(),
        })
    }

    /// Applies a batch in one transaction, or changes nothing.
    fn transact(
        &mut self,
        mode: Mode,
        batch: &Batch<'_>,
        outcomes: &mut Outcomes,
    ) -> Result<(), Interruption<Failure>> {
        if !self.connection.is_autocommit() {
            // An earlier rollback failed.
            self.connection.execute_batch("ROLLBACK")?;
        }
        // Takes the write lock first, because a transaction that has read cannot start to write after another node has
        // written.
        let begin = match mode {
            Mode::Writing => TransactionBehavior::Immediate,
            Mode::Reading | Mode::ReadingKeepingUses => TransactionBehavior::Deferred,
        };
        // Rolls back when it is dropped before the commit.
        let transaction = self.connection.transaction_with_behavior(begin)?;
        self.uses.keep_back(mode == Mode::ReadingKeepingUses);
        let mut counters = self.counters;
        let records = FileRecords {
            now: batch.now,
            tables: Tables::new(&transaction, mode == Mode::Writing),
            uses: &mut self.uses,
            remembers_retired: batch.policy.remembers_retired(),
        };
        let rules = Rules::new(batch, records, &mut counters, outcomes);
        let ended = carry_out(rules, batch.operations, mode)
            .map_err(|interruption| interruption.map(Failure::RolledBack))
            .and_then(|()| {
                let committed = transaction.commit();
                committed.map_err(|error| Interruption::Failed(Failure::Commit(error)))
            });
        if ended.is_err() {
            self.uses.discard_batch();
            return ended;
        }
        self.uses.commit_batch(batch.now);
        self.counters = counters;
        Ok(())
    }

    /// Empties the log into the file and truncates it. On a full disk this returns the log's space. After a failed
    /// commit, it leaves nothing in the log that could be found after a crash.
    fn recover(&self, failure: Failure) -> Failure {
        if failure.is_lock_conflict() {
            return failure;
        }
        let sql = "PRAGMA wal_checkpoint(TRUNCATE)";
        let is_cut = self
            .connection
            .query_row(sql, [], |row| row.get::<_, i64>(0));
        match failure {
            Failure::Commit(error) if is_cut == Ok(0) => Failure::RolledBack(error),
            failure => failure,
        }
    }

    fn report(&mut self, failure: Option<&Failure>) {
        let path = self.path.display();
        match (self.outage.note(failure.is_some()), failure) {
            (Some(Turn::Begins), Some(Failure::Commit(error) | Failure::RolledBack(error))) => {
                warn!("the store {path} fails, so requests are answered with errors: {error}");
            }
            (Some(Turn::Ends), _) => info!("the store {path} works again"),
            _ => {}
        }
    }
}

impl From<rusqlite::Error> for Interruption<Failure> {
    fn from(error: rusqlite::Error) -> Self {
        Self::Failed(Failure::RolledBack(error))
    }
}

impl Failure {
    fn is_lock_conflict(&self) -> bool {
        let (Self::Commit(error) | Self::RolledBack(error)) = self;
        error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
    }

    fn to_error(&self) -> StoreError {
        match self {
            Self::Commit(error) if !is_surely_rolled_back(error) => {
                StoreError::MayHaveTakenEffect(error.to_string())
            }
            Self::Commit(error) | Self::RolledBack(error) => {
                StoreError::NoEffect(error.to_string())
            }
        }
    }
}

/// Applies the operations of a transaction.
fn carry_out(
    mut rules: Rules<'_, FileRecords<'_>>,
    operations: &[Operation<'_>],
    mode: Mode,
) -> tables::Result<()> {
    if mode == Mode::Writing {
        // Looks only at seconds that are over, so that sessions that expire in the same second are removed together.
        let by = rules.now.start_of_second();
        rules.remove_expired(by, operations.len() * DUE_PER_OPERATION)?;
    }
    for operation in operations {
        let outcome = rules.apply(operation)?;
        rules.outcomes.push(Ok(outcome));
    }
    rules.records.tables.finish(rules.now)
}

/// Whether a commit that failed with `error` has left nothing behind.
///
/// The frame that makes a transaction valid is the last one that is written to the log. A full disk prevented that
/// write or an earlier one. After any other disk error, the frame may have been written, and a reader of the log may
/// find it after a crash.
fn is_surely_rolled_back(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DiskFull | ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
    )
}

impl Store for SqliteStore {
    /// The latest time at which any node wrote the file before this store opened it.
    fn earliest_now(&self) -> Timestamp {
        self.earliest_now
    }

    fn apply(&mut self, batch: &Batch<'_>, outcomes: &mut Outcomes) {
        let operations = batch.operations;
        if operations.is_empty() {
            return;
        }
        let start = outcomes.mark();
        let may_only_read = operations.iter().all(Operation::only_reads);
        let mut attempt = |store: &mut Self, mode| {
            outcomes.rewind(&start);
            store.transact(mode, batch, outcomes)
        };
        let mut result = Err(Interruption::NeedsToWrite);
        if may_only_read {
            result = attempt(self, Mode::Reading);
        }
        if let Err(Interruption::NeedsToWrite) = result {
            result = attempt(self, Mode::Writing);
        }
        let failure = match result {
            Ok(()) => None,
            Err(Interruption::Failed(failure)) => Some(self.recover(failure)),
            Err(Interruption::NeedsToWrite) => unreachable!("a writing transaction may write"),
        };
        self.report(failure.as_ref());
        let Some(failure) = failure else { return };
        if may_only_read && attempt(self, Mode::ReadingKeepingUses).is_ok() {
            return;
        }
        outcomes.rewind(&start);
        for _ in operations {
            outcomes.push(Err(failure.to_error()));
        }
    }
}
