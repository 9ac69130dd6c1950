//! Whether a receipt is what the host signed, and whether its evidence is what the receipt speaks of.
//!
//! Order of the checks, each of which needs those before it: the bundle is one of ours in form; its key is one
//! that the reader has pinned; the signature fits; the predicate is a receipt; its subject is this
//! `evidence.json`; `evidence.json` lists what the receipt lists; each listed body has its salted digest; nothing
//! else lies beside them. Nothing of a receipt is given out before its signature was checked.
//!
//! A tool that checks signatures alone accepts a good receipt beside wrong evidence. This one does not.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::bundle::{Bundle, BundleError, LARGEST_BUNDLE};
use crate::digest::Digest;
use crate::dsse::DsseError;
use crate::evidence::{Evidence, EvidenceError, EvidenceFile, LARGEST_INDEX, MOST_ENTRIES, OWN_NAMES, Place};
use crate::export::{BUNDLE_NAME, READABLE_NAME};
use crate::key::PublicKey;
use crate::log::proof::ProofError;
use crate::markdown;
use crate::private::{self, FileError};
use crate::receipt::Receipt;
use crate::statement::{EVIDENCE_NAME, RECEIPT_TYPE, STATEMENT_TYPE, Statement};

mod proof;
#[cfg(test)]
mod tests;

pub use proof::{verify_proof, verify_proof_file};

/// What was checked, in order, and what came of it.
#[derive(Debug)]
pub struct Report {
    /// Each check.
    pub checks: Vec<Check>,
    /// The receipt, once its signature and predicate type have passed.
    pub statement: Option<Statement<Receipt>>,
    /// Whether the evidence is there.
    pub evidence: EvidenceState,
}

/// One check.
#[derive(Debug)]
pub struct Check {
    /// What was checked, such as `signature`.
    pub name: String,
    /// What came of it.
    pub verdict: Verdict,
}

/// What came of a check.
#[derive(Debug)]
pub enum Verdict {
    /// It holds.
    Passed,
    /// It does not.
    Failed(Fault),
    /// It was not made, for this reason.
    NotMade(&'static str),
}

/// Whether the evidence of a receipt is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EvidenceState {
    /// It was checked, and what is wrong with it is among the faults.
    Present,
    /// Bodies and salts were erased; the receipt still stands for what it says itself.
    Erased,
    /// It was not given, or there is no receipt to check it against.
    NotChecked,
}

