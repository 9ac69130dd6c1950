//! `evidence.json`: which bodies belong to a receipt, and every salt.
//!
//! Salts live here and nowhere else, so that erasing this file erases what low-entropy contents could be guessed
//! from. The receipt's subject is the plain digest of this file's bytes.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::private::{self, FileError};
use crate::receipt::EvidenceRecord;
use crate::wire;

/// The most bodies, and the most other digests, that one run may list.
pub const MOST_ENTRIES: usize = 4096;

/// The largest body, in bytes.
pub const LARGEST_BODY: u64 = 64 << 20;

/// The largest `evidence.json`, in bytes.
pub const LARGEST_INDEX: u64 = 4 << 20;

/// The contents of `evidence.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Evidence {
    /// Always 1.
    pub version: u32,
    /// The run key.
    pub run: String,
    /// The bodies, in the order in which they were added.
    pub files: Vec<EvidenceFile>,
    /// Other digests in the receipt, with their salts.
    pub digests: Vec<SaltedDigest>,
}

/// One body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EvidenceFile {
    /// File name.
    pub name: String,
    /// Media type.
    pub media_type: String,
    /// Bytes.
    #[serde(with = "wire::integer")]
    pub size: u64,
    /// The salt.
    pub salt: Salt,
    /// SHA-256 of the salt's bytes and then the body.
    pub digest: Digest,
    /// Where the body is.
    #[serde(default, skip_serializing_if = "Place::is_exported")]
    pub place: Place,
}

/// Where a body is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// In the receipt's folder, and in the host's content store.
    #[default]
    Exported,
    /// In the host's content store alone.
    Host,
    /// Nowhere: the binding says `record: digests`, or the store has no room for it.
    Nowhere,
}

impl Place {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
    fn is_exported(&self) -> bool {
        *self == Self::Exported
    }
}

/// A digest of something that is no body of its own, such as the input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SaltedDigest {
    /// Of what, such as `input` or `effect 1`.
    pub of: String,
    /// The salt.
    pub salt: Salt,
    /// SHA-256 of the salt's bytes and then the content.
    pub digest: Digest,
}

/// 16 random bytes, written as 32 hex digits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Salt([u8; 16]);

