//! Two folders that are committed together: stops at every point, foreign writes, and records that are not ours.

use std::cell::Cell;
use std::os::unix::fs::symlink;

use rustix::fs::{CWD, Mode, mkfifoat};

use super::super::set::{Folder, Set, SetError, is_recorded, record, roll_forward};
use super::*;

/// A stage with two copies, and their originals elsewhere.
struct Pair {
    folder: TempDir,
    set: Set,
    before: Vec<Tree>,
}

impl Pair {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("stage")).unwrap();
        let (before, after) = everything_lists();
        let few =
            (files(&[("a", Some("old")), ("b", Some("goes"))]), files(&[("a", Some("new")), ("c", None)]));
        let folders = [("one", before, after), ("two", few.0, few.1)].map(|(name, before, after)| {
            let (target, staged) = (folder.path().join(name), folder.path().join("stage").join(name));
            write(&target, &before);
            write(&staged, &after);
            let changes = stage::changes(&tree(&target), &staged, &Limits::default()).unwrap();
            Folder { target, staged: name.to_owned(), changes }
        });
        let before = folders.iter().map(|folder| tree(&folder.target)).collect();
        Self { folder, set: Set { folders: folders.into() }, before }
    }

    fn stage(&self) -> PathBuf {
        self.folder.path().join("stage")
    }

    fn record(&self) -> Result<(), Problem> {
        record(&self.stage(), KEY, &self.set)
    }

    fn roll(&self) -> Result<Option<Set>, SetError> {
        roll_forward(&self.stage())
    }

    fn target(&self, place: usize) -> &Path {
        &self.set.folders[place].target
    }

    /// A leftover would be refused by the scan.
    fn assert_untouched(&self, context: &str) {
        let now: Vec<Tree> = self.set.folders.iter().map(|folder| tree(&folder.target)).collect();
        assert_eq!(now, self.before, "{context}");
    }

    fn assert_committed(&self, context: &str) {
        for folder in &self.set.folders {
            let staged = self.stage().join(&folder.staged);
            assert_eq!(tree(&folder.target).digest(), tree(&staged).digest(), "{context}");
        }
    }

    fn write_record(&self, text: &str) -> PathBuf {
        let path = self.stage().join("commit.json");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    }
}

#[test]
fn both_are_committed_and_the_record_goes() {
    let pair = Pair::new();
    assert!(!is_recorded(&pair.stage()) && pair.roll().unwrap().is_none());
    pair.record().unwrap();
    assert!(is_recorded(&pair.stage()));
    pair.assert_untouched("a record changes nothing");
    assert_eq!(pair.roll().unwrap().as_ref(), Some(&pair.set));
    pair.assert_committed("");
    assert!(!is_recorded(&pair.stage()) && pair.roll().unwrap().is_none());
    assert!(!is_recorded(&pair.folder.path().join("gone")));
}

/// The commit of a run, stopped at its n-th point. Whether it had been recorded, or `None`: it was not stopped.
fn stop_at(n: usize, pair: &Pair) -> Option<bool> {
    let recorded = Cell::new(false);
    let ended = stopped(n, || {
        pair.record().unwrap();
        recorded.set(true);
        pair.roll().unwrap();
    });
    ended.is_none().then(|| recorded.get())
}

#[test]
fn a_stop_anywhere_ends_in_all_or_nothing() {
    let (mut nothing, mut all) = (0, 0);
    for point in 0.. {
        let pair = Pair::new();
        let Some(recorded) = stop_at(point, &pair) else {
            pair.assert_committed("not stopped");
            break;
        };
        let context = format!("stopped at {point}");
        if is_recorded(&pair.stage()) {
            assert_eq!(pair.roll().unwrap().as_ref(), Some(&pair.set), "{context}");
            pair.assert_committed(&context);
            all += 1;
        } else if recorded {
            // Only its record's removal was left.
            pair.assert_committed(&context);
        } else {
            pair.assert_untouched(&context);
            nothing += 1;
        }
        assert!(pair.roll().unwrap().is_none(), "{context}");
    }
    assert!(nothing == 3 && all > 50, "{nothing} and {all}");
}

#[test]
fn after_two_stops_the_same_call_finishes() {
    for first in (3..70).step_by(11) {
        for second in (0..70).step_by(17) {
            let pair = Pair::new();
            let _ = stop_at(first, &pair);
            let _ = stopped(second, || pair.roll().unwrap());
            pair.roll().unwrap();
            pair.assert_committed(&format!("stops at {first} and {second}"));
        }
    }
}

