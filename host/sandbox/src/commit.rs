//! Puts the approved changes of one granted folder into the original. Guards against three things: a foreign write
//! between plan and commit, a path that has become something else, and a stop in the middle.
//!
//! Order: every original is checked before the first change; every new content is written beside its place, synced
//! and hashed; files are exchanged one by one and what came out is hashed (not what the plan saw: it is put back);
//! deleted files go, then emptied folders from the deepest up, then new folders and files come; each folder is synced.
//!
//! Atomic is each file, not the whole. So that the whole is reached all the same, [`apply`] is a redo: after a stop at
//! any point the same call again finds the files of the first try by their names (`.ops-<run key>-<number>`) and goes
//! on. [`set`] commits all folders of a run together.

mod originals;
mod redo;
mod run;
pub mod set;
mod step;

#[cfg(test)]
mod tests;

use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use crate::stage::FileChange;
use crate::tree::open;

/// Checks that every original is still what the plan saw, and changes nothing.
///
/// # Errors
///
/// [`Problem::Conflict`] for the first path that is not; [`Problem::Plan`] for a list that no plan has;
/// [`Problem::Io`] for an original that cannot be read.
pub fn check(target: &Path, changes: &[FileChange]) -> Result<(), Problem> {
    let mut steps = step::steps(changes)?;
    let target = open::root(target).map_err(|error| Problem::io(".", error))?;
    originals::check(target.as_fd(), &mut steps, originals::Accept::Before)
}

/// Commits the changes: afterwards `target` holds what the plan's approver saw, and nothing else of ours.
///
/// `staged` is the guest's copy, which is only read. It must be kept until this has returned `Ok`: after a stop, the
/// same call with the same arguments finishes the work, so after a stop call this without [`check`]. Contents are
/// synced beside the originals, not in `staged`: whoever must survive a power cut can restore `staged` from a store.
///
/// `run_key` names the run: letters, digits, `-`, `_` and `.`, at most 220 of them.
///
/// Replaced files keep their mode and their group; new files are 0644 and new folders 0755, less the umask.
///
/// # Errors
///
/// A [`CommitError`] that says how many changes are in place. What they did stays; everything else is as it was,
/// and no file of ours is left, but for a foreign content that has no other place ([`Why::Kept`]).
pub fn apply(target: &Path, staged: &Path, changes: &[FileChange], run_key: &str) -> Result<(), CommitError> {
    let none = |problem| CommitError { committed: 0, problem };
    let mut steps = step::steps(changes).map_err(none)?;
    let commit = run::Commit::open(target, staged, run_key).map_err(none)?;
    commit.run(&mut steps)
}

/// A commit that did not come to its end.
#[derive(Debug, thiserror::Error)]
#[error("{problem}; {committed} paths of this commit are already changed")]
pub struct CommitError {
    /// How many paths already are as planned, those of an interrupted earlier try included.
    pub committed: usize,
    /// What stopped it.
    pub problem: Problem,
}

/// What stops a commit.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The original is not what the plan saw.
    #[error("`{path}` {why}; nothing of it was overwritten: look at it, and plan again")]
    Conflict {
        /// The path, relative to the granted folder.
        path: String,
        /// What is there instead.
        why: Why,
    },
    /// The staged copy is not what was planned.
    #[error("the staged copy of `{path}` is not what the plan shows; plan again")]
    Staged {
        /// The path.
        path: String,
    },
    /// A list of changes, or a run key, that no plan has.
    #[error("`{path}` {why}, so this is no list of changes that a plan has made; plan again")]
    Plan {
        /// The path, escaped.
        path: String,
        /// What is wrong.
        why: &'static str,
    },
    /// The file system cannot exchange two files in one step.
    #[error(
        "`{path}` cannot be replaced safely: its file system cannot exchange two files; use ext4, XFS, Btrfs or tmpfs"
    )]
    NoExchange {
        /// The path.
        path: String,
    },
    /// The system refused.
    #[error("`{path}` cannot be read or changed: {error}")]
    Io {
        /// The path; `.` is the granted folder itself.
        path: String,
        /// What the system said.
        error: io::Error,
    },
}

impl Problem {
    fn io(path: &str, error: impl Into<io::Error>) -> Self {
        Self::Io { path: path.to_owned(), error: error.into() }
    }

    fn conflict(path: &str, why: Why) -> Self {
        Self::Conflict { path: path.to_owned(), why }
    }
}

/// How an original differs from what the plan saw.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// Another content, or no regular file with one name any more.
    #[error("has changed since the plan")]
    Changed,
    /// It is not there any more.
    #[error("is gone since the plan")]
    Gone,
    /// It is new in the plan, but somebody else has made it.
    #[error("was created by somebody else since the plan")]
    Exists,
    /// A folder above it is gone or is no folder any more.
    #[error("is no longer in a folder that the plan saw")]
    FolderGone,
    /// The folder shall go, but it holds something that the plan did not see.
    #[error("shall go, but now holds {0}")]
    Holds(String),
    /// A foreign content was displaced, and its place is taken. It is kept beside it under this name.
    #[error("has changed twice during the commit; one of the contents is kept beside it as `{0}`")]
    Kept(String),
}
