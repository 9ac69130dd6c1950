//! The approved changes as one step for each path: what is there now, what shall be there. A list that contradicts
//! itself, or that names a path outside of the granted folder, is refused before anything is opened.

use std::collections::BTreeMap;

use ops_policy::digest::Digest;

use super::Problem;
use crate::stage::{ChangeKind, FileChange};
use crate::tree::name;

/// What is at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Nothing.
    Absent,
    /// A folder.
    Directory,
    /// A regular file with one name and this content.
    File {
        /// The digest of its content.
        digest: Digest,
        /// Its length.
        size: u64,
    },
    /// Something that no plan has: a symbolic link, say, or a file of a size that this step does not know.
    Other,
}

impl State {
    pub(super) fn is_file(self) -> bool {
        self.size().is_some()
    }

    /// The length of a file.
    pub(super) fn size(self) -> Option<u64> {
        match self {
            Self::File { size, .. } => Some(size),
            Self::Absent | Self::Directory | Self::Other => None,
        }
    }
}

/// One path of the commit.
#[derive(Clone, Debug)]
pub(super) struct Step {
    /// Its place in the list, the same in every try.
    number: usize,
    pub(super) path: String,
    /// What the plan saw.
    pub(super) before: State,
    /// What the plan's approver was shown as the result.
    pub(super) after: State,
    /// What is there now, as far as this commit knows.
    pub(super) current: State,
    /// Whether the new content lies ready beside its place.
    pub(super) prepared: bool,
}

impl Step {
    /// The name of our file beside this one: the new content before the exchange, the old one after it.
    pub(super) fn beside(&self, run_key: &str) -> String {
        format!("{}{run_key}-{}", name::OURS, self.number)
    }

    /// The name of our file while it is being written. A file with the name [`beside`](Self::beside) is complete.
    pub(super) fn part(&self, run_key: &str) -> String {
        format!("{}.part", self.beside(run_key))
    }

    /// The folder that holds this path; empty for the granted folder itself.
    pub(super) fn parent(&self) -> &str {
        name::split(&self.path).0
    }

    /// The name in that folder.
    pub(super) fn name(&self) -> &str {
        name::split(&self.path).1
    }

    /// Whether a file goes in place of another one.
    pub(super) fn replaces(&self) -> bool {
        self.before.is_file() && self.after.is_file()
    }

    /// Whether the path goes from file to folder or back. Between the two there is nothing, for a moment.
    pub(super) fn switches(&self) -> bool {
        matches!(
            (self.before, self.after),
            (State::File { .. }, State::Directory) | (State::Directory, State::File { .. })
        )
    }
}

/// The steps, sorted by path, so that a folder comes before what is in it.
pub(super) fn steps(changes: &[FileChange]) -> Result<Vec<Step>, Problem> {
    let mut steps: BTreeMap<&str, Step> = BTreeMap::new();
    for change in changes {
        let refuse = |why| Problem::Plan { path: change.path.escape_debug().to_string(), why };
        if !change.path.split('/').all(|part| name::check(part.as_bytes(), name::LONGEST).is_ok()) {
            return Err(refuse("is not a path in the granted folder"));
        }
        let (before, after) = states(change).ok_or_else(|| refuse("has digests that do not fit its kind"))?;
        match steps.get_mut(change.path.as_str()) {
            None => {
                let path = change.path.clone();
                let step = Step { number: 0, path, before, after, current: State::Other, prepared: false };
                steps.insert(&change.path, step);
            }
            Some(step) if step.after == State::Absent && before == State::Absent => step.after = after,
            Some(_) => return Err(refuse("is changed twice")),
        }
    }
    Ok(steps.into_values().enumerate().map(|(number, step)| Step { number, ..step }).collect())
}

fn states(change: &FileChange) -> Option<(State, State)> {
    let file = |digest, size| State::File { digest, size };
    match (change.kind, change.before, change.after) {
        (ChangeKind::Create, None, Some(after)) => Some((State::Absent, file(after, change.size))),
        (ChangeKind::Replace, Some(before), Some(after)) => {
            Some((file(before, change.size_before), file(after, change.size)))
        }
        (ChangeKind::Delete, Some(before), None) => Some((file(before, change.size_before), State::Absent)),
        (ChangeKind::CreateDirectory, None, None) => Some((State::Absent, State::Directory)),
        (ChangeKind::DeleteDirectory, None, None) => Some((State::Directory, State::Absent)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(path: &str, kind: ChangeKind, before: Option<&str>, after: Option<&str>) -> FileChange {
        let digest = |text: &str| Digest::of(text.as_bytes());
        let size = |text: Option<&str>| text.map_or(0, |text| text.len() as u64);
        FileChange {
            path: path.to_owned(),
            kind,
            before: before.map(digest),
            after: after.map(digest),
            size_before: size(before),
            size: size(after),
        }
    }

    #[test]
    fn a_file_that_becomes_a_folder_is_one_step() {
        let list = [
            change("a", ChangeKind::Delete, Some("x"), None),
            change("a", ChangeKind::CreateDirectory, None, None),
            change("a/b", ChangeKind::Create, None, Some("y")),
        ];
        let steps = steps(&list).unwrap();
        assert_eq!(steps.len(), 2);
        assert!(steps[0].before.is_file() && steps[0].after == State::Directory && steps[0].switches());
        assert_eq!((steps[1].parent(), steps[1].name()), ("a", "b"));
    }

    #[test]
    fn lists_that_no_plan_has_are_refused() {
        let create = |path| change(path, ChangeKind::Create, None, Some("x"));
        let cases = [
            (vec![create("../x")], "not a path"),
            (vec![create("/etc/passwd")], "not a path"),
            (vec![create("a//b")], "not a path"),
            (vec![create("")], "not a path"),
            (vec![create("a/./b")], "not a path"),
            (vec![create("a\0b")], "not a path"),
            (vec![create(".git/hooks/pre-commit")], "not a path"),
            (vec![create("a"), create("a")], "twice"),
            (vec![change("a", ChangeKind::Create, Some("x"), Some("y"))], "digests"),
            (vec![change("a", ChangeKind::Delete, None, None)], "digests"),
            (vec![change("a", ChangeKind::CreateDirectory, None, Some("x"))], "digests"),
        ];
        for (list, why) in cases {
            let said = steps(&list).unwrap_err().to_string();
            assert!(said.contains(why), "{list:?}: {said}");
        }
    }
}
