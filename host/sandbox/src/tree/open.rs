//! The few system calls with which this crate reaches into a folder. Each takes the descriptor of a folder and one
//! name in it, so that nothing is resolved twice and no symbolic link is ever followed.
//!
//! Order: look at the entry, open it without following and without waiting (a FIFO would park the thread), then
//! look at what was opened and compare. What is not a regular file or a folder is never opened.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use ops_policy::digest::Digest;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, flistxattr, fstat, openat, statat};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};

/// What `stat` says of an entry: enough to tell that it is still the same one, unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) device: u64,
    inode: u64,
    pub(crate) kind: FileType,
    /// Permission bits, with setuid, setgid and sticky.
    pub(crate) mode: u32,
    pub(crate) group: u32,
    pub(crate) links: u128,
    pub(crate) size: u64,
    modified: (i128, i128),
    changed: (i128, i128),
}

impl Seen {
    fn of(stat: &Stat) -> Self {
        Self {
            device: stat.st_dev,
            inode: stat.st_ino,
            kind: FileType::from_raw_mode(stat.st_mode),
            mode: stat.st_mode & 0o7777,
            group: stat.st_gid,
            links: u128::from(stat.st_nlink),
            size: u64::try_from(stat.st_size).unwrap_or(u64::MAX),
            modified: (i128::from(stat.st_mtime), i128::from(stat.st_mtime_nsec)),
            changed: (i128::from(stat.st_ctime), i128::from(stat.st_ctime_nsec)),
        }
    }
}

const FOLDER: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::CLOEXEC);
const FILE: OFlags = OFlags::RDONLY.union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);

/// Opens the granted folder itself. What lies above it is the operator's; it must not be a symbolic link itself.
pub(crate) fn root(path: &Path) -> io::Result<OwnedFd> {
    Ok(openat(rustix::fs::CWD, path, FOLDER, Mode::empty())?)
}

/// Opens a folder in a folder.
pub(crate) fn folder(parent: impl AsFd, name: &str) -> io::Result<OwnedFd> {
    Ok(openat(parent, name, FOLDER, Mode::empty())?)
}

/// Opens the folder at a path below `root`, one component after the other. The empty path is `root` itself.
pub(crate) fn descend(root: impl AsFd, path: &str) -> io::Result<OwnedFd> {
    let mut folder_there = folder(root, ".")?;
    for name in path.split('/').filter(|name| !name.is_empty()) {
        folder_there = folder(folder_there, name)?;
    }
    Ok(folder_there)
}

/// Looks at an entry without opening it. `None`: there is none.
pub(crate) fn look(parent: impl AsFd, name: &str) -> io::Result<Option<Seen>> {
    match statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(Seen::of(&stat))),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Looks at something open.
pub(crate) fn look_at(open: impl AsFd) -> io::Result<Seen> {
    Ok(Seen::of(&fstat(open)?))
}

/// Opens a regular file that `look` has seen. `None`: something else has that name by now.
pub(crate) fn file(parent: impl AsFd, name: &str, seen: &Seen) -> io::Result<Option<File>> {
    if seen.kind != FileType::RegularFile {
        return Ok(None);
    }
    match openat(parent, name, FILE, Mode::empty()) {
        Ok(file) => Ok((look_at(&file)? == *seen).then(|| File::from(file))),
        Err(Errno::NOENT | Errno::LOOP | Errno::NXIO) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Creates a file that must not exist. The mode is lessened by the process's umask.
pub(crate) fn create(parent: impl AsFd, name: &str, mode: u32) -> io::Result<File> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(File::from(openat(parent, name, flags, Mode::from_raw_mode(mode))?))
}

/// The names in a folder, sorted. `None`: there are more than `most`, and reading has stopped there.
pub(crate) fn names(folder: impl AsFd, most: usize) -> io::Result<Option<Vec<Vec<u8>>>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(folder)? {
        let name = entry?.file_name().to_bytes().to_vec();
        if name == b"." || name == b".." {
            continue;
        }
        if names.len() == most {
            return Ok(None);
        }
        names.push(name);
    }
    names.sort();
    Ok(Some(names))
}

