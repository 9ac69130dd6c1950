//! What the log says of an entry: a few short facts, by digest, and never the entry itself.
//!
//! A leaf's bytes are JSON in the canonical form of RFC 8785, so that anybody can make them again from a bundle and
//! compare. The fields are declared in the order of that form; their values are ASCII words and one number, which
//! both forms of JSON write alike.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::statement::{APPROVAL_TYPE, INTENT_TYPE, RECEIPT_TYPE};

/// The largest leaf that is read, in bytes. The tile format ends at 65,535.
const LARGEST: usize = 4096;

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A run is about to change something.
    Intent,
    /// A run has ended.
    Receipt,
    /// A person has said yes to a plan.
    Approval,
    /// The receipt of a run that was refused.
    Denial,
    /// The receipt of a run whose process was gone, written when the ledger was opened again.
    Recovery,
}

impl Kind {
    const ALL: [Self; 5] = [Self::Intent, Self::Receipt, Self::Approval, Self::Denial, Self::Recovery];

    /// The word in the leaf and in the ledger.
    pub fn word(self) -> &'static str {
        match self {
            Self::Intent => "intent",
            Self::Receipt => "receipt",
            Self::Approval => "approval",
            Self::Denial => "denial",
            Self::Recovery => "recovery",
        }
    }

    /// The kind with this word.
    pub(crate) fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }

    /// The predicate type of such an entry's Statement.
    pub fn predicate_type(self) -> &'static str {
        match self {
            Self::Intent => INTENT_TYPE,
            Self::Approval => APPROVAL_TYPE,
            Self::Receipt | Self::Denial | Self::Recovery => RECEIPT_TYPE,
        }
    }
}

/// A leaf of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Leaf {
    /// SHA-256 of the bundle's bytes, 64 hex digits.
    pub envelope_sha256: String,
    /// What the entry is.
    pub kind: Kind,
    /// The predicate type of its Statement.
    pub predicate_type: String,
    /// The run that it belongs to. An approval belongs to the run that made the plan.
    pub run_id: String,
    /// Always 1.
    pub v: u8,
}

/// Some bytes that are no leaf, or not in its canonical form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is not a leaf of version 1 in the canonical form of JSON")]
pub struct LeafError;

impl Leaf {
    /// The leaf of an entry.
    pub fn new(kind: Kind, run: &str, bundle: &Digest) -> Self {
        Self {
            envelope_sha256: bundle.hex(),
            kind,
            predicate_type: kind.predicate_type().into(),
            run_id: run.into(),
            v: 1,
        }
    }

    /// The bytes that are hashed into the tree.
    ///
    /// # Errors
    ///
    /// None for a leaf of a run key's length.
    pub fn to_bytes(&self) -> Result<Vec<u8>, LeafError> {
        let bytes = serde_json::to_vec(self).map_err(|_| LeafError)?;
        if bytes.len() > LARGEST { Err(LeafError) } else { Ok(bytes) }
    }

    /// Reads a leaf.
    ///
    /// # Errors
    ///
    /// Anything but the exact bytes that [`Leaf::to_bytes`] writes.
    pub fn parse(bytes: &[u8]) -> Result<Self, LeafError> {
        if bytes.len() > LARGEST {
            return Err(LeafError);
        }
        let leaf: Self = serde_json::from_slice(bytes).map_err(|_| LeafError)?;
        if leaf.v != 1 || leaf.to_bytes()? != bytes {
            return Err(LeafError);
        }
        Ok(leaf)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leaf_is_canonical_json() {
        let leaf = Leaf::new(Kind::Denial, "CAP-1", &Digest::of(b"abc"));
        let bytes = leaf.to_bytes().unwrap();
        let expected = r#"{"envelopeSha256":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad","kind":"denial","predicateType":"https://opscap.dev/attestations/run-receipt/v1","runId":"CAP-1","v":1}"#;
        assert_eq!(std::str::from_utf8(&bytes).unwrap(), expected);
        assert_eq!(Leaf::parse(&bytes), Ok(leaf));
    }

    #[test]
    fn another_form_is_another_leaf() {
        let good = String::from_utf8(Leaf::new(Kind::Intent, "CAP-1", &Digest::of(b"")).to_bytes().unwrap());
        let good = good.unwrap();
        let cases = [
            good.replace("\"v\":1", "\"v\":2"),
            good.replace("\"v\":1", "\"v\": 1"),
            good.replace("\"intent\"", "\"forecast\""),
            good.replacen('{', "{\"more\":1,", 1),
            format!("{good}\n"),
            good.replace("CAP-1", &"x".repeat(LARGEST)),
        ];
        for case in cases {
            assert_eq!(Leaf::parse(case.as_bytes()), Err(LeafError), "{case}");
        }
    }

    #[test]
    fn words_come_back() {
        assert!(Kind::ALL.into_iter().all(|kind| Kind::from_word(kind.word()) == Some(kind)));
        assert_eq!(Kind::from_word("forecast"), None);
    }
}
