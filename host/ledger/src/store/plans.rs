//! Plans that wait, and what became of them.

use std::str::FromStr;

use jiff::Timestamp;
use rusqlite::{Connection, Row};
use zeroize::Zeroizing;

use super::{Durability, Ledger, LedgerError, UnknownWord, found, parsed, resolve};
use crate::digest::Digest;

const COLUMNS: &str = "id, digest, capability, input_digest, run, created, expires, status, approvable";

pub(super) const LAST_APPLIED: &str =
    "SELECT plan FROM runs WHERE capability = ?1 AND plan IS NOT NULL AND intent IS NOT NULL
     AND status IN ('done', 'partial') ORDER BY intent DESC LIMIT 1";

/// What the ledger knows of a plan, without its document and its seed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanRecord {
    /// The plan's id.
    pub id: String,
    /// The plan's hash, which approvals sign.
    pub digest: Digest,
    /// The capability.
    pub capability: String,
    /// Digest of the arguments. It is the same for the same arguments and never leaves this file.
    pub input_digest: Digest,
    /// Run key of the run that made it.
    pub run: String,
    /// When it was made.
    pub created: Timestamp,
    /// When it stops being good.
    pub expires: Timestamp,
    /// What became of it.
    pub status: PlanStatus,
    /// Whether anybody may approve it.
    pub approvable: bool,
}

/// What became of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlanStatus {
    /// It waits for a person.
    Waiting,
    /// A run has taken it up.
    Applied,
    /// A person said no.
    Rejected,
    /// A newer plan takes its place.
    Superseded,
}

/// Which plans to list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanFilter {
    /// Of this status only.
    pub status: Option<PlanStatus>,
    /// Of this capability only.
    pub capability: Option<String>,
    /// At most so many.
    pub limit: u32,
}

impl Ledger {
    /// Keeps a plan. One that is stored to wait for a person is stored durably.
    ///
    /// `document` is the plan's JSON and `secret` its seed; both are opaque here, and the secret is given out by
    /// [`Ledger::plan_secret`] alone.
    ///
    /// # Errors
    ///
    /// SQLite's, such as an id that is taken.
    pub fn store_plan(
        &self,
        plan: &PlanRecord,
        document: &[u8],
        secret: &[u8],
        durability: Durability,
    ) -> Result<(), LedgerError> {
        self.write(durability, |transaction| {
            transaction.execute(
                "INSERT INTO plans(id, digest, capability, input_digest, run, created, expires, status, approvable,
                 document, secret) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
                (
                    &plan.id,
                    plan.digest.to_string(),
                    &plan.capability,
                    plan.input_digest.to_string(),
                    &plan.run,
                    plan.created.to_string(),
                    plan.expires.to_string(),
                    plan.status.word(),
                    plan.approvable,
                    document,
                    secret,
                ),
            )?;
            Ok(())
        })
    }

    /// The plan whose id is `name` or, alone, begins with it.
    ///
    /// # Errors
    ///
    /// [`LedgerError::NotFound`] or [`LedgerError::Ambiguous`].
    pub fn plan(&self, name: &str) -> Result<PlanRecord, LedgerError> {
        self.read(|connection| {
            let query = "SELECT id FROM plans WHERE id >= ?1 AND id < ?2 ORDER BY id LIMIT 2";
            plan(connection, &resolve(connection, "plan", query, name)?)
        })
    }

    /// A plan's JSON.
    ///
    /// # Errors
    ///
    /// [`LedgerError::NotFound`] for an id that is not exactly a plan's.
    pub fn plan_document(&self, id: &str) -> Result<Vec<u8>, LedgerError> {
        self.read(|connection| {
            let query = "SELECT document FROM plans WHERE id = ?1";
            found(connection.query_row(query, [id], |row| row.get(0)), "plan", id)
        })
    }

    /// A plan's seed. It is wiped from memory when it is dropped.
    ///
    /// # Errors
    ///
    /// [`LedgerError::NotFound`] for an id that is not exactly a plan's.
    pub fn plan_secret(&self, id: &str) -> Result<Zeroizing<Vec<u8>>, LedgerError> {
        self.read(|connection| {
            let query = "SELECT secret FROM plans WHERE id = ?1";
            found(connection.query_row(query, [id], |row| row.get(0)), "plan", id).map(Zeroizing::new)
        })
    }

    /// Plans, the newest first.
    ///
    /// # Errors
    ///
    /// SQLite's.
    pub fn plans(&self, filter: &PlanFilter) -> Result<Vec<PlanRecord>, LedgerError> {
        self.read(|connection| {
            let mut statement = connection.prepare(&format!(
                "SELECT {COLUMNS} FROM plans WHERE (?1 IS NULL OR status = ?1) AND (?2 IS NULL OR capability = ?2)
                 ORDER BY rowid DESC LIMIT ?3"
            ))?;
            let status = filter.status.map(PlanStatus::word);
            let plans = statement.query_map((status, &filter.capability, filter.limit), read_plan)?;
            Ok(plans.collect::<Result<_, _>>()?)
        })
    }

    /// Rejects or supersedes a waiting plan, or supersedes one that was taken up and found stale. Durable.
    ///
    /// # Errors
    ///
    /// [`LedgerError::PlanNotWaiting`] for every other change; only [`Ledger::intend`] takes a plan up.
    pub fn set_plan_status(&self, id: &str, status: PlanStatus) -> Result<(), LedgerError> {
        self.write(Durability::Durable, |transaction| {
            let before = plan(transaction, id)?.status;
            match (before, status) {
                (PlanStatus::Waiting, PlanStatus::Rejected | PlanStatus::Superseded)
                | (PlanStatus::Applied, PlanStatus::Superseded) => {}
                _ => return Err(LedgerError::PlanNotWaiting { plan: id.into(), status: before }),
            }
            transaction.execute("UPDATE plans SET status = ?2 WHERE id = ?1", (id, status.word()))?;
            Ok(())
        })
    }

    /// The plan that was last carried out for a capability, in whole or in part.
    ///
    /// # Errors
    ///
    /// SQLite's.
    pub fn last_applied_plan(&self, capability: &str) -> Result<Option<PlanRecord>, LedgerError> {
        self.read(|connection| {
            let mut statement = connection.prepare(LAST_APPLIED)?;
            let mut rows = statement.query_map([capability], |row| row.get::<_, String>(0))?;
            rows.next().map(|id| plan(connection, &id?)).transpose()
        })
    }
}

/// The plan with exactly this id.
pub(super) fn plan(connection: &Connection, id: &str) -> Result<PlanRecord, LedgerError> {
    let query = format!("SELECT {COLUMNS} FROM plans WHERE id = ?1");
    found(connection.query_row(&query, [id], read_plan), "plan", id)
}

fn read_plan(row: &Row<'_>) -> rusqlite::Result<PlanRecord> {
    Ok(PlanRecord {
        id: row.get(0)?,
        digest: parsed(row, 1)?,
        capability: row.get(2)?,
        input_digest: parsed(row, 3)?,
        run: row.get(4)?,
        created: parsed(row, 5)?,
        expires: parsed(row, 6)?,
        status: parsed(row, 7)?,
        approvable: row.get(8)?,
    })
}

impl PlanStatus {
    const ALL: [Self; 4] = [Self::Waiting, Self::Applied, Self::Rejected, Self::Superseded];

    /// The word on screens and in the ledger.
    pub fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Applied => "applied",
            Self::Rejected => "rejected",
            Self::Superseded => "superseded",
        }
    }
}

impl FromStr for PlanStatus {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        Self::ALL.into_iter().find(|status| status.word() == word).ok_or(UnknownWord)
    }
}
