//! Approvals: a person's yes to one plan, good for one run.

use rusqlite::{Connection, OptionalExtension, Row, Transaction};

use super::log::append;
use super::{Durability, Ledger, LedgerError, PlanStatus, parsed, plans};
use crate::log::Kind;
use crate::receipt::{ApprovalHow, Approver};
use crate::statement::PlanApproval;

/// An approval as the ledger has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApprovalRecord {
    /// Its id, 32 hex digits.
    pub id: String,
    /// The plan's id.
    pub plan: String,
    /// How it was given.
    pub how: ApprovalHow,
    /// By whom and when.
    pub approver: Approver,
    /// The text that was signed or typed.
    pub text: String,
    /// The SSH signature in its armour, where there is one.
    pub signature: Option<String>,
    /// Run key of the run that used it.
    pub consumed_by: Option<String>,
}

impl Ledger {
    /// Whether a run took a plan up whose outcome nobody knows, so that it can be resumed.
    ///
    /// # Errors
    ///
    /// [`LedgerError::NotFound`] for an id that is not exactly a plan's.
    pub fn is_resumable(&self, plan: &str) -> Result<bool, LedgerError> {
        self.read(|connection| resumable(connection, &plans::plan(connection, plan)?))
    }

    /// Adds an approval of a waiting plan, durably, with its signed bundle in the log. Returns its id.
    ///
    /// Who may approve, how many are needed and how long a yes is good is for the caller to check, now and again
    /// when the plan is applied.
    ///
    /// # Errors
    ///
    /// [`LedgerError::NotFound`], [`LedgerError::PlanNotWaiting`] or [`LedgerError::PlanNotApprovable`].
    pub fn add_approval(&self, approval: &PlanApproval, bundle: &[u8]) -> Result<String, LedgerError> {
        let mut id = [0; 16];
        getrandom::fill(&mut id).map_err(LedgerError::Random)?;
        let id = hex::encode(id);
        self.write(Durability::Durable, |transaction| {
            let plan = plans::plan(transaction, &approval.plan.id)?;
            let resumable = resumable(transaction, &plan)?;
            let plan = approvable(plan, resumable)?;
            let entry = append(transaction, Kind::Approval, &plan.run, bundle)?;
            let approver = &approval.approver;
            transaction.execute(
                "INSERT INTO approvals(id, plan, entry, how, principal, fingerprint, kind, touch, at, signed_text,
                 signature) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
                (
                    &id,
                    &plan.id,
                    entry,
                    approval.how.word(),
                    &approver.principal,
                    &approver.fingerprint,
                    &approver.kind,
                    approver.touch,
                    approver.at.to_string(),
                    &approval.text,
                    &approval.signature,
                ),
            )?;
            Ok(())
        })?;
        Ok(id)
    }

    /// The approvals of a plan, used ones too, in the order in which they came.
    ///
    /// # Errors
    ///
    /// SQLite's.
    pub fn approvals(&self, plan: &str) -> Result<Vec<ApprovalRecord>, LedgerError> {
        self.read(|connection| {
            let mut statement = connection.prepare(
                "SELECT id, plan, how, principal, fingerprint, kind, touch, at, signed_text, signature, consumed_by
                 FROM approvals WHERE plan = ?1 ORDER BY entry",
            )?;
            Ok(statement.query_map([plan], read_approval)?.collect::<Result<_, _>>()?)
        })
    }
}

pub(super) const RESUMABLE: &str =
    "SELECT EXISTS (SELECT 1 FROM runs WHERE plan = ?1 AND status = 'unknown' AND settled_by IS NULL)";

/// Whether a run took the plan up whose outcome nobody knows, so that it can be resumed, with a fresh approval where
/// the old one is too old.
fn resumable(connection: &Connection, plan: &plans::PlanRecord) -> Result<bool, LedgerError> {
    Ok(plan.status == PlanStatus::Applied && connection.query_row(RESUMABLE, [&plan.id], |row| row.get(0))?)
}

/// The plan, if it still waits and may be approved.
pub(super) fn waiting(transaction: &Transaction<'_>, id: &str) -> Result<plans::PlanRecord, LedgerError> {
    approvable(plans::plan(transaction, id)?, false)
}

fn approvable(plan: plans::PlanRecord, resumable: bool) -> Result<plans::PlanRecord, LedgerError> {
    if plan.status != PlanStatus::Waiting && !resumable {
        return Err(LedgerError::PlanNotWaiting { plan: plan.id, status: plan.status });
    }
    if !plan.approvable {
        return Err(LedgerError::PlanNotApprovable { plan: plan.id });
    }
    Ok(plan)
}

/// Marks an approval of a plan as used by a run.
pub(super) fn consume(
    transaction: &Transaction<'_>,
    id: &str,
    plan: Option<&str>,
    run: &str,
) -> Result<(), LedgerError> {
    let query = "SELECT consumed_by FROM approvals WHERE id = ?1 AND plan = ?2";
    let used: Option<Option<String>> =
        transaction.query_row(query, (id, plan), |row| row.get(0)).optional()?;
    match used {
        None => {
            Err(LedgerError::ApprovalElsewhere { approval: id.into(), plan: plan.unwrap_or("(none)").into() })
        }
        Some(Some(run)) => Err(LedgerError::ApprovalUsed { approval: id.into(), run }),
        Some(None) => {
            transaction.execute("UPDATE approvals SET consumed_by = ?2 WHERE id = ?1", (id, run))?;
            Ok(())
        }
    }
}

fn read_approval(row: &Row<'_>) -> rusqlite::Result<ApprovalRecord> {
    Ok(ApprovalRecord {
        id: row.get(0)?,
        plan: row.get(1)?,
        how: parsed(row, 2)?,
        approver: Approver {
            principal: row.get(3)?,
            fingerprint: row.get(4)?,
            kind: row.get(5)?,
            touch: row.get(6)?,
            at: parsed(row, 7)?,
        },
        text: row.get(8)?,
        signature: row.get(9)?,
        consumed_by: row.get(10)?,
    })
}
