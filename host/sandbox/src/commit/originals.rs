//! What is in the original now, compared with what the plan saw. Nothing here changes anything.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::FileType;
use rustix::io::Errno;

use super::step::{State, Step};
use super::{Problem, Why};
use crate::tree::{name, open};

/// What may be found.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Accept {
    /// What the plan saw.
    Before,
    /// That, and what an interrupted earlier try of this commit has done already.
    BeforeOrDone,
}

/// Looks at every path before the first is changed, and notes what is there.
pub(super) fn check(target: BorrowedFd<'_>, steps: &mut [Step], accept: Accept) -> Result<(), Problem> {
    let mut found = Vec::with_capacity(steps.len());
    for step in steps.iter() {
        let now = current(target, steps, step)?;
        let halfway = step.switches() && now == State::Absent;
        let done = accept == Accept::BeforeOrDone && (now == step.after || halfway);
        if now != step.before && !done {
            return Err(Problem::conflict(&step.path, difference(step.before, now)));
        }
        if step.before == State::Directory && now == State::Directory {
            holds_what_the_plan_saw(target, steps, step)?;
        }
        found.push(now);
    }
    for (step, now) in steps.iter_mut().zip(found) {
        step.current = now;
    }
    Ok(())
}

/// How many paths are as planned.
pub(super) fn done(target: BorrowedFd<'_>, steps: &[Step]) -> usize {
    steps.iter().filter(|step| current(target, steps, step).is_ok_and(|now| now == step.after)).count()
}

fn difference(before: State, now: State) -> Why {
    match (before, now) {
        (State::Absent, _) => Why::Exists,
        (_, State::Absent) => Why::Gone,
        _ => Why::Changed,
    }
}

fn current(target: BorrowedFd<'_>, steps: &[Step], step: &Step) -> Result<State, Problem> {
    match folder(target, step)? {
        Some(folder) => state(&folder, step.name(), step),
        // The folder is itself part of the commit, and its own step says whether it may be missing.
        None if find(steps, step.parent()).is_some() => Ok(State::Absent),
        None => Err(Problem::conflict(&step.path, Why::FolderGone)),
    }
}

/// The folder that holds a step's path. `None`: it is missing, or something else is in its place.
pub(super) fn folder(root: BorrowedFd<'_>, step: &Step) -> Result<Option<OwnedFd>, Problem> {
    match open::descend(root, step.parent()) {
        Ok(folder) => Ok(Some(folder)),
        Err(error) if is_no_folder(&error) => Ok(None),
        Err(error) => Err(Problem::io(&step.path, error)),
    }
}

fn is_no_folder(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::NOENT | Errno::NOTDIR | Errno::LOOP))
}

/// What is there under a name: the step's own, or that of our file beside it.
///
/// A file is read only if it has a size that the step knows, so a file that somebody has blown up costs nothing.
pub(super) fn state(folder: impl AsFd, name: &str, step: &Step) -> Result<State, Problem> {
    let failed = |error| Problem::io(&step.path, error);
    let Some(seen) = open::look(&folder, name).map_err(failed)? else {
        return Ok(State::Absent);
    };
    if seen.kind == FileType::Directory {
        return Ok(State::Directory);
    }
    let known = [step.before, step.after].iter().any(|state| state.size() == Some(seen.size));
    if !known || seen.links != 1 {
        return Ok(State::Other);
    }
    let Some(mut file) = open::file(&folder, name, &seen).map_err(failed)? else {
        return Ok(State::Other);
    };
    let digest = open::pour(&mut file, seen.size, None).map_err(failed)?;
    Ok(digest.map_or(State::Other, |digest| State::File { digest, size: seen.size }))
}

/// A folder that shall go may hold only what goes too.
fn holds_what_the_plan_saw(target: BorrowedFd<'_>, steps: &[Step], step: &Step) -> Result<(), Problem> {
    let failed = |error| Problem::io(&step.path, error);
    let folder = open::descend(target, &step.path).map_err(failed)?;
    let names = open::names(&folder, steps.len()).map_err(failed)?;
    let holds = |what: String| Problem::conflict(&step.path, Why::Holds(what));
    for raw in names.ok_or_else(|| holds("more than the plan saw".to_owned()))? {
        let child = str::from_utf8(&raw).ok().and_then(|name| find(steps, &name::join(&step.path, name)));
        if child.is_none_or(|child| child.after != State::Absent) {
            return Err(holds(format!("`{}`", String::from_utf8_lossy(&raw).escape_debug())));
        }
    }
    Ok(())
}

fn find<'a>(steps: &'a [Step], path: &str) -> Option<&'a Step> {
    let place = steps.binary_search_by(|step| step.path.as_str().cmp(path)).ok()?;
    steps.get(place)
}
