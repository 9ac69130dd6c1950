//! SQLite's log of the ledger's file: how long it may grow, and who moves it into the file.
//!
//! Moving waits for the disk twice, and a caller of a read-only run must wait for nothing. In a host that stays, the
//! thread that syncs the log moves it too, over a connection of its own, while others go on committing; only a log that has
//! outgrown that ([`LONGEST`]) is moved by whoever commits. In a process that serves one command nobody else comes along,
//! so whoever makes the log longer than [`SHORT`] moves it: it stays short, since the first process to open the file
//! reads all of it. What is moved is cut off the log in every case, or the next process would read and move it again.

use std::fs::File;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rusqlite::Connection;

use super::{Inner, Ledger, LedgerError, connect};
use crate::private::FileError;

/// A process that serves one command moves a log of so many bytes: what about twelve read-only runs write.
const SHORT: u64 = 512 << 10;
/// The thread that syncs moves a log of so many bytes.
const DUE: u64 = 1 << 20;
/// Nobody lets the log grow beyond so many bytes without trying to move it.
const LONGEST: u64 = 64 << 20;

impl Ledger {
    /// Waits until everything that was committed is on disk, and blocks nobody meanwhile. Moves a log that has become
    /// long into the file.
    ///
    /// # Errors
    ///
    /// The disk failed.
    pub fn sync(&self) -> Result<(), LedgerError> {
        match File::open(&self.wal).and_then(|log| log.sync_data()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(FileError::io("sync", &self.wal)(error).into());
            }
            _ => {}
        }
        if self.is_attended() && self.log_bytes() >= DUE { self.move_aside() } else { Ok(()) }
    }

    /// Moves the log into the file and cuts it off, so that nothing that was erased stays in it.
    ///
    /// # Errors
    ///
    /// Another process is reading or writing all the time, or the disk failed.
    pub fn empty_log(&self) -> Result<(), LedgerError> {
        let inner = self.inner();
        if cut(&inner.connection, connect::PATIENCE)? { Ok(()) } else { Err(LedgerError::LogInUse) }
    }

    /// Waits, at most so long, until something is committed softly, and takes note of it: [`Ledger::sync`] is due. From
    /// the first call on, commits leave it to the caller to move SQLite's log.
    pub fn wait_unsynced(&self, longest: Duration) -> bool {
        self.attended.store(true, Ordering::Relaxed);
        let (unsynced, changed) = &self.unsynced;
        let unsynced = unsynced.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = changed.wait_timeout_while(unsynced, longest, |unsynced| !*unsynced);
        let (mut unsynced, _) = waited.unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *unsynced)
    }

    fn is_attended(&self) -> bool {
        self.attended.load(Ordering::Relaxed)
    }

    fn log_bytes(&self) -> u64 {
        self.wal.symlink_metadata().map_or(0, |about| about.len())
    }

    /// After a commit: moves a log that has grown too long, unless others use it. The commit stands whatever comes of
    /// that; the next but a few tries again.
    pub(super) fn bound_log(&self, inner: &mut Inner) {
        let longest = if self.is_attended() { LONGEST } else { SHORT };
        let bytes = self.log_bytes();
        if bytes < longest.max(inner.log_in_use) {
            return;
        }
        let is_cut = cut(&inner.connection, Duration::ZERO).unwrap_or(false);
        inner.log_in_use = if is_cut { 0 } else { bytes + longest };
    }

    /// Moves what is in the log now while others write on, and cuts it off if nobody has.
    fn move_aside(&self) -> Result<(), LedgerError> {
        let mut aside = self.aside.lock().unwrap_or_else(PoisonError::into_inner);
        let connection = match aside.as_mut() {
            Some(connection) => connection,
            None => aside.insert(connect::again(&self.state)?),
        };
        let query = "PRAGMA wal_checkpoint(PASSIVE)";
        let (log, moved): (i64, i64) =
            connection.prepare_cached(query)?.query_row([], |row| Ok((row.get(1)?, row.get(2)?)))?;
        if log == moved {
            cut(&self.inner().connection, Duration::ZERO)?;
        }
        Ok(())
    }
}

/// Moves the log into the file and makes it empty, if others let that happen in time.
fn cut(connection: &Connection, patience: Duration) -> rusqlite::Result<bool> {
    connection.busy_timeout(patience)?;
    let busy = connection
        .prepare_cached("PRAGMA wal_checkpoint(TRUNCATE)")
        .and_then(|mut cut| cut.query_row([], |row| row.get::<_, i64>(0)));
    connection.busy_timeout(connect::PATIENCE)?;
    Ok(busy? == 0)
}
