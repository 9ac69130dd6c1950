//! The walk through a granted folder, in two passes.
//!
//! The first looks at every entry and opens folders only: count, name, depth, kind, file system, hard links, setuid,
//! size, sum of sizes. A file of a terabyte that takes no space on the disk is refused here, before a byte is read.
//! The second opens, reads, hashes and (for a private copy) writes, and refuses whatever is no longer as it was seen.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{FileType, Mode, mkdirat};

use super::open::{self, Seen};
use super::{Entry, Limits, Problem, Tree, TreeError, name};

/// Walks through `root`. With `copy`, which must be an empty folder of ours, contents are written there as well.
pub(crate) fn walk(root: &Path, limits: &Limits, copy: Option<&Path>) -> Result<Tree, TreeError> {
    walk_open(root, limits, copy).map_err(|found| TreeError {
        root: root.to_owned(),
        path: if found.path.is_empty() { ".".to_owned() } else { found.path },
        problem: found.problem,
    })
}

fn walk_open(root: &Path, limits: &Limits, copy: Option<&Path>) -> Result<Tree, Found> {
    let at_root = |error: io::Error| Found::at("", error);
    let folder = open::root(root).map_err(at_root)?;
    let seen = open::look_at(&folder).map_err(at_root)?;
    let mut survey = Survey { limits, device: seen.device, entries: 0, total: 0 };
    let nodes = survey.folder(folder.as_fd(), "", 1)?;

    let copy = copy.map(private_folder).transpose().map_err(at_root)?;
    let mut entries = BTreeMap::new();
    no_attributes(&folder, "")?;
    read(folder.as_fd(), "", &nodes, copy.as_ref().map(AsFd::as_fd), &mut entries)?;
    unchanged(&folder, &seen, "")?;
    Ok(Tree { entries })
}

/// Creates a folder that nobody else may enter, and opens it.
pub(crate) fn private_folder(path: &Path) -> io::Result<OwnedFd> {
    mkdirat(rustix::fs::CWD, path, Mode::RWXU)?;
    open::root(path)
}

/// A problem and where it is, before the root is known.
struct Found {
    path: String,
    problem: Problem,
}

impl Found {
    fn at(path: &str, problem: impl Into<Problem>) -> Self {
        Self { path: path.to_owned(), problem: problem.into() }
    }
}

/// An entry that has passed the first walk.
struct Node {
    name: String,
    seen: Seen,
    children: Vec<Node>,
}

struct Survey<'a> {
    limits: &'a Limits,
    device: u64,
    entries: usize,
    total: u64,
}

impl Survey<'_> {
    fn folder(&mut self, folder: BorrowedFd<'_>, path: &str, depth: usize) -> Result<Vec<Node>, Found> {
        let left = self.limits.entries.saturating_sub(self.entries);
        let names = open::names(folder, left).map_err(|error| Found::at(path, error))?;
        let names = names.ok_or_else(|| Found::at(path, Problem::TooMany { limit: self.limits.entries }))?;
        self.entries += names.len();
        names.iter().map(|name| self.entry(folder, path, name, depth)).collect()
    }

    fn entry(&mut self, folder: BorrowedFd<'_>, path: &str, raw: &[u8], depth: usize) -> Result<Node, Found> {
        let shown = || name::join(path, &String::from_utf8_lossy(raw).escape_debug().to_string());
        let name = name::check(raw, self.limits.name).map_err(|problem| Found::at(&shown(), problem))?;
        let path = name::join(path, name);
        let found = |problem| Found::at(&path, problem);
        if depth > self.limits.depth {
            return Err(found(Problem::TooDeep { limit: self.limits.depth }));
        }
        let seen = open::look(folder, name).map_err(|error| Found::at(&path, error))?;
        let seen = seen.ok_or_else(|| found(Problem::Changed))?;
        if seen.kind == FileType::Directory {
            self.same_device(&seen).map_err(found)?;
            let child = open::folder(folder, name).map_err(|error| Found::at(&path, error))?;
            unchanged(&child, &seen, &path)?;
            let children = self.folder(child.as_fd(), &path, depth + 1)?;
            return Ok(Node { name: name.to_owned(), seen, children });
        }
        self.file(&seen).map_err(found)?;
        Ok(Node { name: name.to_owned(), seen, children: Vec::new() })
    }

    fn file(&mut self, seen: &Seen) -> Result<(), Problem> {
        match seen.kind {
            FileType::RegularFile => self.same_device(seen)?,
            FileType::Symlink => return Err(Problem::Special("a symbolic link")),
            FileType::Fifo => return Err(Problem::Special("a FIFO")),
            FileType::Socket => return Err(Problem::Special("a socket")),
            FileType::CharacterDevice | FileType::BlockDevice => return Err(Problem::Special("a device")),
            _ => return Err(Problem::Special("of a kind unknown to this host")),
        }
        if seen.links > 1 {
            return Err(Problem::HardLink);
        }
        if seen.mode & 0o6000 != 0 {
            return Err(Problem::SetId);
        }
        if seen.size > self.limits.file {
            return Err(Problem::FileTooLarge { size: seen.size, limit: self.limits.file });
        }
        self.total = self.total.saturating_add(seen.size);
        if self.total > self.limits.total {
            return Err(Problem::TotalTooLarge { limit: self.limits.total });
        }
        Ok(())
    }

    fn same_device(&self, seen: &Seen) -> Result<(), Problem> {
        if seen.device == self.device { Ok(()) } else { Err(Problem::OtherFileSystem) }
    }
}

