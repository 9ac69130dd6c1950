//! A checkpoint: the log's size and root, as a C2SP signed note.
//!
//! Order of a reading: the size; the note's form; a signature by the key that the reader has pinned; three lines
//! and no extension; the origin is the name of that key. Signatures by others, such as witnesses, may stand beside it.

use std::path::Path;

use signed_note::{Note, NoteError, Signature, VerifierList};
use tlog_tiles::{Checkpoint as Lines, Hash};

use super::key::{LogKey, LogVerifier};
use crate::digest::Digest;
use crate::private::{self, FileError};

/// The largest checkpoint that is read, in bytes: room for the signatures of many witnesses.
pub const LARGEST_CHECKPOINT: u64 = 64 * 1024;

/// The most entries that a log can have.
const MOST: u64 = 1 << 53;

/// A checkpoint that was signed by the log's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log's name.
    pub origin: String,
    /// How many entries the log had.
    pub size: u64,
    /// The root of the tree over them.
    pub root: Digest,
    /// The signed note, as it is handed on.
    pub note: String,
}

/// Why a text is no checkpoint of the log.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// Too many bytes.
    #[error("the checkpoint has more than {LARGEST_CHECKPOINT} bytes")]
    TooLarge,
    /// Not a signed note, or one that the key did not sign.
    #[error("the checkpoint is not a note that the log's key signed: {0}")]
    Note(#[from] NoteError),
    /// Not three lines with a size and a root.
    #[error("the checkpoint is not three lines with the log's name, its size and its root")]
    Lines,
    /// Another log's.
    #[error("the checkpoint is of the log {found:?}, and not of {expected:?}")]
    Origin {
        /// The name in the checkpoint.
        found: String,
        /// The name of the key.
        expected: String,
    },
}

impl Checkpoint {
    /// Signs size and root.
    ///
    /// # Errors
    ///
    /// None for a ledger's own name.
    pub fn sign(size: u64, root: &Digest, key: &LogKey) -> Result<Self, CheckpointError> {
        let verifier = key.verifier();
        let lines = Lines::new(verifier.origin(), size, Hash(*root.bytes()), "");
        let text = lines.map_err(|_| CheckpointError::Lines)?.to_bytes();
        let signature = Signature::new(verifier.origin().into(), verifier.id(), key.sign(&text).to_vec())?;
        let note = Note::new(&text, &[signature])?.to_bytes();
        Ok(Self {
            origin: verifier.origin().into(),
            size,
            root: *root,
            note: String::from_utf8(note).map_err(|_| CheckpointError::Lines)?,
        })
    }

    /// Reads a file with a checkpoint that this key signed.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or as [`Checkpoint::open`].
    pub fn read(file: &Path, verifier: &LogVerifier) -> Result<Self, CheckpointError> {
        Self::open(&private::read_bounded(file, LARGEST_CHECKPOINT)?, verifier)
    }

    /// Reads a checkpoint that this key signed.
    ///
    /// # Errors
    ///
    /// Every way in which it is not one.
    pub fn open(note: &[u8], verifier: &LogVerifier) -> Result<Self, CheckpointError> {
        if u64::try_from(note.len()).unwrap_or(u64::MAX) > LARGEST_CHECKPOINT {
            return Err(CheckpointError::TooLarge);
        }
        let parsed = Note::from_bytes(note)?;
        parsed.verify(&VerifierList::new(vec![Box::new(verifier.clone())]))?;
        let lines = Lines::from_bytes(parsed.text()).map_err(|_| CheckpointError::Lines)?;
        if lines.size() >= MOST || !lines.extension().is_empty() {
            return Err(CheckpointError::Lines);
        }
        if lines.origin() != verifier.origin() {
            return Err(CheckpointError::Origin {
                found: lines.origin().chars().take(100).collect(),
                expected: verifier.origin().into(),
            });
        }
        Ok(Self {
            origin: lines.origin().into(),
            size: lines.size(),
            root: Digest::from(lines.hash().0),
            note: String::from_utf8(note.to_vec()).map_err(|_| CheckpointError::Lines)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(state: &Path, ledger: &str) -> LogKey {
        LogKey::load_or_create(state, ledger).unwrap()
    }

    #[test]
    fn what_was_signed_comes_back() {
        let state = crate::scratch();
        let key = key(state.path(), "1");
        let signed = Checkpoint::sign(3, &Digest::of(b"root"), &key).unwrap();
        assert!(signed.note.starts_with("opscap.dev/ledger/1\n3\n"), "{}", signed.note);
        assert_eq!(Checkpoint::open(signed.note.as_bytes(), key.verifier()).unwrap(), signed);

        let witnessed = format!("{}\u{2014} witness.example {}\n", signed.note, "AAAAAAAA");
        assert_eq!(Checkpoint::open(witnessed.as_bytes(), key.verifier()).unwrap().size, 3);
    }

    #[test]
    fn anything_else_is_refused() {
        let (state, other) = (crate::scratch(), crate::scratch());
        let key = key(state.path(), "1");
        let note = Checkpoint::sign(3, &Digest::of(b"root"), &key).unwrap().note;
        let mut cases = vec![
            String::new(),
            note.replacen("\n3\n", "\n4\n", 1),
            note.replacen("\n3\n", "\n03\n", 1),
            note.replacen("ledger/1", "ledger/2", 1),
            Checkpoint::sign(3, &Digest::of(b"root"), &self::key(other.path(), "1")).unwrap().note,
            "x".repeat(70_000),
        ];
        let resign = |text: &str| {
            let verifier = key.verifier();
            let signature = key.sign(text.as_bytes()).to_vec();
            let signature = Signature::new(verifier.origin().into(), verifier.id(), signature).unwrap();
            String::from_utf8(Note::new(text.as_bytes(), &[signature]).unwrap().to_bytes()).unwrap()
        };
        let root = Hash([7; 32]);
        cases.push(resign(&format!("opscap.dev/ledger/2\n3\n{root}\n")));
        cases.push(resign(&format!("opscap.dev/ledger/1\n3\n{root}\nmore\n")));
        cases.push(resign(&format!("opscap.dev/ledger/1\n{}\n{root}\n", u64::MAX)));
        cases.push(resign("opscap.dev/ledger/1\n3\nshort\n"));
        for case in cases {
            let start: String = case.chars().take(200).collect();
            assert!(Checkpoint::open(case.as_bytes(), key.verifier()).is_err(), "{start}");
        }
    }
}
