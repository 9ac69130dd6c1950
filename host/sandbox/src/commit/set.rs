//! All granted folders of one run, committed together. Guards against a stop between the first and the last of them.
//!
//! Order: [`record`] checks every original of every folder and every staged file, syncs what is staged, and then writes
//! down, durably and in one step, what shall happen. From there it happens: [`roll_forward`] looks at all folders again,
//! commits one after the other with the redo of [`super::apply`], and takes the record away. It may be called again
//! after a stop at any point, and whoever finds a stage with a record after a crash calls it. So a crash ends in all or
//! nothing.
//!
//! A foreign write between the two cannot be undone by us, nor may it be overwritten. It ends the commit where it is
//! found, most often before anything is changed. Folders that were committed before it stay as they are, because their
//! old contents are gone by then; the error names them.

use std::collections::BTreeSet;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, RenameFlags, fstat, fsync, renameat_with, unlinkat};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::run::{self, Commit};
use super::step::{self, Step};
use super::{CommitError, Problem};
use crate::stage::FileChange;
use crate::tree::{name, open};

/// The file in the stage that says what shall be committed.
const RECORD: &str = "commit.json";
/// Its name while it is written.
const PART: &str = "commit.json.part";
/// The record's version.
const VERSION: u32 = 1;
/// The longest record, in bytes. A folder of the most files with the longest names has an eighth of it.
const RECORD_BYTES: u64 = 64 << 20;
/// The most folders: as many as a binding can grant.
const FOLDERS: usize = 100;

/// What one run commits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Set {
    /// The folders, in the order in which they are committed.
    pub folders: Vec<Folder>,
}

/// One granted folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Folder {
    /// The original, an absolute path. None of a set lies in another.
    pub target: PathBuf,
    /// The guest's copy: the name of a folder in the stage.
    pub staged: String,
    /// What changes, as [`crate::stage::changes`] tells it.
    pub changes: Vec<FileChange>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    version: u32,
    run_key: String,
    set: Set,
}

