//! The form of the file, and how a file comes to have it.

use std::fs::File;
use std::io;
use std::path::{self, Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use crate::session::Timestamp;

/// Each step makes a file of the version that is its place in this list into one of the next version. Version 0 is
/// an empty file. A step that was once released is never changed.
const MIGRATIONS: &[&str] = &[VERSION_1, VERSION_2];

/// Times are milliseconds since 1970. A key is the first half of the SHA-256 digest of a session id.
///
/// Rows stand in the order in which sessions were created, so that new ones share a page and a user's come back
/// oldest first.
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

/// `written_at` is the latest time at which a node wrote the file. A node that opens it begins no earlier, so a clock
/// that was set back while no node ran revives no session. A file of version 1 does not tell its time, but some node
/// wrote it when its youngest session began.
const VERSION_2: &str = "
    ALTER TABLE totals ADD COLUMN written_at INTEGER NOT NULL DEFAULT 0;
    UPDATE totals SET written_at = coalesce((SELECT created_at FROM sessions ORDER BY id DESC LIMIT 1), 0);
";

/// `application_id` of a file of sessions, so that no other program's database is taken for one: \"SNOD\".
const APPLICATION_ID: i32 = 0x534e_4f44;

/// How long a node waits for others that write, or read the file in.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// SQL statements that are kept prepared: all that there are.
const PREPARED_STATEMENTS: usize = 64;

/// How the file is used by every connection.
///
/// - `synchronous=FULL`: a commit returns when the disk has it. (`NORMAL` would lose the latest commits in a power
///   cut.)
/// - `cache_size`: 64 MiB of pages, so that the inner pages of the indices of millions of sessions are at hand.
/// - `wal_autocheckpoint`: the log goes into the file every 32 MiB. A batch changes pages all over the indices,
///   since keys are random, and the longer the log, the more often it is one page that they change.
/// - `journal_size_limit`: a log that a long reader let grow gives its room back.
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

/// Opens the file at `path`, which is made if it is not there, and brings it up to date. Tells when it was last
/// written.
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
    // SQLite says `unable to open database file` to both.
    if path.is_dir() {
        return Err(Why::IsDirectory);
    }
    let directory = path.parent().filter(|parent| *parent != Path::new(""));
    if let Some(directory) = directory.filter(|directory| !directory.is_dir()) {
        return Err(Why::NoDirectory(directory.to_owned()));
    }
    // In full: to SQLite, some relative paths are no files.
    let path = &path::absolute(path).map_err(Why::Creation)?;
    create(path).map_err(Why::Creation)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(PREPARED_STATEMENTS);
    check(&connection, migrations.len())?;
    write_ahead(&connection)?;
    connection.execute_batch(SETTINGS)?;
    migrate(&mut connection, migrations)?;
    Ok(connection)
}

/// Makes a file that only its owner may read and write, if there is none. SQLite would make one that everybody may
/// read. Beside the file, it makes the log and its index, with the file's own mode.
fn create(path: &Path) -> io::Result<()> {
    /// On Unix, closing a file drops the locks that the whole process has on it. So no other thread may find the file
    /// and let SQLite lock it before it is closed here.
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

/// The version of a file that is ours, or is empty.
fn check(connection: &Connection, known: usize) -> Result<usize, Why> {
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

/// Switches to a write-ahead log: one `fsync` a commit, and readers that do not wait for a writer.
fn write_ahead(connection: &Connection) -> Result<(), Why> {
    let start = Instant::now();
    loop {
        let mode = connection.query_row("PRAGMA journal_mode = WAL", [], |row| {
            row.get::<_, String>(0)
        });
        match mode {
            Ok(mode) if mode == "wal" => return Ok(()),
            Ok(_) => return Err(Why::NoWriteAheadLog),
            // Two nodes that open a new file at once: SQLite does not wait here, lest they wait for each other.
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
    if check(connection, migrations.len())? == migrations.len() {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Another node may have done it while this one waited.
    let version = check(&transaction, migrations.len())?;
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
    use crate::store::{Operation, Outcome, Outcomes, Policy, SqliteStore, Store};
    use std::fs;

    /// A directory that goes with the test.
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
    fn an_empty_file_becomes_one_of_the_present_version() {
        let directory = Directory::new("empty");
        let path = directory.0.join("sessions.db");
        fs::write(&path, "").expect("a file");
        for _ in 0..2 {
            let connection = open_as(&path, MIGRATIONS).expect("a file of sessions");
            assert_eq!(number(&connection, "PRAGMA user_version"), 2);
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

        let mut store = SqliteStore::open(&path, Policy::default()).expect("a file of sessions");
        assert_eq!(store.earliest_now(), Timestamp::from_millis(4500));
        let mut outcomes = Outcomes::new();
        let conditions = None;
        let batch = [Operation::Validate { key, conditions }, Operation::Stats];
        store.apply(Timestamp::from_millis(5500), &batch, &mut outcomes);
        let [
            Ok(Outcome::Valid { expires_at, .. }),
            Ok(Outcome::Stats { sessions, .. }),
        ] = outcomes.list()
        else {
            panic!("{outcomes:?}");
        };
        assert_eq!(expires_at, &Timestamp::from_millis(9000));
        assert_eq!(sessions, &Some(1));
        drop(store);
        // That one had expired was written at the time that the node had.
        let (_, written_at) = open(&path).expect("a file of sessions");
        assert_eq!(written_at, Timestamp::from_millis(5500));
    }

    #[test]
    fn nodes_that_make_a_file_at_once_all_get_it() {
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
