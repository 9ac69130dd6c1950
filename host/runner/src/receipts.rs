//! Receipts outside a run: listing, showing, writing out and verifying them.

use std::path::{Path, PathBuf};

use ops_ledger::evidence::{Evidence, Place};
use ops_ledger::export::{self, BUNDLE_NAME, Export};
use ops_ledger::key::PublicKey;
use ops_ledger::log::LogVerifier;
use ops_ledger::receipt::Receipt;
use ops_ledger::statement::{EVIDENCE_NAME, Statement};
use ops_ledger::store::ReceiptFilter;
use ops_ledger::verify::{self, EvidenceState, Verdict};
use ops_ledger::{bundle, markdown};
use serde::Serialize;

use crate::ending::Ending;
use crate::runner::Runner;

/// One line of the list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// The run key.
    pub key: String,
    /// The capability.
    pub capability: String,
    /// How the run ended.
    pub status: String,
    /// When, RFC 3339.
    pub at: String,
    /// Its place in the ledger.
    pub sequence: u64,
}

/// What came of checking one receipt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// The run key, the folder or the file.
    pub what: String,
    /// Whether it is good.
    pub good: bool,
    /// Each check, in words.
    pub checks: Vec<String>,
}

impl Runner {
    /// The newest receipts.
    ///
    /// # Errors
    ///
    /// The ledger cannot be read.
    pub fn receipts(&self, limit: u32) -> Result<Vec<Row>, Ending> {
        let filter = ReceiptFilter { capability: None, status: None, limit };
        let rows = self.ledger().receipts(&filter)?;
        Ok(rows
            .into_iter()
            .map(|row| Row {
                key: row.run,
                capability: row.capability,
                status: row.status.word().to_owned(),
                at: row.at.to_string(),
                sequence: row.sequence,
            })
            .collect())
    }

    /// A receipt by its run key, the beginning of it, or its last part: its statement, and the text for people.
    ///
    /// # Errors
    ///
    /// There is none, or it cannot be read.
    pub fn receipt(&self, key: &str) -> Result<(Statement<Receipt>, String), Ending> {
        let stored = self.ledger().receipt(key)?;
        let statement = statement(&stored.bundle, &self.key().public())
            .map_err(|error| Ending::denied("receipt", error))?;
        let text = markdown::render(&statement);
        Ok((statement, text))
    }

    /// Where a receipt is written out.
    pub(crate) fn exported(&self, key: &str) -> PathBuf {
        self.workspace().receipts().join("sessions").join(format!("R{key}"))
    }

    /// Writes a receipt out for people, with the evidence that is still there.
    pub(crate) fn export(&self, key: &str) -> Result<PathBuf, String> {
        let index = self.ledger().body(key, EVIDENCE_NAME).map_err(|error| error.to_string())?;
        self.write_folder(key, index.as_deref())
    }

    /// Writes a receipt out for people, without its evidence, which is about to go.
    pub(crate) fn export_erased(&self, key: &str) -> Result<PathBuf, String> {
        self.write_folder(key, None)
    }

    fn write_folder(&self, key: &str, index: Option<&[u8]>) -> Result<PathBuf, String> {
        let stored = self.ledger().receipt(key).map_err(|error| error.to_string())?;
        let statement = statement(&stored.bundle, &self.key().public())?;
        let mut bodies = Vec::new();
        if let Some(index) = index {
            let evidence = Evidence::parse(index).map_err(|error| error.to_string())?;
            // What only the host may have, the seeds of a recording for one, is not handed out.
            for file in evidence.files.into_iter().filter(|file| file.place == Place::Exported) {
                if let Some(body) = self.ledger().body(key, &file.name).map_err(|error| error.to_string())? {
                    bodies.push((file.name, body));
                }
            }
        }
        let bodies: Vec<_> = bodies.iter().map(|(name, body)| (name.as_str(), body.as_slice())).collect();
        let export =
            Export { statement: &statement, bundle: &stored.bundle, evidence: index, bodies: &bodies };
        export::export(&self.workspace().receipts(), &export).map_err(|error| error.to_string())
    }

