//! Opening the file, and making it the first time.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use rustix::fs::{CWD, FileType, FlockOperation, Mode, flock, mknodat};
use rustix::io::Errno;

use super::LedgerError;
use crate::private::{self, FileError};

const NAME: &str = "ledger.db";

/// SQLite's own name for the log of the file.
pub(super) const WAL_NAME: &str = "ledger.db-wal";

/// The tables, indexes and triggers.
pub(super) const SCHEMA: &str = include_str!("schema.sql");

/// In the file's header: "opsL".
const APPLICATION_ID: i32 = 0x6f70_734c;
const SCHEMA_VERSION: &str = "4";

/// How long anybody waits for another process.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// Statements that are kept ready: all those of a read-only run's receipt, and some more.
const STATEMENTS: usize = 32;

/// The connection and the ledger's id.
pub(super) fn open(state: &Path) -> Result<(Connection, String), LedgerError> {
    private::check_folder(state)?;
    let path = state.join(NAME);
    prepare_file(&path)?;
    let connection = connect(&path)?;
    let mut application = application_id(&connection)?;
    if application == 0 {
        let _alone = wait_alone(state)?;
        if application_id(&connection)? == 0 {
            create(&connection, &path)?;
            private::sync_folder(state)?;
        }
        application = application_id(&connection)?;
    }
    let id = check(&connection, application, &path)?;
    Ok((connection, id))
}

/// Another connection to the ledger that this process has open.
pub(super) fn again(state: &Path) -> Result<Connection, LedgerError> {
    connect(&state.join(NAME))
}

fn connect(path: &Path) -> Result<Connection, LedgerError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(PATIENCE)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    // SQLite's log is moved into the file when wal.rs says so: that waits for the disk.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, true)?;
    // A log that begins anew is cut off behind its newest commit, so that its length says how much is in it. What is
    // deleted is overwritten: bodies and salts are erased for good.
    connection.execute_batch(
        "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0; PRAGMA journal_size_limit = 0;
         PRAGMA secure_delete = ON",
    )?;
    Ok(connection)
}

/// Looks at the file, or makes an empty one. Never opens it: closing a descriptor of a file that SQLite has open
/// in the same process would drop SQLite's locks.
fn prepare_file(path: &Path) -> Result<(), FileError> {
    match mknodat(CWD, path, FileType::RegularFile, Mode::RUSR | Mode::WUSR, 0) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(FileError::io("create", path)(error.into())),
    }
    let data = path.symlink_metadata().map_err(FileError::io("look at", path))?;
    let what = if !data.is_file() {
        "is not a regular file"
    } else if data.uid() != rustix::process::geteuid().as_raw() {
        "belongs to another user"
    } else if data.mode() & 0o077 != 0 {
        "is open to other users (its mode must be 0600)"
    } else {
        return Ok(());
    };
    Err(FileError::Unsafe { path: path.to_path_buf(), what })
}

/// Holds the state folder's lock, so that two processes do not make the ledger at once.
fn wait_alone(state: &Path) -> Result<File, FileError> {
    let folder = File::open(state).map_err(FileError::io("open", state))?;
    let start = Instant::now();
    loop {
        match flock(&folder, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(folder),
            Err(Errno::WOULDBLOCK) if start.elapsed() < PATIENCE => std::thread::sleep(PATIENCE / 500),
            Err(error) => return Err(FileError::io("lock", state)(error.into())),
        }
    }
}

fn create(connection: &Connection, path: &Path) -> Result<(), LedgerError> {
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if tables > 0 {
        return Err(LedgerError::Foreign { path: path.to_path_buf(), what: "a database, but no ledger" });
    }
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    let mut id = [0; 16];
    getrandom::fill(&mut id).map_err(LedgerError::Random)?;
    let transaction = connection.unchecked_transaction()?;
    transaction.execute_batch(SCHEMA)?;
    let meta = "INSERT INTO meta(key, value) VALUES ('ledger', ?1), ('schema', ?2)";
    transaction.execute(meta, (hex::encode(id), SCHEMA_VERSION))?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    Ok(transaction.commit()?)
}

fn check(connection: &Connection, application: i32, path: &Path) -> Result<String, LedgerError> {
    let foreign = |what| Err(LedgerError::Foreign { path: path.to_path_buf(), what });
    if application != APPLICATION_ID {
        return foreign("a database, but no ledger");
    }
    let meta =
        "SELECT (SELECT value FROM meta WHERE key = 'schema'), (SELECT value FROM meta WHERE key = 'ledger')";
    let (schema, id): (String, String) =
        connection.query_row(meta, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    if schema != SCHEMA_VERSION {
        return foreign("a ledger of another version of ops; use that version");
    }
    Ok(id)
}

fn application_id(connection: &Connection) -> Result<i32, LedgerError> {
    connection.pragma_query_value(None, "application_id", |row| row.get(0)).map_err(LedgerError::from)
}
