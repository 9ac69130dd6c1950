//! Somebody else writes to the folder before, during and after a commit.

use super::*;

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
