//! The protocol of a run that changes something: intend, then for each effect started and performed, then the
//! receipt. What the guest asked and was told meanwhile goes into the journal with the commits that are made anyhow.
//!
//! The durable commits of a run with N effects are N + 1: one for each `started`, of which the first syncs the intent
//! too, and the receipt. `performed` is written at once and synced with the next.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, Transaction};

use super::continuing::{check_continued, check_undone, supersede, take_over};
use super::log::append;
use super::{Durability, Ledger, LedgerError, UnknownWord, approvals, now, parsed, sequence};
use crate::digest::Digest;
use crate::log::Kind;
use crate::runlock;

/// Runs whose effects nobody can be sure of; the index `runs_open` has exactly these.
pub(super) const OPEN: &str =
    "intent IS NOT NULL AND settled_by IS NULL AND (receipt IS NULL OR status = 'unknown')";

/// That a run is about to change something.
#[derive(Clone, Copy, Debug)]
pub struct NewIntent<'a> {
    /// The run key.
    pub run: &'a str,
    /// The capability.
    pub capability: &'a str,
    /// Digest of the arguments: the same for the same arguments. It never leaves the ledger's file.
    pub input_digest: &'a Digest,
    /// Id of the stored plan that it takes up.
    pub plan: Option<&'a str>,
    /// Ids of the approvals that it uses up.
    pub approvals: &'a [String],
    /// The signed intent.
    pub bundle: &'a [u8],
    /// Run key of the run with an unknown outcome that this one goes on with. Its plan is taken up once more; what it
    /// has performed, and its journal, become this run's. With the number of effects that it is thought to have
    /// performed.
    pub continues: Option<(&'a str, u64)>,
    /// Run key of the run that this one takes back.
    pub undoes: Option<&'a str>,
}

/// A run that has an intent and no receipt, and whose process is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dangling {
    /// The run key.
    pub run: String,
    /// The capability.
    pub capability: String,
    /// The plan that it took up.
    pub plan: Option<String>,
    /// The run that it goes on with.
    pub continues: Option<String>,
    /// Sequence of its intent.
    pub intent: u64,
    /// When the intent was committed.
    pub at: Timestamp,
}

/// How far an effect is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EffectProgress {
    /// It may have been sent, and no answer is known.
    Started,
    /// It happened.
    Performed,
    /// A person said that it did not happen.
    NotPerformed,
}

/// An effect of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EffectState {
    /// Its place in the plan, from 1.
    pub number: u64,
    /// How far it is.
    pub progress: EffectProgress,
    /// Digest of its request.
    pub request_digest: Digest,
    /// The answer, as the caller encoded it.
    pub response: Option<Vec<u8>>,
    /// When it reached this state.
    pub at: Timestamp,
}

