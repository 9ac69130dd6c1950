mod foreign;
mod set;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;

use ops_policy::digest::Digest;
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::stage;
use crate::tree::{Entry, Limits, Tree, name, scan};

const KEY: &str = "CAP-20261122-010203__files.note.write__Rabcdefghij";

type Hook = Box<dyn FnMut(&str, &str)>;

thread_local! {
    static HOOK: RefCell<Option<Hook>> = const { RefCell::new(None) };
}

/// Called by the commit at each of its points.
pub(super) fn reached(point: &str, path: &str) {
    // Taken out while it runs, so that a hook that unwinds leaves none behind.
    if let Some(mut hook) = HOOK.take() {
        hook(point, path);
        HOOK.set(Some(hook));
    }
}

/// An injected stop. It unwinds without running any of the commit's own clean-up, as a kill would.
struct Stop;

/// Runs a commit that stops at its n-th point. `None`: it was stopped.
fn stopped_at(n: usize, place: &Place) -> Option<Result<(), CommitError>> {
    stopped(n, || place.apply())
}

/// Runs something that stops at its n-th point. `None`: it was stopped.
fn stopped<T>(n: usize, act: impl FnOnce() -> T) -> Option<T> {
    let mut left = n;
    HOOK.set(Some(Box::new(move |_, _| {
        if left == 0 {
            resume_unwind(Box::new(Stop));
        }
        left -= 1;
    })));
    let ended = catch_unwind(AssertUnwindSafe(act));
    HOOK.set(None);
    match ended {
        Ok(result) => Some(result),
        Err(cause) if cause.is::<Stop>() => None,
        Err(cause) => resume_unwind(cause),
    }
}

/// What a folder holds: a text for a file, nothing for a folder.
type Files = BTreeMap<String, Option<String>>;

fn files(list: &[(&str, Option<&str>)]) -> Files {
    list.iter().map(|(path, text)| ((*path).to_owned(), text.map(str::to_owned))).collect()
}

fn write(folder: &Path, files: &Files) {
    fs::create_dir(folder).unwrap();
    for (path, content) in files {
        match content {
            Some(text) => fs::write(folder.join(path), text).unwrap(),
            None => fs::create_dir(folder.join(path)).unwrap(),
        }
    }
}

struct Place {
    _folder: TempDir,
    target: PathBuf,
    staged: PathBuf,
    changes: Vec<FileChange>,
}

impl Place {
    fn new(before: &Files, after: &Files) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (target, staged) = (folder.path().join("target"), folder.path().join("staged"));
        write(&target, before);
        write(&staged, after);
        let changes = stage::changes(&tree(&target), &staged, &Limits::default()).unwrap();
        Self { _folder: folder, target, staged, changes }
    }

    fn apply(&self) -> Result<(), CommitError> {
        apply(&self.target, &self.staged, &self.changes, KEY)
    }

    /// The target equals the staged copy; a leftover would be refused by the scan, or be one entry too many.
    fn assert_committed(&self, context: &str) {
        assert_eq!(tree(&self.target).digest(), tree(&self.staged).digest(), "{context}");
    }

    fn text(&self, path: &str) -> String {
        fs::read_to_string(self.target.join(path)).unwrap()
    }
}

fn tree(folder: &Path) -> Tree {
    scan(folder, &Limits::default()).unwrap()
}

/// Every kind of change at once, type switches and nested folders included.
fn everything() -> Place {
    let (before, after) = everything_lists();
    Place::new(&before, &after)
}

fn everything_lists() -> (Files, Files) {
    let before = [
        ("edit", Some("old")),
        ("edit-too", Some("old too")),
        ("file-to-folder", Some("was a file")),
        ("folder-to-file", None),
        ("folder-to-file/in", Some("goes")),
        ("gone", Some("goes")),
        ("keep", Some("stays")),
        ("old", None),
        ("old/er", None),
        ("old/er/x", Some("goes")),
    ];
    let after = [
        ("edit", Some("new")),
        ("edit-too", Some("new too")),
        ("file-to-folder", None),
        ("file-to-folder/in", Some("comes")),
        ("folder-to-file", Some("now a file")),
        ("keep", Some("stays")),
        ("new", None),
        ("new/er", None),
        ("new/er/y", Some("comes")),
        ("plain", Some("comes")),
    ];
    (files(&before), files(&after))
}

fn why(error: &CommitError) -> (&str, &Why) {
    match &error.problem {
        Problem::Conflict { path, why } => (path, why),
        other => panic!("no conflict: {other}"),
    }
}

