//! The tables that are derived from the log, against what was signed.

use rusqlite::types::FromSql;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::entries::Stated;
use super::{Against, Checked, RESTORE};
use crate::bundle::Bundle;
use crate::digest::Digest;
use crate::receipt::{EffectOutcome, EffectRecord, PlanRef, Receipt};
use crate::statement::{Intent, PlanApproval, Statement};
use crate::store::LedgerError;

/// How many rows the entries ask for; the tables must have no more.
#[derive(Default)]
pub(super) struct Seen {
    receipts: u64,
    intents: u64,
    approvals: u64,
    used_approvals: u64,
}

impl Seen {
    /// Compares the numbers of rows.
    pub(super) fn compare(&self, connection: &Connection, checked: &mut Checked) -> Result<(), LedgerError> {
        for (what, expected, query) in [
            ("receipts", self.receipts, "SELECT count(*) FROM runs WHERE receipt IS NOT NULL"),
            ("intents", self.intents, "SELECT count(*) FROM runs WHERE intent IS NOT NULL"),
            ("approvals", self.approvals, "SELECT count(*) FROM approvals"),
            (
                "used approvals",
                self.used_approvals,
                "SELECT count(*) FROM approvals WHERE consumed_by IS NOT NULL",
            ),
        ] {
            let found: i64 = connection.query_row(query, [], |row| row.get(0))?;
            if found.unsigned_abs() != expected {
                checked.find(format!("{what}: the log has {expected}, and the tables {found}; {RESTORE}"));
            }
        }
        let query = "SELECT count(*) FROM runs WHERE receipt IS NULL AND intent IS NULL";
        let stray: i64 = connection.query_row(query, [], |row| row.get(0))?;
        if stray > 0 {
            checked.find(format!("{stray} runs have neither intent nor receipt; {RESTORE}"));
        }
        Ok(())
    }
}

/// Compares the rows that an entry made with what it states.
pub(super) fn check_entry(
    connection: &Connection,
    at: u64,
    run: &str,
    stated: &Stated,
    seen: &mut Seen,
) -> Result<(), String> {
    match stated {
        Stated::Receipt(receipt) => {
            seen.receipts += 1;
            check_receipt(connection, at, &receipt.predicate)
        }
        Stated::Intent(intent) => {
            seen.intents += 1;
            seen.used_approvals += u64::try_from(intent.predicate.approvals.len()).unwrap_or(u64::MAX);
            check_intent(connection, at, &intent.predicate)
        }
        Stated::Approval(approval) => {
            seen.approvals += 1;
            check_approval(connection, at, run, &approval.predicate)
        }
    }
}

fn check_receipt(connection: &Connection, at: u64, receipt: &Receipt) -> Result<(), String> {
    let query = "SELECT receipt = ?2 AND capability = ?3 AND status = ?4 FROM runs WHERE key = ?1";
    let run = &receipt.run;
    let values = params![run.id, at.cast_signed(), run.capability, run.status.word()];
    holds(connection, query, values, "its run's row says otherwise")?;
    receipt.effects.iter().try_for_each(|effect| check_effect(connection, &run.id, effect))
}

/// Compares the row of an effect with the receipt. What was in doubt may be known by now, and a run that goes on with
/// another has no rows for what that one performed.
fn check_effect(connection: &Connection, run: &str, effect: &EffectRecord) -> Result<(), String> {
    let query = "SELECT state FROM effects WHERE run = ?1 AND number = ?2";
    let values = params![run, effect.number.cast_signed()];
    let state: Option<String> = ask(connection, query, values, |row| row.get(0))?;
    let query = "SELECT continues IS NOT NULL FROM runs WHERE key = ?1";
    let continues: Option<bool> = ask(connection, query, params![run], |row| row.get(0))?;
    let fits = match (effect.outcome, state.as_deref()) {
        (EffectOutcome::Performed, None) => continues == Some(true),
        (EffectOutcome::Performed, state) => state == Some("performed"),
        (EffectOutcome::Started, state) => state.is_some() || continues == Some(true),
        (_, state) => state != Some("performed") || continues == Some(true),
    };
    if fits { Ok(()) } else { Err(format!("the row of its effect {} says otherwise", effect.number)) }
}

fn check_intent(connection: &Connection, at: u64, intent: &Intent) -> Result<(), String> {
    let query = "SELECT intent = ?2 AND capability = ?3 AND coalesce(plan, ?4) = ?4 FROM runs WHERE key = ?1";
    let values = params![intent.run, at.cast_signed(), intent.capability, intent.plan.id];
    holds(connection, query, values, "its run's row says otherwise")?;
    plan_digest(connection, &intent.plan)?;
    for approval in &intent.approvals {
        let query = "SELECT consumed_by = ?2 AND plan = ?3 FROM approvals WHERE id = ?1";
        let values = params![approval, intent.run, intent.plan.id];
        holds(connection, query, values, "the row of an approval that it uses up says otherwise")?;
    }
    Ok(())
}

