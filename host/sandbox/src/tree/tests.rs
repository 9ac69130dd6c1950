use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::time::Instant;

use rustix::fs::{FileType, Mode, XattrFlags, mkfifoat, mknodat, setxattr};
use tempfile::TempDir;

use super::*;

/// A folder with `sub/a` in it, where each case adds what is to be refused.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("sub")).unwrap();
    fs::write(folder.path().join("sub/a"), "alpha").unwrap();
    folder
}

/// The path and the message of the refusal.
fn refused(folder: &Path, limits: &Limits) -> (String, String) {
    let error = scan(folder, limits).unwrap_err();
    assert!(error.to_string().contains(&folder.display().to_string()), "{error}");
    (error.path.clone(), error.problem.to_string())
}

#[test]
fn a_folder_is_listed_with_sizes_digests_and_modes() {
    let folder = folder();
    fs::set_permissions(folder.path().join("sub/a"), fs::Permissions::from_mode(0o640)).unwrap();
    fs::set_permissions(folder.path().join("sub"), fs::Permissions::from_mode(0o2750)).unwrap();
    let tree = scan(folder.path(), &Limits::default()).unwrap();
    let listed: Vec<_> = tree.entries.into_iter().collect();
    let file = Entry::File { size: 5, digest: Digest::of(b"alpha"), mode: 0o640 };
    assert_eq!(listed, [("sub".to_owned(), Entry::Directory { mode: 0o2750 }), ("sub/a".to_owned(), file)]);
}

#[test]
fn whatever_is_no_plain_file_is_refused_by_name() {
    type Plant = fn(&Path);
    let cases: [(&str, Plant, &str); 8] = [
        ("sub/link", |at| symlink("/etc/passwd", at).unwrap(), "symbolic link"),
        ("sub/folder-link", |at| symlink("/etc", at).unwrap(), "symbolic link"),
        ("sub/fifo", |at| mkfifoat(rustix::fs::CWD, at, Mode::RUSR).unwrap(), "FIFO"),
        ("sub/socket", |at| drop(UnixListener::bind(at).unwrap()), "socket"),
        ("sub/setuid", |at| with_mode(at, 0o4755), "setuid"),
        ("sub/setgid", |at| with_mode(at, 0o2755), "setuid"),
        ("sub/.git", |at| fs::create_dir(at).unwrap(), "git"),
        ("sub/.ops-CAP-1-0", |at| fs::write(at, "").unwrap(), "interrupted commit"),
    ];
    for (path, plant, why) in cases {
        let folder = folder();
        plant(&folder.path().join(path));
        let (named, said) = refused(folder.path(), &Limits::default());
        assert_eq!(named, path);
        assert!(said.contains(why), "{path}: {said}");
    }
}