impl Ledger {
    /// Commits an intent, and uses up its plan and approvals, in one transaction. Without it, nothing may be changed.
    /// Returns the intent's sequence.
    ///
    /// It may be [`Durability::Soft`] where an effect is the first thing that changes something: the durable commit
    /// that starts the effect syncs the intent too. A power cut before that loses an intent under which nothing was
    /// sent, with the use of its approvals.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Blocked`], [`LedgerError::PlanNotWaiting`], [`LedgerError::PlanNotApprovable`],
    /// [`LedgerError::ApprovalUsed`], [`LedgerError::ApprovalElsewhere`], or a run key that is taken.
    pub fn intend(&self, intent: &NewIntent<'_>, durability: Durability) -> Result<u64, LedgerError> {
        self.write(durability, |transaction| {
            if let Some(run) = blocking(
                transaction,
                intent.capability,
                intent.input_digest,
                intent.continues.map(|(run, _)| run),
            )? {
                return Err(LedgerError::Blocked { run });
            }
            match (intent.plan, intent.continues) {
                (Some(id), None) => {
                    approvals::waiting(transaction, id)?;
                    transaction.execute("UPDATE plans SET status = 'applied' WHERE id = ?1", [id])?;
                }
                (_, Some((earlier, performed))) => check_continued(transaction, intent, earlier, performed)?,
                (None, None) => {}
            }
            if let (Some(undone), None) = (intent.undoes, intent.continues) {
                check_undone(transaction, undone)?;
            }
            for id in intent.approvals {
                approvals::consume(transaction, id, intent.plan, intent.run)?;
            }
            if run_exists(transaction, intent.run)? {
                return Err(LedgerError::RunState {
                    run: intent.run.into(),
                    what: "is in the ledger already",
                });
            }
            let entry = append(transaction, Kind::Intent, intent.run, intent.bundle)?;
            transaction.execute(
                "INSERT INTO runs(key, capability, input_digest, plan, intent, continues, undoes)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                (
                    intent.run,
                    intent.capability,
                    intent.input_digest.to_string(),
                    intent.plan,
                    entry,
                    intent.continues.map(|(run, _)| run),
                    intent.undoes,
                ),
            )?;
            supersede(transaction, intent)?;
            if let Some((earlier, _)) = intent.continues {
                take_over(transaction, earlier, intent.run)?;
            }
            Ok(sequence(entry))
        })
    }

    /// Commits that an effect is about to be sent. Durable; send it only after this has returned.
    ///
    /// # Errors
    ///
    /// [`LedgerError::RunState`] for a run without an intent or with a receipt, for a number that is not the
    /// next, or while the effect before it has no answer.
    pub fn effect_started(
        &self,
        run: &str,
        number: u64,
        request: &Digest,
        journal: &[Vec<u8>],
    ) -> Result<(), LedgerError> {
        self.write(Durability::Durable, |transaction| {
            open_run(transaction, run)?;
            extend_journal(transaction, run, journal)?;
            let query = "SELECT count(*) FILTER (WHERE state = 'performed'), max(number) FILTER (WHERE state = 'started')
                         FROM effects WHERE run = ?1";
            let (performed, in_doubt): (i64, Option<i64>) =
                transaction.query_row(query, [run], |row| Ok((row.get(0)?, row.get(1)?)))?;
            let wrong = |what| Err(LedgerError::RunState { run: run.into(), what });
            if number != sequence(performed) + 1 {
                return wrong(match in_doubt {
                    Some(_) => "has an effect without an answer",
                    None => "starts its effects out of order",
                });
            }
            match in_doubt {
                None => insert_effect(transaction, run, performed + 1, request),
                // Taken over from the run that this one goes on with, and sent again.
                Some(_) if continues(transaction, run)? => Ok(()),
                Some(_) => wrong("has an effect without an answer"),
            }
        })
    }

    /// The journal of a run whose outcome is unknown, or that is under way.
    ///
    /// # Errors
    ///
    /// SQLite's.
    pub fn journal(&self, run: &str) -> Result<Vec<Vec<u8>>, LedgerError> {
        self.read(|connection| {
            let query = "SELECT entry FROM journal WHERE run = ?1 ORDER BY number";
            let mut statement = connection.prepare(query)?;
            Ok(statement.query_map([run], |row| row.get(0))?.collect::<Result<_, _>>()?)
        })
    }

    /// Writes the answer of an effect; the next durable commit syncs it.
    ///
    /// # Errors
    ///
    /// [`LedgerError::RunState`] for an effect that is not started or has an answer.
    pub fn effect_performed(
        &self,
        run: &str,
        number: u64,
        response: &[u8],
        journal: &[Vec<u8>],
    ) -> Result<(), LedgerError> {
        self.write(Durability::Soft, |transaction| {
            open_run(transaction, run)?;
            extend_journal(transaction, run, journal)?;
            let changed = transaction.execute(
                "UPDATE effects SET state = 'performed', response = ?3, at = ?4
                 WHERE run = ?1 AND number = ?2 AND state = 'started'",
                (run, number.cast_signed(), response, now()),
            )?;
            if changed != 1 {
                return Err(LedgerError::RunState { run: run.into(), what: "has not started that effect" });
            }
            Ok(())
        })
    }

    /// The effects that a run has started, in order.
    ///
    /// # Errors
    ///
    /// SQLite's.
    pub fn effects(&self, run: &str) -> Result<Vec<EffectState>, LedgerError> {
        self.read(|connection| {
            let mut statement = connection.prepare(
                "SELECT number, state, request_digest, response, at FROM effects WHERE run = ?1
                 ORDER BY number",
            )?;
            Ok(statement.query_map([run], read_effect)?.collect::<Result<_, _>>()?)
        })
    }

    /// Runs with an intent, without a receipt, and without a living process. Each is owed a receipt with status
    /// `unknown`.
    ///
    /// # Errors
    ///
    /// SQLite's, or a lock that cannot be looked at.
    pub fn dangling(&self) -> Result<Vec<Dangling>, LedgerError> {
        let mut found = Vec::new();
        for run in self.without_receipt()? {
            if !runlock::is_alive(&self.state, &run.run)? {
                found.push(run);
            }
        }
        if found.is_empty() {
            return Ok(found);
        }
        // A run may have ended in order between the two looks.
        let still = self.without_receipt()?;
        found.retain(|run| still.contains(run));
        Ok(found)
    }

    /// The run of the same capability and arguments that is under way or whose outcome is unknown.
    ///
    /// # Errors
    ///
    /// SQLite's.
    pub fn blocked_by(&self, capability: &str, input: &Digest) -> Result<Option<String>, LedgerError> {
        self.read(|connection| blocking(connection, capability, input, None))
    }

    fn without_receipt(&self) -> Result<Vec<Dangling>, LedgerError> {
        self.read(|connection| {
            let mut statement = connection.prepare(&format!(
                "SELECT key, capability, plan, intent, at, continues FROM runs JOIN entries ON sequence = intent
                 WHERE {OPEN} AND receipt IS NULL ORDER BY intent"
            ))?;
            Ok(statement.query_map([], read_dangling)?.collect::<Result<_, _>>()?)
        })
    }
}

