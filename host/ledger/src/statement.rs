//! The in-toto Statement v1 that is signed, and its three predicates: receipt, intent, approval.
//!
//! A Statement says of a subject, by digest, what its predicate tells. A receipt's subject is its `evidence.json`;
//! an intent's and an approval's is the plan. Each predicate has its own type, so that a signature under one is
//! never taken for another.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::bundle::{Bundle, BundleError};
use crate::digest::{Digest, DigestError};
use crate::key::HostKey;
use crate::receipt::{ApprovalHow, Approver, PlanRef, Receipt};
use crate::wire;

/// The type of every Statement.
pub const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";

/// The predicate type of a receipt; its JSON Schema is `docs/schemas/run-receipt-v1.schema.json`.
pub const RECEIPT_TYPE: &str = "https://opscap.dev/attestations/run-receipt/v1";

/// The predicate type of an intent.
pub const INTENT_TYPE: &str = "https://opscap.dev/attestations/run-intent/v1";

/// The predicate type of an approval.
pub const APPROVAL_TYPE: &str = "https://opscap.dev/attestations/plan-approval/v1";

/// The name of a receipt's subject.
pub const EVIDENCE_NAME: &str = "evidence.json";

/// A Statement with one of our predicates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Statement<P> {
    /// Always [`STATEMENT_TYPE`].
    #[serde(rename = "_type")]
    pub statement_type: String,
    /// What it is about; exactly one.
    pub subject: Vec<Subject>,
    /// Which predicate follows.
    pub predicate_type: String,
    /// What it says.
    pub predicate: P,
}

/// Something that a Statement is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subject {
    /// A name for people.
    pub name: String,
    /// Its digest, without a salt.
    pub digest: DigestSet,
}

/// An in-toto digest set with the one algorithm that we use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DigestSet {
    /// SHA-256, 64 lower-case hex digits without a prefix.
    pub sha256: String,
}

/// That a run is about to change something: signed and committed before it does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Intent {
    /// The ledger's id.
    pub ledger: String,
    /// The run key.
    pub run: String,
    /// The capability.
    pub capability: String,
    /// When it was made.
    #[serde(with = "wire::time")]
    pub at: Timestamp,
    /// The plan that it will carry out.
    pub plan: PlanRef,
    /// Ids of the approvals that it uses up.
    pub approvals: Vec<String>,
}

/// A person's yes to one plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlanApproval {
    /// The ledger's id.
    pub ledger: String,
    /// The plan.
    pub plan: PlanRef,
    /// How it was given.
    pub how: ApprovalHow,
    /// By whom and when.
    pub approver: Approver,
    /// The text that was signed or typed.
    pub text: String,
    /// The SSH signature in its armour, where there is one.
    pub signature: Option<String>,
}

/// Why there is no signed Statement.
#[derive(Debug, thiserror::Error)]
pub enum StatementError {
    /// A value that may not be in a Statement, such as an integer of 2^53 or more.
    #[error("the statement cannot be written: {0}")]
    Value(serde_json::Error),
    /// A receipt that does not end with its place in the ledger.
    #[error("the statement cannot be written: its receipt does not end with its sequence")]
    Sequence,
    /// The bundle cannot be made.
    #[error(transparent)]
    Bundle(#[from] BundleError),
}

impl Statement<Receipt> {
    /// A receipt over the digest of its `evidence.json`.
    pub fn receipt(evidence: &Digest, receipt: Receipt) -> Self {
        Self::about(EVIDENCE_NAME, evidence, RECEIPT_TYPE, receipt)
    }
}

/// How a receipt with the sequence 0 ends: its place in the ledger is its last field, and that place's last is the sequence.
const UNNUMBERED: &[u8] = b"0}}}";

/// A receipt's Statement that lacks nothing but its sequence: written before the ledger is asked for one, since the
/// ledger serves one writer at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsigned {
    /// The Statement's bytes up to the sequence.
    head: Vec<u8>,
}

impl Statement<Receipt> {
    /// Writes the Statement of a receipt whose sequence is not known yet.
    ///
    /// # Errors
    ///
    /// An integer that is not below 2^53.
    pub fn unsigned(mut self) -> Result<Unsigned, StatementError> {
        self.predicate.ledger.sequence = 0;
        let mut head = serde_json::to_vec(&self).map_err(StatementError::Value)?;
        let length = head.strip_suffix(UNNUMBERED).ok_or(StatementError::Sequence)?.len();
        head.truncate(length);
        Ok(Unsigned { head })
    }
}