fn with_mode(at: &Path, mode: u32) {
    fs::write(at, "").unwrap();
    fs::set_permissions(at, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_hard_link_is_refused_under_each_of_its_names() {
    let folder = folder();
    fs::hard_link(folder.path().join("sub/a"), folder.path().join("sub/b")).unwrap();
    let (named, said) = refused(folder.path(), &Limits::default());
    assert_eq!(named, "sub/a");
    assert!(said.contains("hard link"), "{said}");
}

#[test]
fn a_device_is_refused() {
    let folder = folder();
    let device = rustix::fs::makedev(1, 3);
    let at = folder.path().join("sub/null");
    // Only root can plant one; where the tests run as somebody else, nothing is left to check here.
    if mknodat(rustix::fs::CWD, &at, FileType::CharacterDevice, Mode::RUSR, device).is_ok() {
        assert_eq!(refused(folder.path(), &Limits::default()).0, "sub/null");
    }
}

#[test]
fn a_linked_or_missing_folder_is_refused() {
    let folder = folder();
    let link = folder.path().join("link");
    symlink(folder.path().join("sub"), &link).unwrap();
    for at in [link, folder.path().join("missing"), folder.path().join("sub/a")] {
        assert_eq!(refused(&at, &Limits::default()).0, ".", "{}", at.display());
    }
}

#[test]
fn names_that_mislead_are_refused_and_shown_escaped() {
    let folder = folder();
    fs::write(folder.path().join("sub/x\u{202e}txt.exe"), "").unwrap();
    let (named, said) = refused(folder.path(), &Limits::default());
    assert_eq!(named, "sub/x\\u{202e}txt.exe");
    assert!(said.contains("bidirectional"), "{said}");
}

#[test]
fn an_attribute_that_a_commit_would_lose_is_refused() {
    let folder = folder();
    let at = folder.path().join("sub/a");
    match setxattr(&at, "user.note", b"x", XattrFlags::CREATE) {
        Err(rustix::io::Errno::NOTSUP) => return,
        set => set.unwrap(),
    }
    let (named, said) = refused(folder.path(), &Limits::default());
    assert_eq!(named, "sub/a");
    assert!(said.contains("user.note"), "{said}");
}

#[test]
fn a_sparse_terabyte_is_refused_before_anything_is_read() {
    let folder = folder();
    // Sorted before the sparse file, and unreadable in time if it were read first.
    let file = File::create(folder.path().join("z")).unwrap();
    file.set_len(1 << 40).unwrap();
    let started = Instant::now();
    let (named, said) = refused(folder.path(), &Limits::default());
    assert_eq!(named, "z");
    assert!(said.contains("1099511627776"), "{said}");
    let all_together = Limits { file: u64::MAX, ..Limits::default() };
    assert!(refused(folder.path(), &all_together).1.contains("in all"));
    assert!(started.elapsed().as_secs() < 5);
}

#[test]
fn each_limit_holds_at_its_edge() {
    let folder = folder();
    fs::create_dir_all(folder.path().join("sub/deep/er")).unwrap();
    fs::write(folder.path().join("sub/deep/er/b"), "beta!").unwrap();
    let exact = Limits { entries: 5, depth: 4, name: 4, file: 5, total: 10 };
    assert_eq!(scan(folder.path(), &exact).unwrap().entries.len(), 5);
    let cases = [
        (Limits { entries: 4, ..exact }, "sub/deep/er", "more than 4 files"),
        (Limits { depth: 3, ..exact }, "sub/deep/er/b", "more than 3 folders deep"),
        (Limits { name: 3, ..exact }, "sub/deep", "longer"),
        (Limits { file: 4, ..exact }, "sub/a", "5 bytes"),
        (Limits { total: 9, ..exact }, "sub/deep/er/b", "more than 9 bytes"),
    ];
    for (limits, path, why) in cases {
        let (named, said) = refused(folder.path(), &limits);
        assert_eq!(named, path, "{said}");
        assert!(said.contains(why), "{said}");
    }
}

#[test]
fn a_digest_covers_names_kinds_and_contents_but_not_modes() {
    let digest = |folder: &TempDir| scan(folder.path(), &Limits::default()).unwrap().digest();
    let plain = digest(&folder());
    let at = folder();
    fs::set_permissions(at.path().join("sub/a"), fs::Permissions::from_mode(0o400)).unwrap();
    assert_eq!(digest(&at), plain);

    type Edit = fn(&Path);
    let edits: [Edit; 4] = [
        |at| fs::write(at.join("sub/a"), "alphb").unwrap(),
        |at| fs::rename(at.join("sub/a"), at.join("sub/b")).unwrap(),
        |at| fs::create_dir(at.join("sub/c")).unwrap(),
        |at| {
            fs::remove_file(at.join("sub/a")).unwrap();
            fs::create_dir(at.join("sub/a")).unwrap();
        },
    ];
    for (number, edit) in edits.into_iter().enumerate() {
        let at = folder();
        edit(at.path());
        assert_ne!(digest(&at), plain, "edit {number}");
    }
}

#[test]
fn a_tree_survives_json() {
    let folder = folder();
    let tree = scan(folder.path(), &Limits::default()).unwrap();
    let json = serde_json::to_string(&tree).unwrap();
    assert!(json.starts_with(r#"{"sub":{"kind":"directory""#), "{json}");
    assert_eq!(serde_json::from_str::<Tree>(&json).unwrap(), tree);
}
