//! What the content store holds of each run, and what of it may go.
//!
//! A row goes after the files that it tells of: after a crash between the two, the next one to erase finds the row
//! and nothing else to do. Nothing of a run goes whose outcome nobody knows and that nothing has settled, or whose
//! plan waits for a person.

use jiff::Timestamp;
use rusqlite::OptionalExtension;

use super::runs::OPEN;
use super::{Durability, Ledger, LedgerError, now, parsed};

/// What the content store holds of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The run key.
    pub run: String,
    /// Bytes.
    pub bytes: u64,
    /// Since when.
    pub at: Timestamp,
}

impl Ledger {
    /// The bytes of all runs.
    ///
    /// # Errors
    ///
    /// SQLite's.
    pub fn kept_bytes(&self) -> Result<u64, LedgerError> {
        self.read(|connection| {
            let query = "SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'kept'";
            let sum: i64 = connection.query_row(query, [], |row| row.get(0))?;
            Ok(u64::try_from(sum).unwrap_or(0))
        })
    }

    /// What may be erased, oldest first, at most `limit`.
    ///
    /// # Errors
    ///
    /// SQLite's.
    pub fn erasable(&self, limit: u32) -> Result<Vec<Kept>, LedgerError> {
        self.read(|connection| {
            let mut statement = connection.prepare(&format!(
                "SELECT run, bytes, at FROM kept
                 WHERE NOT EXISTS (SELECT 1 FROM runs WHERE key = kept.run AND {OPEN})
                 AND NOT EXISTS (SELECT 1 FROM plans WHERE plans.run = kept.run AND plans.status = 'waiting'
                                 AND plans.approvable = 1 AND plans.expires > ?1)
                 ORDER BY at LIMIT ?2"
            ))?;
            let rows = statement.query_map((now(), limit), |row| {
                Ok(Kept {
                    run: row.get(0)?,
                    bytes: row.get::<_, i64>(1)?.unsigned_abs(),
                    at: parsed(row, 2)?,
                })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// Takes note that the files of a run are gone, and erases the answers to its effects. The files go first.
    ///
    /// # Errors
    ///
    /// SQLite's.
    pub fn erased(&self, run: &str) -> Result<(), LedgerError> {
        self.write(Durability::Soft, |transaction| {
            transaction.execute("DELETE FROM kept WHERE run = ?1", [run])?;
            transaction.execute(
                "UPDATE effects SET response = NULL WHERE run = ?1 AND response IS NOT NULL",
                [run],
            )?;
            Ok(())
        })
    }

    /// Whether files of this run in the content store belong to nothing: the run is on no record, or its files were
    /// erased before, and nobody will go on with it.
    ///
    /// # Errors
    ///
    /// SQLite's.
    pub fn is_orphan(&self, run: &str) -> Result<bool, LedgerError> {
        self.read(|connection| {
            let query = format!(
                "SELECT EXISTS (SELECT 1 FROM kept WHERE run = ?1) OR EXISTS (SELECT 1 FROM runs WHERE key = ?1 AND {OPEN})"
            );
            let known: Option<bool> = connection.query_row(&query, [run], |row| row.get(0)).optional()?;
            Ok(known != Some(true))
        })
    }

    /// Erases the documents and seeds of plans that were made before a time and that nobody can carry out or go on
    /// with any more. Returns how many; with `dry_run`, how many there are.
    ///
    /// # Errors
    ///
    /// SQLite's.
    pub fn erase_plans(&self, before: Timestamp, dry_run: bool) -> Result<u64, LedgerError> {
        let which = format!(
            "created < ?1 AND length(document) > 0 AND (status <> 'waiting' OR approvable = 0 OR expires < ?2)
             AND NOT EXISTS (SELECT 1 FROM runs WHERE plan = plans.id AND {OPEN})"
        );
        let when = (before.to_string(), now());
        if dry_run {
            return self.read(|connection| {
                let query = format!("SELECT count(*) FROM plans WHERE {which}");
                Ok(connection.query_row(&query, when, |row| row.get::<_, i64>(0))?.unsigned_abs())
            });
        }
        self.write(Durability::Durable, |transaction| {
            let update = format!("UPDATE plans SET document = x'', secret = x'' WHERE {which}");
            Ok(transaction.execute(&update, when)? as u64)
        })
    }
}
