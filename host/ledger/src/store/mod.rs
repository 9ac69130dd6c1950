//! The ledger: one SQLite file, the only commit point of the host.
//!
//! Guards against two things. A crash: what must survive a power cut is committed with `synchronous=FULL` before
//! the next step is taken, everything else is written at once and synced with the next such commit. A race: every
//! rule that two processes could break together (an approval used twice, two runs for one plan) is checked in the
//! transaction that writes.
//!
//! Each entry is a leaf of a tree (`log`), whose hashes are written with it; `check` goes through all of it.
//!
//! Order of an opening: the folder is ours and closed; the file is ours, 0600 and made without a moment in which
//! it is not; it is a ledger of a version that we know.

mod approvals;
mod auditing;
mod bodies;
mod check;
mod connect;
mod continuing;
mod kept;
mod listing;
mod log;
mod plans;
mod receipts;
mod runs;
#[cfg(test)]
mod sample;
mod seals;
mod soft;
#[cfg(test)]
mod tests;
mod tiles;
#[cfg(test)]
mod unknown;
mod wal;

pub use approvals::ApprovalRecord;
pub use auditing::{MOST_ROWS, Newest, NewestApproval};
pub use bodies::{Bodies, MOST_SMALL};
pub use check::{Against, Checked};
pub use kept::Kept;
pub use listing::{RunFilter, RunRecord};
pub use plans::{PlanFilter, PlanRecord, PlanStatus};
pub use receipts::{NewReceipt, Outcome, ReceiptFilter, ReceiptSummary, Resolution, StoredReceipt};
pub use runs::{Dangling, EffectProgress, EffectState, NewIntent};
pub use soft::SoftReceipt;

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::atomic::AtomicBool;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, TransactionBehavior};

#[cfg(test)]
use crate::digest::Digest;
use crate::key::KeyError;
use crate::log::CheckpointError;
use crate::log::leaf::LeafError;
use crate::private::FileError;
use crate::receipt::{ApprovalHow, Status};
use crate::statement::StatementError;

/// The ledger of one workspace on one host. May be shared between threads, and opened by several processes.
#[derive(Debug)]
pub struct Ledger {
    state: PathBuf,
    id: String,
    inner: Mutex<Inner>,
    /// Receipts of read-only runs that wait for whoever leads.
    queue: Mutex<soft::Queue>,
    /// Whether something was committed that may not be on disk yet, for whoever syncs it.
    unsynced: (Mutex<bool>, Condvar),
    /// SQLite's log.
    wal: PathBuf,
    /// Whether a thread syncs what was committed, and moves SQLite's log.
    attended: AtomicBool,
    /// That thread's connection, from when it first needs one.
    aside: Mutex<Option<Connection>>,
}

#[derive(Debug)]
struct Inner {
    connection: Connection,
    /// What `PRAGMA synchronous` is set to.
    durability: Durability,
    durable_commits: u64,
    /// Others were using SQLite's log when it was to be moved; it is not tried again below so many bytes.
    log_in_use: u64,
}

/// How long a commit waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Until it is written. It survives a crash of the process, and a power cut once it is synced.
    Soft,
    /// Until it is on disk, with everything that was committed before it.
    Durable,
}

/// Why the ledger did not do what it was asked. Nothing was changed, unless a commit itself failed.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// Its folder or file cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// SQLite failed.
    #[error("the ledger could not be read or written: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// The file is something else.
    #[error("{} is {what}; it was not touched", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// The system has no random bytes.
    #[error("the system gave no random bytes: {0}")]
    Random(getrandom::Error),
    /// The Statement could not be signed.
    #[error(transparent)]
    Statement(#[from] StatementError),
    /// The log's key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A checkpoint is not one that the log's key signed.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The tree does not fit the log.
    #[error("the ledger's log cannot be relied on: {what}; run ops ledger verify")]
    Tree {
        /// What does not fit.
        what: &'static str,
    },
    /// Other processes were using SQLite's log all the time.
    #[error(
        "the ledger's log is in use by other processes, so what was erased is still in ledger.db-wal; do it again later"
    )]
    LogInUse,
    /// No such thing.
    #[error("there is no {what} whose name begins with {name:?}; list them to see the names")]
    NotFound {
        /// `plan`, `run` and so on.
        what: &'static str,
        /// The name that was given.
        name: String,
    },
    /// More than one such thing.
    #[error("more than one {what} has a name that begins with {name:?}; give more of it")]
    Ambiguous {
        /// `plan`, `run` and so on.
        what: &'static str,
        /// The name that was given.
        name: String,
    },
    /// The plan has been used, rejected or replaced.
    #[error("the plan {plan} is {}, so it cannot be approved, rejected or applied; plan again", status.word())]
    PlanNotWaiting {
        /// The plan's id.
        plan: String,
        /// What became of it.
        status: PlanStatus,
    },
    /// A dry run's plan, or one with an unchecked effect.
    #[error("the plan {plan} can never be approved or applied; plan again, without --dry-run")]
    PlanNotApprovable {
        /// The plan's id.
        plan: String,
    },
    /// An approval is good for one run.
    #[error("the approval {approval} was used by the run {run}; a new run needs a new approval")]
    ApprovalUsed {
        /// The approval's id.
        approval: String,
        /// The run that used it.
        run: String,
    },
    /// An approval is good for one plan.
    #[error("there is no approval {approval} of the plan {plan}")]
    ApprovalElsewhere {
        /// The approval's id.
        approval: String,
        /// The plan.
        plan: String,
    },
    /// The same capability may have been changing the same thing.
    #[error(
        "the run {run} of the same capability and input is under way, or its outcome is unknown; see ops status"
    )]
    Blocked {
        /// The run.
        run: String,
    },
    /// The run is not in the state that this step needs.
    #[error("the run {run} {what}")]
    RunState {
        /// The run.
        run: String,
        /// What is wrong.
        what: &'static str,
    },
}

