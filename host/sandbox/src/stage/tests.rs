use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use tempfile::TempDir;

use super::*;

struct Staged {
    _folder: TempDir,
    original: PathBuf,
    copy: PathBuf,
    before: Tree,
}

/// An original with two files, a folder with a file and an empty folder; and its copy.
fn staged() -> Staged {
    let folder = tempfile::tempdir().unwrap();
    let (original, to) = (folder.path().join("original"), folder.path().join("copy"));
    fs::create_dir_all(original.join("sub")).unwrap();
    fs::create_dir(original.join("empty")).unwrap();
    for (path, text) in [("a", "alpha"), ("b", "beta"), ("sub/c", "gamma")] {
        fs::write(original.join(path), text).unwrap();
        fs::set_permissions(original.join(path), fs::Permissions::from_mode(0o664)).unwrap();
    }
    let before = copy(&original, &to, &Limits::default()).unwrap();
    Staged { _folder: folder, original, copy: to, before }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn a_copy_is_private_and_equal() {
    let staged = staged();
    let copied = scan(&staged.copy, &Limits::default()).unwrap();
    assert_eq!(copied.digest(), staged.before.digest());
    assert_eq!(staged.before, scan(&staged.original, &Limits::default()).unwrap());
    for (path, expected) in [("", 0o700), ("sub", 0o700), ("empty", 0o700), ("a", 0o600), ("sub/c", 0o600)] {
        assert_eq!(mode(&staged.copy.join(path)), expected, "{path}");
    }
    assert!(matches!(staged.before.entries.get("a"), Some(Entry::File { mode: 0o664, .. })));
    assert_eq!(changes(&staged.before, &staged.copy, &Limits::default()).unwrap(), []);
}

#[test]
fn a_copy_goes_only_where_nothing_is() {
    let staged = staged();
    let error = copy(&staged.original, &staged.copy, &Limits::default()).unwrap_err();
    assert!(
        matches!(&error.problem, Problem::Io(io) if io.kind() == io::ErrorKind::AlreadyExists),
        "{error}"
    );
    let refused = staged.original.join("fresh");
    symlink("a", staged.original.join("link")).unwrap();
    copy(&staged.original, &refused, &Limits::default()).unwrap_err();
    assert!(!refused.exists(), "nothing is written before all checks have passed");
}

#[test]
fn changes_are_told_by_path_and_kind() {
    use ChangeKind::{Create, CreateDirectory, Delete, DeleteDirectory, Replace};
    type Edit = fn(&Path);
    type Told = (&'static str, ChangeKind, u64, u64);
    let cases: [(&str, Edit, &[Told]); 8] = [
        ("edit", |at| fs::write(at.join("a"), "alpha 2").unwrap(), &[("a", Replace, 5, 7)]),
        ("touch", |at| fs::write(at.join("a"), "alpha").unwrap(), &[]),
        ("remove", |at| fs::remove_file(at.join("sub/c")).unwrap(), &[("sub/c", Delete, 5, 0)]),
        ("create", |at| fs::write(at.join("new"), "").unwrap(), &[("new", Create, 0, 0)]),
        (
            "rename",
            |at| fs::rename(at.join("a"), at.join("z")).unwrap(),
            &[("a", Delete, 5, 0), ("z", Create, 0, 5)],
        ),
        (
            "rename a folder",
            |at| fs::rename(at.join("sub"), at.join("bus")).unwrap(),
            &[
                ("bus", CreateDirectory, 0, 0),
                ("bus/c", Create, 0, 5),
                ("sub", DeleteDirectory, 0, 0),
                ("sub/c", Delete, 5, 0),
            ],
        ),
        (
            "a file becomes a folder",
            |at| {
                fs::remove_file(at.join("a")).unwrap();
                fs::create_dir(at.join("a")).unwrap();
            },
            &[("a", Delete, 5, 0), ("a", CreateDirectory, 0, 0)],
        ),
        (
            "a folder becomes a file",
            |at| {
                fs::remove_dir(at.join("empty")).unwrap();
                fs::write(at.join("empty"), "x").unwrap();
            },
            &[("empty", DeleteDirectory, 0, 0), ("empty", Create, 0, 1)],
        ),
    ];
    for (what, edit, expected) in cases {
        let staged = staged();
        edit(&staged.copy);
        let found = changes(&staged.before, &staged.copy, &Limits::default()).unwrap();
        let told: Vec<_> = found.iter().map(|c| (c.path.as_str(), c.kind, c.size_before, c.size)).collect();
        assert_eq!(told, expected, "{what}");
        for change in &found {
            let (before, after) = (change.before.is_some(), change.after.is_some());
            let digests = match change.kind {
                Replace => (true, true),
                Delete => (true, false),
                Create => (false, true),
                CreateDirectory | DeleteDirectory => (false, false),
            };
            assert_eq!((before, after), digests, "{what}");
        }
    }
}

#[test]
fn a_result_is_checked_like_an_original() {
    type Edit = fn(&Path);
    let cases: [(&str, Edit, &str); 4] = [
        ("escape", |at| symlink("../../../etc/passwd", at.join("escape")).unwrap(), "symbolic link"),
        ("a", |at| fs::hard_link(at.join("a"), at.join("twin")).unwrap(), "hard link"),
        ("huge", |at| fs::File::create(at.join("huge")).unwrap().set_len(1 << 41).unwrap(), "at most"),
        (".ops-CAP-1-0", |at| fs::write(at.join(".ops-CAP-1-0"), "").unwrap(), "interrupted commit"),
    ];
    for (path, edit, why) in cases {
        let staged = staged();
        edit(&staged.copy);
        let error = changes(&staged.before, &staged.copy, &Limits::default()).unwrap_err();
        assert_eq!(error.path, path);
        assert!(error.to_string().contains(why), "{error}");
    }
}

#[test]
fn contracts_are_written_by_plain_names_only() {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("contracts");
    let file = |name: &str| (name.to_owned(), b"x: 1\n".to_vec());
    for (names, why) in
        [(["../x.yaml", "y"], "is not the name"), (["x\n", "y"], "control"), (["x", "x"], "twice")]
    {
        let to = folder.path().join(why);
        let error = contract_copy(&names.map(file), &to).unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
    }
    contract_copy(&[file("vm.contract.yaml"), file("mail.contract.yaml")], &to).unwrap();
    assert_eq!(scan(&to, &Limits::default()).unwrap().entries.len(), 2);
    assert_eq!((mode(&to), mode(&to.join("vm.contract.yaml"))), (0o700, 0o600));
    assert!(contract_copy(&[], &to).is_err(), "an existing folder is never written into");
}

#[test]
fn a_change_survives_json_and_refuses_unknown_fields() {
    let change = change("a", ChangeKind::CreateDirectory, None, None);
    let json = serde_json::to_string(&change).unwrap();
    assert!(json.contains(r#""kind":"create-directory""#), "{json}");
    assert_eq!(serde_json::from_str::<FileChange>(&json).unwrap(), change);
    let more = json.replace(r#""size":0"#, r#""size":0,"mode":0"#);
    assert!(serde_json::from_str::<FileChange>(&more).is_err());
}
