//! The commit itself, one phase after the other as `commit` tells. Each step ends with its path as planned, or with
//! everything of it as it was.

use std::collections::BTreeSet;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{
    AtFlags, Gid, Mode, RenameFlags, fchmod, fchown, fsync, mkdirat, renameat, renameat_with, unlinkat,
};
use rustix::io::Errno;

use super::originals::{self, Accept, folder, state};
use super::redo::{put_back, recover};
use super::step::{State, Step};
use super::{CommitError, Problem, Why};
use crate::tree::{name, open};

/// One commit.
pub(super) struct Commit<'a> {
    target: OwnedFd,
    staged: OwnedFd,
    key: &'a str,
}

impl<'a> Commit<'a> {
    pub(super) fn open(target: &Path, staged: &Path, key: &'a str) -> Result<Self, Problem> {
        check_key(key)?;
        let root = |path| open::root(path).map_err(|error| Problem::io(".", error));
        Ok(Self { target: root(target)?, staged: root(staged)?, key })
    }

    pub(super) fn run(&self, steps: &mut [Step]) -> Result<(), CommitError> {
        let ended = self.phases(steps);
        let problem = match ended.and_then(|()| self.sync(steps)) {
            Ok(()) => return Ok(()),
            Err(problem) => problem,
        };
        Err(self.failed(steps, problem))
    }

    /// Cleans up after a problem, and says how far the commit has come.
    pub(super) fn failed(&self, steps: &[Step], problem: Problem) -> CommitError {
        // Our own files go. If one of them turns out to hold a foreign content, that is what people must hear of.
        let problem = match recover(self.target.as_fd(), steps, self.key) {
            Err(kept @ Problem::Conflict { why: Why::Kept(_), .. }) => kept,
            _ => problem,
        };
        // A sync that fails as well adds nothing to the problem that is reported.
        let _ = self.sync(steps);
        CommitError { committed: self.done(steps), problem }
    }

    /// How many paths are as planned.
    pub(super) fn done(&self, steps: &[Step]) -> usize {
        originals::done(self.target.as_fd(), steps)
    }

    /// Checks that every original is still what the plan saw.
    pub(super) fn check_originals(&self, steps: &mut [Step]) -> Result<(), Problem> {
        originals::check(self.target.as_fd(), steps, Accept::Before)
    }

    /// Removes what an interrupted try has left, and checks that every original is what the plan saw or what it shall
    /// become.
    pub(super) fn look(&self, steps: &mut [Step]) -> Result<(), Problem> {
        recover(self.target.as_fd(), steps, self.key)?;
        originals::check(self.target.as_fd(), steps, Accept::BeforeOrDone)
    }

    /// Checks every staged file that is needed and makes it durable, with the folders that lead to it.
    pub(super) fn sync_staged(&self, steps: &[Step]) -> Result<(), Problem> {
        let mut folders = BTreeSet::from([""]);
        for step in steps.iter().filter(|step| step.after.is_file()) {
            let failed = |error| Problem::io(&step.path, error);
            let mut file = self.staged(step)?;
            pour_planned(step, &mut file, None)?;
            file.sync_all().map_err(failed)?;
            let mut parent = step.parent();
            while folders.insert(parent) {
                parent = name::split(parent).0;
            }
        }
        for path in folders {
            let synced = open::descend(&self.staged, path).and_then(|folder| Ok(fsync(folder)?));
            synced.map_err(|error| Problem::io(path, error))?;
        }
        Ok(())
    }

    fn phases(&self, steps: &mut [Step]) -> Result<(), Problem> {
        self.look(steps)?;
        for step in steps.iter_mut().filter(|step| step.after.is_file() && step.current != step.after) {
            self.prepare(step)?;
        }
        for step in steps.iter_mut().filter(|step| step.replaces() && step.current != step.after) {
            self.replace(step)?;
        }
        for step in steps.iter_mut().filter(|step| !step.after.is_file() && step.current.is_file()) {
            self.delete(step)?;
        }
        let go = |step: &&mut Step| step.after != State::Directory && step.current == State::Directory;
        for step in steps.iter_mut().rev().filter(go) {
            self.remove_directory(step)?;
        }
        // In the order of the paths, a folder comes before what is in it.
        for step in steps.iter_mut().filter(|step| step.current == State::Absent) {
            match step.after {
                State::Directory => self.make_directory(step)?,
                State::File { .. } => self.create(step)?,
                State::Absent | State::Other => {}
            }
        }
        Ok(())
    }

