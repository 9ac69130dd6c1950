//! Whether a receipt is in the log: the file of `ops receipts prove`, checked with nothing but two pinned keys.
//!
//! Order of the checks: the file's form; the receipt, as everywhere; the log's checkpoint and the path from the leaf
//! to its root; that the leaf is this receipt's; that the log is the one that the receipt names, and its place in it
//! the one that the receipt states. What the receipt was made over, its `evidence.json`, is not in the file.

use std::path::Path;

use super::{Fault, Report, Verdict, check_bundle};
use crate::digest::Digest;
use crate::key::PublicKey;
use crate::log::proof::{LARGEST_PROOF_FILE, MEDIA_TYPE, ReceiptProof, TlogProof};
use crate::log::{Kind, Leaf, LogVerifier, key};
use crate::private;
use crate::receipt::{Receipt, Status};
use crate::statement::{RECEIPT_TYPE, Statement};

/// Checks a proof's file against the keys that the reader trusts.
pub fn verify_proof_file(file: &Path, hosts: &[PublicKey], log: Option<&LogVerifier>) -> Report {
    match private::read_bounded(file, LARGEST_PROOF_FILE) {
        Ok(bytes) => verify_proof(&bytes, hosts, log),
        Err(error) => {
            let mut report = Report::new();
            report.note::<()>("proof file", Err(error.into()));
            report
        }
    }
}

/// Checks the bytes of a proof's file against the keys that the reader trusts.
pub fn verify_proof(bytes: &[u8], hosts: &[PublicKey], log: Option<&LogVerifier>) -> Report {
    let mut report = Report::new();
    let Some(file) = report.note("proof file", parse(bytes)) else { return report };
    check_bundle(&mut report, file.bundle.as_bytes(), hosts);
    let Some(log) = report.note("log key", log.ok_or(Fault::NoLogKey)) else { return report };
    let proven = TlogProof::parse(&file.tlog_proof)
        .and_then(|proof| Ok((proof.check(file.leaf.as_bytes(), log)?.0, proof.index)));
    let Some((leaf, index)) = report.note("log", proven.map_err(Fault::from)) else { return report };
    let Some(statement) = &report.statement else { return report };
    let same = check_leaf(&leaf, index, &file, log, statement);
    report.note("leaf", same);
    let verdict = Verdict::NotMade("it is not in a proof's file: compare its SHA-256 with the subject's");
    report.checks.push(super::Check { name: "evidence.json".into(), verdict });
    report
}

fn parse(bytes: &[u8]) -> Result<ReceiptProof, Fault> {
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > LARGEST_PROOF_FILE {
        return Err(Fault::ProofFile(format!("it has more than {LARGEST_PROOF_FILE} bytes")));
    }
    let file: ReceiptProof =
        serde_json::from_slice(bytes).map_err(|error| Fault::ProofFile(error.to_string()))?;
    if file.media_type != MEDIA_TYPE {
        return Err(Fault::ProofFile(format!("its media type is not {MEDIA_TYPE}")));
    }
    Ok(file)
}

fn check_leaf(
    leaf: &Leaf,
    index: u64,
    file: &ReceiptProof,
    log: &LogVerifier,
    statement: &Statement<Receipt>,
) -> Result<(), Fault> {
    let receipt = &statement.predicate;
    let wrong = |what| Err(Fault::OtherLeaf(what));
    if leaf.envelope_sha256 != Digest::of(file.bundle.as_bytes()).hex() {
        return wrong("the leaf is of another bundle");
    }
    if leaf.run_id != receipt.run.id || leaf.predicate_type != RECEIPT_TYPE {
        return wrong("the leaf is of another run, or of no receipt");
    }
    let denied = receipt.run.status == Status::Denied;
    if leaf.kind != Kind::Recovery && (leaf.kind == Kind::Denial) != denied {
        return wrong("the leaf's kind and the receipt's status do not go together");
    }
    if log.origin() != key::origin(&receipt.ledger.id) {
        return wrong("the receipt names another ledger");
    }
    if index + 1 != receipt.ledger.sequence {
        return wrong("the receipt states another place in the log");
    }
    Ok(())
}
