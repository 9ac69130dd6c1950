//! The proof that an entry is in the log: text in the form of C2SP tlog-proof, and the file with a receipt in it.
//!
//! Order of a check: the text's form; the checkpoint, by the key that the reader has pinned; the leaf's form; the
//! path from the leaf to the checkpoint's root.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use tlog_tiles::{Hash, check_record, record_hash};

use super::checkpoint::{Checkpoint, CheckpointError, LARGEST_CHECKPOINT};
use super::key::LogVerifier;
use super::leaf::{Leaf, LeafError};
use crate::bundle::LARGEST_BUNDLE;

const HEAD: &str = "c2sp.org/tlog-proof@v1";

/// The longest path: a tree of 2^53 leaves has no longer one.
const LONGEST_PATH: usize = 53;

/// The media type of a [`ReceiptProof`].
pub const MEDIA_TYPE: &str = "application/vnd.opscap.receipt-proof.v1+json";

/// The largest file with a receipt and its proof, in bytes: a bundle as a JSON string at its worst, and the rest.
pub const LARGEST_PROOF_FILE: u64 = 2 * LARGEST_BUNDLE as u64 + 2 * LARGEST_CHECKPOINT;

/// A receipt with everything that shows that it is in the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReceiptProof {
    /// Always [`MEDIA_TYPE`].
    pub media_type: String,
    /// The exact text of the signed bundle.
    pub bundle: String,
    /// The exact text of its leaf.
    pub leaf: String,
    /// Index, path and checkpoint, in the form of C2SP tlog-proof.
    pub tlog_proof: String,
}

/// That the leaf at an index is in the tree of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlogProof {
    /// The leaf's place, from 0: its sequence less one.
    pub index: u64,
    /// The hashes beside its way to the root, from the leaf up.
    pub path: Vec<[u8; 32]>,
    /// The checkpoint's note.
    pub checkpoint: String,
}

