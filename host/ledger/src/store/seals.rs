//! A check value on each row, so that a flipped bit in a column that no signature covers does not stay unseen.
//!
//! A seal is the first 16 bytes of a SHA-256 over every other column of its row. It guards against a failing disk, and
//! not against a person: who can write the file can write seals too, and is stopped by signatures and by checkpoints
//! that are kept elsewhere.
//!
//! Rows are written without a seal, and a change takes a row's seal away (triggers `*_unsealed`); [`seal`] puts the
//! new ones on before each commit. So no writer can forget it.

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row, Transaction};
use sha2::{Digest as _, Sha256};

use super::LedgerError;

/// The tables whose rows are sealed before a commit, and the columns that name a row.
pub(super) const SEALED: [(&str, &[&str]); 7] = [
    ("plans", &["id"]),
    ("approvals", &["id"]),
    ("runs", &["key"]),
    ("effects", &["run", "number"]),
    ("checkpoints", &["size"]),
    ("journal", &["run", "number"]),
    ("kept", &["receipt"]),
];

const COLUMN: &str = "seal";

/// One look at the partial indexes, which are empty but for this transaction's rows.
pub(super) fn look() -> String {
    let looks = SEALED.map(|(table, _)| format!("EXISTS (SELECT 1 FROM {table} WHERE seal IS NULL)"));
    format!("SELECT {}", looks.join(", "))
}

/// Seals the rows that were written in this transaction.
pub(super) fn seal(transaction: &Transaction<'_>) -> Result<(), LedgerError> {
    let mut statement = transaction.prepare_cached(&look())?;
    let written: Vec<bool> =
        statement.query_row([], |row| (0..SEALED.len()).map(|table| row.get(table)).collect())?;
    for ((table, key), written) in SEALED.into_iter().zip(written) {
        if written {
            seal_table(transaction, table, key)?;
        }
    }
    Ok(())
}

fn seal_table(transaction: &Transaction<'_>, table: &str, key: &[&str]) -> Result<(), LedgerError> {
    let mut unsealed = transaction.prepare_cached(&format!("SELECT * FROM {table} WHERE seal IS NULL"))?;
    let mut rows = unsealed.query([])?;
    let mut seals = Vec::new();
    while let Some(row) = rows.next()? {
        let name: Vec<rusqlite::types::Value> =
            key.iter().map(|column| row.get(*column)).collect::<Result<_, _>>()?;
        seals.push((name, of_row(row)?));
    }
    let names: Vec<String> =
        key.iter().enumerate().map(|(at, column)| format!("{column} = ?{}", at + 2)).collect();
    let query = format!("UPDATE {table} SET seal = ?1 WHERE {}", names.join(" AND "));
    let mut update = transaction.prepare_cached(&query)?;
    for (name, seal) in seals {
        let seal = rusqlite::types::Value::Blob(seal.to_vec());
        update.execute(rusqlite::params_from_iter(std::iter::once(seal).chain(name)))?;
    }
    Ok(())
}

/// The seal that a row should have: over the name, type and value of each of its columns but the seal.
pub(super) fn of_row(row: &Row<'_>) -> rusqlite::Result<[u8; 16]> {
    let names = row.as_ref().column_names();
    let columns = names.into_iter().enumerate().filter(|(_, name)| *name != COLUMN);
    let mut seal = Seal::default();
    for (at, name) in columns {
        seal.add(name, row.get_ref(at)?);
    }
    Ok(seal.end())
}

/// A seal in the making.
#[derive(Default)]
pub(super) struct Seal(Sha256);

impl Seal {
    /// Adds a column. Lengths go first, so that no two rows are written alike.
    pub(super) fn add(&mut self, name: &str, value: ValueRef<'_>) {
        let integer;
        let (kind, bytes): (u8, &[u8]) = match value {
            ValueRef::Null => (0, &[]),
            ValueRef::Integer(number) => {
                integer = number.to_be_bytes();
                (1, &integer)
            }
            ValueRef::Real(number) => {
                integer = number.to_bits().to_be_bytes().map(|byte| byte);
                (2, &integer)
            }
            ValueRef::Text(text) => (3, text),
            ValueRef::Blob(blob) => (4, blob),
        };
        for part in [name.as_bytes(), &[kind], bytes] {
            self.0.update(part.len().to_be_bytes());
            self.0.update(part);
        }
    }

    pub(super) fn end(self) -> [u8; 16] {
        let mut seal = [0; 16];
        seal.copy_from_slice(self.0.finalize().split_at(16).0);
        seal
    }
}

/// The sealed rows of a table that are not what was written, each by its name.
pub(super) fn broken(connection: &Connection, table: &str, key: &[&str]) -> Result<Vec<String>, LedgerError> {
    let mut statement = connection.prepare(&format!("SELECT * FROM {table}"))?;
    let mut rows = statement.query([])?;
    let mut broken = Vec::new();
    while let Some(row) = rows.next()? {
        let seal: Option<Vec<u8>> = row.get(COLUMN).ok();
        if seal.as_deref() != Some(&of_row(row)?) {
            let name = key.iter().map(|column| shown(row, column)).collect::<Result<Vec<_>, _>>()?;
            broken.push(name.join(", "));
        }
    }
    Ok(broken)
}

/// A column as text; it may be anything by now.
fn shown(row: &Row<'_>, column: &str) -> rusqlite::Result<String> {
    Ok(match row.get_ref(column)? {
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Text(text) => String::from_utf8_lossy(text).chars().take(200).collect(),
        _ => "(no name)".to_owned(),
    })
}
