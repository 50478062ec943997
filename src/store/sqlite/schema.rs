//! Defines the form of the file, and creates or migrates files.

use std::fs::File;
use std::io;
use std::path::{self, Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use crate::session::Timestamp;

/// The n-th step, counted from 0, turns a file of version n into one of version n + 1. Version 0 is an empty file. A
/// released step never changes.
const MIGRATIONS: &[&str] = &[VERSION_1, VERSION_2, VERSION_3];

/// Times are milliseconds since 1970. A key is the first half of the SHA-256 digest of a session id.
///
/// Rows are in the order of creation, so new rows share a page, and a user's sessions are read oldest first.
const VERSION_1: &str = "
    CREATE TABLE sessions (
        id INTEGER PRIMARY KEY,
        key BLOB NOT NULL CHECK (length(key) = 16),
        -- The key under which the session began, once it has another: its handle is made of it.
        first_key BLOB CHECK (length(first_key) = 16),
        user TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        auth_time INTEGER NOT NULL,
        last_used_at INTEGER NOT NULL,
        -- The node that knows of all uses until last_used_at, or 0.
        used_by INTEGER NOT NULL,
        ends_at INTEGER NOT NULL,
        -- Null for none.
        idle_timeout INTEGER,
        -- No later than the session expires: uses put its end off, and this is put off when it has come.
        due_at INTEGER NOT NULL,
        data TEXT,
        binding BLOB CHECK (length(binding) = 16)
    ) STRICT;
    CREATE UNIQUE INDEX sessions_by_key ON sessions (key);
    CREATE INDEX sessions_by_user ON sessions (user);
    CREATE INDEX sessions_by_end ON sessions (due_at);

    -- Keys that regenerations have retired, the oldest first. They go with their sessions.
    CREATE TABLE retired (
        id INTEGER PRIMARY KEY,
        key BLOB NOT NULL CHECK (length(key) = 16),
        session INTEGER NOT NULL,
        retired_at INTEGER NOT NULL
    ) STRICT;
    CREATE UNIQUE INDEX retired_by_key ON retired (key);
    CREATE INDEX retired_by_session ON retired (session);

    -- How many rows there are in sessions, and how many users they have, so that nobody has to count them.
    CREATE TABLE totals (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        sessions INTEGER NOT NULL,
        users INTEGER NOT NULL
    ) STRICT;
    INSERT INTO totals VALUES (1, 0, 0);
";

/// `written_at` is the latest time at which a node wrote the file. A node that opens the file starts its clock no
/// earlier. So a wall clock that was set back while no node ran revives no session. A file of version 1 lacks its time,
/// but some node wrote it when its youngest session began.
const VERSION_2: &str = "
    ALTER TABLE totals ADD COLUMN written_at INTEGER NOT NULL DEFAULT 0;
    UPDATE totals SET written_at = coalesce((SELECT created_at FROM sessions ORDER BY id DESC LIMIT 1), 0);
";

/// A retired key proves no later authentication than its session's `auth_time` until then. Of a key that was retired
/// earlier, the file only knows that the session had begun.
const VERSION_3: &str = "
    ALTER TABLE retired ADD COLUMN auth_time INTEGER NOT NULL DEFAULT 0;
    UPDATE retired SET auth_time =
        coalesce((SELECT created_at FROM sessions WHERE sessions.id = retired.session), 0);
";

/// The file's `application_id`, "SNOD" in ASCII, which distinguishes it from another program's database.
const APPLICATION_ID: i32 = 0x534e_4f44;

/// How long a node waits for other nodes to write the file or to recover its log.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// How many prepared statements a connection caches: enough for all that exist.
const PREPARED_STATEMENTS: usize = 64;

/// The settings of every connection.
///
/// - `synchronous=FULL`: a commit returns when the disk holds it. (`NORMAL` would lose the latest commits in a power
///   failure.)
/// - `cache_size`: 64 MiB of pages, which hold the inner pages of the indexes of millions of sessions.
/// - `wal_autocheckpoint`: SQLite copies the log into the file every 32 MiB. Keys are random, so a batch changes pages
///   all over the indexes. The longer the log, the more of these changes hit the same page.
/// - `journal_size_limit`: returns the space of a log that grew because of a long reader.
const SETTINGS: &str = "
    PRAGMA synchronous = FULL;
    PRAGMA cache_size = -65536;
    PRAGMA wal_autocheckpoint = 8192;
    PRAGMA journal_size_limit = 67108864;
    PRAGMA temp_store = MEMORY;
    PRAGMA trusted_schema = OFF;
";

/// Why a file of sessions could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot keep sessions in {path}: {why}")]
pub struct OpenError {
    path: PathBuf,
    why: Why,
}

#[derive(Debug, thiserror::Error)]
enum Why {
    #[error("{0}")]
    Sqlite(rusqlite::Error),
    #[error("the directory {0} does not exist")]
    NoDirectory(PathBuf),
    #[error("it cannot be made: {0}")]
    Creation(io::Error),
    #[error("it is a directory")]
    IsDirectory,
    #[error("it is read-only, or its directory is")]
    ReadOnly,
    #[error("it is not a database")]
    NotADatabase,
    #[error("it is a database of another program")]
    NotSessions,
    #[error(
        "it is of version {found}, which a newer session-node wrote; this one knows versions up to {known}"
    )]
    Newer { found: usize, known: usize },
    #[error("its file system cannot hold a write-ahead log that processes share")]
    NoWriteAheadLog,
}

