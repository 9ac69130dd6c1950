//! A disk that fails: the library `torture/disk.c`, and what a power cut leaves of a folder.
//!
//! [`Disk::settle`] takes the folder as it is for what the disk holds. From then on only what programs under
//! [`Disk::watch`] sync is added. [`Disk::cut`] gives the folder back as a disk could hold it after a power cut: at
//! least what was synced, and of the rest nothing, or an arbitrary part. Files that lie elsewhere survive as they are.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::UNIX_EPOCH;

use tempfile::TempDir;

use super::dice::Dice;
use crate::scratch::repository;

/// What a disk does from the Nth call on, in the words of `torture/disk.c`.
pub const FAULTS: [&str; 4] = ["full", "broken", "dying", "readonly"];

/// Folders in which the host syncs folders by system calls of its own, which the library does not see. Which entries
/// they have is taken as synced at once; what their files hold is not.
const SYNCED_UNSEEN: [&str; 2] = ["staging", "cache"];

/// SQLite's index of its log. It is memory, and the first process that opens the ledger makes it anew.
const INDEX: &str = "ledger.db-shm";

/// A folder, what the disk would hold of it, and the library that keeps the two apart.
pub struct Disk {
    root: PathBuf,
    shadow: TempDir,
}

/// What of the writes that were not synced is there after the cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsynced {
    /// Nothing.
    Lost,
    /// Of each file and of each folder's entries all or nothing, by chance.
    Some,
}

/// The library, built once. `None` where there is no C compiler.
pub fn library() -> Option<&'static Path> {
    static BUILT: OnceLock<Option<(TempDir, PathBuf)>> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let library = folder.path().join("disk.so");
        let built = Command::new("cc")
            .args(["-std=gnu11", "-O2", "-Wall", "-Werror", "-shared", "-fPIC", "-o"])
            .args([&library, &repository().join("tests/torture/disk.c")])
            .arg("-ldl")
            .status()
            .ok()?;
        assert!(built.success(), "tests/torture/disk.c does not compile");
        Some((folder, library))
    });
    built.as_ref().map(|(_, library)| library.as_path())
}

/// Lets the Nth write of a program under `root` fail, as `fault` says. Returns the file that is there once it has.
pub fn fail(command: &mut Command, root: &Path, fault: &str, nth: usize) -> PathBuf {
    let hit = root.with_file_name("fault-was-hit");
    if hit.exists() {
        fs::remove_file(&hit).unwrap();
    }
    command
        .env("LD_PRELOAD", library().unwrap())
        .env("OPS_DISK_ROOT", root)
        .env("OPS_DISK_FAULT", format!("{fault}:{nth}"))
        .env("OPS_DISK_HIT", &hit);
    hit
}

/// One line of a folder's list.
struct Entry {
    folder: bool,
    mode: u32,
    id: String,
    name: String,
}

impl Disk {
    /// A disk whose files under `root` are all synced. `root` must be a real path, links followed.
    pub fn new(root: &Path) -> Self {
        let mut disk = Self { root: root.to_path_buf(), shadow: tempfile::tempdir().unwrap() };
        disk.settle();
        disk
    }

    /// Makes a program leave on this disk only what it syncs.
    pub fn watch(&self, command: &mut Command) {
        command
            .env("LD_PRELOAD", library().unwrap())
            .env("OPS_DISK_ROOT", &self.root)
            .env("OPS_DISK_SHADOW", self.shadow.path());
    }

    /// Takes everything as it is for synced.
    pub fn settle(&mut self) {
        self.shadow = tempfile::tempdir().unwrap();
        self.settle_folder(&self.root);
    }