/// What is wrong.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// A file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The bundle is not one of ours in form.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// Somebody else signed, or another host.
    #[error("the key {0:?} signed it, which is none of the keys that you trust")]
    UnknownKey(String),
    /// The signature does not fit.
    #[error(transparent)]
    Signature(#[from] DsseError),
    /// Signed by the host, but no receipt.
    #[error("it is a signed {0:?}, and not a receipt of a run")]
    PredicateType(String),
    /// A receipt that does not follow its schema.
    #[error("the receipt does not follow its schema: {0}")]
    Schema(String),
    /// `evidence.json` is not the one that the receipt was made over.
    #[error(
        "evidence.json is not the file that the receipt was made over: its SHA-256 is {found}, not {signed}"
    )]
    WrongEvidence {
        /// The digest of the file.
        found: String,
        /// The digest in the receipt.
        signed: String,
    },
    /// `evidence.json` has the right digest and the wrong contents.
    #[error(transparent)]
    EvidenceForm(#[from] EvidenceError),
    /// `evidence.json` and receipt disagree.
    #[error("evidence.json does not list what the receipt lists, or belongs to another run")]
    EvidenceList,
    /// There are bodies that nothing vouches for.
    #[error("evidence.json is missing, though {0:?} is there; put it back, or do not rely on that file")]
    EvidenceMissing(String),
    /// A body is not there.
    #[error("the evidence file {0:?} is missing")]
    BodyMissing(String),
    /// A body was changed.
    #[error("the evidence file {0:?} is not the one that the receipt was made over")]
    BodyChanged(String),
    /// Not the file of a receipt's proof.
    #[error("the file is not a receipt's proof: {0}")]
    ProofFile(String),
    /// There is nothing to check the checkpoint with.
    #[error("there is no log key to check the checkpoint with; give the one that ops ledger key printed")]
    NoLogKey,
    /// The log does not contain what the proof says.
    #[error(transparent)]
    Proof(#[from] ProofError),
    /// The log contains something else.
    #[error("{0}")]
    OtherLeaf(&'static str),
    /// Something that the receipt does not speak of.
    #[error("{0:?} is not part of this receipt; move it elsewhere")]
    Unlisted(String),
}

impl Report {
    /// Whether everything that was checked holds, and signature and key were checked.
    pub fn accepted(&self) -> bool {
        self.statement.is_some() && self.faults().next().is_none()
    }

    /// What is wrong, in the order of the checks.
    pub fn faults(&self) -> impl Iterator<Item = &Fault> {
        self.checks.iter().filter_map(|check| match &check.verdict {
            Verdict::Failed(fault) => Some(fault),
            Verdict::Passed | Verdict::NotMade(_) => None,
        })
    }

    fn new() -> Self {
        Self { checks: Vec::new(), statement: None, evidence: EvidenceState::NotChecked }
    }

    /// Notes a check, and gives its result on where it passed.
    fn note<T>(&mut self, name: &str, result: Result<T, Fault>) -> Option<T> {
        let (verdict, value) = match result {
            Ok(value) => (Verdict::Passed, Some(value)),
            Err(fault) => (Verdict::Failed(fault), None),
        };
        self.checks.push(Check { name: name.into(), verdict });
        value
    }
}

/// Checks a receipt's bundle, and its `evidence.json` where that is given, against the keys that the reader trusts.
pub fn verify_bundle(bytes: &[u8], evidence: Option<&[u8]>, pinned: &[PublicKey]) -> Report {
    let mut report = Report::new();
    check_bundle(&mut report, bytes, pinned);
    if let Some(evidence) = evidence {
        check_index(&mut report, evidence);
    }
    report
}

/// Checks an exported folder: the receipt, `evidence.json`, and every other file in it.
pub fn verify_folder(folder: &Path, pinned: &[PublicKey]) -> Report {
    let mut report = Report::new();
    let largest = u64::try_from(LARGEST_BUNDLE).unwrap_or(u64::MAX);
    let bundle = private::read_bounded(&folder.join(BUNDLE_NAME), largest).map_err(Fault::from);
    let Some(bundle) = report.note("receipt file", bundle) else { return report };
    check_bundle(&mut report, &bundle, pinned);
    let Some(names) = report.note("folder", list(folder)) else { return report };
    check_readable(&mut report, folder);
    match private::read_bounded(&folder.join(EVIDENCE_NAME), LARGEST_INDEX) {
        Ok(evidence) => {
            if let Some(evidence) = check_index(&mut report, &evidence) {
                check_bodies(&mut report, folder, &evidence, &names);
            }
        }
        Err(error) if error.is_missing() => check_erased(&mut report, &names),
        Err(error) => {
            report.note::<()>("evidence.json", Err(error.into()));
        }
    }
    report
}

fn check_bundle(report: &mut Report, bytes: &[u8], pinned: &[PublicKey]) {
    let Some(bundle) = report.note("bundle", Bundle::parse(bytes).map_err(Fault::from)) else { return };
    let key = pinned.iter().find(|key| key.key_id() == bundle.key_id());
    let unknown = || Fault::UnknownKey(bundle.key_id().chars().take(64).collect());
    let Some(key) = report.note("key", key.ok_or_else(unknown)) else { return };
    let payload = bundle.dsse_envelope.verify(key).map_err(Fault::from);
    let Some(payload) = report.note("signature", payload) else { return };
    if report.note("predicate type", check_type(&payload)).is_none() {
        return;
    }
    report.statement = report.note("receipt", parse_statement(&payload));
}

/// Only the types: a Statement of another kind deserves to be called that.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Types {
    #[serde(rename = "_type")]
    statement_type: String,
    predicate_type: String,
}

fn check_type(payload: &[u8]) -> Result<(), Fault> {
    let types: Types = serde_json::from_slice(payload).map_err(|error| Fault::Schema(error.to_string()))?;
    for (found, expected) in [(types.statement_type, STATEMENT_TYPE), (types.predicate_type, RECEIPT_TYPE)] {
        if found != expected {
            return Err(Fault::PredicateType(found.chars().take(200).collect()));
        }
    }
    Ok(())
}

fn parse_statement(payload: &[u8]) -> Result<Statement<Receipt>, Fault> {
    let statement: Statement<Receipt> =
        serde_json::from_slice(payload).map_err(|error| Fault::Schema(error.to_string()))?;
    match statement.subject.as_slice() {
        [subject] if subject.name == EVIDENCE_NAME && subject.digest.digest().is_ok() => Ok(statement),
        _ => Err(Fault::Schema("its subject is not evidence.json alone".into())),
    }
}

/// Compares `evidence.json` with the subject and with the receipt's list.
fn check_index(report: &mut Report, bytes: &[u8]) -> Option<Evidence> {
    let (subject, run, records) = {
        let statement = report.statement.as_ref()?;
        let subject = statement.subject.first()?;
        (
            subject.digest.sha256.clone(),
            statement.predicate.run.id.clone(),
            statement.predicate.evidence.clone(),
        )
    };
    report.evidence = EvidenceState::Present;
    let found = Digest::of(bytes).hex();
    let same = found == subject;
    let compared = same.then_some(()).ok_or(Fault::WrongEvidence { found, signed: subject });
    report.note("subject", compared)?;
    let evidence = report.note("evidence.json", Evidence::parse(bytes).map_err(Fault::from))?;
    let lists = evidence.run == run && evidence.records() == records;
    report.note("evidence list", lists.then_some(()).ok_or(Fault::EvidenceList))?;
    Some(evidence)
}

fn check_bodies(report: &mut Report, folder: &Path, evidence: &Evidence, names: &BTreeSet<String>) {
    for file in &evidence.files {
        let name = format!("evidence {}", file.name);
        let absent = match file.place {
            Place::Exported => None,
            Place::Host => Some("the host keeps it and does not hand it out"),
            Place::Nowhere => Some(
                "not kept: the binding says `record: digests`, or `store` in ops.yaml had no room for it",
            ),
        };
        match absent {
            Some(why) if !names.contains(&file.name) => {
                report.checks.push(Check { name, verdict: Verdict::NotMade(why) });
            }
            _ => {
                report.note(&name, check_body(folder, file));
            }
        }
    }
    let listed: BTreeSet<&str> = evidence.files.iter().map(|file| file.name.as_str()).collect();
    for name in names.iter().filter(|name| !listed.contains(name.as_str())) {
        report.note::<()>("folder", Err(Fault::Unlisted(name.clone())));
    }
}

fn check_body(folder: &Path, file: &EvidenceFile) -> Result<(), Fault> {
    match private::read_bounded(&folder.join(&file.name), file.size) {
        Ok(body) if file.salt.digest(&body) == file.digest => Ok(()),
        Ok(_) | Err(FileError::TooLarge { .. }) => Err(Fault::BodyChanged(file.name.clone())),
        Err(error) if error.is_missing() => Err(Fault::BodyMissing(file.name.clone())),
        Err(error) => Err(error.into()),
    }
}

fn check_erased(report: &mut Report, names: &BTreeSet<String>) {
    if report.statement.is_none() {
        return;
    }
    if let Some(name) = names.first() {
        report.note::<()>("evidence.json", Err(Fault::EvidenceMissing(name.clone())));
        return;
    }
    report.evidence = EvidenceState::Erased;
    let verdict = Verdict::NotMade("evidence erased: bodies and salts are gone");
    report.checks.push(Check { name: "evidence.json".into(), verdict });
}

/// `receipt.md` is a rendering that nobody signed, and other versions of ops render otherwise.
fn check_readable(report: &mut Report, folder: &Path) {
    let Some(statement) = &report.statement else { return };
    let largest = u64::try_from(LARGEST_BUNDLE).unwrap_or(u64::MAX).saturating_mul(4);
    let verdict = match private::read_bounded(&folder.join(READABLE_NAME), largest) {
        Ok(text) if text == markdown::render(statement).as_bytes() => Verdict::Passed,
        Ok(_) => Verdict::NotMade(
            "it differs from what this version of ops writes: do not rely on it, export again",
        ),
        Err(_) => Verdict::NotMade("it is not there or cannot be read"),
    };
    report.checks.push(Check { name: READABLE_NAME.into(), verdict });
}

/// The names in a folder besides the receipt's own files.
fn list(folder: &Path) -> Result<BTreeSet<String>, Fault> {
    let mut names = BTreeSet::new();
    let entries = std::fs::read_dir(folder).map_err(FileError::io("list", folder))?;
    for entry in entries.take(2 * MOST_ENTRIES) {
        let name: PathBuf = entry.map_err(FileError::io("list", folder))?.file_name().into();
        let name = name.to_string_lossy();
        if !OWN_NAMES.contains(&name.as_ref()) {
            names.insert(name.into_owned());
        }
    }
    Ok(names)
}