impl From<rusqlite::Error> for Why {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => Self::NotADatabase,
            Some(ErrorCode::ReadOnly) => Self::ReadOnly,
            _ => Self::Sqlite(error),
        }
    }
}

/// Opens the file at `path`, creates it if necessary, and brings it up to date. Also returns when it was last written.
pub fn open(path: &Path) -> Result<(Connection, Timestamp), OpenError> {
    let connection = open_as(path, MIGRATIONS);
    let opened = connection.and_then(|connection| {
        let written_at = written_at(&connection)?;
        Ok((connection, written_at))
    });
    opened.map_err(|why| OpenError {
        path: path.to_owned(),
        why,
    })
}

fn open_as(path: &Path, migrations: &[&str]) -> Result<Connection, Why> {
    // SQLite reports `unable to open database file` for a directory and for a missing directory.
    if path.is_dir() {
        return Err(Why::IsDirectory);
    }
    let directory = path.parent().filter(|parent| *parent != Path::new(""));
    if let Some(directory) = directory.filter(|directory| !directory.is_dir()) {
        return Err(Why::NoDirectory(directory.to_owned()));
    }
    // SQLite does not take every relative path for a file, so this passes an absolute one.
    let path = &path::absolute(path).map_err(Why::Creation)?;
    create_file(path).map_err(Why::Creation)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(PREPARED_STATEMENTS);
    check_version(&connection, migrations.len())?;
    enable_write_ahead_log(&connection)?;
    connection.execute_batch(SETTINGS)?;
    migrate(&mut connection, migrations)?;
    Ok(connection)
}