fn check_approval(
    connection: &Connection,
    at: u64,
    run: &str,
    approval: &PlanApproval,
) -> Result<(), String> {
    let query =
        "SELECT approvals.plan = ?2 AND how = ?3 AND principal = ?4 AND fingerprint IS ?5 AND kind IS ?6
                 AND touch = ?7 AND at = ?8 AND signed_text = ?9 AND signature IS ?10 AND plans.run = ?11
                 FROM approvals JOIN plans ON plans.id = approvals.plan WHERE entry = ?1";
    let approver = &approval.approver;
    let values = params![
        at.cast_signed(),
        approval.plan.id,
        approval.how.word(),
        approver.principal,
        approver.fingerprint,
        approver.kind,
        approver.touch,
        approver.at.to_string(),
        approval.text,
        approval.signature,
        run,
    ];
    holds(connection, query, values, "its row says otherwise")?;
    plan_digest(connection, &approval.plan)
}

/// Compares the digest of a stored plan with a signed one. A plan that never waited is not stored.
fn plan_digest(connection: &Connection, plan: &PlanRef) -> Result<(), String> {
    let query = "SELECT digest FROM plans WHERE id = ?1";
    let stored: Option<String> = ask(connection, query, params![plan.id], |row| row.get(0))?;
    match stored {
        Some(digest) if digest != plan.digest.to_string() => Err("its plan's row says otherwise".into()),
        _ => Ok(()),
    }
}

/// Whether the one row that a query is about is as stated.
fn holds(
    connection: &Connection,
    query: &str,
    values: impl rusqlite::Params,
    otherwise: &str,
) -> Result<(), String> {
    match ask(connection, query, values, |row| row.get::<_, Option<bool>>(0))? {
        Some(Some(true)) => Ok(()),
        _ => Err(otherwise.to_owned()),
    }
}

fn ask<T: FromSql>(
    connection: &Connection,
    query: &str,
    values: impl rusqlite::Params,
    read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Option<T>, String> {
    connection.query_row(query, values, read).optional().map_err(|error| error.to_string())
}

pub(in crate::store) const PLANS: &str = "SELECT id, digest, document, status, run,
    EXISTS (SELECT 1 FROM runs WHERE runs.plan = plans.id AND intent IS NOT NULL) FROM plans";

/// Each stored plan: its document, the receipt of the run that made it, and whether a run took it up.
pub(super) fn check(
    connection: &Connection,
    against: &Against<'_>,
    checked: &mut Checked,
) -> Result<(), LedgerError> {
    let mut statement = connection.prepare(PLANS)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (id, digest, document): (String, String, Vec<u8>) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let (status, run, taken): (String, String, bool) = (row.get(3)?, row.get(4)?, row.get(5)?);
        // A document may have been erased.
        if !document.is_empty()
            && (against.plan_digest)(&document).map(|digest| digest.to_string()) != Some(digest.clone())
        {
            checked.find(format!("the document of plan {id} is not the one with its digest; {RESTORE}"));
        }
        match named_in_receipt(connection, &run, &id)? {
            Some(signed) if signed.to_string() == digest => {}
            Some(_) => {
                checked.find(format!("the plan {id} has another digest than its run signed; {RESTORE}"))
            }
            None => {}
        }
        let fits = match status.as_str() {
            "applied" => taken,
            "waiting" | "rejected" => !taken,
            _ => true,
        };
        if !fits {
            checked.find(format!("the plan {id} is {status}, and the log says otherwise; {RESTORE}"));
        }
    }
    Ok(())
}

/// The digest under which the receipt of a run names a plan. The signature was checked with the entry.
fn named_in_receipt(connection: &Connection, run: &str, plan: &str) -> Result<Option<Digest>, LedgerError> {
    let query = "SELECT envelope FROM runs JOIN entries ON sequence = receipt WHERE key = ?1";
    let envelope: Option<Vec<u8>> = connection.query_row(query, [run], |row| row.get(0)).optional()?;
    let statement: Option<Statement<Receipt>> = envelope
        .and_then(|envelope| Bundle::parse(&envelope).ok())
        .and_then(|bundle| bundle.dsse_envelope.unverified_payload())
        .and_then(|payload| serde_json::from_slice(&payload).ok());
    let Some(statement) = statement else { return Ok(None) };
    let run = statement.predicate.run;
    let named = [run.plan, run.new_plan].into_iter().flatten().find(|named| named.id == plan);
    Ok(named.map(|named| named.digest))
}