    /// Writes the new content beside its place, complete and synced, with the mode and group of what it replaces.
    fn prepare(&self, step: &mut Step) -> Result<(), Problem> {
        let failed = |error| Problem::io(&step.path, error);
        let Some(folder) = folder(self.target.as_fd(), step)? else {
            // Its folder is made later in this commit.
            return Ok(());
        };
        let part = step.part(self.key);
        let mode = if step.replaces() { 0o600 } else { 0o644 };
        let mut copy = open::create(&folder, &part, mode).map_err(failed)?;
        reached("part created", step);
        pour_planned(step, &mut self.staged(step)?, Some(&mut copy))?;
        if step.replaces() {
            keep_mode_and_group(&folder, step, &copy)?;
        }
        copy.sync_all().map_err(failed)?;
        reached("part written", step);
        renameat(&folder, &part, &folder, step.beside(self.key)).map_err(|error| failed(error.into()))?;
        reached("prepared", step);
        step.prepared = true;
        Ok(())
    }

    /// The staged file of a step.
    fn staged(&self, step: &Step) -> Result<File, Problem> {
        let failed = |error| Problem::io(&step.path, error);
        let differs = || Problem::Staged { path: step.path.clone() };
        let folder = folder(self.staged.as_fd(), step)?.ok_or_else(differs)?;
        let seen = open::look(&folder, step.name()).map_err(failed)?.ok_or_else(differs)?;
        open::file(&folder, step.name(), &seen).map_err(failed)?.ok_or_else(differs)
    }

    /// Exchanges the new content and the original, and looks at what came out.
    fn replace(&self, step: &mut Step) -> Result<(), Problem> {
        let (folder, beside) = (self.folder(step)?, step.beside(self.key));
        reached("before exchange", step);
        renameat_with(&folder, &beside, &folder, step.name(), RenameFlags::EXCHANGE).map_err(|error| {
            match error {
                Errno::NOENT => Problem::conflict(&step.path, Why::Gone),
                Errno::INVAL | Errno::NOSYS => Problem::NoExchange { path: step.path.clone() },
                _ => Problem::io(&step.path, error),
            }
        })?;
        reached("exchanged", step);
        self.discard(&folder, step, &beside)?;
        step.current = step.after;
        Ok(())
    }

    /// Renames the original away, and looks at what went.
    fn delete(&self, step: &mut Step) -> Result<(), Problem> {
        let (folder, beside) = (self.folder(step)?, step.beside(self.key));
        reached("before rename away", step);
        renameat_with(&folder, step.name(), &folder, &beside, RenameFlags::NOREPLACE).map_err(|error| {
            match error {
                Errno::NOENT => Problem::conflict(&step.path, Why::Gone),
                _ => Problem::io(&step.path, error),
            }
        })?;
        reached("renamed away", step);
        self.discard(&folder, step, &beside)?;
        step.current = State::Absent;
        Ok(())
    }

    /// Removes a displaced original if it is what the plan saw. If not, it goes back.
    fn discard(&self, folder: &OwnedFd, step: &Step, beside: &str) -> Result<(), Problem> {
        if state(folder, beside, step)? != step.before {
            put_back(folder, step, beside)?;
            return Err(Problem::conflict(&step.path, Why::Changed));
        }
        unlinkat(folder, beside, AtFlags::empty()).map_err(|error| Problem::io(&step.path, error))?;
        reached("displaced removed", step);
        Ok(())
    }

