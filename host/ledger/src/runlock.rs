//! A lock that lives as long as a run's process, so that a crash can be told from a run that is still going.
//!
//! It is a `flock` on `runs/<key>/lock` in the state folder: the kernel drops it when the process ends, however it
//! ends. A process that is forked without `exec` shares the lock until it ends too.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::private::{self, FileError};

/// A run's lock. Dropping it releases it.
#[derive(Debug)]
pub struct RunLock {
    folder: PathBuf,
    // Held for its lock; closed on drop.
    _file: File,
}

/// Why a lock was not taken.
#[derive(Debug, thiserror::Error)]
pub enum RunLockError {
    /// The lock's file cannot be made or opened.
    #[error(transparent)]
    File(#[from] FileError),
    /// Somebody holds it.
    #[error("the run {0} is held by another process; wait until it has ended")]
    Held(String),
}

impl RunLock {
    /// Takes the lock of a run. Take it before the run's intent is committed.
    ///
    /// # Errors
    ///
    /// [`RunLockError::Held`] at once where somebody has it; a key that is no plain name; a state folder that is
    /// open to others.
    pub fn hold(state: &Path, run: &str) -> Result<Self, RunLockError> {
        private::check_name(run)?;
        let runs = state.join("runs");
        private::make_folder(&runs)?;
        let folder = runs.join(run);
        private::make_folder(&folder)?;
        let path = folder.join("lock");
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(FileError::io("open", &path))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { folder, _file: file }),
            Err(Errno::WOULDBLOCK) => Err(RunLockError::Held(run.into())),
            Err(error) => Err(FileError::io("lock", &path)(error.into()).into()),
        }
    }
}

impl Drop for RunLock {
    fn drop(&mut self) {
        // Run keys are used once, so nobody waits for this file. What cannot be removed is only clutter.
        let removed = std::fs::remove_file(self.folder.join("lock"));
        removed.and_then(|()| std::fs::remove_dir(&self.folder)).ok();
    }
}

/// Whether a run's process is alive.
///
/// # Errors
///
/// A key that is no plain name, or a lock that cannot be looked at: such a run may be alive.
pub fn is_alive(state: &Path, run: &str) -> Result<bool, FileError> {
    private::check_name(run)?;
    let path = state.join("runs").join(run).join("lock");
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(FileError::io("open", &path)(error)),
    };
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Ok(false),
        Err(Errno::WOULDBLOCK) => Ok(true),
        Err(error) => Err(FileError::io("look at the lock", &path)(error.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_lives_as_long_as_its_holder() {
        let state = crate::scratch();
        assert!(!is_alive(state.path(), "R1").unwrap());
        let lock = RunLock::hold(state.path(), "R1").unwrap();
        assert!(is_alive(state.path(), "R1").unwrap());
        assert!(!is_alive(state.path(), "R2").unwrap());
        assert!(matches!(RunLock::hold(state.path(), "R1"), Err(RunLockError::Held(_))));
        drop(lock);
        assert!(!is_alive(state.path(), "R1").unwrap());
        assert_eq!(std::fs::read_dir(state.path().join("runs")).unwrap().count(), 0);
    }

    #[test]
    fn what_a_dead_process_leaves_is_not_alive() {
        let state = crate::scratch();
        let lock = RunLock::hold(state.path(), "R1").unwrap();
        drop(lock._file.try_clone().unwrap());
        assert!(is_alive(state.path(), "R1").unwrap(), "a copy of the descriptor released the lock");
        drop(lock);
        std::fs::create_dir(state.path().join("runs/R1")).unwrap();
        std::fs::write(state.path().join("runs/R1/lock"), "").unwrap();
        assert!(!is_alive(state.path(), "R1").unwrap());
    }

    #[test]
    fn keys_stay_in_their_folder() {
        let state = crate::scratch();
        assert!(RunLock::hold(state.path(), "../R1").is_err());
        assert!(is_alive(state.path(), "../R1").is_err());
    }
}
