//! Runs as people list them: those that ended, those that are under way, and those of which nobody knows what became.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Row};

use super::{Ledger, LedgerError, parsed, resolve};
use crate::receipt::Status;

const COLUMNS: &str =
    "key, runs.capability, status, plan, continues, settled_by, resolved, intent IS NOT NULL,
    (SELECT at FROM entries WHERE sequence = coalesce(intent, receipt)),
    (SELECT count(*) FROM effects WHERE run = key AND state = 'performed'),
    (SELECT group_concat(number) FROM effects WHERE run = key AND state = 'started')";

/// A run as the ledger has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunRecord {
    /// The run key.
    pub run: String,
    /// The capability.
    pub capability: String,
    /// How it ended; none while it has no receipt.
    pub status: Option<Status>,
    /// The plan that it took up.
    pub plan: Option<String>,
    /// The run that it goes on with or resolves.
    pub continues: Option<String>,
    /// The run that went on with it, or took its place.
    pub settled_by: Option<String>,
    /// Whether a person has said of every effect in doubt what became of it.
    pub resolved: bool,
    /// Whether it has an intent.
    pub intended: bool,
    /// When its intent was committed, or else its receipt.
    pub at: Timestamp,
    /// How many effects it is known to have performed.
    pub performed: u64,
    /// The numbers of the effects that were started and of which no answer is known.
    pub in_doubt: Vec<u64>,
}

/// Which runs to list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunFilter {
    /// Those only of which nobody knows what became, and that nothing has settled.
    pub unknown: bool,
    /// At most so many.
    pub limit: u32,
}

impl Ledger {
    /// Runs, the newest first.
    ///
    /// # Errors
    ///
    /// SQLite's.
    pub fn runs(&self, filter: &RunFilter) -> Result<Vec<RunRecord>, LedgerError> {
        // Of the runs that nobody knows about there is an index.
        let open = super::runs::OPEN;
        let query = if filter.unknown {
            format!("SELECT {COLUMNS} FROM runs WHERE {open} ORDER BY intent DESC LIMIT ?1")
        } else {
            newest()
        };
        self.read(|connection| {
            let mut statement = connection.prepare(&query)?;
            Ok(statement.query_map([filter.limit], read_run)?.collect::<Result<_, _>>()?)
        })
    }

    /// The runs that took another one back, or tried to, the oldest first.
    ///
    /// # Errors
    ///
    /// SQLite's.
    pub fn undone_by(&self, run: &str) -> Result<Vec<RunRecord>, LedgerError> {
        self.read(|connection| {
            let query = format!("SELECT {COLUMNS} FROM runs WHERE undoes = ?1 ORDER BY intent");
            let mut statement = connection.prepare(&query)?;
            Ok(statement.query_map([run], read_run)?.collect::<Result<_, _>>()?)
        })
    }

    /// The run whose key is `name` or, alone, begins with it. The last part of a key, from its `R` on, will do too.
    ///
    /// # Errors
    ///
    /// [`LedgerError::NotFound`] or [`LedgerError::Ambiguous`].
    pub fn run(&self, name: &str) -> Result<RunRecord, LedgerError> {
        self.read(|connection| {
            let by_key = "SELECT key FROM runs WHERE key >= ?1 AND key < ?2 ORDER BY key LIMIT 2";
            let by_end = "SELECT key FROM runs WHERE substr(key, instr(key, '__R') + 2) >= ?1
                          AND substr(key, instr(key, '__R') + 2) < ?2 ORDER BY key LIMIT 2";
            let query = if name.starts_with('R') { by_end } else { by_key };
            let key = resolve(connection, "run", query, name)?;
            let query = format!("SELECT {COLUMNS} FROM runs WHERE key = ?1");
            Ok(connection.query_row(&query, [&key], read_run)?)
        })
    }

    /// The newest run that took a plan up, if one did.
    ///
    /// # Errors
    ///
    /// SQLite's.
    pub fn run_of_plan(&self, plan: &str) -> Result<Option<RunRecord>, LedgerError> {
        self.read(|connection| Ok(connection.query_row(&of_plan(), [plan], read_run).optional()?))
    }
}

/// The log from its end, and of each entry the run that it made known: no more is read than is listed.
pub(super) fn newest() -> String {
    format!(
        "SELECT {COLUMNS} FROM entries AS made CROSS JOIN runs
         WHERE runs.key = made.run AND coalesce(intent, receipt) = made.sequence
         ORDER BY made.sequence DESC LIMIT ?1"
    )
}

pub(super) fn of_plan() -> String {
    format!("SELECT {COLUMNS} FROM runs WHERE plan = ?1 AND intent IS NOT NULL ORDER BY intent DESC LIMIT 1")
}

fn read_run(row: &Row<'_>) -> rusqlite::Result<RunRecord> {
    let status: Option<String> = row.get(2)?;
    let in_doubt: Option<String> = row.get(10)?;
    Ok(RunRecord {
        run: row.get(0)?,
        capability: row.get(1)?,
        status: status.map(|_| parsed(row, 2)).transpose()?,
        plan: row.get(3)?,
        continues: row.get(4)?,
        settled_by: row.get(5)?,
        resolved: row.get(6)?,
        intended: row.get(7)?,
        at: parsed(row, 8)?,
        performed: row.get::<_, i64>(9)?.unsigned_abs(),
        in_doubt: in_doubt
            .map(|text| text.split(',').filter_map(|number| number.parse().ok()).collect())
            .unwrap_or_default(),
    })
}
