//! Files and folders that belong to the host alone.
//!
//! Guards against names that leave their folder, files that somebody else can read or has put there (a link, a
//! FIFO, another owner), and files without end. Order of a read: open without following a link and without
//! waiting, look at what was opened, then read up to a limit.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

/// The longest name of a run or an evidence file, in bytes: a folder's name with room for a prefix.
const LONGEST_NAME: usize = 200;

/// Why a file or folder of the host cannot be used. Messages name the path and never what is in the file.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried, such as `read`.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Others could have read or changed it.
    #[error("{} {what}; look at who made it, then remove it or run chmod and chown", path.display())]
    Unsafe {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// It holds more than such a file may.
    #[error("{} is larger than {limit} bytes and was not read", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The largest size in bytes.
        limit: u64,
    },
    /// A name that could lead out of its folder.
    #[error("the name {name:?} is refused: use 1 to 200 of A-Z a-z 0-9 . _ - and no dot in front")]
    Name {
        /// The name.
        name: String,
    },
}

impl FileError {
    /// For `map_err`: what was tried on which path.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { action, path, source }
    }

    /// Whether the file is simply not there.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

/// Checks that a name is one plain path component.
pub(crate) fn check_name(name: &str) -> Result<(), FileError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if name.is_empty() || name.len() > LONGEST_NAME || name.starts_with('.') || !name.bytes().all(plain) {
        return Err(FileError::Name { name: name.chars().take(LONGEST_NAME).collect() });
    }
    Ok(())
}

/// Checks that a folder is ours and closed to everybody else. Looks, and opens nothing.
pub(crate) fn check_folder(path: &Path) -> Result<(), FileError> {
    let unsafe_because = |what| Err(FileError::Unsafe { path: path.to_path_buf(), what });
    let data = path.symlink_metadata().map_err(FileError::io("look at", path))?;
    if !data.is_dir() {
        return unsafe_because("is not a folder");
    }
    if data.uid() != rustix::process::geteuid().as_raw() {
        return unsafe_because("belongs to another user");
    }
    if data.mode() & 0o077 != 0 {
        return unsafe_because("is open to other users (its mode must be 0700)");
    }
    Ok(())
}

/// Makes a folder with mode 0700, or checks the one that is there. Its parent must exist.
pub(crate) fn make_folder(path: &Path) -> Result<(), FileError> {
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => check_folder(path),
        Err(error) => Err(FileError::io("make the folder", path)(error)),
    }
}

/// Writes a new file with mode 0600; one that is there already is an error. `sync` waits for the disk.
pub(crate) fn write_new(path: &Path, bytes: &[u8], sync: bool) -> Result<(), FileError> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(FileError::io("create", path))?;
    file.write_all(bytes).map_err(FileError::io("write", path))?;
    if sync {
        file.sync_all().map_err(FileError::io("sync", path))?;
    }
    Ok(())
}

/// Writes a file in place of one that is there, at once or not at all. Mode 0600; nothing waits for the disk.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let scratch = path.with_file_name(scratch_name(&name)?);
    let written = write_new(&scratch, bytes, false)
        .and_then(|()| std::fs::rename(&scratch, path).map_err(FileError::io("replace", path)));
    if written.is_err() {
        // The first error says more than one of the cleaning up.
        std::fs::remove_file(&scratch).ok();
    }
    written
}

/// Reads a file that must be ours with mode 0600, up to `limit` bytes.
pub(crate) fn read_private(path: &Path, limit: u64) -> Result<Vec<u8>, FileError> {
    let file = open_regular(path)?;
    let data = file.metadata().map_err(FileError::io("look at", path))?;
    if data.uid() != rustix::process::geteuid().as_raw() {
        return Err(FileError::Unsafe { path: path.to_path_buf(), what: "belongs to another user" });
    }
    if data.permissions().mode() & 0o7777 != 0o600 {
        return Err(FileError::Unsafe { path: path.to_path_buf(), what: "has another mode than 0600" });
    }
    read_at_most(file, path, limit)
}

/// Reads a regular file of anybody's, up to `limit` bytes.
pub(crate) fn read_bounded(path: &Path, limit: u64) -> Result<Vec<u8>, FileError> {
    read_at_most(open_regular(path)?, path, limit)
}

/// Makes what was renamed or created in a folder outlive a power cut.
pub(crate) fn sync_folder(path: &Path) -> Result<(), FileError> {
    File::open(path).and_then(|folder| folder.sync_all()).map_err(FileError::io("sync", path))
}

/// Gives a new file its exact mode, whatever the umask took away.
pub(crate) fn set_private(path: &Path) -> Result<(), FileError> {
    std::fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(FileError::io("chmod", path))
}

/// A random name for a file that is about to be renamed.
pub(crate) fn scratch_name(stem: &str) -> Result<String, FileError> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|error| FileError::Io {
        action: "get random bytes for",
        path: stem.into(),
        source: error.into(),
    })?;
    Ok(format!(".{stem}.{}", hex::encode(bytes)))
}

fn open_regular(path: &Path) -> Result<File, FileError> {
    // NONBLOCK: opening a FIFO must not park this thread.
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let file =
        OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(FileError::io("open", path))?;
    let data = file.metadata().map_err(FileError::io("look at", path))?;
    if !data.is_file() {
        return Err(FileError::Unsafe { path: path.to_path_buf(), what: "is not a regular file" });
    }
    Ok(file)
}

fn read_at_most(file: File, path: &Path, limit: u64) -> Result<Vec<u8>, FileError> {
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(FileError::io("read", path))?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > limit {
        return Err(FileError::TooLarge { path: path.to_path_buf(), limit });
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn names_stay_in_their_folder() {
        for good in ["plan.json", "CAP-20261122-014400__a.b__R0123456789", "a"] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        let long = "a".repeat(201);
        for bad in ["", ".", "..", ".hidden", "a/b", "/etc", "a\0b", "ä", "a b", "a\n", &long] {
            assert!(check_name(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn only_regular_private_bounded_files_are_read() {
        let folder = crate::scratch();
        let path = folder.path().join("file");
        write_new(&path, b"12345", true).unwrap();
        assert_eq!(read_private(&path, 5).unwrap(), b"12345");
        assert!(matches!(read_private(&path, 4), Err(FileError::TooLarge { .. })));
        assert!(write_new(&path, b"", false).is_err(), "an existing file was written over");

        std::fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(read_private(&path, 5), Err(FileError::Unsafe { .. })));
        assert!(read_bounded(&path, 5).is_ok());

        let link = folder.path().join("link");
        symlink(&path, &link).unwrap();
        assert!(read_bounded(&link, 5).is_err(), "a link was followed");
        let fifo = folder.path().join("fifo");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &fifo,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        assert!(matches!(read_bounded(&fifo, 5), Err(FileError::Unsafe { .. })));
    }

    #[test]
    fn an_open_folder_is_refused() {
        let parent = crate::scratch();
        let path = parent.path().join("state");
        make_folder(&path).unwrap();
        make_folder(&path).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o750)).unwrap();
        assert!(matches!(make_folder(&path), Err(FileError::Unsafe { .. })));
    }
}