/// Creates a file with mode 600 if none exists, because SQLite would create one that everybody may read. SQLite gives
/// the log and its index the mode of the file.
fn create_file(path: &Path) -> io::Result<()> {
    /// On Unix, closing a file releases all locks of the process on it. So no other thread may find the file, and let
    /// SQLite lock it, before this function has closed it.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    if path.try_exists()? {
        return Ok(());
    }
    let mut options = File::options();
    options.write(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

/// Returns the version of a file that holds sessions or is empty.
fn check_version(connection: &Connection, known: usize) -> Result<usize, Why> {
    let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
    let version = pragma("user_version")?;
    if connection.is_readonly("main")? {
        return Err(Why::ReadOnly);
    }
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    let is_empty = version == 0 && tables == 0;
    if !is_empty && pragma("application_id")? != APPLICATION_ID {
        return Err(Why::NotSessions);
    }
    let found = usize::try_from(version).map_err(|_| Why::NotSessions)?;
    if found > known {
        return Err(Why::Newer { found, known });
    }
    Ok(found)
}

/// Switches to a write-ahead log: a commit then costs one `fsync`, and readers do not wait for a writer.
fn enable_write_ahead_log(connection: &Connection) -> Result<(), Why> {
    let start = Instant::now();
    loop {
        let mode = connection.query_row("PRAGMA journal_mode = WAL", [], |row| {
            row.get::<_, String>(0)
        });
        match mode {
            Ok(mode) if mode == "wal" => return Ok(()),
            Ok(_) => return Err(Why::NoWriteAheadLog),
            // Two nodes open a new file at once. SQLite does not wait in this case, because they could wait for each
            // other.
            Err(error)
                if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
                    && start.elapsed() < BUSY_TIMEOUT =>
            {
                thread::sleep(Duration::from_millis(5));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

fn migrate(connection: &mut Connection, migrations: &[&str]) -> Result<(), Why> {
    if check_version(connection, migrations.len())? == migrations.len() {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Another node may have migrated the file while this one waited.
    let version = check_version(&transaction, migrations.len())?;
    for migration in &migrations[version..] {
        transaction.execute_batch(migration)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    let version = i32::try_from(migrations.len()).expect("there are not that many versions");
    transaction.pragma_update(None, "user_version", version)?;
    transaction.commit()?;
    Ok(())
}

fn written_at(connection: &Connection) -> rusqlite::Result<Timestamp> {
    let sql = "SELECT written_at FROM totals";
    let millis: i64 = connection.query_row(sql, [], |row| row.get(0))?;
    Ok(Timestamp::from_millis(millis.unsigned_abs()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::SessionKey;
    use crate::store::{Batch, Operation, Outcome, Outcomes, Policy, SqliteStore, Store};
    use std::fs;

    /// A directory that is removed after the test.
    struct Directory(PathBuf);

    impl Directory {
        fn new(name: &str) -> Self {
            let name = format!("session-node-{}-{name}", std::process::id());
            let path = std::env::temp_dir().join(name);
            fs::create_dir_all(&path).expect("a directory for temporary files");
            Self(path)
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn number(connection: &Connection, sql: &str) -> i64 {
        let number = connection.query_row(sql, [], |row| row.get(0));
        number.expect("a number")
    }

    #[test]
    fn an_empty_file_is_migrated_to_the_present_version() {
        let directory = Directory::new("empty");
        let path = directory.0.join("sessions.db");
        fs::write(&path, "").expect("a file");
        for _ in 0..2 {
            let connection = open_as(&path, MIGRATIONS).expect("a file of sessions");
            assert_eq!(number(&connection, "PRAGMA user_version"), 3);
            assert_eq!(
                number(&connection, "SELECT sessions + written_at FROM totals"),
                0
            );
            assert_eq!(number(&connection, "PRAGMA synchronous"), 2);
        }
    }

    #[test]
    fn a_file_of_an_older_version_is_brought_up_to_date_and_keeps_what_it_holds() {
        let directory = Directory::new("older");
        let path = directory.0.join("sessions.db");
        let older = open_as(&path, &[VERSION_1]).expect("a file of sessions");
        older
            .execute_batch("UPDATE totals SET sessions = 7")
            .expect("a change");
        drop(older);

        let next = [
            VERSION_1,
            "ALTER TABLE totals ADD COLUMN more INTEGER NOT NULL DEFAULT 5",
        ];
        for _ in 0..2 {
            let newer = open_as(&path, &next).expect("a file of sessions");
            assert_eq!(number(&newer, "PRAGMA user_version"), 2);
            assert_eq!(number(&newer, "SELECT sessions + more FROM totals"), 12);
        }
        let refused = open_as(&path, &[VERSION_1]);
        assert!(matches!(refused, Err(Why::Newer { found: 2, known: 1 })));
    }

    #[test]
    fn a_migration_that_fails_leaves_the_file_as_it_was() {
        let directory = Directory::new("failing");
        let path = directory.0.join("sessions.db");
        drop(open_as(&path, &[VERSION_1]).expect("a file of sessions"));
        let next = [VERSION_1, "DELETE FROM totals; DELETE FROM no_such_table"];
        assert!(matches!(open_as(&path, &next), Err(Why::Sqlite(_))));
        let connection = open_as(&path, &[VERSION_1]).expect("a file of sessions");
        assert_eq!(number(&connection, "SELECT count(*) FROM totals"), 1);
    }

    #[test]
    fn a_file_of_version_1_keeps_its_sessions_and_tells_when_the_youngest_began() {
        let directory = Directory::new("version-1");
        let path = directory.0.join("sessions.db");
        let older = open_as(&path, &[VERSION_1]).expect("a file of sessions");
        let key = SessionKey::of("an id");
        let sql = "INSERT INTO sessions (key, user, created_at, auth_time, last_used_at, used_by, ends_at, due_at) \
                   VALUES (?1, 'alice', ?2, ?2, ?2, 7, ?3, ?3)";
        for (key, begun, end) in [(SessionKey::of("another"), 4000, 5000), (key, 4500, 9000)] {
            older
                .execute(sql, (key.as_bytes(), begun, end))
                .expect("a session");
        }
        let sql = "UPDATE totals SET sessions = 2, users = 1";
        older.execute(sql, []).expect("totals");
        drop(older);

        let mut store = SqliteStore::open(&path).expect("a file of sessions");
        assert_eq!(store.earliest_now(), Timestamp::from_millis(4500));
        let mut outcomes = Outcomes::new();
        let conditions = None;
        let batch = Batch {
            now: Timestamp::from_millis(5500),
            policy: &Policy::default(),
            operations: &[Operation::Validate { key, conditions }, Operation::Stats],
        };
        store.apply(&batch, &mut outcomes);
        let [
            Ok(Outcome::Valid { expires_at, .. }),
            Ok(Outcome::Stats { sessions, .. }),
        ] = outcomes.all()
        else {
            panic!("{outcomes:?}");
        };
        assert_eq!(expires_at, &Timestamp::from_millis(9000));
        assert_eq!(sessions, &Some(1));
        drop(store);
        // The store noted the removal of an expired session at its own time.
        let (_, written_at) = open(&path).expect("a file of sessions");
        assert_eq!(written_at, Timestamp::from_millis(5500));
    }

    #[test]
    fn of_a_key_that_was_retired_earlier_a_file_knows_that_its_session_had_begun() {
        let directory = Directory::new("version-2");
        let path = directory.0.join("sessions.db");
        let older = open_as(&path, &[VERSION_1, VERSION_2]).expect("a file of sessions");
        let sql = "INSERT INTO sessions (id, key, user, created_at, auth_time, last_used_at, used_by, ends_at, due_at) \
                   VALUES (5, ?1, 'alice', 4000, 6000, 6000, 7, 9000, 9000)";
        let key = SessionKey::of("an id");
        older.execute(sql, [key.as_bytes()]).expect("a session");
        for (key, session) in [("of the session", 5), ("of none", 6)] {
            let key = SessionKey::of(key);
            let sql = "INSERT INTO retired (key, session, retired_at) VALUES (?1, ?2, 5000)";
            older
                .execute(sql, (key.as_bytes(), session))
                .expect("a retired key");
        }
        drop(older);
        let connection = open_as(&path, MIGRATIONS).expect("a file of sessions");
        let auth_time = |session| {
            let sql = format!("SELECT auth_time FROM retired WHERE session = {session}");
            number(&connection, &sql)
        };
        assert_eq!((auth_time(5), auth_time(6)), (4000, 0));
    }

    #[test]
    fn nodes_that_create_a_file_at_once_all_open_it() {
        for round in 0..10 {
            let directory = Directory::new(&format!("at-once-{round}"));
            let path = directory.0.join("sessions.db");
            thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        let connection = open_as(&path, MIGRATIONS).expect("a file of sessions");
                        assert_eq!(number(&connection, "SELECT count(*) FROM totals"), 1);
                    });
                }
            });
        }
    }
}