    fn settle_folder(&self, folder: &Path) {
        let mut list = String::new();
        for (path, data) in entries(folder) {
            let (letter, id) = (if data.is_dir() { 'd' } else { 'f' }, identity(&data));
            let name = path.file_name().unwrap().to_str().unwrap();
            list.push_str(&format!("{letter} {:o} {id} {name}\n", data.mode() & 0o7777));
            if data.is_dir() {
                self.settle_folder(&path);
            } else {
                fs::copy(&path, self.kept('f', &id)).unwrap();
            }
        }
        let id = identity(&fs::symlink_metadata(folder).unwrap());
        fs::write(self.kept('d', &id), list).unwrap();
    }

    /// The power is cut: the folder is as the disk holds it, and settled.
    pub fn cut(&mut self, unsynced: Unsynced, dice: &mut Dice) {
        let mut now = BTreeMap::new();
        list_all(&self.root, &mut now);
        let fresh = self.root.with_extension("after-the-cut");
        let id = identity(&fs::symlink_metadata(&self.root).unwrap());
        self.restore(&id, 0o700, &fresh, &now, unsynced, dice);
        fs::remove_dir_all(&self.root).unwrap();
        fs::rename(&fresh, &self.root).unwrap();
        self.settle();
    }

    fn restore(
        &self,
        id: &str,
        mode: u32,
        to: &Path,
        now: &BTreeMap<String, PathBuf>,
        unsynced: Unsynced,
        dice: &mut Dice,
    ) {
        fs::create_dir(to).unwrap();
        fs::set_permissions(to, fs::Permissions::from_mode(mode)).unwrap();
        let mut current = |id: &str| {
            let path = now.get(id)?;
            (unsynced == Unsynced::Some && dice.once_in(2)).then(|| path.clone())
        };
        let unseen = now.get(id).filter(|path| self.is_synced_unseen(path)).cloned();
        // A folder that was never synced is empty: its own entry was, so it is there.
        let list = match unseen.or_else(|| current(id)) {
            Some(path) => list(&path),
            None => parse(&fs::read_to_string(self.kept('d', id)).unwrap_or_default()),
        };
        let mut folders = Vec::new();
        for entry in list {
            let path = to.join(&entry.name);
            if entry.folder {
                folders.push((entry, path));
            } else if entry.name != INDEX {
                let bytes = current(&entry.id).and_then(|path| fs::read(path).ok());
                let bytes = bytes.or_else(|| fs::read(self.kept('f', &entry.id)).ok());
                fs::write(&path, bytes.unwrap_or_default()).unwrap();
                fs::set_permissions(&path, fs::Permissions::from_mode(entry.mode)).unwrap();
            }
        }
        for (entry, path) in folders {
            self.restore(&entry.id, entry.mode, &path, now, unsynced, dice);
        }
    }

    fn is_synced_unseen(&self, folder: &Path) -> bool {
        let first = folder.strip_prefix(&self.root).ok().and_then(|below| below.iter().next());
        first.is_some_and(|first| SYNCED_UNSEEN.iter().any(|name| first == *name))
    }

    fn kept(&self, letter: char, id: &str) -> PathBuf {
        self.shadow.path().join(format!("{letter}-{id}"))
    }
}

/// What an inode is known by; the same text as in `torture/disk.c`.
fn identity(data: &fs::Metadata) -> String {
    let born = data.created().unwrap().duration_since(UNIX_EPOCH).unwrap();
    format!("{}-{}-{}", data.ino(), born.as_secs(), born.subsec_nanos())
}

fn entries(folder: &Path) -> Vec<(PathBuf, fs::Metadata)> {
    let mut entries: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter_map(|path| Some((path.clone(), fs::symlink_metadata(&path).ok()?)))
        .collect();
    entries.sort_by(|(one, _), (other, _)| one.cmp(other));
    entries
}

/// Everything under a folder by its identity, the folder itself too.
fn list_all(folder: &Path, into: &mut BTreeMap<String, PathBuf>) {
    into.insert(identity(&fs::symlink_metadata(folder).unwrap()), folder.to_path_buf());
    for (path, data) in entries(folder) {
        if data.is_dir() {
            list_all(&path, into);
        } else {
            into.insert(identity(&data), path);
        }
    }
}