#[test]
fn everything_is_committed_and_nothing_is_left() {
    let place = everything();
    check(&place.target, &place.changes).unwrap();
    place.apply().unwrap();
    place.assert_committed("");
    place.apply().unwrap();
    place.assert_committed("a second time changes nothing");
    assert!(check(&place.target, &place.changes).is_err(), "a check takes nothing as done");
}

#[test]
fn modes_are_kept_or_usual() {
    let place = everything();
    fs::set_permissions(place.target.join("edit"), fs::Permissions::from_mode(0o751)).unwrap();
    fs::set_permissions(place.staged.join("plain"), fs::Permissions::from_mode(0o600)).unwrap();
    place.apply().unwrap();
    let mode = |path: &str| fs::metadata(place.target.join(path)).unwrap().permissions().mode() & 0o7777;
    // A folder made without a word about its mode shows the umask.
    fs::create_dir(place.staged.join("plain-folder")).unwrap();
    let umask = !fs::metadata(place.staged.join("plain-folder")).unwrap().permissions().mode();
    let less = |usual: u32| usual & !umask;
    assert_eq!((mode("edit"), mode("plain"), mode("new")), (0o751, less(0o644), less(0o755)));
}

#[test]
fn after_a_stop_anywhere_the_same_call_finishes() {
    let mut points = 0;
    loop {
        let place = everything();
        if stopped_at(points, &place).is_some() {
            place.assert_committed("not stopped");
            break;
        }
        place.apply().unwrap_or_else(|error| panic!("redo after a stop at point {points}: {error}"));
        place.assert_committed(&format!("redo after a stop at point {points}"));
        points += 1;
    }
    assert!(points > 40, "only {points} points were reached");
}

#[test]
fn after_two_stops_the_same_call_finishes() {
    for first in (0..50).step_by(7) {
        for second in (0..50).step_by(13) {
            let place = everything();
            let _ = stopped_at(first, &place);
            let _ = stopped_at(second, &place);
            place.apply().unwrap();
            place.assert_committed(&format!("stops at {first} and {second}"));
        }
    }
}

#[test]
fn a_staged_file_that_differs_from_the_plan_is_not_committed() {
    type Act = fn(&Path);
    let acts: [Act; 4] = [
        |at| fs::write(at.join("plain"), "COMES").unwrap(),
        |at| fs::write(at.join("plain"), "longer than planned").unwrap(),
        |at| fs::remove_file(at.join("plain")).unwrap(),
        |at| {
            fs::remove_file(at.join("plain")).unwrap();
            symlink("edit", at.join("plain")).unwrap();
        },
    ];
    for act in acts {
        let place = everything();
        let before = tree(&place.target);
        act(&place.staged);
        let error = place.apply().unwrap_err();
        assert!(matches!(&error.problem, Problem::Staged { path } if path == "plain"), "{error}");
        assert_eq!((error.committed, tree(&place.target)), (0, before), "{error}");
    }
}

#[test]
fn a_run_key_is_never_a_path() {
    let place = everything();
    for key in ["", "../x", "a/b", "a b", "\u{202e}", &"k".repeat(221)] {
        let error = apply(&place.target, &place.staged, &place.changes, key).unwrap_err();
        assert!(matches!(error.problem, Problem::Plan { .. }), "{key}: {error}");
    }
    apply(&place.target, &place.staged, &place.changes, &"k".repeat(220)).unwrap();
    place.assert_committed("the longest key");
}

/// Files and folders in two levels of few names, so that random trees meet in every way.
fn any_files() -> impl Strategy<Value = Files> {
    let path = prop_oneof!["[a-c]", "[a-c]/[a-c]", "[a-c]/[a-c]/[a-c]"];
    let list = prop::collection::vec((path, prop::option::of("[xy]{0,2}")), 0..8);
    list.prop_map(|list| {
        let mut files = Files::new();
        for (path, content) in list {
            let above = |at: &str| path.strip_prefix(at).is_some_and(|rest| rest.starts_with('/'));
            let blocked = files.iter().any(|(at, content)| content.is_some() && above(at));
            if blocked || files.contains_key(&path) {
                continue;
            }
            let mut parent = name::split(&path).0;
            while !parent.is_empty() {
                files.entry(parent.to_owned()).or_insert(None);
                parent = name::split(parent).0;
            }
            files.insert(path.clone(), content);
        }
        files
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_tree_is_turned_into_any_other(before in any_files(), after in any_files(), stop in 0_usize..60) {
        let place = Place::new(&before, &after);
        check(&place.target, &place.changes).unwrap();
        let _ = stopped_at(stop, &place);
        place.apply().unwrap();
        place.assert_committed("");
    }
}
