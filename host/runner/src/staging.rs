//! Where a run's private copies lie: `staging/<run key>/` in the host's state folder, gone with the run unless nobody
//! knows what became of it.
//!
//! A run that changes things keeps two copies of each granted folder: `before`, which nobody writes to, so that the run
//! can be resumed from what it began with, and `apply`, which the guest changes and from which files are committed.

use std::path::{Path, PathBuf};

use ops_sandbox::commit::set;

/// Where all runs stage.
pub(crate) fn folder(state: &Path) -> PathBuf {
    state.join("staging")
}

/// Where one run stages.
pub(crate) fn of_run(state: &Path, run: &str) -> PathBuf {
    folder(state).join(run)
}

/// What the apply phase began with.
pub(crate) fn before(state: &Path, run: &str) -> PathBuf {
    of_run(state, run).join("before")
}

/// What the guest of the apply phase changes.
pub(crate) fn apply(state: &Path, run: &str) -> PathBuf {
    of_run(state, run).join("apply")
}

/// Waits until a folder, with all that is in it, is on disk: a run that is resumed after a power cut begins with it.
pub(crate) fn sync(folder: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() { sync(&path)? } else { std::fs::File::open(&path)?.sync_all()? }
    }
    std::fs::File::open(folder)?.sync_all()
}

/// Removes everything that a run has staged. What cannot be removed is only clutter.
pub(crate) fn remove(state: &Path, run: &str) {
    std::fs::remove_dir_all(of_run(state, run)).ok();
}

/// Brings a recorded commit of a dead run to its end. Returns the names of the folders that were committed.
pub(crate) fn roll_forward(state: &Path, run: &str) -> Result<Vec<String>, String> {
    let stage = apply(state, run);
    if !stage.is_dir() {
        return Ok(Vec::new());
    }
    match set::roll_forward(&stage) {
        Ok(None) => Ok(Vec::new()),
        Ok(Some(set)) => Ok(set.folders.into_iter().map(|folder| folder.staged).collect()),
        Err(error) => Err(error.to_string()),
    }
}

/// Whether a run has recorded a commit that is not at its end.
pub(crate) fn is_recorded(state: &Path, run: &str) -> bool {
    set::is_recorded(&apply(state, run))
}