fn list(folder: &Path) -> Vec<Entry> {
    entries(folder)
        .into_iter()
        .map(|(path, data)| Entry {
            folder: data.is_dir(),
            mode: data.mode() & 0o7777,
            id: identity(&data),
            name: path.file_name().unwrap().to_str().unwrap().to_owned(),
        })
        .collect()
}

fn parse(list: &str) -> Vec<Entry> {
    let entry = |line: &str| {
        let mut words = line.splitn(4, ' ');
        Some(Entry {
            folder: words.next()? == "d",
            mode: u32::from_str_radix(words.next()?, 8).ok()?,
            id: words.next()?.to_owned(),
            name: words.next()?.to_owned(),
        })
    };
    list.lines().map(|line| entry(line).expect("a line of a list")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs Python under the library, since it calls the C library for each of these steps.
    fn python(disk: &Disk, code: &str) {
        let mut command = Command::new("python3");
        disk.watch(command.args(["-c", code]).current_dir(&disk.root));
        assert!(command.status().unwrap().success());
    }

    fn scratch() -> (TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("state");
        fs::create_dir(&root).unwrap();
        fs::write(root.join("old"), "old").unwrap();
        (folder, root)
    }

    #[test]
    fn what_was_not_synced_is_lost() {
        let (_folder, root) = scratch();
        let mut disk = Disk::new(&root);
        python(
            &disk,
            "import os\n\
             a = open('entry-only', 'w'); a.write('lost'); a.close()\n\
             b = open('content', 'w'); b.write('kept'); b.flush(); os.fsync(b.fileno()); b.write(' not'); b.close()\n\
             os.mkdir('folder'); open('folder/in', 'w').close()\n\
             d = os.open('.', os.O_RDONLY); os.fsync(d)\n\
             c = open('late', 'w'); c.write('x'); c.flush(); os.fsync(c.fileno())\n\
             os.unlink('old')\n",
        );
        disk.cut(Unsynced::Lost, &mut Dice::new(1));
        assert_eq!(fs::read_to_string(root.join("old")).unwrap(), "old", "its removal was not synced");
        assert_eq!(fs::read_to_string(root.join("entry-only")).unwrap(), "");
        assert_eq!(fs::read_to_string(root.join("content")).unwrap(), "kept");
        assert_eq!(fs::read_dir(root.join("folder")).unwrap().count(), 0);
        assert!(!root.join("late").exists(), "the folder was not synced after it");
    }

    #[test]
    fn a_part_of_the_rest_may_be_there() {
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..40 {
            let (_folder, root) = scratch();
            let mut disk = Disk::new(&root);
            python(&disk, "open('new', 'w').write('n'); open('old', 'w').write('changed')");
            disk.cut(Unsynced::Some, &mut Dice::new(seed));
            seen.insert((root.join("new").exists(), fs::read_to_string(root.join("old")).unwrap()));
        }
        assert_eq!(seen.len(), 4, "{seen:?}");
    }

    #[test]
    fn the_nth_write_fails() {
        let (_folder, root) = scratch();
        let code = "import os, sys\n\
                    f = os.open(sys.argv[1] + '/old', os.O_WRONLY)\n\
                    for n in range(3):\n\
                    \x20   try: os.write(f, b'x')\n\
                    \x20   except OSError as error: print(n, error.errno)";
        for (fault, said) in [("full:2", "1 28\n2 28\n"), ("broken:2", "1 5\n"), ("dying:3", "2 5\n")] {
            let (fault, nth) = fault.split_once(':').unwrap();
            let mut command = Command::new("python3");
            let hit = fail(command.args(["-c", code]).arg(&root), &root, fault, nth.parse().unwrap());
            assert_eq!(String::from_utf8(command.output().unwrap().stdout).unwrap(), said);
            assert!(hit.exists());
        }
    }
}
