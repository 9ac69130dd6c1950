//! A disk that fails: the library `torture/disk.c`, and what a power cut leaves of a folder.
//!
//! A new [`Disk`] takes the folder as it is for what the disk holds. From then on only what programs under
//! [`Disk::watch`] sync is added. [`Disk::cut`] gives the folder back as a disk could hold it after a power cut: at
//! least what was synced, and of the rest nothing, or an arbitrary part. Files that lie elsewhere survive as they are.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::UNIX_EPOCH;

use libtest_mimic::Trial;
use tempfile::TempDir;

use super::dice::Dice;
use crate::scratch::{ops, repository};
use crate::skip;

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
    /// The files whose content was taken for synced, as they were then.
    settled: BTreeMap<String, Stamp>,
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
fn library() -> Option<&'static Path> {
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

/// A test of the program on such a disk. It does not run where the program holds its C library: nothing would be put before
/// that, no call would fail, and the test could not either.
pub fn trial(name: impl Into<String>, run: impl FnOnce() + Send + 'static) -> Trial {
    let Some(library) = library() else { return skip::trial(name, Some("cc"), run) };
    // The loader says what it would load, and runs nothing. A program that needs no loader takes no notice of this.
    let mut command = Command::new(ops());
    command.env("LD_PRELOAD", library).env("LD_TRACE_LOADED_OBJECTS", "1");
    let holds = command.output().is_ok_and(|said| !String::from_utf8_lossy(&said.stdout).contains("disk.so"));
    skip::unless(name, holds.then_some("the program holds its C library"), run)
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
    stamp: Stamp,
}

/// Time of the last change, in seconds and nanoseconds, and length: a file that has the same again was not written to.
type Stamp = Option<(i64, i64, u64)>;

impl Disk {
    /// A disk whose files under `root` are all synced. `root` must be a real path, links followed.
    pub fn new(root: &Path) -> Self {
        let shadow = tempfile::tempdir().unwrap();
        let mut disk = Self { root: root.to_path_buf(), shadow, settled: BTreeMap::new() };
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
    fn settle(&mut self) {
        let root = self.root.clone();
        let known = std::mem::take(&mut self.settled);
        self.settle_folder(&root, &known);
    }

    fn settle_folder(&mut self, folder: &Path, known: &BTreeMap<String, Stamp>) {
        let mut text = String::new();
        for entry in list(folder) {
            let letter = if entry.folder { 'd' } else { 'f' };
            text.push_str(&format!("{letter} {:o} {} {}\n", entry.mode, entry.id, entry.name));
            let path = folder.join(&entry.name);
            if entry.folder {
                self.settle_folder(&path, known);
                continue;
            }
            if known.get(&entry.id) != Some(&entry.stamp) {
                fs::copy(&path, self.kept('f', &entry.id)).unwrap();
            }
            self.settled.insert(entry.id, entry.stamp);
        }
        let id = identity(&fs::symlink_metadata(folder).unwrap());
        fs::write(self.kept('d', &id), text).unwrap();
    }

    /// The power is cut: the folder is as the disk holds it, and settled.
    pub fn cut(&mut self, unsynced: Unsynced, dice: &mut Dice) {
        let root = self.root.clone();
        let id = identity(&fs::symlink_metadata(&root).unwrap());
        self.restore(&id, &root, unsynced, dice);
        self.settle();
    }

    /// Makes a folder what the disk holds of the one with this identity.
    fn restore(&self, id: &str, folder: &Path, unsynced: Unsynced, dice: &mut Dice) {
        let now = list(folder);
        let stays = self.is_synced_unseen(folder) || (unsynced == Unsynced::Some && dice.once_in(2));
        // A folder that was never synced is empty: its own entry was, so it is there.
        let synced = || parse(&fs::read_to_string(self.kept('d', id)).unwrap_or_default());
        let held = if stays { list(folder) } else { synced() };
        for entry in &now {
            let is_held = held.iter().any(|held| (&held.name, &held.id) == (&entry.name, &entry.id));
            let path = folder.join(&entry.name);
            if entry.folder && !is_held {
                fs::remove_dir_all(path).unwrap();
            } else if !is_held || entry.name == INDEX {
                fs::remove_file(path).unwrap();
            }
        }
        for entry in held.iter().filter(|entry| entry.name != INDEX) {
            let path = folder.join(&entry.name);
            let there = now.iter().find(|now| (&now.name, &now.id) == (&entry.name, &entry.id));
            if entry.folder {
                if there.is_none() {
                    fs::create_dir(&path).unwrap();
                    fs::set_permissions(&path, fs::Permissions::from_mode(entry.mode)).unwrap();
                }
                self.restore(&entry.id, &path, unsynced, dice);
                continue;
            }
            let changed = there.is_none_or(|now| self.settled.get(&now.id) != Some(&now.stamp));
            let written = there.is_some() && unsynced == Unsynced::Some && dice.once_in(2);
            if changed && !written {
                fs::write(&path, fs::read(self.kept('f', &entry.id)).unwrap_or_default()).unwrap();
                fs::set_permissions(&path, fs::Permissions::from_mode(entry.mode)).unwrap();
            }
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

fn list(folder: &Path) -> Vec<Entry> {
    let entry = |path: PathBuf| {
        let data = fs::symlink_metadata(&path).ok()?;
        Some(Entry {
            folder: data.is_dir(),
            mode: data.mode() & 0o7777,
            id: identity(&data),
            name: path.file_name().unwrap().to_str().unwrap().to_owned(),
            stamp: Some((data.mtime(), data.mtime_nsec(), data.len())),
        })
    };
    let mut entries: Vec<_> =
        fs::read_dir(folder).unwrap().filter_map(|found| entry(found.unwrap().path())).collect();
    entries.sort_by(|one, other| one.name.cmp(&other.name));
    entries
}

fn parse(list: &str) -> Vec<Entry> {
    let entry = |line: &str| {
        let mut words = line.splitn(4, ' ');
        Some(Entry {
            folder: words.next()? == "d",
            mode: u32::from_str_radix(words.next()?, 8).ok()?,
            id: words.next()?.to_owned(),
            name: words.next()?.to_owned(),
            stamp: None,
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
        for seed in 0..16 {
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
