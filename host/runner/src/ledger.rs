//! The ledger as a log: signing checkpoints, checking it, making again what is derived, proving receipts.

use std::path::{Path, PathBuf};

use ops_ledger::digest::Digest;
use ops_ledger::log::{Checkpoint, LogKey};
use ops_ledger::store::{Against, Checked, LedgerError};
use ops_policy::plan::Plan;
use serde::Serialize;

use crate::runner::Runner;

/// A checkpoint, and where the log was written with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// The signed note.
    pub note: String,
    /// How many entries it covers.
    pub size: u64,
    /// The folder with the tiles.
    pub folder: PathBuf,
    /// How many files were written there.
    pub files: u64,
}

/// What came of checking the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LedgerReport {
    /// Whether nothing was found.
    pub good: bool,
    /// How many entries it has.
    pub entries: u64,
    /// The root of the tree over them, `sha256:` and hex; none where the entries could not be read.
    pub root: Option<String>,
    /// How many checkpoints it was compared with.
    pub checkpoints: u64,
    /// The size of the checkpoint that was given, where one was.
    pub since: Option<u64>,
    /// How many tiles were compared.
    pub tiles: u64,
    /// What is wrong, a sentence each.
    pub findings: Vec<String>,
}

/// What was made again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rebuilt {
    /// Hashes of the tree that were not right.
    pub hashes: u64,
    /// Files of the log.
    pub files: u64,
    /// Folders of receipts.
    pub receipts: u64,
}

impl Runner {
    /// Signs a checkpoint of the log as it is now, and writes the log's files.
    ///
    /// # Errors
    ///
    /// A key or folder that cannot be used, or a log that is not the one that was signed before.
    pub fn checkpoint(&self) -> Result<Published, String> {
        let publish = || {
            let key = self.ledger().log_key()?;
            // A ledger that was set back to an older copy must not sign a second history.
            self.ledger().agrees_with(&self.log_folder(), key.verifier())?;
            let checkpoint = self.ledger().checkpoint(&key)?;
            let files = self.ledger().write_tiles(&self.log_folder(), &checkpoint, false)?;
            Ok((checkpoint, files))
        };
        let (checkpoint, files) = publish().map_err(|error: LedgerError| error.to_string())?;
        Ok(Published { note: checkpoint.note, size: checkpoint.size, folder: self.log_folder(), files })
    }

    /// The key that others check this log's checkpoints with.
    ///
    /// # Errors
    ///
    /// A key that cannot be used.
    pub fn log_verifier_key(&self) -> Result<String, String> {
        self.log_key().map(|key| key.verifier().vkey())
    }

    /// Checks the whole ledger, and that it goes on from the checkpoint in a file, where one is given.
    ///
    /// # Errors
    ///
    /// The file holds no checkpoint of this log, or log.key cannot be used.
    pub fn check_ledger(&self, since: Option<&Path>) -> Result<LedgerReport, String> {
        let key = match self.ledger().log_key() {
            Ok(key) => Some(key),
            // That the key is gone is a finding, where there is something that it signed.
            Err(LedgerError::Key(error)) if error.is_missing() => None,
            Err(error) => return Err(error.to_string()),
        };
        let since = since.map(|file| read_checkpoint(file, key.as_ref())).transpose()?;
        let plan_digest =
            |document: &[u8]| Plan::parse(document).ok().map(|plan| Digest::from(*plan.hash().bytes()));
        let checked = self.ledger().check(&Against {
            host: &self.key().public(),
            log: key.as_ref().map(LogKey::verifier),
            since: since.as_ref(),
            tiles: &self.log_folder(),
            plan_digest: &plan_digest,
        });
        let Checked { size, root, checkpoints, tiles, findings, .. } = checked;
        Ok(LedgerReport {
            good: findings.is_empty(),
            entries: size,
            root: root.map(|root| root.to_string()),
            checkpoints,
            since: since.map(|since| since.size),
            tiles,
            findings,
        })
    }

    /// Makes again what is derived: the tree's hashes, the log's files, the folders of all receipts.
    ///
    /// # Errors
    ///
    /// Something that it is derived from cannot be read, or a folder cannot be written.
    pub fn rebuild_ledger(&self) -> Result<Rebuilt, String> {
        let text = |error: LedgerError| error.to_string();
        let mut rebuilt =
            Rebuilt { hashes: self.ledger().rebuild_hashes().map_err(text)?, ..Rebuilt::default() };
        let key = self.log_key()?;
        match self.ledger().agrees_with(&self.log_folder(), key.verifier()) {
            // A damaged file is what a rebuild is for; one that is good and disagrees is not.
            Ok(()) | Err(LedgerError::Checkpoint(_)) => {}
            Err(error) => return Err(error.to_string()),
        }
        if let Some(checkpoint) = self.ledger().newest_checkpoint(key.verifier()).map_err(text)? {
            rebuilt.files = self.ledger().write_tiles(&self.log_folder(), &checkpoint, true).map_err(text)?;
        }
        for row in self.receipts(u32::MAX).map_err(|ending| ending.message)? {
            self.export(&row.key)?;
            rebuilt.receipts += 1;
        }
        Ok(rebuilt)
    }

    /// A receipt with the proof that it is in the log, as the JSON of one file; and its run key.
    ///
    /// # Errors
    ///
    /// There is no such receipt, or the log cannot be relied on.
    pub fn prove(&self, key: &str) -> Result<(String, String), String> {
        let prove = || {
            let stored = self.ledger().receipt(key)?.summary;
            let log = self.ledger().log_key()?;
            let newest = self.ledger().newest_checkpoint(log.verifier())?;
            let checkpoint = match newest.filter(|newest| newest.size >= stored.sequence) {
                Some(newest) => newest,
                None => {
                    self.ledger().agrees_with(&self.log_folder(), log.verifier())?;
                    self.ledger().checkpoint(&log)?
                }
            };
            Ok((stored.run.clone(), self.ledger().receipt_proof(&stored.run, &checkpoint)?))
        };
        let (run, proof) = prove().map_err(|error: LedgerError| error.to_string())?;
        Ok((run, serde_json::to_string_pretty(&proof).map_err(|error| error.to_string())?))
    }

    /// The folder with the log's files.
    fn log_folder(&self) -> PathBuf {
        self.workspace().receipts().join("log")
    }

    fn log_key(&self) -> Result<LogKey, String> {
        self.ledger().log_key().map_err(|error| error.to_string())
    }
}

fn read_checkpoint(file: &Path, key: Option<&LogKey>) -> Result<Checkpoint, String> {
    let key = key.ok_or("log.key is not there to check the checkpoint with; put it back from a backup")?;
    Checkpoint::read(file, key.verifier()).map_err(|error| format!("{}: {error}", file.display()))
}