    fn remove_directory(&self, step: &mut Step) -> Result<(), Problem> {
        let folder = self.folder(step)?;
        reached("before folder removed", step);
        unlinkat(&folder, step.name(), AtFlags::REMOVEDIR).map_err(|error| match error {
            Errno::NOTEMPTY | Errno::EXIST => {
                Problem::conflict(&step.path, Why::Holds("something new".to_owned()))
            }
            Errno::NOENT => Problem::conflict(&step.path, Why::Gone),
            Errno::NOTDIR => Problem::conflict(&step.path, Why::Changed),
            _ => Problem::io(&step.path, error),
        })?;
        reached("folder removed", step);
        step.current = State::Absent;
        Ok(())
    }

    fn make_directory(&self, step: &mut Step) -> Result<(), Problem> {
        let folder = self.folder(step)?;
        reached("before folder made", step);
        mkdirat(&folder, step.name(), Mode::from_raw_mode(0o755)).map_err(|error| exists(step, error))?;
        reached("folder made", step);
        step.current = State::Directory;
        Ok(())
    }

    fn create(&self, step: &mut Step) -> Result<(), Problem> {
        if !step.prepared {
            self.prepare(step)?;
        }
        let (folder, beside) = (self.folder(step)?, step.beside(self.key));
        reached("before create", step);
        renameat_with(&folder, &beside, &folder, step.name(), RenameFlags::NOREPLACE)
            .map_err(|error| exists(step, error))?;
        reached("created", step);
        step.current = step.after;
        Ok(())
    }

    fn folder(&self, step: &Step) -> Result<OwnedFd, Problem> {
        folder(self.target.as_fd(), step)?.ok_or_else(|| Problem::conflict(&step.path, Why::FolderGone))
    }

    /// Makes every rename durable. A folder that is gone needs none: the one above it is synced.
    fn sync(&self, steps: &[Step]) -> Result<(), Problem> {
        let mut synced = BTreeSet::new();
        for step in steps.iter().filter(|step| synced.insert(step.parent())) {
            if let Some(folder) = folder(self.target.as_fd(), step)? {
                fsync(folder).map_err(|error| Problem::io(&step.path, error))?;
            }
        }
        Ok(())
    }
}

/// The longest run key that still leaves room for our prefix and number in a file name.
const LONGEST_KEY: usize = 220;

/// Checks that a run key can be part of a file's name.
pub(super) fn check_key(key: &str) -> Result<(), Problem> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if key.is_empty() || key.len() > LONGEST_KEY || !key.bytes().all(plain) {
        let path = key.escape_debug().to_string();
        return Err(Problem::Plan { path, why: "is no run key" });
    }
    Ok(())
}

/// Reads a staged file, into a copy where one is given, and checks that it is what the plan shows.
fn pour_planned(step: &Step, file: &mut File, copy: Option<&mut File>) -> Result<(), Problem> {
    let differs = || Problem::Staged { path: step.path.clone() };
    let size = step.after.size().ok_or_else(differs)?;
    let poured = open::pour(file, size, copy).map_err(|error| Problem::io(&step.path, error))?;
    let digest = poured.ok_or_else(differs)?;
    if (State::File { digest, size }) == step.after { Ok(()) } else { Err(differs()) }
}

fn exists(step: &Step, error: Errno) -> Problem {
    match error {
        Errno::EXIST => Problem::conflict(&step.path, Why::Exists),
        _ => Problem::io(&step.path, error),
    }
}

fn keep_mode_and_group(folder: &OwnedFd, step: &Step, copy: &File) -> Result<(), Problem> {
    let failed = |error| Problem::io(&step.path, error);
    let gone = || Problem::conflict(&step.path, Why::Gone);
    let old = open::look(folder, step.name()).map_err(failed)?.ok_or_else(gone)?;
    let new = open::look_at(copy).map_err(failed)?;
    // With the mode kept and the group not, the file could be read by another group than before.
    if new.group != old.group {
        fchown(copy, None, Some(Gid::from_raw(old.group))).map_err(|error| failed(error.into()))?;
    }
    fchmod(copy, Mode::from_raw_mode(old.mode & 0o777)).map_err(|error| failed(error.into()))
}

/// Where the tests stop a commit, or write in between.
#[cfg(test)]
fn reached(point: &str, step: &Step) {
    super::tests::reached(point, &step.path);
}

#[cfg(not(test))]
fn reached(_: &str, _: &Step) {}