    /// The public key that checks this host's receipts, PEM.
    pub fn public_pem(&self) -> String {
        self.key().public_pem()
    }

    /// The id of that key.
    pub(crate) fn key_id(&self) -> String {
        self.key().key_id().to_owned()
    }

    /// Checks receipts: run keys, folders, or files that `ops receipts prove` wrote. Keys that are not given are
    /// this host's.
    ///
    /// # Errors
    ///
    /// A key cannot be read, or there is no such receipt.
    pub fn verify(&self, what: &[String], keys: &Keys) -> Result<Vec<Verified>, String> {
        let host = keys.host.clone().unwrap_or_else(|| self.public_pem());
        let log = match &keys.log {
            Some(log) => Some(log.clone()),
            None if what.iter().any(|what| Path::new(what).is_file()) => Some(self.log_verifier_key()?),
            None => None,
        };
        let keys = Keys { host: Some(host), log };
        what.iter()
            .map(|what| {
                // A run key is never a path, whatever lies in the folder that somebody stands in.
                let is_key = what.starts_with("CAP-") && !what.contains('/');
                if !is_key && Path::new(what).exists() {
                    return Ok(Verified { what: what.clone(), ..verify_path(Path::new(what), &keys)? });
                }
                let stored = self.ledger().receipt(what).map_err(|error| error.to_string())?;
                // What the ledger has is the original; the folder of the same run is what people were handed.
                let key = stored.summary.run;
                let folder = self.exported(&key);
                let folder = if folder.is_dir() { folder } else { self.export(&key)? };
                let mut verified = Verified { what: what.clone(), ..verify_path(&folder, &keys)? };
                let written = std::fs::read(folder.join(BUNDLE_NAME)).ok();
                if written.as_deref() != Some(stored.bundle.as_slice()) {
                    verified.good = false;
                    verified
                        .checks
                        .push("ledger: BAD: the ledger has another receipt of this run".to_owned());
                }
                Ok(verified)
            })
            .collect()
    }
}

/// The keys that a reader trusts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keys {
    /// The host's public key, PEM.
    pub host: Option<String>,
    /// The log's verifier key.
    pub log: Option<String>,
}

/// Checks a receipt's folder, or the file of its proof, and needs no workspace for it.
///
/// # Errors
///
/// A key is missing, or is none.
pub fn verify_path(path: &Path, keys: &Keys) -> Result<Verified, String> {
    let host = keys.host.as_deref().ok_or("name the host's public key with --host-key")?;
    let host = PublicKey::from_pem(host).map_err(|error| error.to_string())?;
    let log = keys.log.as_deref().map(LogVerifier::parse).transpose().map_err(|error| error.to_string())?;
    let report = if path.is_dir() {
        verify::verify_folder(path, &[host])
    } else {
        verify::verify_proof_file(path, &[host], log.as_ref())
    };
    Ok(verified(&path.display().to_string(), &report))
}

/// The statement in a bundle that this host signed.
pub(crate) fn statement(bytes: &[u8], key: &PublicKey) -> Result<Statement<Receipt>, String> {
    let bundle = bundle::Bundle::parse(bytes).map_err(|error| error.to_string())?;
    let payload = bundle.dsse_envelope.verify(key).map_err(|error| error.to_string())?;
    serde_json::from_slice(&payload).map_err(|error| error.to_string())
}

fn verified(what: &str, report: &verify::Report) -> Verified {
    let checks = report.checks.iter().map(|check| match &check.verdict {
        Verdict::Passed => format!("{}: good", check.name),
        Verdict::Failed(fault) => format!("{}: BAD: {fault}", check.name),
        Verdict::NotMade(why) => format!("{}: not checked: {why}", check.name),
    });
    let erased = (report.evidence == EvidenceState::Erased).then(|| "evidence: erased".to_owned());
    Verified { what: what.to_owned(), good: report.accepted(), checks: checks.chain(erased).collect() }
}