/// Why a proof shows nothing.
#[derive(Debug, thiserror::Error)]
pub enum ProofError {
    /// Not the form of C2SP tlog-proof.
    #[error("the proof is not of the form {HEAD}: {0}")]
    Form(&'static str),
    /// The checkpoint in it is not the log's.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The leaf is none.
    #[error("the leaf is refused: {0}")]
    Leaf(#[from] LeafError),
    /// The path does not lead from the leaf to the root.
    #[error("the path does not lead from the leaf to the checkpoint's root")]
    Path,
}

impl TlogProof {
    /// The proof as text.
    pub fn to_text(&self) -> String {
        let mut text = format!("{HEAD}\nindex {}\n", self.index);
        for hash in &self.path {
            text.push_str(&STANDARD.encode(hash));
            text.push('\n');
        }
        text.push('\n');
        text.push_str(&self.checkpoint);
        text
    }

    /// Reads a proof. Nothing in it is trusted yet. The format's `extra` line is refused: we have no use for it.
    ///
    /// # Errors
    ///
    /// Another form, or a path that is longer than any tree is high.
    pub fn parse(text: &str) -> Result<Self, ProofError> {
        let rest = text.strip_prefix(HEAD).and_then(|rest| rest.strip_prefix('\n'));
        let rest = rest.ok_or(ProofError::Form("its first line is another"))?;
        let (head, checkpoint) = rest.split_once("\n\n").ok_or(ProofError::Form("it has no checkpoint"))?;
        let mut lines = head.split('\n');
        let index = lines.next().and_then(|line| line.strip_prefix("index "));
        let index = index.ok_or(ProofError::Form("its second line is not the index"))?;
        let number: u64 = index.parse().map_err(|_| ProofError::Form("its index is not a number"))?;
        if number.to_string() != index {
            return Err(ProofError::Form("its index is not written plainly"));
        }
        let mut path = Vec::new();
        for line in lines {
            let hash = STANDARD.decode(line).ok().and_then(|hash| hash.try_into().ok());
            path.push(hash.ok_or(ProofError::Form("a line of its path is not a hash in base64"))?);
            if path.len() > LONGEST_PATH {
                return Err(ProofError::Form("its path is longer than any tree is high"));
            }
        }
        Ok(Self { index: number, path, checkpoint: checkpoint.into() })
    }

    /// The leaf and the checkpoint, if the path leads from one to the other and the log's key signed it.
    ///
    /// # Errors
    ///
    /// Every way in which it does not.
    pub fn check(&self, leaf: &[u8], verifier: &LogVerifier) -> Result<(Leaf, Checkpoint), ProofError> {
        let checkpoint = Checkpoint::open(self.checkpoint.as_bytes(), verifier)?;
        let parsed = Leaf::parse(leaf)?;
        let path = self.path.iter().copied().map(Hash).collect();
        check_record(&path, checkpoint.size, Hash(*checkpoint.root.bytes()), self.index, record_hash(leaf))
            .map_err(|_| ProofError::Path)?;
        Ok((parsed, checkpoint))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;
    use crate::log::key::LogKey;
    use crate::log::leaf::Kind;

    /// A log with two leaves, and the proof of the second.
    fn sample(state: &std::path::Path) -> (LogKey, Vec<u8>, TlogProof) {
        let key = LogKey::load_or_create(state, "1").unwrap();
        let leaf = Leaf::new(Kind::Receipt, "CAP-1", &Digest::of(b"")).to_bytes().unwrap();
        let first = record_hash(b"first");
        let root = Digest::from(tlog_tiles::node_hash(first, record_hash(&leaf)).0);
        let checkpoint = Checkpoint::sign(2, &root, &key).unwrap().note;
        (key, leaf, TlogProof { index: 1, path: vec![first.0], checkpoint })
    }

    #[test]
    fn a_proof_comes_back_and_holds() {
        let state = crate::scratch();
        let (key, leaf, proof) = sample(state.path());
        let text = proof.to_text();
        assert!(text.starts_with("c2sp.org/tlog-proof@v1\nindex 1\n"), "{text}");
        assert_eq!(TlogProof::parse(&text).unwrap(), proof);
        let (read, checkpoint) = proof.check(&leaf, key.verifier()).unwrap();
        assert_eq!((read.run_id.as_str(), checkpoint.size), ("CAP-1", 2));
    }

    #[test]
    fn another_leaf_index_path_or_key_proves_nothing() {
        let (state, other) = (crate::scratch(), crate::scratch());
        let (key, leaf, proof) = sample(state.path());
        let stranger = LogKey::load_or_create(other.path(), "1").unwrap();
        assert!(matches!(proof.check(&leaf, stranger.verifier()), Err(ProofError::Checkpoint(_))));
        let altered = Leaf::new(Kind::Receipt, "CAP-2", &Digest::of(b"")).to_bytes().unwrap();
        assert!(matches!(proof.check(&altered, key.verifier()), Err(ProofError::Path)));
        assert!(matches!(proof.check(b"{}", key.verifier()), Err(ProofError::Leaf(_))));
        for (index, path) in
            [(0, proof.path.clone()), (2, proof.path.clone()), (1, vec![]), (u64::MAX, vec![])]
        {
            let wrong = TlogProof { index, path, ..proof.clone() };
            assert!(matches!(wrong.check(&leaf, key.verifier()), Err(ProofError::Path)), "{index}");
        }
    }

    #[test]
    fn other_forms_are_refused() {
        let state = crate::scratch();
        let text = sample(state.path()).2.to_text();
        let hash = format!("{}\n", STANDARD.encode([0; 32]));
        let cases = [
            String::new(),
            text.replace("@v1", "@v2"),
            text.replace("index 1", "index 01"),
            text.replace("index 1", "index -1"),
            text.replace("index 1", "extra AAAA\nindex 1"),
            text.replace("index 1\n", "index 1\nAAAA\n"),
            text.replace("index 1\n", &format!("index 1\n{}", hash.repeat(LONGEST_PATH + 1))),
            text.replace("\n\n", "\n"),
        ];
        for case in cases {
            assert!(TlogProof::parse(&case).is_err(), "{}", case.chars().take(100).collect::<String>());
        }
    }
}
