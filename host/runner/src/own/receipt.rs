//! A receipt and an output, as the service `ops` answers them: by the whole key, checked against the ledger's own bundle.
//!
//! In this order: the ledger's bundle is signed by this host and is of that run; its evidence lists what was kept; the folder that was written out has the same bundle and fits it. A key is never taken for a path.

use ops_ledger::evidence::{Evidence, Place};
use ops_ledger::export::BUNDLE_NAME;
use ops_ledger::receipt::{Mode, Receipt};
use ops_ledger::statement::{EVIDENCE_NAME, Statement};
use ops_ledger::store::StoredReceipt;
use ops_ledger::verify::{self, EvidenceState};
use serde_json::{Value, json};

use super::{Missing, OUTPUT, safety_word};
use crate::runner::Runner;

/// What the host finds of one of its own receipts.
struct Found {
    stored: StoredReceipt,
    statement: Statement<Receipt>,
    /// What its receipt lists; none where that was erased, in order.
    evidence: Option<Evidence>,
}

impl Runner {
    pub(super) fn own_receipt(&self, run: &str) -> Result<Value, Missing> {
        let found = match self.found(run) {
            Ok(found) => found,
            Err(Missing::Failed(why)) => return self.unreadable(run, &why),
            Err(missing) => return Err(missing),
        };
        let why = self.fault(run, &found);
        let Found { stored, statement, .. } = found;
        let of = statement.predicate.run;
        Ok(json!({
            "run": run, "capability": stored.summary.capability, "status": stored.summary.status.word(),
            "safety": of.safety.map_or("unknown", safety_word), "at": stored.summary.at.to_string(),
            "dry_run": of.mode == Mode::DryRun, "verifies": why.is_none(), "why": why,
        }))
    }

    pub(super) fn own_receipts(&self, last: u32) -> Result<Value, Missing> {
        let (mut verified, mut erased, mut bad) = (0_u64, 0_u64, Vec::new());
        let rows = self.receipts(last)?;
        for row in &rows {
            let checked =
                self.found(&row.key).map(|found| (self.fault(&row.key, &found), found.evidence.is_none()));
            match checked {
                Ok((None, true)) => erased += 1,
                Ok((None, false)) => verified += 1,
                Ok((Some(why), _)) | Err(Missing::Failed(why)) => {
                    bad.push(json!({"run": row.key, "why": why}))
                }
                Err(_) => bad.push(json!({"run": row.key, "why": "it is gone"})),
            }
        }
        Ok(json!({"receipts": rows.len(), "verified": verified, "erased": erased, "bad": bad}))
    }

    pub(super) fn own_output(&self, run: &str) -> Result<Value, Missing> {
        let found = self.found(run)?;
        let Some(evidence) = &found.evidence else { return Err(Missing::Erased) };
        let bytes = self.kept(run, evidence, OUTPUT).map_err(|error| Missing::Failed(error.to_string()))?;
        let bytes = bytes.ok_or(Missing::Unknown)?;
        serde_json::from_slice(&bytes).map_err(|error| Missing::Failed(error.to_string()))
    }

    /// The receipt of a run that the ledger has, as far as its bundle is what this host signed for that run.
    fn found(&self, run: &str) -> Result<Found, Missing> {
        let stored = self.ledger().receipt(run)?;
        if stored.summary.run != run {
            // A part of a key is for people; evidence names the whole.
            return Err(Missing::Unknown);
        }
        let failed = |error: &dyn std::fmt::Display| Missing::Failed(error.to_string());
        let index = self.ledger().body(run, EVIDENCE_NAME).map_err(|error| failed(&error))?;
        let report = verify::verify_bundle(&stored.bundle, index.as_deref(), &[self.key().public()]);
        let fault = report.faults().next().map(ToString::to_string);
        if let Some(fault) = fault {
            return Err(Missing::Failed(fault));
        }
        let statement = report.statement.ok_or_else(|| failed(&"its receipt cannot be read"))?;
        if statement.predicate.run.id != run {
            return Err(failed(&"its receipt is that of another run"));
        }
        let evidence =
            index.map(|index| Evidence::parse(&index)).transpose().map_err(|error| failed(&error))?;
        Ok(Found { stored, statement, evidence })
    }

    /// What is wrong with what lies beside the ledger: the content store, and the folder for people.
    fn fault(&self, run: &str, found: &Found) -> Option<String> {
        for file in found.evidence.iter().flat_map(|evidence| &evidence.files) {
            if file.place != Place::Nowhere
                && let Some(evidence) = &found.evidence
                && let Err(error) = self.kept(run, evidence, &file.name)
            {
                return Some(error.to_string());
            }
        }
        let folder = self.exported(run);
        if !folder.is_dir()
            && let Err(why) = self.export(run)
        {
            return Some(why);
        }
        let written = std::fs::read(folder.join(BUNDLE_NAME)).ok();
        if written.as_deref() != Some(found.stored.bundle.as_slice()) {
            return Some("BAD: the receipt that was written out is not the one in the ledger".to_owned());
        }
        let report = verify::verify_folder(&folder, &[self.key().public()]);
        let erased = found.evidence.is_none() && report.evidence == EvidenceState::Erased;
        let fault = report.faults().next().map(|fault| format!("BAD: {fault}"));
        fault.or_else(|| (!report.accepted() && !erased).then(|| "BAD: it does not verify".to_owned()))
    }

    /// A receipt that the ledger has and that cannot be believed.
    fn unreadable(&self, run: &str, why: &str) -> Result<Value, Missing> {
        let stored = self.ledger().receipt(run)?;
        Ok(json!({
            "run": run, "capability": stored.summary.capability, "status": stored.summary.status.word(),
            "safety": "unknown", "at": stored.summary.at.to_string(), "dry_run": false, "verifies": false,
            "why": format!("BAD: {why}"),
        }))
    }
}
