//! The log's tiles on disk: written, checked, and made again. They are derived, so nothing waits for the disk.
//!
//! Each file appears at once or not at all, and the checkpoint comes last: a reader who sees it finds its tiles.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use tlog_tiles::Tile;

use super::log::{Hashes, leaf_of, root, size};
use super::{Ledger, LedgerError};
use crate::log::tiles::{self, CHECKPOINT_NAME};
use crate::log::{Checkpoint, CheckpointError, LogVerifier};
use crate::private::{self, FileError};

/// The largest tile: 256 leaves of the largest size.
const LARGEST_TILE: u64 = 256 * (2 + 4096);

/// How deep folders of tiles can be: `tile/entries/x001/x234/067.p/5`, and some more.
const DEEPEST: usize = 10;

impl Ledger {
    /// Compares the checkpoint in a folder of tiles with the log. A ledger that was set back to an older copy must not
    /// sign a second history after the one that was handed on.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Tree`] where the log is another, and [`LedgerError::Checkpoint`] for a file that holds no
    /// checkpoint that the key signed. No file is no error.
    pub fn agrees_with(&self, folder: &Path, verifier: &LogVerifier) -> Result<(), LedgerError> {
        let published = match Checkpoint::read(&folder.join(CHECKPOINT_NAME), verifier) {
            Err(CheckpointError::File(error)) if error.is_missing() => return Ok(()),
            read => read?,
        };
        self.read(|connection| {
            if published.size > size(connection)? || root(connection, published.size)? != published.root {
                return Err(LedgerError::Tree {
                    what: "the checkpoint beside its tiles states another history",
                });
            }
            Ok(())
        })
    }

    /// Writes the tiles of a checkpoint, and the checkpoint, into a folder: only files that are not there, or with
    /// `again` also those that are there and differ. Returns how many files were written.
    ///
    /// # Errors
    ///
    /// A folder that cannot be written, or [`LedgerError::Tree`].
    pub fn write_tiles(
        &self,
        folder: &Path,
        checkpoint: &Checkpoint,
        again: bool,
    ) -> Result<u64, LedgerError> {
        self.read(|connection| {
            let mut written = 0;
            for (path, tile) in tiles::of_sizes(&sizes(connection, checkpoint.size)?) {
                let file = folder.join(&path);
                if tiles::is_superseded(&tile, checkpoint.size) {
                    remove(&file)?;
                } else if !file.exists() || again {
                    written += u64::from(write(&file, &bytes(connection, &tile)?)?);
                }
            }
            written += u64::from(write(&folder.join(CHECKPOINT_NAME), checkpoint.note.as_bytes())?);
            Ok(written)
        })
    }
}

/// The sizes of the checkpoints up to this one, in ascending order.
fn sizes(connection: &Connection, newest: u64) -> Result<Vec<u64>, LedgerError> {
    let mut statement = connection.prepare("SELECT size FROM checkpoints WHERE size <= ?1 ORDER BY size")?;
    let sizes = statement.query_map([newest.cast_signed()], |row| row.get::<_, i64>(0))?;
    Ok(sizes.map(|size| size.map(i64::unsigned_abs)).collect::<Result<_, _>>()?)
}

/// What a tile has in it.
fn bytes(connection: &Connection, tile: &Tile) -> Result<Vec<u8>, LedgerError> {
    if !tile.is_data() {
        return Ok(tile.read_data(&Hashes(connection))?);
    }
    let (first, last) = tiles::sequences(tile).into_inner();
    let mut statement = connection.prepare(
        "SELECT kind, run, digest FROM entries WHERE sequence BETWEEN ?1 AND ?2 ORDER BY sequence",
    )?;
    let mut rows = statement.query((first.cast_signed(), last.cast_signed()))?;
    let mut bytes = Vec::new();
    while let Some(row) = rows.next()? {
        let leaf = leaf_of(&row.get::<_, String>(0)?, &row.get::<_, String>(1)?, &row.get::<_, String>(2)?)?;
        let length = u16::try_from(leaf.len()).map_err(|_| crate::log::leaf::LeafError)?;
        bytes.extend(length.to_be_bytes());
        bytes.extend(leaf);
    }
    Ok(bytes)
}

