//! Whether the ledger is what was written: the whole of it, from SQLite's pages to the tiles on disk.
//!
//! Order of the checks, each of which goes on where one before it found something: SQLite's own of its file; the
//! schema; each entry, by digest, seal, signature and type, and its place in the tree ([`entries`]); the tree against
//! the stored hashes, every checkpoint that was signed, and the one that the caller kept elsewhere; every table that
//! is derived from the log, against what was signed ([`tables`]); the seals of all rows; the tiles.
//!
//! Seals and SQLite's check find a failing disk. Signatures find somebody who rewrites without the keys. Who holds the
//! keys is found by a checkpoint that is kept elsewhere, and by nothing else.

mod entries;
mod tables;
#[cfg(test)]
mod tests;

use std::path::Path;

use rusqlite::{Connection, OptionalExtension};

use super::{Ledger, LedgerError, connect, log, seals, tiles};
use crate::digest::Digest;
use crate::key::PublicKey;
use crate::log::{Checkpoint, LogVerifier};

#[cfg(test)]
pub(super) use tables::PLANS;

/// Findings that are told at most; a file that is damaged all over has one in each row.
const MOST: usize = 200;

/// What to do about something that only a copy of the file can mend.
const RESTORE: &str = "restore ledger.db from a backup, and find out who or what changed it";

/// What the ledger is checked against.
#[derive(Clone, Copy)]
pub struct Against<'a> {
    /// The key that signs its entries.
    pub host: &'a PublicKey,
    /// The key that signs its checkpoints; none where that was never made, or is gone.
    pub log: Option<&'a LogVerifier>,
    /// A checkpoint that was kept elsewhere.
    pub since: Option<&'a Checkpoint>,
    /// The folder with the tiles.
    pub tiles: &'a Path,
    /// The digest of a plan's document, and none where it is no plan.
    pub plan_digest: &'a dyn Fn(&[u8]) -> Option<Digest>,
}

/// What was checked, and what was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// How many entries the log has.
    pub size: u64,
    /// The root of the tree over them.
    pub root: Option<Digest>,
    /// How many checkpoints were compared, stored ones and one that was kept elsewhere.
    pub checkpoints: u64,
    /// How many tiles were compared.
    pub tiles: u64,
    /// The size that the checkpoint beside the tiles states; none where there are no tiles.
    pub published: Option<u64>,
    /// What is wrong: a sentence each, with what to do.
    pub findings: Vec<String>,
}

impl Checked {
    /// Notes something, as long as there is room.
    fn find(&mut self, finding: impl Into<String>) {
        if self.findings.len() < MOST {
            self.findings.push(finding.into());
        } else if self.findings.len() == MOST {
            self.findings.push(format!("there is more; the first {MOST} are told"));
        }
    }

    /// Notes that a part could not be checked at all.
    fn failed(&mut self, part: &str, result: Result<(), LedgerError>) {
        if let Err(error) = result {
            self.find(format!("{part} could not be checked: {error}; {RESTORE}"));
        }
    }
}

impl Ledger {
    /// Checks the whole ledger. Nothing is changed.
    pub fn check(&self, against: &Against<'_>) -> Checked {
        let mut checked = Checked::default();
        let outcome = self.read(|connection| {
            // One transaction, so that all parts see the same ledger while others go on writing.
            let connection = connection.unchecked_transaction()?;
            checked.size = log::size(&connection)?;
            let result = integrity(&connection, &mut checked);
            checked.failed("the file", result);
            let result = schema(&connection, &mut checked);
            checked.failed("the schema", result);
            let result = entries::check(&connection, &self.id, against, &mut checked);
            checked.failed("the log", result);
            let result = tables::check(&connection, against, &mut checked);
            checked.failed("the tables beside the log", result);
            for (table, key) in seals::SEALED {
                let result = sealed(&connection, table, key, &mut checked);
                checked.failed(table, result);
            }
            let result = published(&connection, against, &mut checked);
            checked.failed("the tiles", result);
            Ok(())
        });
        checked.failed("the ledger", outcome);
        checked
    }
}

fn integrity(connection: &Connection, checked: &mut Checked) -> Result<(), LedgerError> {
    let mut statement = connection.prepare("PRAGMA integrity_check(20)")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let line: String = row.get(0)?;
        if line != "ok" {
            checked.find(format!("SQLite finds its file damaged: {line}; {RESTORE}"));
        }
    }
    let mut statement = connection.prepare("PRAGMA foreign_key_check")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let table: String = row.get(0)?;
        checked.find(format!("a row of the table {table} names a row that is not there; {RESTORE}"));
    }
    Ok(())
}

/// Compares tables, indexes and triggers with those that this version makes.
fn schema(connection: &Connection, checked: &mut Checked) -> Result<(), LedgerError> {
    let expected = Connection::open_in_memory()?;
    expected.execute_batch(connect::SCHEMA)?;
    if described(connection)? != described(&expected)? {
        checked.find(format!("a table, index or trigger of the ledger was changed; {RESTORE}"));
    }
    let query = "SELECT count(*) FROM meta WHERE key NOT IN ('ledger', 'schema', 'kept')";
    let more: i64 = connection.query_row(query, [], |row| row.get(0))?;
    if more > 0 {
        checked.find(format!("the table meta has rows that ops did not write; {RESTORE}"));
    }
    let query = "SELECT value = CAST((SELECT coalesce(sum(bytes), 0) FROM kept) AS TEXT) FROM meta WHERE key = 'kept'";
    let summed: Option<bool> = connection.query_row(query, [], |row| row.get(0)).optional()?;
    if summed != Some(true) {
        checked.find(format!("the sum of what is kept is not that of the runs; {RESTORE}"));
    }
    Ok(())
}

/// Kind, name, table and text of each thing in a database.
type Described = Vec<(String, String, String, Option<String>)>;

fn described(connection: &Connection) -> Result<Described, LedgerError> {
    let mut statement =
        connection.prepare("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn sealed(
    connection: &Connection,
    table: &str,
    key: &[&str],
    checked: &mut Checked,
) -> Result<(), LedgerError> {
    for name in seals::broken(connection, table, key)? {
        checked.find(format!("the row {name} of the table {table} is not as it was written; {RESTORE}"));
    }
    Ok(())
}

fn published(
    connection: &Connection,
    against: &Against<'_>,
    checked: &mut Checked,
) -> Result<(), LedgerError> {
    let found = tiles::check(connection, against.tiles, against.log)?;
    (checked.published, checked.tiles) = (found.size, found.compared);
    found.findings.into_iter().for_each(|finding| checked.find(finding));
    Ok(())
}