#[test]
fn a_new_record_is_written_after_a_stop_in_an_old_one() {
    let pair = Pair::new();
    // While the record had its other name.
    assert_eq!(stop_at(2, &pair), Some(false));
    assert!(pair.stage().join("commit.json.part").exists() && !is_recorded(&pair.stage()));
    pair.record().unwrap();
    pair.roll().unwrap();
    pair.assert_committed("");
}

#[test]
fn what_cannot_be_committed_is_not_recorded() {
    type Act = fn(&Pair);
    let acts: [(&str, Act); 4] = [
        ("`a` has changed since the plan", |pair| fs::write(pair.target(1).join("a"), "foreign").unwrap()),
        ("`plain` was created by somebody else", |pair| {
            fs::write(pair.target(0).join("plain"), "x").unwrap()
        }),
        ("the staged copy of `a` is not what", |pair| fs::write(pair.stage().join("two/a"), "NEW").unwrap()),
        ("the staged copy of `new/er/y` is not", |pair| {
            fs::remove_file(pair.stage().join("one/new/er/y")).unwrap()
        }),
    ];
    for (expected, act) in acts {
        let pair = Pair::new();
        act(&pair);
        let before: Vec<Tree> = pair.set.folders.iter().map(|folder| tree(&folder.target)).collect();
        let error = pair.record().unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert!(!is_recorded(&pair.stage()) && pair.roll().unwrap().is_none());
        let after: Vec<Tree> = pair.set.folders.iter().map(|folder| tree(&folder.target)).collect();
        assert_eq!(after, before, "{expected}");
    }
}

#[test]
fn sets_that_no_run_has_are_not_recorded() {
    type Act = fn(&mut Set);
    let acts: [(&str, Act); 8] = [
        ("lies in another folder", |set| set.folders[1].target = set.folders[0].target.clone()),
        ("lies in another folder", |set| set.folders[1].target = set.folders[0].target.join("old")),
        ("lies in another folder", |set| set.folders[1].target = "/".into()),
        ("is not an absolute path", |set| set.folders[1].target = "two".into()),
        ("is not the name of a staged copy", |set| set.folders[1].staged = "../two".to_owned()),
        ("is not the name of a staged copy", |set| set.folders[1].staged = "one".to_owned()),
        ("is not a path in the granted folder", |set| set.folders[1].changes[0].path = "../a".to_owned()),
        ("is one folder more", |set| set.folders = vec![set.folders[0].clone(); 101]),
    ];
    for (expected, act) in acts {
        let mut pair = Pair::new();
        let set = pair.set.clone();
        act(&mut pair.set);
        let error = pair.record().unwrap_err();
        assert!(matches!(error, Problem::Plan { .. }) && error.to_string().contains(expected), "{error}");
        assert!(!is_recorded(&pair.stage()));
        pair.set = set;
        pair.assert_untouched(expected);
    }
    let pair = Pair::new();
    assert!(matches!(record(&pair.stage(), "../x", &pair.set), Err(Problem::Plan { .. })));
    pair.record().unwrap();
    let error = pair.record().unwrap_err();
    assert!(error.to_string().contains("`commit.json` is there already"), "{error}");
    pair.roll().unwrap();
    pair.assert_committed("the first record holds");
}

fn folder_error(error: SetError) -> (PathBuf, Vec<PathBuf>, bool, CommitError) {
    match error {
        SetError::Folder { target, committed, again, error } => (target, committed, again, error),
        other => panic!("{other}"),
    }
}

#[test]
fn a_foreign_write_after_the_record_is_found_before_anything_is_changed() {
    let pair = Pair::new();
    pair.record().unwrap();
    fs::write(pair.target(1).join("a"), "foreign").unwrap();
    let error = pair.roll().unwrap_err();
    assert!(error.to_string().ends_with("wholly committed: no folder"), "{error}");
    let (target, committed, again, error) = folder_error(error);
    assert_eq!((target.as_path(), committed, again), (pair.target(1), vec![], false));
    assert_eq!((why(&error), error.committed), (("a", &Why::Changed), 0));
    assert_eq!(tree(pair.target(0)), pair.before[0]);
    // A person looks at it; nothing goes on by itself.
    assert!(!is_recorded(&pair.stage()) && pair.roll().unwrap().is_none());
}

