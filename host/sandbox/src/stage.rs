//! Private copies of granted folders. A guest never sees an original: it reads and writes a copy, and what it changed
//! there is compared with the tree that was copied. The list of changes is what people approve and what a commit does.
//!
//! Order: check and copy the original, let the guest work, check the result as strictly, compare.

#[cfg(test)]
mod tests;

use std::io::{self, Write as _};
use std::path::Path;

use ops_policy::digest::Digest;
use serde::{Deserialize, Serialize};

use crate::tree::{Entry, Limits, Problem, Tree, TreeError, name, open, scan, walk};

/// Copies a granted folder to `to`: folders 0700, files 0600. Gives the tree of the original, with its own modes.
///
/// `to` must not exist, its parent must. The checks of [`scan`] all precede the first write. After an error `to` may be
/// half filled and is for the caller to remove.
///
/// # Errors
///
/// Those of [`scan`]; `to` exists or cannot be written.
pub fn copy(from: &Path, to: &Path, limits: &Limits) -> Result<Tree, TreeError> {
    walk::walk(from, limits, Some(to))
}

/// Writes some files, such as contracts, into a new private folder `to`.
///
/// # Errors
///
/// A name that is not one plain component or comes twice; `to` exists or cannot be written.
pub fn contract_copy(files: &[(String, Vec<u8>)], to: &Path) -> Result<(), TreeError> {
    let failed =
        |path: &str, problem: Problem| TreeError { root: to.to_owned(), path: path.to_owned(), problem };
    for (name, _) in files {
        name::check(name.as_bytes(), name::LONGEST)
            .map_err(|problem| failed(&name.escape_debug().to_string(), problem))?;
    }
    let folder = walk::private_folder(to).map_err(|error| failed(".", error.into()))?;
    for (name, bytes) in files {
        let written = open::create(&folder, name, 0o600).and_then(|mut file| file.write_all(bytes));
        written.map_err(|error| failed(name, describe(error)))?;
    }
    Ok(())
}

fn describe(error: io::Error) -> Problem {
    match error.kind() {
        io::ErrorKind::AlreadyExists => Problem::Name("is given twice"),
        _ => Problem::Io(error),
    }
}

/// What happens to one path. The order is that in which two changes of one path are done: first what was there goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChangeKind {
    /// A file goes.
    Delete,
    /// A folder goes; what was in it goes by changes of its own.
    DeleteDirectory,
    /// A new file.
    Create,
    /// A new folder.
    CreateDirectory,
    /// A file gets another content.
    Replace,
}

/// One change of a granted folder. A renamed file is a delete and a create.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileChange {
    /// The path, relative to the granted folder, with `/` between the components.
    pub path: String,
    /// What happens.
    pub kind: ChangeKind,
    /// The digest of the file that goes or is replaced.
    pub before: Option<Digest>,
    /// The digest of the file that is new or replaces one.
    pub after: Option<Digest>,
    /// Bytes of the file that goes or is replaced, else 0.
    pub size_before: u64,
    /// Bytes of the file that is new or replaces one, else 0.
    pub size: u64,
}

/// Compares a guest's copy with the tree that was copied. The changes are sorted by path, then by kind; modes do not
/// count, as a guest cannot set them.
///
/// # Errors
///
/// Those of [`scan`]: the result may hold no more, and nothing else, than an original may.
pub fn changes(before: &Tree, staged: &Path, limits: &Limits) -> Result<Vec<FileChange>, TreeError> {
    let after = scan(staged, limits)?;
    let mut changes = Vec::new();
    for (path, old) in &before.entries {
        compare(path, Some(old), after.entries.get(path), &mut changes);
    }
    for (path, new) in &after.entries {
        if !before.entries.contains_key(path) {
            compare(path, None, Some(new), &mut changes);
        }
    }
    changes.sort();
    Ok(changes)
}

fn compare(path: &str, old: Option<&Entry>, new: Option<&Entry>, changes: &mut Vec<FileChange>) {
    match (old, new) {
        (Some(Entry::File { digest: old_digest, .. }), Some(Entry::File { digest: new_digest, .. })) => {
            if old_digest != new_digest {
                changes.push(change(path, ChangeKind::Replace, old, new));
            }
        }
        (Some(Entry::Directory { .. }), Some(Entry::Directory { .. })) => {}
        _ => {
            match old {
                Some(Entry::File { .. }) => changes.push(change(path, ChangeKind::Delete, old, None)),
                Some(Entry::Directory { .. }) => {
                    changes.push(change(path, ChangeKind::DeleteDirectory, old, None))
                }
                None => {}
            }
            match new {
                Some(Entry::File { .. }) => changes.push(change(path, ChangeKind::Create, None, new)),
                Some(Entry::Directory { .. }) => {
                    changes.push(change(path, ChangeKind::CreateDirectory, None, new))
                }
                None => {}
            }
        }
    }
}

fn change(path: &str, kind: ChangeKind, old: Option<&Entry>, new: Option<&Entry>) -> FileChange {
    let (before, size_before) = content(old);
    let (after, size) = content(new);
    FileChange { path: path.to_owned(), kind, before, after, size_before, size }
}

fn content(entry: Option<&Entry>) -> (Option<Digest>, u64) {
    match entry {
        Some(Entry::File { digest, size, .. }) => (Some(*digest), *size),
        Some(Entry::Directory { .. }) | None => (None, 0),
    }
}