impl Ledger {
    /// Opens the ledger in a state folder, or makes it there.
    ///
    /// # Errors
    ///
    /// A folder or file that is not ours or open to others, a file that is no ledger or one of a newer version,
    /// or one that stays locked for five seconds.
    pub fn open(state: &Path) -> Result<Self, LedgerError> {
        let (connection, id) = connect::open(state)?;
        let inner = Inner { connection, durability: Durability::Durable, durable_commits: 0, log_in_use: 0 };
        Ok(Self {
            state: state.to_path_buf(),
            id,
            inner: Mutex::new(inner),
            queue: Mutex::default(),
            unsynced: Default::default(),
            wal: state.join(connect::WAL_NAME),
            attended: AtomicBool::new(false),
            aside: Mutex::default(),
        })
    }

    /// The ledger's id: 32 hex digits, drawn when it was made.
    pub fn ledger_id(&self) -> &str {
        &self.id
    }

    /// How many commits of this object have waited for the disk.
    pub fn durable_commits(&self) -> u64 {
        self.inner().durable_commits
    }

    // A thread that panicked left no half transaction: SQLite rolled it back.
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read<T>(&self, work: impl FnOnce(&Connection) -> Result<T, LedgerError>) -> Result<T, LedgerError> {
        work(&self.inner().connection)
    }

    fn write<T>(
        &self,
        durability: Durability,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, LedgerError>,
    ) -> Result<T, LedgerError> {
        self.write_in(&mut self.inner(), durability, work)
    }

    fn write_in<T>(
        &self,
        inner: &mut Inner,
        durability: Durability,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, LedgerError>,
    ) -> Result<T, LedgerError> {
        if inner.durability != durability {
            let level = if durability == Durability::Durable { "FULL" } else { "NORMAL" };
            inner.connection.pragma_update(None, "synchronous", level)?;
            inner.durability = durability;
        }
        let transaction = inner.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let out = work(&transaction)?;
        seals::seal(&transaction)?;
        transaction.commit()?;
        if durability == Durability::Durable {
            inner.durable_commits += 1;
        } else {
            *self.unsynced.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
            self.unsynced.1.notify_one();
        }
        self.bound_log(inner);
        Ok(out)
    }
}

/// A word in the ledger's file that this version does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a word in the ledger is not one that this version of ops knows")]
pub struct UnknownWord;

impl FromStr for Status {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        Self::ALL.into_iter().find(|status| status.word() == word).ok_or(UnknownWord)
    }
}

impl FromStr for ApprovalHow {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        Self::ALL.into_iter().find(|how| how.word() == word).ok_or(UnknownWord)
    }
}

impl From<LeafError> for LedgerError {
    fn from(_: LeafError) -> Self {
        Self::Tree { what: "an entry is too long for a leaf" }
    }
}

impl From<tlog_tiles::Error> for LedgerError {
    fn from(_: tlog_tiles::Error) -> Self {
        Self::Tree { what: "its tree's hashes do not fit together" }
    }
}

/// The one name in a table that is, or begins with, what somebody typed.
fn resolve(
    connection: &Connection,
    what: &'static str,
    query: &str,
    name: &str,
) -> Result<String, LedgerError> {
    let mut statement = connection.prepare_cached(query)?;
    // No name has a character behind this one.
    let found = statement.query_map((name, format!("{name}\u{10ffff}")), |row| row.get(0))?;
    let found: Vec<String> = found.take(2).collect::<Result<_, _>>()?;
    match found.as_slice() {
        [first, ..] if first == name => Ok(first.clone()),
        [only] if !name.is_empty() => Ok(only.clone()),
        [_, _] => Err(LedgerError::Ambiguous { what, name: name.into() }),
        _ => Err(LedgerError::NotFound { what, name: name.into() }),
    }
}

fn now() -> String {
    Timestamp::now().to_string()
}

/// A column that is kept as text.
fn parsed<T>(row: &Row<'_>, column: usize) -> rusqlite::Result<T>
where
    T: FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    let text: String = row.get(column)?;
    text.parse()
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error)))
}

fn sequence(number: i64) -> u64 {
    number.unsigned_abs()
}

fn found<T>(row: rusqlite::Result<T>, what: &'static str, name: &str) -> Result<T, LedgerError> {
    row.optional()?.ok_or_else(|| LedgerError::NotFound { what, name: name.into() })
}