fn read(
    folder: BorrowedFd<'_>,
    path: &str,
    nodes: &[Node],
    copy: Option<BorrowedFd<'_>>,
    entries: &mut BTreeMap<String, Entry>,
) -> Result<(), Found> {
    for node in nodes {
        let path = name::join(path, &node.name);
        let failed = |error: io::Error| Found::at(&path, error);
        if node.seen.kind == FileType::Directory {
            let child = open::folder(folder, &node.name).map_err(failed)?;
            unchanged(&child, &node.seen, &path)?;
            no_attributes(&child, &path)?;
            let copy = copy.map(|copy| folder_in(copy, &node.name)).transpose().map_err(failed)?;
            entries.insert(path.clone(), Entry::Directory { mode: node.seen.mode });
            read(child.as_fd(), &path, &node.children, copy.as_ref().map(AsFd::as_fd), entries)?;
            unchanged(&child, &node.seen, &path)?;
        } else {
            let entry = read_file(folder, &path, node, copy)?;
            entries.insert(path, entry);
        }
    }
    Ok(())
}

fn read_file(
    folder: BorrowedFd<'_>,
    path: &str,
    node: &Node,
    copy: Option<BorrowedFd<'_>>,
) -> Result<Entry, Found> {
    let failed = |error: io::Error| Found::at(path, error);
    let file = open::file(folder, &node.name, &node.seen).map_err(failed)?;
    let mut file: File = file.ok_or_else(|| Found::at(path, Problem::Changed))?;
    no_attributes(&file, path)?;
    let mut copy = copy.map(|copy| open::create(copy, &node.name, 0o600)).transpose().map_err(failed)?;
    let digest = open::pour(&mut file, node.seen.size, copy.as_mut()).map_err(failed)?;
    let digest = digest.ok_or_else(|| Found::at(path, Problem::Changed))?;
    unchanged(&file, &node.seen, path)?;
    Ok(Entry::File { size: node.seen.size, digest, mode: node.seen.mode })
}

fn folder_in(parent: BorrowedFd<'_>, name: &str) -> io::Result<OwnedFd> {
    mkdirat(parent, name, Mode::RWXU)?;
    open::folder(parent, name)
}

fn unchanged(open: impl AsFd, seen: &Seen, path: &str) -> Result<(), Found> {
    let now = open::look_at(open).map_err(|error| Found::at(path, error))?;
    if now == *seen { Ok(()) } else { Err(Found::at(path, Problem::Changed)) }
}

fn no_attributes(open: impl AsFd, path: &str) -> Result<(), Found> {
    match open::attribute(open).map_err(|error| Found::at(path, error))? {
        None => Ok(()),
        Some(attribute) => Err(Found::at(path, Problem::Attribute(attribute))),
    }
}