/// Why something cannot be evidence.
#[derive(Debug, thiserror::Error)]
pub enum EvidenceError {
    /// A bad name.
    #[error(transparent)]
    Name(#[from] FileError),
    /// A name that is taken.
    #[error("the evidence file {0:?} is listed already or has a name that the receipt's own files use")]
    Taken(String),
    /// Too many or too large.
    #[error("a run keeps at most {MOST_ENTRIES} evidence files of {LARGEST_BODY} bytes")]
    TooMuch,
    /// The system has no random bytes.
    #[error("the system gave no random bytes for a salt: {0}")]
    Random(getrandom::Error),
    /// The JSON is not that of `evidence.json`.
    #[error("evidence.json cannot be read: {0}")]
    Json(#[from] serde_json::Error),
    /// Another version.
    #[error("evidence.json has version {0}, and this program reads version 1")]
    Version(u32),
}

/// Names in an exported folder that no evidence file may have.
pub(crate) const OWN_NAMES: [&str; 3] =
    ["receipt.sigstore.json", crate::statement::EVIDENCE_NAME, "receipt.md"];

impl Evidence {
    /// The evidence of a run, empty so far.
    pub fn new(run: &str) -> Self {
        Self { version: 1, run: run.into(), files: Vec::new(), digests: Vec::new() }
    }

    /// Lists a body, under a fresh salt.
    ///
    /// # Errors
    ///
    /// A name that is not plain or is taken, more than [`MOST_ENTRIES`] bodies, or one of more than
    /// [`LARGEST_BODY`] bytes.
    pub fn add_file(
        &mut self,
        name: &str,
        media_type: &str,
        body: &[u8],
        place: Place,
    ) -> Result<Digest, EvidenceError> {
        private::check_name(name)?;
        if OWN_NAMES.contains(&name) || self.files.iter().any(|file| file.name == name) {
            return Err(EvidenceError::Taken(name.into()));
        }
        let size = u64::try_from(body.len()).map_err(|_| EvidenceError::TooMuch)?;
        if size > LARGEST_BODY || self.files.len() >= MOST_ENTRIES {
            return Err(EvidenceError::TooMuch);
        }
        let salt = Salt::draw()?;
        let digest = salt.digest(body);
        self.files.push(EvidenceFile {
            name: name.into(),
            media_type: media_type.into(),
            size,
            salt,
            digest,
            place,
        });
        Ok(digest)
    }

    /// The salted digest of something that is kept elsewhere or not at all.
    ///
    /// # Errors
    ///
    /// More than [`MOST_ENTRIES`] of them.
    pub fn add_digest(&mut self, of: &str, content: &[u8]) -> Result<Digest, EvidenceError> {
        if self.digests.len() >= MOST_ENTRIES {
            return Err(EvidenceError::TooMuch);
        }
        let salt = Salt::draw()?;
        let digest = salt.digest(content);
        self.digests.push(SaltedDigest { of: of.into(), salt, digest });
        Ok(digest)
    }

    /// What the receipt says of the bodies.
    pub fn records(&self) -> Vec<EvidenceRecord> {
        self.files
            .iter()
            .map(|file| EvidenceRecord {
                name: file.name.clone(),
                media_type: file.media_type.clone(),
                digest: file.digest,
                size: file.size,
            })
            .collect()
    }

    /// The bytes of `evidence.json`. Their plain digest is the receipt's subject.
    ///
    /// # Errors
    ///
    /// A size of 2^53 bytes or more.
    pub fn to_bytes(&self) -> Result<Vec<u8>, EvidenceError> {
        let mut bytes = serde_json::to_vec_pretty(self)?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Reads `evidence.json` and checks its names and bounds, not its digests.
    ///
    /// # Errors
    ///
    /// Everything that [`Evidence::add_file`] and [`Evidence::to_bytes`] would not have written.
    pub fn parse(bytes: &[u8]) -> Result<Self, EvidenceError> {
        let evidence: Self = serde_json::from_slice(bytes)?;
        if evidence.version != 1 {
            return Err(EvidenceError::Version(evidence.version));
        }
        if evidence.files.len() > MOST_ENTRIES || evidence.digests.len() > MOST_ENTRIES {
            return Err(EvidenceError::TooMuch);
        }
        let mut names = std::collections::BTreeSet::from(OWN_NAMES);
        for file in &evidence.files {
            private::check_name(&file.name)?;
            if file.size > LARGEST_BODY {
                return Err(EvidenceError::TooMuch);
            }
            if !names.insert(&file.name) {
                return Err(EvidenceError::Taken(file.name.clone()));
            }
        }
        Ok(evidence)
    }
}

impl Salt {
    fn draw() -> Result<Self, EvidenceError> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(EvidenceError::Random)?;
        Ok(Self(bytes))
    }

    /// SHA-256 of the salt's bytes and then some content.
    pub fn digest(&self, content: &[u8]) -> Digest {
        Digest::salted(&self.0, content)
    }
}

impl From<Salt> for String {
    fn from(salt: Salt) -> Self {
        hex::encode(salt.0)
    }
}

impl TryFrom<String> for Salt {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let mut bytes = [0; 16];
        match hex::decode_to_slice(&text, &mut bytes) {
            Ok(()) if !text.bytes().any(|digit| digit.is_ascii_uppercase()) => Ok(Self(bytes)),
            _ => Err("a salt is 32 lower-case hex digits".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_comes_back() {
        let mut evidence = Evidence::new("R1");
        evidence.add_file("output.json", "application/json", b"{}", Place::Exported).unwrap();
        evidence.add_digest("input", b"{}").unwrap();
        let bytes = evidence.to_bytes().unwrap();
        assert_eq!(Evidence::parse(&bytes).unwrap(), evidence);
        assert_eq!(evidence.records()[0].digest, evidence.files[0].salt.digest(b"{}"));
    }

    #[test]
    fn equal_contents_have_unequal_digests() {
        let mut evidence = Evidence::new("R1");
        let first = evidence.add_file("a", "text/plain", b"yes", Place::Exported).unwrap();
        let second = evidence.add_file("b", "text/plain", b"yes", Place::Exported).unwrap();
        assert!(first != second && first != Digest::of(b"yes"));
    }

    #[test]
    fn names_are_plain_and_taken_once() {
        let mut evidence = Evidence::new("R1");
        evidence.add_file("a", "text/plain", b"", Place::Exported).unwrap();
        for bad in ["a", "../a", "receipt.md", "evidence.json", "receipt.sigstore.json", ""] {
            assert!(evidence.add_file(bad, "text/plain", b"", Place::Exported).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_foreign_index_gets_no_further_than_parsing() {
        let mut evidence = Evidence::new("R1");
        evidence.add_file("a", "text/plain", b"1", Place::Exported).unwrap();
        let text = String::from_utf8(evidence.to_bytes().unwrap()).unwrap();
        for (from, to) in [
            ("\"name\": \"a\"", "\"name\": \"../../etc/passwd\""),
            ("\"name\": \"a\"", "\"name\": \"receipt.md\""),
            ("\"size\": 1", "\"size\": 67108865"),
            ("\"version\": 1", "\"version\": 2"),
            ("\"salt\": \"", "\"salt\": \"0"),
        ] {
            assert!(text.contains(from), "{from}");
            assert!(Evidence::parse(text.replace(from, to).as_bytes()).is_err(), "{to}");
        }
    }
}
