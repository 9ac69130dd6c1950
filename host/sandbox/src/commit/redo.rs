//! The files that a commit puts beside the originals, and what becomes of them after a stop.
//!
//! Such a file is complete from the moment it has its final name. So its content tells what it is: the new one, ready
//! but not yet exchanged; the old one, displaced and no longer needed; or a foreign one that was displaced just before
//! the stop, and goes back to its place. A foreign content is never removed.

use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, RenameFlags, renameat_with, unlinkat};
use rustix::io::Errno;

use super::originals::{folder, state};
use super::step::{State, Step};
use super::{Problem, Why};

/// Removes the files of this run, from this try or an earlier one. Goes through all steps, then reports the first
/// foreign content that was put back or kept.
pub(super) fn recover(target: BorrowedFd<'_>, steps: &[Step], run_key: &str) -> Result<(), Problem> {
    let mut first = Ok(());
    for step in steps {
        let recovered = recover_step(target, step, run_key);
        if first.is_ok() {
            first = recovered;
        }
    }
    first
}

fn recover_step(target: BorrowedFd<'_>, step: &Step, run_key: &str) -> Result<(), Problem> {
    let Some(folder) = folder(target, step)? else {
        return Ok(());
    };
    let beside = step.beside(run_key);
    match unlinkat(&folder, step.part(run_key), AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(error) => return Err(Problem::io(&step.path, error)),
    }
    match state(&folder, &beside, step)? {
        State::Absent => Ok(()),
        left if left.is_file() && (left == step.before || left == step.after) => {
            unlinkat(&folder, &beside, AtFlags::empty()).map_err(|error| Problem::io(&step.path, error))
        }
        _ => {
            put_back(&folder, step, &beside)?;
            Err(Problem::conflict(&step.path, Why::Changed))
        }
    }
}

/// Gives a foreign content its place back: by exchange where our file is, by a rename where nothing is.
pub(super) fn put_back(folder: &OwnedFd, step: &Step, beside: &str) -> Result<(), Problem> {
    let name = step.name();
    let kept = || Problem::conflict(&step.path, Why::Kept(beside.to_owned()));
    if !step.before.is_file() {
        return Err(kept());
    }
    let now = state(folder, name, step)?;
    if now == State::Absent {
        return renameat_with(folder, beside, folder, name, RenameFlags::NOREPLACE).map_err(|_| kept());
    }
    if !now.is_file() || now != step.after {
        return Err(kept());
    }
    renameat_with(folder, beside, folder, name, RenameFlags::EXCHANGE).map_err(|_| kept())?;
    // What came out now must be ours again; if somebody wrote in between, it is theirs and stays.
    if state(folder, beside, step)? != step.after {
        return Err(kept());
    }
    unlinkat(folder, beside, AtFlags::empty()).map_err(|error| Problem::io(&step.path, error))
}