/// A set that is not committed, or not wholly.
#[derive(Debug, thiserror::Error)]
pub enum SetError {
    /// The record is there and cannot be used. No file was touched by this call.
    #[error("the record of a commit, {path}, cannot be used: {why}; nothing was changed by it now")]
    Record {
        /// The record.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// All files are in place, and the record of it cannot be taken away. Calling again can help.
    #[error("all files are in place, but the record of the commit, {path}, cannot be removed: {error}")]
    Remove {
        /// The record.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// A folder could not be committed, so those after it were not either.
    #[error("{}: {error}; {}", target.display(), so_far(committed, *again))]
    Folder {
        /// The folder.
        target: PathBuf,
        /// The folders of the set that are wholly as planned.
        committed: Vec<PathBuf>,
        /// Whether the record is kept, because calling again can help: the system refused something. A conflict is
        /// for a person to look at, and a commit that went on by itself later would surprise them.
        again: bool,
        /// What stopped it.
        #[source]
        error: CommitError,
    },
}

fn so_far(committed: &[PathBuf], again: bool) -> String {
    let folders: Vec<_> = committed.iter().map(|folder| folder.display().to_string()).collect();
    let done = if folders.is_empty() { "no folder".to_owned() } else { folders.join(", ") };
    let next = if again { "; the rest is tried again when the run is recovered" } else { "" };
    format!("wholly committed: {done}{next}")
}

/// Writes down what shall be committed, after checking that it can be. From here it will be.
///
/// `stage` is a folder of the host's own that holds the staged copies. It must be kept, with all that is in it, until
/// [`roll_forward`] has returned `Ok`.
///
/// # Errors
///
/// Those of [`super::check`] for any folder; [`Problem::Staged`]; [`Problem::Plan`] for a set that no run has and for a
/// stage with a record already. There is no record then, and nothing was changed.
pub fn record(stage: &Path, run_key: &str, set: &Set) -> Result<(), Problem> {
    let mut steps = checked(run_key, set)?;
    for (folder, steps) in set.folders.iter().zip(&mut steps) {
        let commit = commit(stage, folder, run_key)?;
        commit.check_originals(steps)?;
        commit.sync_staged(steps)?;
        reached("staged synced");
    }
    let failed = |error: io::Error| Problem::io(RECORD, error);
    let record = Record { version: VERSION, run_key: run_key.to_owned(), set: set.clone() };
    let bytes = serde_json::to_vec(&record).map_err(|error| failed(error.into()))?;
    if bytes.len() as u64 > RECORD_BYTES {
        return Err(Problem::Plan {
            path: RECORD.to_owned(),
            why: "would be longer than any plan's changes",
        });
    }
    // The stage itself must be found after a power cut.
    if let Some(parent) = stage.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        open::root(parent).and_then(|parent| Ok(fsync(parent)?)).map_err(failed)?;
    }
    let stage = open::root(stage).map_err(failed)?;
    write(&stage, &bytes)
}

/// Puts the record in its place in one step: it is whole or not there.
fn write(stage: &OwnedFd, bytes: &[u8]) -> Result<(), Problem> {
    let failed = |error: io::Error| Problem::io(RECORD, error);
    match unlinkat(stage, PART, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(error) => return Err(failed(error.into())),
    }
    let mut part = open::create(stage, PART, 0o600).map_err(failed)?;
    part.write_all(bytes).and_then(|()| part.sync_all()).map_err(failed)?;
    reached("record written");
    renameat_with(stage, PART, stage, RECORD, RenameFlags::NOREPLACE).map_err(|error| match error {
        Errno::EXIST => Problem::Plan { path: RECORD.to_owned(), why: "is there already" },
        _ => failed(error.into()),
    })?;
    reached("record in place");
    if let Err(error) = fsync(stage) {
        // Nobody can say whether it would be found after a power cut, so it must not be found now either.
        let _ = unlinkat(stage, RECORD, AtFlags::empty());
        return Err(failed(error.into()));
    }
    reached("recorded");
    Ok(())
}

/// Whether a stage holds a record, so that [`roll_forward`] has something to do.
pub fn is_recorded(stage: &Path) -> bool {
    open::root(stage).is_ok_and(|stage| !matches!(open::look(stage, RECORD), Ok(None)))
}

/// Commits what is recorded, and takes the record away. Gives what was committed; `None` where there is no record.
///
/// # Errors
///
/// A [`SetError`] that says what is in place and whether calling again can help. The record is kept only then.
pub fn roll_forward(stage: &Path) -> Result<Option<Set>, SetError> {
    let wrong = |why: String| SetError::Record { path: stage.join(RECORD), why };
    let opened = open::root(stage).map_err(|error| wrong(error.to_string()))?;
    let Some(bytes) = read(&opened).map_err(|error| wrong(error.to_string()))? else { return Ok(None) };
    let record: Record = serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))?;
    if record.version != VERSION {
        return Err(wrong(format!("its version is {}, and {VERSION} is known here", record.version)));
    }
    let Record { run_key, set, .. } = record;
    let mut steps = checked(&run_key, &set).map_err(|error| wrong(error.to_string()))?;
    let ended = commit_all(stage, &run_key, &set, &mut steps);
    if let Err((place, error)) = ended {
        let again = matches!(error.problem, Problem::Io { .. }) || remove(&opened).is_err();
        let committed = done(stage, &run_key, &set, &steps);
        let target = set.folders.get(place).map(|folder| folder.target.clone()).unwrap_or_default();
        return Err(SetError::Folder { target, committed, again, error });
    }
    remove(&opened).map_err(|error| SetError::Remove { path: stage.join(RECORD), error })?;
    Ok(Some(set))
}