fn blocking(
    connection: &Connection,
    capability: &str,
    input: &Digest,
    but: Option<&str>,
) -> Result<Option<String>, LedgerError> {
    let query = format!(
        "SELECT key FROM runs WHERE {OPEN} AND resolved = 0 AND capability = ?1 AND input_digest = ?2
         AND key IS NOT ?3 LIMIT 1"
    );
    Ok(connection.query_row(&query, (capability, input.to_string(), but), |row| row.get(0)).optional()?)
}

/// Appends to a run's journal.
pub(super) fn extend_journal(
    transaction: &Transaction<'_>,
    run: &str,
    journal: &[Vec<u8>],
) -> Result<(), LedgerError> {
    for entry in journal {
        transaction.execute(
            "INSERT INTO journal(run, number, entry)
             VALUES (?1, (SELECT coalesce(max(number), 0) + 1 FROM journal WHERE run = ?1), ?2)",
            (run, entry),
        )?;
    }
    Ok(())
}

fn continues(transaction: &Transaction<'_>, run: &str) -> Result<bool, LedgerError> {
    let query = "SELECT continues IS NOT NULL FROM runs WHERE key = ?1";
    Ok(transaction.query_row(query, [run], |row| row.get(0))?)
}

fn run_exists(transaction: &Transaction<'_>, run: &str) -> Result<bool, LedgerError> {
    let query = "SELECT EXISTS (SELECT 1 FROM runs WHERE key = ?1)";
    Ok(transaction.query_row(query, [run], |row| row.get(0))?)
}

fn open_run(transaction: &Transaction<'_>, run: &str) -> Result<(), LedgerError> {
    let query =
        "SELECT EXISTS (SELECT 1 FROM runs WHERE key = ?1 AND intent IS NOT NULL AND receipt IS NULL)";
    if transaction.query_row(query, [run], |row| row.get(0))? {
        return Ok(());
    }
    Err(LedgerError::RunState { run: run.into(), what: "has no intent, or has its receipt already" })
}

fn insert_effect(
    transaction: &Transaction<'_>,
    run: &str,
    number: i64,
    request: &Digest,
) -> Result<(), LedgerError> {
    transaction.execute(
        "INSERT INTO effects(run, number, state, request_digest, at) VALUES (?1, ?2, 'started', ?3, ?4)",
        (run, number, request.to_string(), now()),
    )?;
    Ok(())
}

fn read_dangling(row: &Row<'_>) -> rusqlite::Result<Dangling> {
    Ok(Dangling {
        run: row.get(0)?,
        capability: row.get(1)?,
        plan: row.get(2)?,
        intent: sequence(row.get(3)?),
        at: parsed(row, 4)?,
        continues: row.get(5)?,
    })
}

fn read_effect(row: &Row<'_>) -> rusqlite::Result<EffectState> {
    Ok(EffectState {
        number: sequence(row.get(0)?),
        progress: parsed(row, 1)?,
        request_digest: parsed(row, 2)?,
        response: row.get(3)?,
        at: parsed(row, 4)?,
    })
}

impl std::str::FromStr for EffectProgress {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        match word {
            "started" => Ok(Self::Started),
            "performed" => Ok(Self::Performed),
            "not-performed" => Ok(Self::NotPerformed),
            _ => Err(UnknownWord),
        }
    }
}
