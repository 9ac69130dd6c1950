//! Runs that have to do with an earlier one: those that go on with it, those that take its place, and those that take it
//! back. Each is checked in the transaction of its intent, so that two processes cannot do it at once.

use rusqlite::{OptionalExtension, Transaction};

use super::runs::{NewIntent, OPEN};
use super::{LedgerError, sequence};

/// A run that goes on with another one must have the right to: nobody knows the other's outcome, nobody else went on
/// with it, and it is the same plan.
pub(super) fn check_continued(
    transaction: &Transaction<'_>,
    intent: &NewIntent<'_>,
    earlier: &str,
    performed: u64,
) -> Result<(), LedgerError> {
    let query =
        "SELECT status = 'unknown' AND settled_by IS NULL AND plan IS ?2 AND input_digest = ?3 FROM runs
                 WHERE key = ?1 AND receipt IS NOT NULL";
    let input = intent.input_digest.to_string();
    let open: Option<bool> =
        transaction.query_row(query, (earlier, intent.plan, input), |row| row.get(0)).optional()?;
    let query = "SELECT count(*) FROM effects WHERE run = ?1 AND state = 'performed'";
    let known: i64 = transaction.query_row(query, [earlier], |row| row.get(0))?;
    match open {
        // Somebody may have said meanwhile what became of an effect.
        Some(true) if sequence(known) != performed => Err(LedgerError::RunState {
            run: earlier.into(),
            what: "was resolved meanwhile; resume it again",
        }),
        Some(true) => Ok(()),
        _ => Err(LedgerError::RunState {
            run: earlier.into(),
            what: "is not one that can be resumed: its outcome is known, or another run has taken its place",
        }),
    }
}

/// A run is taken back once: what came after it must not be taken away by a plan that was made before.
pub(super) fn check_undone(transaction: &Transaction<'_>, undone: &str) -> Result<(), LedgerError> {
    let query = "SELECT EXISTS (SELECT 1 FROM runs WHERE undoes = ?1
                 AND (status IS NULL OR status = 'done' OR (status = 'unknown' AND settled_by IS NULL)))";
    if transaction.query_row(query, [undone], |row| row.get(0))? {
        return Err(LedgerError::RunState {
            run: undone.into(),
            what: "was taken back already, or is being taken back",
        });
    }
    Ok(())
}

/// A new run of the same input takes the place of earlier ones that a person has resolved: they cannot be resumed
/// after it, or they would do again what it has done.
pub(super) fn supersede(transaction: &Transaction<'_>, intent: &NewIntent<'_>) -> Result<(), LedgerError> {
    transaction.execute(
        &format!(
            "UPDATE runs SET settled_by = ?1 WHERE {OPEN} AND resolved = 1 AND capability = ?2 AND input_digest = ?3"
        ),
        (intent.run, intent.capability, intent.input_digest.to_string()),
    )?;
    Ok(())
}

/// Makes what a run has performed, what is in doubt of it, and its journal, those of the run that goes on with it. An
/// effect in doubt is one that is safe to send again; until that has happened, the doubt stays.
pub(super) fn take_over(transaction: &Transaction<'_>, earlier: &str, run: &str) -> Result<(), LedgerError> {
    transaction
        .execute("UPDATE runs SET settled_by = ?2 WHERE key = ?1 AND settled_by IS NULL", (earlier, run))?;
    transaction.execute(
        "INSERT INTO effects(run, number, state, request_digest, response, at)
         SELECT ?2, number, state, request_digest, response, at FROM effects
         WHERE run = ?1 AND state <> 'not-performed'",
        (earlier, run),
    )?;
    // Where nothing was done, the world is looked at again.
    transaction.execute(
        "INSERT INTO journal(run, number, entry) SELECT ?2, number, entry FROM journal WHERE run = ?1
         AND EXISTS (SELECT 1 FROM effects WHERE run = ?2)",
        (earlier, run),
    )?;
    transaction.execute("DELETE FROM journal WHERE run = ?1", [earlier])?;
    Ok(())
}