/// Looks at all folders before the first is changed. An error comes with the folder's place in the set.
fn commit_all(
    stage: &Path,
    run_key: &str,
    set: &Set,
    steps: &mut [Vec<Step>],
) -> Result<(), (usize, CommitError)> {
    for (place, (folder, steps)) in set.folders.iter().zip(steps.iter_mut()).enumerate() {
        let none = |problem| (place, CommitError { committed: 0, problem });
        let commit = commit(stage, folder, run_key).map_err(none)?;
        commit.look(steps).map_err(|problem| (place, commit.failed(steps, problem)))?;
    }
    for (place, (folder, steps)) in set.folders.iter().zip(steps.iter_mut()).enumerate() {
        let none = |problem| (place, CommitError { committed: 0, problem });
        let commit = commit(stage, folder, run_key).map_err(none)?;
        commit.run(steps).map_err(|error| (place, error))?;
        reached("folder committed");
    }
    Ok(())
}

/// The folders that are wholly as planned now.
fn done(stage: &Path, run_key: &str, set: &Set, steps: &[Vec<Step>]) -> Vec<PathBuf> {
    let is_done = |folder: &Folder, steps: &[Step]| {
        !steps.is_empty()
            && commit(stage, folder, run_key).is_ok_and(|commit| commit.done(steps) == steps.len())
    };
    let folders = set.folders.iter().zip(steps).filter(|(folder, steps)| is_done(folder, steps));
    folders.map(|(folder, _)| folder.target.clone()).collect()
}

fn commit<'a>(stage: &Path, folder: &Folder, run_key: &'a str) -> Result<Commit<'a>, Problem> {
    Commit::open(&folder.target, &stage.join(&folder.staged), run_key)
}

/// The steps of each folder, of a set that a run can have.
fn checked(run_key: &str, set: &Set) -> Result<Vec<Vec<Step>>, Problem> {
    run::check_key(run_key)?;
    let refuse =
        |path: &Path, why| Problem::Plan { path: path.display().to_string().escape_debug().to_string(), why };
    if let Some(folder) = set.folders.get(FOLDERS) {
        return Err(refuse(&folder.target, "is one folder more than a binding can grant"));
    }
    let mut copies = BTreeSet::new();
    for (place, folder) in set.folders.iter().enumerate() {
        let target = &folder.target;
        if !target.is_absolute() || target.to_str().is_none() {
            return Err(refuse(target, "is not an absolute path of text"));
        }
        let within = |other: &Folder| target.starts_with(&other.target) || other.target.starts_with(target);
        if set.folders.iter().take(place).any(within) {
            return Err(refuse(target, "lies in another folder of the same run, or holds it"));
        }
        if name::check(folder.staged.as_bytes(), name::LONGEST).is_err() || !copies.insert(&folder.staged) {
            return Err(refuse(Path::new(&folder.staged), "is not the name of a staged copy of its own"));
        }
    }
    set.folders.iter().map(|folder| step::steps(&folder.changes)).collect()
}

/// The record's bytes, if there is one: a regular file of this user's that nobody else can write.
fn read(stage: &OwnedFd) -> io::Result<Option<Vec<u8>>> {
    let Some(seen) = open::look(stage, RECORD)? else { return Ok(None) };
    let Some(file) = open::file(stage, RECORD, &seen)? else {
        return Err(io::Error::other("it is no regular file"));
    };
    let owner = fstat(&file)?.st_uid;
    if owner != rustix::process::geteuid().as_raw() || seen.mode & 0o022 != 0 || seen.links != 1 {
        return Err(io::Error::other("it is not a file that only this user can write"));
    }
    if seen.size > RECORD_BYTES {
        return Err(io::Error::other(format!("it is longer than {RECORD_BYTES} bytes")));
    }
    let mut bytes = Vec::new();
    file.take(RECORD_BYTES).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

fn remove(stage: impl AsFd) -> io::Result<()> {
    unlinkat(&stage, RECORD, AtFlags::empty())?;
    reached("record removed");
    Ok(fsync(stage)?)
}

/// Where the tests stop a commit.
#[cfg(test)]
fn reached(point: &str) {
    super::tests::reached(point, RECORD);
}

#[cfg(not(test))]
fn reached(_: &str) {}