/// Rolls forward, and somebody acts once when the first folder is committed.
fn with_act_between(pair: &Pair, act: impl FnOnce() + 'static) -> SetError {
    pair.record().unwrap();
    let mut act = Some(act);
    HOOK.set(Some(Box::new(move |point, _| {
        if point == "folder committed"
            && let Some(act) = act.take()
        {
            act();
        }
    })));
    let ended = pair.roll();
    HOOK.set(None);
    ended.unwrap_err()
}

#[test]
fn a_foreign_write_between_two_folders_stops_there_and_is_said() {
    let pair = Pair::new();
    let at = pair.target(1).join("a");
    let error = with_act_between(&pair, move || fs::write(at, "foreign").unwrap());
    let (target, committed, again, error) = folder_error(error);
    assert_eq!((target.as_path(), again, why(&error)), (pair.target(1), false, ("a", &Why::Changed)));
    assert_eq!(committed, [pair.target(0)]);
    assert_eq!(fs::read_to_string(pair.target(1).join("a")).unwrap(), "foreign");
    assert!(!is_recorded(&pair.stage()));
    tree(pair.target(1));
}

#[test]
fn what_the_system_refuses_is_tried_again_later() {
    let pair = Pair::new();
    let (at, away) = (pair.target(1).to_owned(), pair.folder.path().join("away"));
    let (from, to) = (at.clone(), away.clone());
    let error = with_act_between(&pair, move || fs::rename(from, to).unwrap());
    assert!(error.to_string().ends_with("the rest is tried again when the run is recovered"), "{error}");
    let (target, committed, again, error) = folder_error(error);
    assert_eq!(
        (target.as_path(), committed.as_slice(), again),
        (pair.target(1), &[pair.target(0).to_owned()][..], true)
    );
    assert!(matches!(error.problem, Problem::Io { .. }), "{error}");
    assert!(is_recorded(&pair.stage()));
    fs::rename(away, at).unwrap();
    pair.roll().unwrap();
    pair.assert_committed("");
}

#[test]
fn a_record_that_is_not_ours_is_not_followed() {
    type Act = fn(&Pair, &str) -> PathBuf;
    let acts: [(&str, Act); 12] = [
        ("no regular file", |pair, text| {
            let path = pair.write_record(text);
            fs::rename(&path, pair.folder.path().join("elsewhere")).unwrap();
            symlink(pair.folder.path().join("elsewhere"), &path).unwrap();
            path
        }),
        ("no regular file", |pair, _| {
            let path = pair.stage().join("commit.json");
            mkfifoat(CWD, &path, Mode::RUSR).unwrap();
            path
        }),
        ("no regular file", |pair, _| {
            fs::create_dir(pair.stage().join("commit.json")).unwrap();
            pair.stage().join("commit.json")
        }),
        ("only this user can write", |pair, text| {
            let path = pair.write_record(text);
            fs::set_permissions(&path, fs::Permissions::from_mode(0o620)).unwrap();
            path
        }),
        ("only this user can write", |pair, text| {
            let path = pair.write_record(text);
            fs::hard_link(&path, pair.folder.path().join("twin")).unwrap();
            path
        }),
        ("longer than", |pair, text| {
            let path = pair.write_record(text);
            fs::File::options().write(true).open(&path).unwrap().set_len(1 << 40).unwrap();
            path
        }),
        ("EOF", |pair, _| pair.write_record("")),
        ("unknown field", |pair, text| pair.write_record(&text.replacen('{', "{\"more\":1,", 1))),
        ("its version is 2", |pair, text| {
            pair.write_record(&text.replacen("\"version\":1", "\"version\":2", 1))
        }),
        ("is no run key", |pair, text| pair.write_record(&text.replacen(KEY, "../x", 1))),
        ("staged copy of its own", |pair, text| {
            pair.write_record(&text.replacen("\"two\"", "\"../two\"", 1))
        }),
        ("trailing characters", |pair, text| pair.write_record(&format!("{text}{text}"))),
    ];
    for (expected, act) in acts {
        let pair = Pair::new();
        pair.record().unwrap();
        let path = pair.stage().join("commit.json");
        let text = fs::read_to_string(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let path = act(&pair, &text);
        let error = pair.roll().unwrap_err();
        assert!(matches!(error, SetError::Record { .. }) && error.to_string().contains(expected), "{error}");
        assert!(
            is_recorded(&pair.stage()) && path.symlink_metadata().is_ok(),
            "it is for a person to look at"
        );
        pair.assert_untouched(expected);
    }
}
