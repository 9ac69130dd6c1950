//! Receipts: the end of every run, and how they are found again.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Transaction};

use super::log::{append_at, next_sequence};
use super::runs::extend_journal;
use super::{Durability, Ledger, LedgerError, found, now, parsed, resolve, sequence};
use crate::digest::Digest;
use crate::log::Kind;
use crate::receipt::Status;
use crate::statement::StatementError;

/// The end of a run.
#[derive(Clone, Copy, Debug)]
pub struct NewReceipt<'a> {
    /// The run key.
    pub run: &'a str,
    /// The capability.
    pub capability: &'a str,
    /// How the run ended.
    pub status: Status,
    /// Run key of a run with an unknown outcome that this one settles: it blocks nothing any more.
    pub settles: Option<&'a str>,
    /// What a person said of an effect of another run, which this receipt is about.
    pub resolves: Option<Resolution<'a>>,
    /// Whether the run's process was gone, and another one writes this.
    pub recovery: bool,
    /// How many bytes the content store holds of the run.
    pub kept: u64,
}

impl<'a> NewReceipt<'a> {
    /// What the log calls it.
    fn kind(&self) -> Kind {
        match self.status {
            _ if self.recovery => Kind::Recovery,
            Status::Denied => Kind::Denial,
            _ => Kind::Receipt,
        }
    }

    /// The end of a run that settles and resolves nothing, is written by the run's own process, and keeps no bodies.
    pub fn new(run: &'a str, capability: &'a str, status: Status) -> Self {
        Self { run, capability, status, settles: None, resolves: None, recovery: false, kept: 0 }
    }
}

/// What a person said of an effect of which nobody knew whether it happened.
#[derive(Clone, Copy, Debug)]
pub struct Resolution<'a> {
    /// The run key.
    pub run: &'a str,
    /// The effect's number, from 1.
    pub effect: u64,
    /// What became of it.
    pub outcome: Outcome<'a>,
}

/// What became of an effect.
#[derive(Clone, Copy, Debug)]
pub enum Outcome<'a> {
    /// It did not happen.
    NotPerformed,
    /// It happened, and what the service answered is lost.
    Performed,
    /// It happened, and this is what the service answered.
    Answered {
        /// As in [`Ledger::effect_performed`].
        response: &'a [u8],
        /// The journal's entry of it.
        journal: &'a [u8],
    },
}

/// A receipt in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiptSummary {
    /// The run key.
    pub run: String,
    /// The capability.
    pub capability: String,
    /// How the run ended.
    pub status: Status,
    /// The receipt's sequence.
    pub sequence: u64,
    /// When it was committed.
    pub at: Timestamp,
}

/// A receipt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredReceipt {
    /// What a list shows of it.
    pub summary: ReceiptSummary,
    /// Its signed bundle.
    pub bundle: Vec<u8>,
}

/// Which receipts to list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiptFilter {
    /// Of this capability only.
    pub capability: Option<String>,
    /// Of this status only.
    pub status: Option<Status>,
    /// At most so many.
    pub limit: u32,
}

impl Ledger {
    /// Commits a receipt. `sign` is given the sequence that the receipt will have, and returns its bundle. Durable
    /// for every run that planned or changed something; soft for read-only runs.
    ///
    /// # Errors
    ///
    /// [`LedgerError::RunState`] for a run that has its receipt, or one that settles a run which is not
    /// unknown; what `sign` returns.
    pub fn commit_receipt(
        &self,
        receipt: &NewReceipt<'_>,
        durability: Durability,
        sign: impl FnOnce(u64) -> Result<Vec<u8>, StatementError>,
    ) -> Result<u64, LedgerError> {
        self.write(durability, |transaction| {
            if let Some(resolution) = &receipt.resolves {
                resolve_effect(transaction, resolution)?;
            }
            if let Some(earlier) = receipt.settles {
                settle(transaction, earlier, receipt.run)?;
            }
            let entry = next_sequence(transaction)?;
            let bundle = sign(sequence(entry))?;
            append_at(transaction, entry, receipt.kind(), receipt.run, &bundle)?;
            let continues = receipt.resolves.map(|resolution| resolution.run).or(receipt.settles);
            let changed = transaction
                .prepare_cached(
                    "INSERT INTO runs(key, capability, receipt, status, continues) VALUES (?1, ?2, ?3, ?4, ?5)
                     ON CONFLICT (key) DO UPDATE SET receipt = ?3, status = ?4
                     WHERE receipt IS NULL AND capability = ?2",
                )?
                .execute((receipt.run, receipt.capability, entry, receipt.status.word(), continues))?;
            if changed != 1 {
                return Err(LedgerError::RunState {
                    run: receipt.run.into(),
                    what: "has its receipt already",
                });
            }
            if receipt.status != Status::Unknown {
                // The recording has it from here on; nobody resumes this run.
                transaction.prepare_cached("DELETE FROM journal WHERE run = ?1")?.execute([receipt.run])?;
            }
            if receipt.kept > 0 {
                transaction
                    .prepare_cached("INSERT INTO kept(receipt, bytes) VALUES (?1, ?2)")?
                    .execute((entry, receipt.kept.cast_signed()))?;
            }
            Ok(sequence(entry))
        })
    }