impl Unsigned {
    /// Signs it under a sequence: the same bytes as [`Statement::sign`] of the receipt with that sequence.
    ///
    /// # Errors
    ///
    /// A bundle of more than [`crate::bundle::LARGEST_BUNDLE`] bytes.
    pub fn sign(&self, sequence: u64, key: &HostKey) -> Result<Vec<u8>, StatementError> {
        let mut payload = Vec::with_capacity(self.head.len() + 24);
        payload.extend(&self.head);
        payload.extend(sequence.to_string().as_bytes());
        payload.extend(UNNUMBERED.iter().skip(1));
        Ok(Bundle::signed(&payload, key)?)
    }
}

impl Statement<Intent> {
    /// An intent over its plan's digest.
    pub fn intent(intent: Intent) -> Self {
        let digest = intent.plan.digest;
        Self::about("plan.json", &digest, INTENT_TYPE, intent)
    }
}

impl Statement<PlanApproval> {
    /// An approval over its plan's digest.
    pub fn approval(approval: PlanApproval) -> Self {
        let digest = approval.plan.digest;
        Self::about("plan.json", &digest, APPROVAL_TYPE, approval)
    }
}

impl<P> Statement<P> {
    fn about(name: &str, digest: &Digest, predicate_type: &str, predicate: P) -> Self {
        Self {
            statement_type: STATEMENT_TYPE.into(),
            subject: vec![Subject { name: name.into(), digest: DigestSet { sha256: digest.hex() } }],
            predicate_type: predicate_type.into(),
            predicate,
        }
    }
}

impl<P: Serialize> Statement<P> {
    /// Signs the Statement: the bytes of its bundle.
    ///
    /// # Errors
    ///
    /// An integer that is not below 2^53, or a bundle of more than [`crate::bundle::LARGEST_BUNDLE`] bytes.
    pub fn sign(&self, key: &HostKey) -> Result<Vec<u8>, StatementError> {
        let payload = serde_json::to_vec(self).map_err(StatementError::Value)?;
        Ok(Bundle::signed(&payload, key)?)
    }
}

impl DigestSet {
    /// The digest.
    ///
    /// # Errors
    ///
    /// A text that is not 64 lower-case hex digits.
    pub fn digest(&self) -> Result<Digest, DigestError> {
        Digest::from_hex(&self.sha256)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::receipt::sample;

    #[test]
    fn a_receipt_is_a_statement_about_its_evidence() {
        let statement = Statement::receipt(&Digest::of(b"evidence"), sample::applied());
        let text = serde_json::to_string(&statement).unwrap();
        assert!(text.starts_with(
            r#"{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"evidence.json","digest":{"sha256":""#
        ));
        assert_eq!(serde_json::from_str::<Statement<Receipt>>(&text).unwrap(), statement);
        assert_eq!(statement.subject[0].digest.digest(), Ok(Digest::of(b"evidence")));
    }

    #[test]
    fn a_receipt_that_was_written_beforehand_is_signed_alike() {
        let folder = crate::scratch();
        let key = HostKey::load_or_create(folder.path()).unwrap();
        for sequence in [1, 9_007_199_254_740_991] {
            let mut receipt = sample::applied();
            receipt.ledger.sequence = sequence;
            let statement = Statement::receipt(&Digest::of(b"evidence"), receipt);
            let signed = statement.clone().unsigned().unwrap().sign(sequence, &key).unwrap();
            assert_eq!(signed, statement.sign(&key).unwrap());
        }
    }

    #[test]
    fn unknown_and_doubled_fields_are_refused() {
        let text = serde_json::to_string(&Statement::receipt(&Digest::of(b""), sample::applied())).unwrap();
        for (from, to) in [
            ("{\"_type\"", "{\"more\":1,\"_type\""),
            ("\"run\":{", "\"run\":{\"more\":1,"),
            ("\"safety\":\"mutating\"", "\"safety\":\"mutating\",\"safety\":\"read-only\""),
            ("\"safety\":\"mutating\"", "\"safety\":\"harmless\""),
        ] {
            assert!(text.contains(from), "{from}");
            assert!(serde_json::from_str::<Statement<Receipt>>(&text.replacen(from, to, 1)).is_err(), "{to}");
        }
    }

    #[test]
    fn a_number_that_readers_would_change_is_not_signed() {
        let folder = crate::scratch();
        let key = HostKey::load_or_create(folder.path()).unwrap();
        let mut receipt = sample::applied();
        receipt.usage.wall_ms = 1 << 53;
        let signed = Statement::receipt(&Digest::of(b""), receipt).sign(&key);
        assert!(matches!(signed, Err(StatementError::Value(_))));
    }
}
