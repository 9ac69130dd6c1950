//! What is kept of each run, and what of it may go: bodies in the ledger's file or in the content store.
//!
//! A row, with the bodies in it, goes after the files that it tells of: after a crash between the two, the next one to erase finds the row
//! and nothing else to do. Nothing of a run goes whose outcome nobody knows and that nothing has settled, or whose
//! plan waits for a person.

use jiff::Timestamp;
use rusqlite::OptionalExtension;

use super::runs::OPEN;
use super::{Durability, Ledger, LedgerError, now, parsed};

pub(super) const KEPT_BYTES: &str = "SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'kept'";

/// What the content store holds of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The run key.
    pub run: String,
    /// Bytes.
    pub bytes: u64,
    /// Since when.
    pub at: Timestamp,
}

impl Ledger {
    /// The bytes of all runs.
    ///
    /// # Errors
    ///
    /// SQLite's.
    pub fn kept_bytes(&self) -> Result<u64, LedgerError> {
        self.read(|connection| {
            let sum: i64 = connection.prepare_cached(KEPT_BYTES)?.query_row([], |row| row.get(0))?;
            Ok(u64::try_from(sum).unwrap_or(0))
        })
    }

    /// What may be erased, oldest first, at most `limit`.
    ///
    /// # Errors
    ///
    /// SQLite's.
    pub fn erasable(&self, limit: u32) -> Result<Vec<Kept>, LedgerError> {
        self.read(|connection| {
            let mut statement = connection.prepare(&format!(
                "SELECT run, bytes, at FROM kept CROSS JOIN entries ON sequence = kept.receipt
                 WHERE NOT EXISTS (SELECT 1 FROM runs WHERE key = entries.run AND {OPEN})
                 AND NOT EXISTS (SELECT 1 FROM plans WHERE plans.run = entries.run AND plans.status = 'waiting'
                                 AND plans.approvable = 1 AND plans.expires > ?1)
                 ORDER BY kept.receipt LIMIT ?2"
            ))?;
            let rows = statement.query_map((now(), limit), |row| {
                Ok(Kept {
                    run: row.get(0)?,
                    bytes: row.get::<_, i64>(1)?.unsigned_abs(),
                    at: parsed(row, 2)?,
                })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// Takes note that the files of a run are gone, and erases the answers to its effects. The files go first.
    ///
    /// # Errors
    ///
    /// SQLite's.
    pub fn erased(&self, run: &str) -> Result<(), LedgerError> {
        self.write(Durability::Soft, |transaction| {
            let delete = "DELETE FROM kept WHERE receipt = (SELECT receipt FROM runs WHERE key = ?1)";
            transaction.execute(delete, [run])?;
            transaction.execute(
                "UPDATE effects SET response = NULL WHERE run = ?1 AND response IS NOT NULL",
                [run],
            )?;
            Ok(())
        })
    }

    /// Whether files of this run in the content store belong to nothing: the run is on no record, or its files were
    /// erased before, and nobody will go on with it.
    ///
    /// # Errors
    ///
    /// SQLite's.
    pub fn is_orphan(&self, run: &str) -> Result<bool, LedgerError> {
        self.read(|connection| {
            let query = format!(
                "SELECT EXISTS (SELECT 1 FROM kept WHERE receipt = (SELECT receipt FROM runs WHERE key = ?1))
                 OR EXISTS (SELECT 1 FROM runs WHERE key = ?1 AND {OPEN})"
            );
            let known: Option<bool> = connection.query_row(&query, [run], |row| row.get(0)).optional()?;
            Ok(known != Some(true))
        })
    }

    /// Erases the documents and seeds of plans that were made before a time and that nobody can carry out or go on
    /// with any more. Returns how many; with `dry_run`, how many there are.
    ///
    /// # Errors
    ///
    /// SQLite's.
    pub fn erase_plans(&self, before: Timestamp, dry_run: bool) -> Result<u64, LedgerError> {
        let which = format!(
            "created < ?1 AND length(document) > 0 AND (status <> 'waiting' OR approvable = 0 OR expires < ?2)
             AND NOT EXISTS (SELECT 1 FROM runs WHERE plan = plans.id AND {OPEN})"
        );
        let when = (before.to_string(), now());
        if dry_run {
            return self.read(|connection| {
                let query = format!("SELECT count(*) FROM plans WHERE {which}");
                Ok(connection.query_row(&query, when, |row| row.get::<_, i64>(0))?.unsigned_abs())
            });
        }
        self.write(Durability::Durable, |transaction| {
            let update = format!("UPDATE plans SET document = x'', secret = x'' WHERE {which}");
            Ok(transaction.execute(&update, when)? as u64)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::digest::Digest;
    use crate::receipt::Status;
    use crate::store::{NewIntent, NewReceipt, PlanRecord, PlanStatus};

    fn receipt(ledger: &Ledger, run: &str, status: Status, kept: u64) {
        let new = NewReceipt { kept, ..NewReceipt::new(run, "a.b", status) };
        ledger.commit_receipt(&new, Durability::Soft, |_| Ok(run.as_bytes().to_vec())).unwrap();
    }

    fn plan(ledger: &Ledger, id: &str, run: &str, approvable: bool, lives: Duration) {
        let now = Timestamp::now();
        let record = PlanRecord {
            id: id.into(),
            digest: Digest::of(b""),
            capability: "a.b".into(),
            input_digest: Digest::of(id.as_bytes()),
            run: run.into(),
            created: now,
            expires: now + lives,
            status: PlanStatus::Waiting,
            approvable,
        };
        ledger.store_plan(&record, b"{}", b"seed", Durability::Soft).unwrap();
    }

    fn erasable(ledger: &Ledger) -> Vec<String> {
        ledger.erasable(100).unwrap().into_iter().map(|kept| kept.run).collect()
    }

    #[test]
    fn what_is_kept_is_summed_and_goes_oldest_first() {
        let state = crate::scratch();
        let ledger = Ledger::open(state.path()).unwrap();
        for (run, bytes) in [("R2", 10), ("R1", 5), ("R0", 0)] {
            receipt(&ledger, run, Status::Done, bytes);
        }
        assert_eq!(ledger.kept_bytes().unwrap(), 15);
        assert_eq!(erasable(&ledger), ["R2", "R1"]);
        assert_eq!(ledger.erasable(1).unwrap().len(), 1);
        assert!(ledger.is_orphan("R9").unwrap() && !ledger.is_orphan("R1").unwrap());
        ledger.erased("R2").unwrap();
        ledger.erased("R2").unwrap();
        assert_eq!((ledger.kept_bytes().unwrap(), erasable(&ledger)), (5, vec!["R1".to_owned()]));
        assert!(ledger.is_orphan("R2").unwrap());
    }

    #[test]
    fn what_waits_or_is_unknown_stays() {
        let state = crate::scratch();
        let ledger = Ledger::open(state.path()).unwrap();
        let long = Duration::from_secs(3600);
        for (id, run, approvable, lives) in [
            ("p1", "R1", true, long),
            ("p2", "R2", true, Duration::ZERO),
            ("p3", "R3", false, long),
            ("p4", "R4", true, long),
        ] {
            plan(&ledger, id, run, approvable, lives);
            receipt(&ledger, run, Status::Planned, 1);
        }
        let intent = NewIntent {
            run: "R5",
            capability: "a.b",
            input_digest: &Digest::of(b"p4"),
            plan: Some("p4"),
            approvals: &[],
            bundle: b"intent",
            continues: None,
            undoes: None,
        };
        ledger.intend(&intent, Durability::Soft).unwrap();
        assert!(!ledger.is_orphan("R5").unwrap(), "a run under way is none");
        ledger.effect_started("R5", 1, &Digest::of(b"request"), &[]).unwrap();
        ledger.effect_performed("R5", 1, b"answer", &[]).unwrap();
        receipt(&ledger, "R5", Status::Unknown, 1);
        assert_eq!(erasable(&ledger), ["R2", "R3", "R4"], "R1 waits, and of R5 nobody knows");

        let later = Timestamp::now() + long;
        assert_eq!(ledger.erase_plans(Timestamp::MIN, true).unwrap(), 0, "all are younger");
        assert_eq!(ledger.erase_plans(later, true).unwrap(), 2, "p1 waits, and R5 may be resumed with p4");
        assert_eq!(ledger.erase_plans(later, false).unwrap(), 2);
        assert_eq!(ledger.erase_plans(later, false).unwrap(), 0);
        for (id, left) in [("p1", true), ("p2", false), ("p3", false), ("p4", true)] {
            assert_eq!(ledger.plan_document(id).unwrap().is_empty(), !left, "{id}");
            assert_eq!(ledger.plan_secret(id).unwrap().is_empty(), !left, "{id}");
        }

        let settling = NewReceipt { settles: Some("R5"), ..NewReceipt::new("R6", "a.b", Status::Partial) };
        ledger.commit_receipt(&settling, Durability::Soft, |_| Ok(b"R6".to_vec())).unwrap();
        assert_eq!(erasable(&ledger), ["R2", "R3", "R4", "R5"]);
        ledger.erased("R5").unwrap();
        assert_eq!(ledger.effects("R5").unwrap()[0].response, None);
    }
}
