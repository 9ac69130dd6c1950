//! The receipts of read-only runs: nobody waits for the disk, and those that come at once are committed together.
//!
//! A thread leaves its receipt in a queue. The first one leads: it commits all that wait, in one transaction, hands the
//! lead to the first that has come meanwhile, and wakes the others, whose receipts are done. Each receipt is signed with its own sequence inside the
//! transaction, before anybody can see it. Where one of several cannot be committed, the transaction is taken back and
//! each is tried alone, so that none fails for another's fault; where the file itself is at fault, all of them fail.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::Thread;

use rusqlite::types::ValueRef;
use rusqlite::{ErrorCode, Transaction};

use super::bodies::Bodies;
use super::kept::KEPT_BYTES;
use super::log::{INSERT_ENTRY, INSERT_HASH, NEXT_SEQUENCE, READ_HASH, append_at, next_sequence};
use super::seals::Seal;
use super::{Durability, Inner, Ledger, LedgerError, seals, sequence};
use crate::digest::Digest;
use crate::key::HostKey;
use crate::log::Kind;
use crate::receipt::{Receipt, Status};
use crate::statement::{Statement, Unsigned};

/// The receipt of a read-only run, as a request that any thread can carry out.
#[derive(Clone, Debug)]
pub struct SoftReceipt {
    /// The receipt. Its sequence is filled in when it is known.
    pub receipt: Receipt,
    /// Digest of the run's `evidence.json`.
    pub evidence: Digest,
    /// The bodies that go into the ledger's file.
    pub bodies: Bodies,
    /// How many bytes the content store holds of the run besides.
    pub files: u64,
}

/// The most receipts of one transaction.
const MOST_TOGETHER: usize = 64;

const INSERT_RUN: &str =
    "INSERT INTO runs(key, capability, receipt, status, seal) VALUES (?1, ?2, ?3, ?4, ?5)";
const INSERT_KEPT: &str = "INSERT INTO kept(receipt, bytes, seal, bodies) VALUES (?1, ?2, ?3, ?4)";

/// Receipts that wait, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: VecDeque<Arc<Waiting>>,
    /// Whether some thread leads, and will hand on the lead.
    led: bool,
}

/// A receipt that waits for the ledger.
#[derive(Debug)]
pub(super) struct Waiting {
    run: String,
    capability: String,
    status: Status,
    statement: Unsigned,
    bodies: Bodies,
    kept: u64,
    /// The thread that waits for it.
    thread: Thread,
    /// Whether that thread is to lead now.
    leads: AtomicBool,
    done: Mutex<Option<Result<u64, LedgerError>>>,
}

impl Waiting {
    fn new(soft: SoftReceipt) -> Result<Self, LedgerError> {
        let SoftReceipt { receipt, evidence, bodies, files } = soft;
        Ok(Self {
            run: receipt.run.id.clone(),
            capability: receipt.run.capability.clone(),
            status: receipt.run.status,
            kept: bodies.bytes().saturating_add(files),
            bodies,
            statement: Statement::receipt(&evidence, receipt).unsigned()?,
            thread: std::thread::current(),
            leads: AtomicBool::new(false),
            done: Mutex::default(),
        })
    }

    fn end(&self, result: Result<u64, LedgerError>) {
        *self.done.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
    }

    fn is_done(&self) -> bool {
        self.done.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Waits until the receipt is done, or its thread is to lead. Returns whether it is to lead.
    fn wait(&self) -> bool {
        loop {
            if self.is_done() {
                return false;
            }
            if self.leads.load(Ordering::Acquire) {
                return true;
            }
            std::thread::park();
        }
    }

    fn take(&self) -> Option<Result<u64, LedgerError>> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Queue {
    fn first(&mut self) -> Vec<Arc<Waiting>> {
        let number = self.waiting.len().min(MOST_TOGETHER);
        self.waiting.drain(..number).collect()
    }
}

/// A thread that leads. When this goes, somebody else does, even if the thread fails.
struct Lead<'a> {
    ledger: &'a Ledger,
    all: Vec<Arc<Waiting>>,
}

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        {
            let mut queue = self.ledger.queue();
            match queue.waiting.front() {
                Some(next) => {
                    next.leads.store(true, Ordering::Release);
                    next.thread.unpark();
                }
                None => queue.led = false,
            }
        }
        for one in &self.all {
            if !one.is_done() {
                let what = "has no receipt: the thread that was to commit it has failed";
                one.end(Err(LedgerError::RunState { run: one.run.clone(), what }));
            }
            one.thread.unpark();
        }
    }
}