/// Reads a file that should have `size` bytes, and writes what it reads to `copy`. `None`: it has another size.
pub(crate) fn pour(file: &mut File, size: u64, copy: Option<&mut File>) -> io::Result<Option<Digest>> {
    let mut sink = Sink { hash: Sha256::new(), copy };
    // One byte more than there should be, so that a file that grows is noticed and not read without end.
    let read = io::copy(&mut file.take(size.saturating_add(1)), &mut sink)?;
    let bytes: [u8; 32] = sink.hash.finalize().into();
    Ok((read == size).then(|| Digest::from(bytes)))
}

struct Sink<'a> {
    hash: Sha256,
    copy: Option<&'a mut File>,
}

impl Write for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.hash.update(bytes);
        if let Some(copy) = &mut self.copy {
            copy.write_all(bytes)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Labels that the system itself puts on every file and puts on the replacement too.
const SYSTEM_LABELS: [&[u8]; 4] =
    [b"security.selinux", b"security.SMACK64", b"security.ima", b"security.evm"];

/// The first extended attribute that a replaced file would lose: an ACL, a file capability, a note of the user's.
pub(crate) fn attribute(open: impl AsFd) -> io::Result<Option<String>> {
    let mut list = [0; 4096];
    let length = match flistxattr(&open, &mut list) {
        Ok(length) => length,
        Err(Errno::NOTSUP) => return Ok(None),
        Err(Errno::RANGE) => return Ok(Some("(a list longer than 4 KiB)".to_owned())),
        Err(error) => return Err(error.into()),
    };
    let names = list.get(..length).unwrap_or_default().split(|byte| *byte == 0);
    let kept = names.filter(|name| !name.is_empty()).find(|name| !SYSTEM_LABELS.contains(name));
    Ok(kept.map(|name| String::from_utf8_lossy(name).escape_debug().to_string()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use rustix::fs::mkfifoat;

    use super::*;

    #[test]
    fn what_has_changed_since_the_look_is_not_taken() {
        type Swap = fn(&Path);
        let swaps: [(&str, Swap); 7] = [
            ("written", |at| fs::write(at, "other").unwrap()),
            ("replaced", |at| {
                fs::write(at.with_extension("new"), "alpha").unwrap();
                fs::rename(at.with_extension("new"), at).unwrap();
            }),
            ("gone", |at| fs::remove_file(at).unwrap()),
            ("link", |at| {
                fs::rename(at, at.with_extension("moved")).unwrap();
                symlink(at.with_extension("moved"), at).unwrap();
            }),
            // Without O_NONBLOCK the test would hang here.
            ("fifo", |at| {
                fs::remove_file(at).unwrap();
                mkfifoat(rustix::fs::CWD, at, Mode::RUSR).unwrap();
            }),
            ("socket", |at| {
                fs::remove_file(at).unwrap();
                drop(UnixListener::bind(at).unwrap());
            }),
            ("folder", |at| {
                fs::remove_file(at).unwrap();
                fs::create_dir(at).unwrap();
            }),
        ];
        for (what, swap) in swaps {
            let at = tempfile::tempdir().unwrap();
            fs::write(at.path().join("a"), "alpha").unwrap();
            let folder = root(at.path()).unwrap();
            let seen = look(&folder, "a").unwrap().unwrap();
            assert!(file(&folder, "a", &seen).unwrap().is_some());
            swap(&at.path().join("a"));
            assert!(file(&folder, "a", &seen).unwrap().is_none(), "{what}");
        }
    }

    #[test]
    fn a_file_of_another_length_has_no_digest() {
        let at = tempfile::tempdir().unwrap();
        fs::write(at.path().join("a"), "alpha").unwrap();
        let read = |size| pour(&mut File::open(at.path().join("a")).unwrap(), size, None).unwrap();
        assert_eq!(read(5), Some(Digest::of(b"alpha")));
        assert_eq!((read(4), read(6)), (None, None));
    }

    #[test]
    fn no_link_is_followed_on_the_way_down() {
        let at = tempfile::tempdir().unwrap();
        fs::create_dir_all(at.path().join("a/b")).unwrap();
        symlink("a", at.path().join("link")).unwrap();
        let folder = root(at.path()).unwrap();
        assert!(descend(&folder, "a/b").is_ok() && descend(&folder, "").is_ok());
        for path in ["link", "link/b", "a/missing", "a/b/c"] {
            assert!(descend(&folder, path).is_err(), "{path}");
        }
    }
}
