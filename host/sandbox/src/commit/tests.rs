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
    let mut left = n;
    HOOK.set(Some(Box::new(move |_, _| {
        if left == 0 {
            resume_unwind(Box::new(Stop));
        }
        left -= 1;
    })));
    let ended = catch_unwind(AssertUnwindSafe(|| place.apply()));
    HOOK.set(None);
    match ended {
        Ok(result) => Some(result),
        Err(cause) if cause.is::<Stop>() => None,
        Err(cause) => resume_unwind(cause),
    }
}

/// Runs a commit in which somebody acts once, when it reaches `point` for `path`.
fn with_foreign(
    point: &'static str,
    path: &'static str,
    act: impl FnOnce() + 'static,
    place: &Place,
) -> CommitError {
    let mut act = Some(act);
    HOOK.set(Some(Box::new(move |here, at| {
        if here == point && at == path {
            act.take().unwrap()();
        }
    })));
    let ended = place.apply();
    HOOK.set(None);
    ended.unwrap_err()
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
    Place::new(&files(&before), &files(&after))
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
fn a_foreign_write_before_the_commit_changes_nothing_at_all() {
    type Act = fn(&Path);
    let cases: [(&str, Act, Why); 11] = [
        ("edit-too", |at| fs::write(at.join("edit-too"), "foreign").unwrap(), Why::Changed),
        ("edit-too", |at| fs::write(at.join("edit-too"), "OLD too").unwrap(), Why::Changed),
        ("edit-too", |at| fs::remove_file(at.join("edit-too")).unwrap(), Why::Gone),
        ("gone", |at| fs::write(at.join("gone"), "GOES").unwrap(), Why::Changed),
        ("plain", |at| fs::write(at.join("plain"), "foreign").unwrap(), Why::Exists),
        ("plain", |at| symlink("/etc/passwd", at.join("plain")).unwrap(), Why::Exists),
        ("new", |at| fs::write(at.join("new"), "").unwrap(), Why::Exists),
        ("old/er", |at| fs::write(at.join("old/er/more"), "").unwrap(), Why::Holds("`more`".to_owned())),
        ("edit", |at| fs::hard_link(at.join("edit"), at.join("twin")).unwrap(), Why::Changed),
        (
            "edit",
            |at| {
                fs::rename(at.join("edit"), at.join("moved")).unwrap();
                symlink("moved", at.join("edit")).unwrap();
            },
            Why::Changed,
        ),
        ("edit", |at| fs::File::create(at.join("edit")).unwrap().set_len(1 << 40).unwrap(), Why::Changed),
    ];
    for (path, act, expected) in cases {
        let place = everything();
        act(&place.target);
        let listing = || -> Vec<_> {
            let mut names: Vec<_> =
                fs::read_dir(&place.target).unwrap().map(|e| e.unwrap().file_name()).collect();
            names.sort();
            names
        };
        let before = listing();
        let said = check(&place.target, &place.changes).unwrap_err();
        assert!(
            matches!(&said, Problem::Conflict { path: at, why } if at == path && *why == expected),
            "{said}"
        );
        let error = place.apply().unwrap_err();
        assert_eq!((why(&error), error.committed), ((path, &expected), 0), "{error}");
        assert_eq!(listing(), before, "{error}");
        if path != "edit" {
            assert_eq!(place.text("edit"), "old", "{error}");
        }
    }
}

#[test]
fn a_foreign_write_during_the_commit_is_put_back_and_reported() {
    let place = everything();
    let at = place.target.join("edit-too");
    let foreign = || move || fs::write(at, "foreign").unwrap();
    let error = with_foreign("before exchange", "edit-too", foreign(), &place);
    assert_eq!(why(&error), ("edit-too", &Why::Changed));
    assert_eq!(error.committed, 1, "`edit` was exchanged before: {error}");
    assert!(error.to_string().contains("edit-too"), "{error}");
    assert_eq!((place.text("edit"), place.text("edit-too")), ("new".to_owned(), "foreign".to_owned()));
    // What was not reached is as it was, and no file of ours is left: the scan would refuse it.
    assert_eq!(place.text("gone"), "goes");
    tree(&place.target);
}

#[test]
fn foreign_changes_at_every_other_moment_are_kept_too() {
    type Act = fn(&Path);
    let cases: [(&str, &str, Act, Why); 7] = [
        ("before rename away", "gone", |at| fs::write(at.join("gone"), "mine").unwrap(), Why::Changed),
        ("before rename away", "gone", |at| fs::remove_file(at.join("gone")).unwrap(), Why::Gone),
        ("before exchange", "edit", |at| fs::remove_file(at.join("edit")).unwrap(), Why::Gone),
        ("before create", "plain", |at| fs::write(at.join("plain"), "mine").unwrap(), Why::Exists),
        ("before folder made", "new", |at| fs::create_dir(at.join("new")).unwrap(), Why::Exists),
        (
            "before folder removed",
            "old/er",
            |at| fs::write(at.join("old/er/mine"), "mine").unwrap(),
            Why::Holds("something new".to_owned()),
        ),
        (
            "before exchange",
            "edit",
            |at| {
                fs::remove_file(at.join("edit")).unwrap();
                fs::create_dir(at.join("edit")).unwrap();
            },
            Why::Changed,
        ),
    ];
    for (point, path, act, expected) in cases {
        let place = everything();
        let target = place.target.clone();
        let error = with_foreign(point, path, move || act(&target), &place);
        assert_eq!(why(&error), (path, &expected));
        let mine = tree(&place.target);
        for (at, entry) in &mine.entries {
            if let Entry::File { digest, .. } = entry
                && (at == path || at.ends_with("/mine"))
            {
                assert_eq!(*digest, Digest::of(b"mine"), "{at}");
            }
        }
    }
}

#[test]
fn a_foreign_write_just_before_a_stop_is_put_back_by_the_redo() {
    // The second of each pair has the size of what the plan saw, so that only its content tells.
    for (foreign_at, stop_at, path, text) in [
        ("before exchange", "exchanged", "edit", "foreign"),
        ("before exchange", "exchanged", "edit", "OLD"),
        ("before rename away", "renamed away", "gone", "foreign"),
        ("before rename away", "renamed away", "gone", "GOES"),
    ] {
        let place = everything();
        let at = place.target.join(path);
        HOOK.set(Some(Box::new(move |point, here| {
            if here == path && point == foreign_at {
                fs::write(&at, text).unwrap();
            }
            if here == path && point == stop_at {
                resume_unwind(Box::new(Stop));
            }
        })));
        assert!(catch_unwind(AssertUnwindSafe(|| place.apply())).is_err());
        HOOK.set(None);
        let error = place.apply().unwrap_err();
        assert_eq!(why(&error), (path, &Why::Changed));
        assert_eq!(place.text(path), text);
        tree(&place.target);
    }
}

#[test]
fn a_foreign_content_without_a_place_is_kept_and_named() {
    let place = everything();
    let at = place.target.join("edit");
    HOOK.set(Some(Box::new(move |point, here| {
        if here == "edit" && point == "before exchange" {
            fs::write(&at, "foreign one").unwrap();
        }
        if here == "edit" && point == "exchanged" {
            fs::write(&at, "foreign two").unwrap();
        }
    })));
    let error = place.apply().unwrap_err();
    HOOK.set(None);
    let ("edit", Why::Kept(name)) = why(&error) else { panic!("{error}") };
    assert_eq!((place.text("edit").as_str(), place.text(name).as_str()), ("foreign two", "foreign one"));
}

#[test]
fn a_folder_swapped_for_a_link_is_not_followed() {
    let before = files(&[("sub", None), ("sub/a", Some("old")), ("sub/b", Some("old"))]);
    let after = files(&[("sub", None), ("sub/a", Some("new")), ("sub/c", Some("new"))]);
    for point in [None, Some("before exchange")] {
        let place = Place::new(&before, &after);
        let elsewhere = tempfile::tempdir().unwrap();
        for name in ["a", "b"] {
            fs::write(elsewhere.path().join(name), "old").unwrap();
        }
        let (target, link) = (place.target.clone(), elsewhere.path().to_owned());
        let swap = move || {
            fs::rename(target.join("sub"), target.join("moved")).unwrap();
            symlink(link, target.join("sub")).unwrap();
        };
        match point {
            Some(point) => drop(with_foreign(point, "sub/a", swap, &place)),
            None => {
                swap();
                assert_eq!(why(&place.apply().unwrap_err()), ("sub/a", &Why::FolderGone));
            }
        }
        let names = fs::read_dir(elsewhere.path()).unwrap().count();
        assert_eq!(names, 2, "nothing was created or removed behind the link");
        for name in ["a", "b"] {
            assert_eq!(fs::read_to_string(elsewhere.path().join(name)).unwrap(), "old");
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