    /// The receipt of the run whose key is `name` or, alone, begins with it. The last part of a key, from its
    /// `R` on, will do too.
    ///
    /// # Errors
    ///
    /// [`LedgerError::NotFound`] or [`LedgerError::Ambiguous`].
    pub fn receipt(&self, name: &str) -> Result<StoredReceipt, LedgerError> {
        self.read(|connection| {
            let by_key = "SELECT key FROM runs WHERE receipt IS NOT NULL AND key >= ?1 AND key < ?2
                          ORDER BY key LIMIT 2";
            let by_end = "SELECT key FROM runs WHERE receipt IS NOT NULL
                          AND substr(key, instr(key, '__R') + 2) >= ?1
                          AND substr(key, instr(key, '__R') + 2) < ?2 ORDER BY key LIMIT 2";
            let query = if name.starts_with('R') { by_end } else { by_key };
            let key = resolve(connection, "run", query, name)?;
            let query = "SELECT key, capability, status, receipt, at, envelope, digest FROM runs
                         JOIN entries ON sequence = receipt WHERE key = ?1";
            let (receipt, digest): (_, Digest) = found(
                connection.prepare_cached(query)?.query_row([&key], |row| {
                    Ok((StoredReceipt { summary: read_summary(row)?, bundle: row.get(5)? }, parsed(row, 6)?))
                }),
                "run",
                &key,
            )?;
            if Digest::of(&receipt.bundle) != digest {
                return Err(LedgerError::RunState {
                    run: key,
                    what: "has a receipt that was damaged on disk",
                });
            }
            Ok(receipt)
        })
    }

    /// Receipts, the newest first.
    ///
    /// # Errors
    ///
    /// SQLite's.
    pub fn receipts(&self, filter: &ReceiptFilter) -> Result<Vec<ReceiptSummary>, LedgerError> {
        self.read(|connection| {
            let mut statement = connection.prepare(
                "SELECT key, capability, status, receipt, at
                 FROM entries CROSS JOIN runs ON key = entries.run AND receipt = sequence
                 WHERE (?1 IS NULL OR capability = ?1) AND (?2 IS NULL OR status = ?2)
                 ORDER BY sequence DESC LIMIT ?3",
            )?;
            let status = filter.status.map(Status::word);
            let rows = statement.query_map((&filter.capability, status, filter.limit), read_summary)?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }
}

/// Marks an unknown run as taken over, so that it blocks nothing any more.
fn settle(transaction: &Transaction<'_>, earlier: &str, by: &str) -> Result<(), LedgerError> {
    let query =
        "SELECT status = 'unknown' AND settled_by IS NULL FROM runs WHERE key = ?1 AND receipt IS NOT NULL";
    let open: Option<bool> = transaction.query_row(query, [earlier], |row| row.get(0)).optional()?;
    if open != Some(true) {
        let what = "has no unknown outcome that another run could settle";
        return Err(LedgerError::RunState { run: earlier.into(), what });
    }
    transaction.execute("UPDATE runs SET settled_by = ?2 WHERE key = ?1", (earlier, by))?;
    transaction.execute("DELETE FROM journal WHERE run = ?1", [earlier])?;
    Ok(())
}

/// Writes down what a person said of an effect. Once all are told of, the run blocks no new plan.
fn resolve_effect(transaction: &Transaction<'_>, resolution: &Resolution<'_>) -> Result<(), LedgerError> {
    let Resolution { run, effect, outcome } = resolution;
    let open =
        "SELECT status = 'unknown' AND settled_by IS NULL FROM runs WHERE key = ?1 AND receipt IS NOT NULL";
    let open: Option<bool> = transaction.query_row(open, [run], |row| row.get(0)).optional()?;
    let (state, response) = match outcome {
        Outcome::NotPerformed => ("not-performed", None),
        Outcome::Performed => ("performed", None),
        Outcome::Answered { response, .. } => ("performed", Some(*response)),
    };
    let changed = transaction.execute(
        "UPDATE effects SET state = ?3, response = ?4, at = ?5 WHERE run = ?1 AND number = ?2 AND state = 'started'",
        (run, effect.cast_signed(), state, response, now()),
    )?;
    if open != Some(true) || changed != 1 {
        let what = "has no such effect of which nobody knows whether it happened";
        return Err(LedgerError::RunState { run: (*run).into(), what });
    }
    if let Outcome::Answered { journal, .. } = outcome {
        extend_journal(transaction, run, &[journal.to_vec()])?;
    }
    transaction.execute(
        "UPDATE runs SET resolved = 1 WHERE key = ?1
         AND NOT EXISTS (SELECT 1 FROM effects WHERE run = ?1 AND state = 'started')",
        [run],
    )?;
    Ok(())
}

fn read_summary(row: &rusqlite::Row<'_>) -> rusqlite::Result<ReceiptSummary> {
    Ok(ReceiptSummary {
        run: row.get(0)?,
        capability: row.get(1)?,
        status: parsed(row, 2)?,
        sequence: sequence(row.get(3)?),
        at: parsed(row, 4)?,
    })
}
