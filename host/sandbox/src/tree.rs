//! What lies in a granted folder: a list of regular files and folders, with a digest for each file.
//!
//! Nothing else is taken. A symbolic link leads out of the folder, opening a FIFO parks a thread for good, a device
//! acts when it is opened, a hard link is a file of somebody else's under a second name. Whatever is found of that
//! kind is an error that names the path, and so is a folder that is too large to copy, hash and show. The order of the
//! checks is told in `walk`.

pub(crate) mod name;
pub(crate) mod open;
pub(crate) mod walk;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use ops_policy::digest::Digest;
use serde::{Deserialize, Serialize};

/// What a granted folder may hold at most. Sizes are those that `stat` tells, so sparse files count in full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Files and folders in all.
    pub entries: usize,
    /// Components of a path: 1 is a file in the granted folder itself.
    pub depth: usize,
    /// Bytes of one name.
    pub name: usize,
    /// Bytes of one file.
    pub file: u64,
    /// Bytes of all files together.
    pub total: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { entries: 2_000, depth: 16, name: name::LONGEST, file: 16 << 20, total: 64 << 20 }
    }
}

/// A file or a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Entry {
    /// A regular file.
    File {
        /// Its length in bytes.
        size: u64,
        /// The digest of its content.
        digest: Digest,
        /// Its permission bits.
        mode: u32,
    },
    /// A folder.
    Directory {
        /// Its permission bits.
        mode: u32,
    },
}

/// Everything in a granted folder, at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tree {
    /// The entries by path: relative to the granted folder, with `/` between the components. A folder comes before
    /// what is in it; the granted folder itself is not listed.
    pub entries: BTreeMap<String, Entry>,
}

impl Tree {
    /// One digest for the whole: names, kinds and contents.
    ///
    /// Modes are not covered: a guest cannot see them, and a commit keeps those that it finds. So a `chmod` between
    /// plan and apply does not make a plan stale.
    pub fn digest(&self) -> Digest {
        let mut text = String::from("ops-tree v1\n");
        for (path, entry) in &self.entries {
            let content = match entry {
                Entry::File { digest, .. } => digest.to_string(),
                Entry::Directory { .. } => "directory".to_owned(),
            };
            // The length makes the text unambiguous whatever a path holds. Writing to a String does not fail.
            let _ = writeln!(text, "{content} {} {path}", path.len());
        }
        Digest::of(text.as_bytes())
    }
}

/// Lists and hashes a folder.
///
/// # Errors
///
/// A [`TreeError`] for the first entry, in the order of the names, that may not be there; a folder that is not there
/// or cannot be read; an entry that changes while it is read.
pub fn scan(folder: &Path, limits: &Limits) -> Result<Tree, TreeError> {
    walk::walk(folder, limits, None)
}

/// A folder that cannot be granted, or a guest's result that cannot be committed.
#[derive(Debug, thiserror::Error)]
#[error("`{path}` in {}: {problem}", root.display())]
pub struct TreeError {
    /// The folder that was walked through.
    pub root: PathBuf,
    /// The entry, relative to `root`; `.` is `root` itself. Characters that could mislead are escaped.
    pub path: String,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with an entry.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// Neither a regular file nor a folder. Says what it is.
    #[error("it is {0}; only regular files and folders may be there: move it elsewhere")]
    Special(&'static str),
    /// A regular file with another name besides this one, here or elsewhere.
    #[error("it is a hard link: the same file has another name; replace it by a copy")]
    HardLink,
    /// A setuid or setgid file.
    #[error("it is setuid or setgid; take that away with chmod u-s,g-s")]
    SetId,
    /// An access control list or another extended attribute. Says which.
    #[error("it carries {0}, which a replaced file would lose; remove that ACL or attribute")]
    Attribute(String),
    /// Another file system is mounted there.
    #[error("it lies on another file system; grant that folder by itself")]
    OtherFileSystem,
    /// A name that misleads or cannot be written down. Says why.
    #[error("its name {0}; rename it")]
    Name(&'static str),
    /// A git folder. Its files run programs, so no grant may hold one.
    #[error("a granted folder may not hold a git repository; grant a folder without one")]
    Git,
    /// A file of an interrupted commit, or one that claims to be.
    #[error("it belongs to an interrupted commit; resume the run that its name tells, or remove it")]
    Leftover,
    /// Too many files and folders.
    #[error("with this folder there are more than {limit} files and folders; grant a smaller folder")]
    TooMany {
        /// The limit.
        limit: usize,
    },
    /// A path with too many components.
    #[error("it lies more than {limit} folders deep; grant a folder further down")]
    TooDeep {
        /// The limit.
        limit: usize,
    },
    /// A file that is too large.
    #[error("it has {size} bytes; a file may have at most {limit}")]
    FileTooLarge {
        /// Its apparent size.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// Files that are too large together.
    #[error("with this file there are more than {limit} bytes in all; grant a smaller folder")]
    TotalTooLarge {
        /// The limit.
        limit: u64,
    },
    /// Somebody wrote while it was read.
    #[error("it changed while it was read; try again when nobody writes there")]
    Changed,
    /// The system refused.
    #[error("it cannot be read or copied: {0}")]
    Io(#[from] io::Error),
}