impl Ledger {
    /// Signs and commits the receipt of a run that had no intent; returns its sequence. It is visible, and survives
    /// this process, when this returns; [`Ledger::sync`] brings it to disk. All callers give the same key.
    ///
    /// # Errors
    ///
    /// [`LedgerError::RunState`] for a run that is in the ledger already, a value that cannot be signed, or SQLite's.
    pub fn commit_soft(&self, soft: SoftReceipt, key: &HostKey) -> Result<u64, LedgerError> {
        let waiting = Arc::new(Waiting::new(soft)?);
        let led = {
            let mut queue = self.queue();
            queue.waiting.push_back(waiting.clone());
            std::mem::replace(&mut queue.led, true)
        };
        if !led || waiting.wait() {
            let mut lead = Lead { ledger: self, all: Vec::new() };
            let mut inner = self.inner();
            lead.all = self.queue().first();
            self.commit_together(&mut inner, &lead.all, key);
        }
        waiting.take().unwrap_or(Err(LedgerError::RunState {
            run: waiting.run.clone(),
            what: "has no receipt: nobody committed it",
        }))
    }

    /// Makes SQLite's statements for a receipt ready, which takes longer than to carry them out: for a process that has to
    /// wait for a guest anyway. Nothing depends on it.
    pub fn make_ready(&self) {
        let inner = self.inner();
        for query in
            [NEXT_SEQUENCE, INSERT_ENTRY, INSERT_HASH, READ_HASH, INSERT_RUN, INSERT_KEPT, KEPT_BYTES]
        {
            drop(inner.connection.prepare_cached(query));
        }
        drop(inner.connection.prepare_cached(&seals::look()));
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn commit_together(&self, inner: &mut Inner, all: &[Arc<Waiting>], key: &HostKey) {
        let together = self.write_in(inner, Durability::Soft, |transaction| {
            all.iter().map(|one| commit_one(transaction, one, key)).collect::<Result<Vec<u64>, _>>()
        });
        match (together, all) {
            (Ok(sequences), _) => {
                all.iter().zip(sequences).for_each(|(one, sequence)| one.end(Ok(sequence)));
            }
            (Err(error), [one]) => one.end(Err(error)),
            // What ails the file ails each of them. Tried alone, one after the other would wait for it.
            (Err(LedgerError::Sqlite(rusqlite::Error::SqliteFailure(code, text))), _)
                if code.code != ErrorCode::ConstraintViolation =>
            {
                let same = || rusqlite::Error::SqliteFailure(code, text.clone());
                all.iter().for_each(|one| one.end(Err(same().into())));
            }
            (Err(_), _) => all.iter().for_each(|one| {
                let alone = |transaction: &Transaction<'_>| commit_one(transaction, one, key);
                one.end(self.write_in(inner, Durability::Soft, alone));
            }),
        }
    }
}

fn commit_one(transaction: &Transaction<'_>, new: &Waiting, key: &HostKey) -> Result<u64, LedgerError> {
    let kind = if new.status == Status::Denied { Kind::Denial } else { Kind::Receipt };
    let entry = next_sequence(transaction)?;
    let bundle = new.statement.sign(sequence(entry), key)?;
    append_at(transaction, entry, kind, &new.run, &bundle)?;
    insert_run(transaction, new, entry)?;
    if new.kept > 0 {
        insert_kept(transaction, new, entry)?;
    }
    Ok(sequence(entry))
}

fn insert_run(transaction: &Transaction<'_>, new: &Waiting, entry: i64) -> Result<(), LedgerError> {
    let status = new.status.word();
    let mut insert = transaction.prepare_cached(INSERT_RUN)?;
    let seal = run_seal(&new.run, &new.capability, entry, status);
    match insert.execute((&new.run, &new.capability, entry, status, seal)) {
        Ok(_) => Ok(()),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
            Err(LedgerError::RunState { run: new.run.clone(), what: "is in the ledger already" })
        }
        Err(error) => Err(error.into()),
    }
}

fn insert_kept(transaction: &Transaction<'_>, new: &Waiting, entry: i64) -> Result<(), LedgerError> {
    let pack = Some(new.bodies.pack()).filter(|pack| !pack.is_empty());
    let kept = new.kept.cast_signed();
    let mut seal = Seal::default();
    seal.add("receipt", ValueRef::Integer(entry));
    seal.add("bytes", ValueRef::Integer(kept));
    seal.add("bodies", pack.into());
    let mut insert = transaction.prepare_cached(INSERT_KEPT)?;
    insert.execute((entry, kept, seal.end(), pack))?;
    Ok(())
}

/// The seal of a run's row that has a receipt and nothing else: over every column, in the order of the table.
fn run_seal(key: &str, capability: &str, receipt: i64, status: &str) -> [u8; 16] {
    let mut seal = Seal::default();
    seal.add("key", key.into());
    seal.add("capability", capability.into());
    for none in ["input_digest", "plan", "intent"] {
        seal.add(none, ValueRef::Null);
    }
    seal.add("receipt", ValueRef::Integer(receipt));
    seal.add("status", status.into());
    for none in ["continues", "undoes"] {
        seal.add(none, ValueRef::Null);
    }
    seal.add("resolved", ValueRef::Integer(0));
    seal.add("settled_by", ValueRef::Null);
    seal.end()
}

#[cfg(test)]
mod tests;