/// Writes a file, unless it is there with the same bytes. Returns whether it did.
fn write(file: &Path, bytes: &[u8]) -> Result<bool, LedgerError> {
    if private::read_bounded(file, LARGEST_TILE).is_ok_and(|found| found == bytes) {
        return Ok(false);
    }
    let folder = file.parent().unwrap_or(file);
    std::fs::create_dir_all(folder).map_err(FileError::io("make the folder", folder))?;
    private::replace(file, bytes)?;
    Ok(true)
}

/// Removes a file that may be there, and its folder where that is empty now.
fn remove(file: &Path) -> Result<(), LedgerError> {
    match std::fs::remove_file(file) {
        Ok(()) => {
            // Other partial tiles may lie there.
            file.parent().map(std::fs::remove_dir);
            Ok(())
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(FileError::io("remove", file)(error).into()),
    }
}

/// What was found in a folder of tiles.
#[derive(Debug, Default)]
pub(super) struct TilesFound {
    /// The size that its checkpoint states; none where there is none.
    pub(super) size: Option<u64>,
    /// How many tiles were compared.
    pub(super) compared: u64,
    /// What is wrong, a sentence each.
    pub(super) findings: Vec<String>,
}

/// Compares a folder of tiles with the log.
pub(super) fn check(
    connection: &Connection,
    folder: &Path,
    verifier: Option<&LogVerifier>,
) -> Result<TilesFound, LedgerError> {
    let mut found = TilesFound::default();
    let file = folder.join(CHECKPOINT_NAME);
    if !file.exists() && !folder.join("tile").exists() {
        return Ok(found);
    }
    let Some(verifier) = verifier else {
        let what = "is signed, and log.key is not there to check it; put the key back from a backup";
        found.findings.push(format!("{} {what}", file.display()));
        return Ok(found);
    };
    let checkpoint = match Checkpoint::read(&file, verifier) {
        Ok(checkpoint) => checkpoint,
        Err(error) => {
            found.findings.push(format!("{}: {error}; run ops ledger rebuild", file.display()));
            return Ok(found);
        }
    };
    found.size = Some(checkpoint.size);
    let stored = "SELECT note FROM checkpoints WHERE size = ?1";
    let stored: Option<String> =
        connection.query_row(stored, [checkpoint.size.cast_signed()], |row| row.get(0)).ok();
    if stored.as_deref() != Some(checkpoint.note.as_str()) {
        found.findings.push(format!(
            "{} states a log of {} entries that the ledger did not sign so: the ledger was cut off or replaced, or \
             the file was changed; do not sign a checkpoint before you know which",
            file.display(),
            checkpoint.size
        ));
    }
    compare(connection, folder, checkpoint.size, &mut found)?;
    Ok(found)
}

fn compare(
    connection: &Connection,
    folder: &Path,
    size: u64,
    found: &mut TilesFound,
) -> Result<(), LedgerError> {
    let tiles = tiles::of_sizes(&sizes(connection, size)?);
    for (path, tile) in &tiles {
        let file = folder.join(path);
        match private::read_bounded(&file, LARGEST_TILE) {
            Ok(bytes) if bytes == self::bytes(connection, tile)? => found.compared += 1,
            Ok(_) => found.findings.push(format!(
                "the tile {} is not that of the ledger; run ops ledger rebuild",
                file.display()
            )),
            Err(error) if error.is_missing() && tiles::is_superseded(tile, size) => {}
            Err(error) => found.findings.push(format!("{error}; run ops ledger rebuild")),
        }
    }
    let known: BTreeSet<PathBuf> =
        tiles.keys().map(|path| folder.join(path)).chain([folder.join(CHECKPOINT_NAME)]).collect();
    let mut strangers = Vec::new();
    walk(folder, DEEPEST, &known, &mut strangers)?;
    found
        .findings
        .extend(strangers.iter().map(|file| format!("{} is no part of the log; remove it", file.display())));
    Ok(())
}

/// Files in a folder that are not known, a hundred at most.
fn walk(
    folder: &Path,
    depth: usize,
    known: &BTreeSet<PathBuf>,
    strangers: &mut Vec<PathBuf>,
) -> Result<(), FileError> {
    for entry in std::fs::read_dir(folder).map_err(FileError::io("list", folder))? {
        let path = entry.map_err(FileError::io("list", folder))?.path();
        if strangers.len() >= 100 {
            return Ok(());
        }
        let data = path.symlink_metadata().map_err(FileError::io("look at", &path))?;
        if data.is_dir() && depth > 0 {
            walk(&path, depth - 1, known, strangers)?;
        } else if !known.contains(&path) {
            strangers.push(path);
        }
    }
    Ok(())
}
