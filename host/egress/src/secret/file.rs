//! Secrets in files.
//!
//! A file is opened first and judged by its descriptor, in this order: no symlink, regular, owned by us or root,
//! readable by nobody else, not too long.
//!
//! The service manager puts a service's credentials into a folder of their own and names it in
//! `CREDENTIALS_DIRECTORY`. They belong to root or to the service's user. Where they belong to root, an access list
//! lets the user in, and the mode then shows 0440: the group's bits stand for the list, not for a group.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use zeroize::Zeroizing;

use super::MOST_BYTES;

/// Who put a file there, which decides what its mode may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keeper {
    /// A person: 0600 or 0400.
    Operator,
    /// The service manager: 0400, or 0440 as explained above.
    ServiceManager,
}

/// A credential of the service that this is. `folder` is what `CREDENTIALS_DIRECTORY` says.
pub(super) fn credential(folder: Option<&OsStr>, name: &str) -> Result<Zeroizing<Vec<u8>>, String> {
    let folder = folder.ok_or(
        "this is not a service with credentials (CREDENTIALS_DIRECTORY is not set); add LoadCredential= to its unit",
    )?;
    if !Path::new(folder).is_absolute() {
        return Err("CREDENTIALS_DIRECTORY is not an absolute path".to_owned());
    }
    // The parser lets no such name through; a name that left the folder would be read with the looser mode.
    if name.contains('/') || name.starts_with('.') {
        return Err("is not the name of a credential".to_owned());
    }
    read(&Path::new(folder).join(name), Keeper::ServiceManager)
}

/// A file without its last line break.
pub(super) fn read(path: &Path, keeper: Keeper) -> Result<Zeroizing<Vec<u8>>, String> {
    // NONBLOCK: opening a FIFO would park the thread. Symlinks are refused: they may belong to somebody else.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(descriptor) => File::from(descriptor),
        Err(rustix::io::Errno::LOOP) => return Err("is a symlink; name the file itself".to_owned()),
        Err(error) => return Err(format!("cannot be opened: {error}")),
    };
    is_private(&file, keeper)?;
    // One allocation, so that no copy is left behind by growing.
    let mut bytes = Zeroizing::new(Vec::with_capacity(MOST_BYTES + 3));
    let mut limited = file.take(MOST_BYTES as u64 + 2);
    limited.read_to_end(&mut bytes).map_err(|error| format!("cannot be read: {}", error.kind()))?;
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
    }
    Ok(bytes)
}

fn is_private(file: &File, keeper: Keeper) -> Result<(), String> {
    let facts = file.metadata().map_err(|error| format!("cannot be examined: {}", error.kind()))?;
    let kind = facts.file_type();
    if !kind.is_file() {
        let what = if kind.is_dir() {
            "a directory"
        } else if kind.is_fifo() {
            "a FIFO"
        } else {
            "a special file"
        };
        return Err(format!("is {what}; a secret is read from a regular file"));
    }
    if facts.uid() != 0 && facts.uid() != rustix::process::geteuid().as_raw() {
        return Err("belongs to another user".to_owned());
    }
    let mode = facts.mode() & 0o7777;
    match (keeper, mode) {
        (_, 0o400) | (Keeper::Operator, 0o600) | (Keeper::ServiceManager, 0o440) => Ok(()),
        (Keeper::Operator, _) => Err(format!("has mode {mode:04o}; make it 0600 (chmod 600)")),
        (Keeper::ServiceManager, _) => {
            Err(format!("has mode {mode:04o}, which the service manager gives to no credential"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};
    use tempfile::TempDir;

    fn folder(bytes: &[u8], mode: u32) -> TempDir {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("secret");
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        folder
    }

    fn as_file(folder: &TempDir, name: &str) -> Result<Zeroizing<Vec<u8>>, String> {
        read(&folder.path().join(name), Keeper::Operator)
    }

    fn as_credential(folder: &TempDir, name: &str) -> Result<Zeroizing<Vec<u8>>, String> {
        credential(Some(folder.path().as_os_str()), name)
    }

    #[test]
    fn a_private_file_is_read_without_its_last_line_break() {
        for (bytes, mode, value) in [
            (&b"hunter2!"[..], 0o600, &b"hunter2!"[..]),
            (b"hunter2!\n", 0o400, b"hunter2!"),
            (b"hunter2!\n\n", 0o600, b"hunter2!\n"),
            (b"\n", 0o600, b""),
        ] {
            assert_eq!(as_file(&folder(bytes, mode), "secret").unwrap().as_slice(), value);
        }
    }

    #[test]
    fn a_longer_file_than_a_secret_is_not_read_to_its_end() {
        let folder = folder(&vec![b'x'; 2 * MOST_BYTES], 0o600);
        assert_eq!(as_file(&folder, "secret").unwrap().len(), MOST_BYTES + 2);
    }

    #[test]
    fn modes() {
        for (mode, file, service) in [
            (0o400, true, true),
            (0o600, true, false),
            (0o440, false, true),
            (0o644, false, false),
            (0o640, false, false),
            (0o604, false, false),
            (0o444, false, false),
            (0o660, false, false),
            (0o700, false, false),
            (0o4600, false, false),
        ] {
            let folder = folder(b"hunter2!", mode);
            let found = as_file(&folder, "secret");
            assert_eq!(found.is_ok(), file, "file {mode:o}: {found:?}");
            assert!(file || found.unwrap_err().contains("chmod 600"));
            assert_eq!(as_credential(&folder, "secret").is_ok(), service, "credential {mode:o}");
        }
    }

    #[test]
    fn a_file_of_another_user_is_refused() {
        let folder = folder(b"hunter2!", 0o400);
        // Only root can give a file away; for others, root's own files are the nearest thing, and those are allowed.
        if std::os::unix::fs::chown(folder.path().join("secret"), Some(12345), None).is_ok() {
            for found in [as_file(&folder, "secret"), as_credential(&folder, "secret")] {
                assert!(found.unwrap_err().contains("belongs to another user"));
            }
        }
    }

    #[test]
    fn what_is_no_file_is_refused() {
        let folder = folder(b"hunter2!", 0o400);
        symlink(folder.path().join("secret"), folder.path().join("link")).unwrap();
        fs::create_dir(folder.path().join("folder")).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            folder.path().join("fifo"),
            rustix::fs::FileType::Fifo,
            Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        for (name, why) in [
            ("link", "is a symlink"),
            ("folder", "is a directory"),
            ("fifo", "is a FIFO"),
            ("missing", "cannot be opened"),
        ] {
            for found in [as_file(&folder, name), as_credential(&folder, name)] {
                let error = found.unwrap_err();
                assert!(error.contains(why), "{error}");
            }
        }
        assert!(as_file(&folder, "/dev/null").unwrap_err().contains("is a special file"));
    }

    #[test]
    fn a_credential_is_looked_for_in_its_folder_only() {
        let folder = folder(b"hunter2!", 0o440);
        fs::create_dir(folder.path().join("inner")).unwrap();
        let inner = folder.path().join("inner");
        for name in ["../secret", "/etc/passwd", "a/b", "..", ".hidden"] {
            let error = credential(Some(inner.as_os_str()), name).unwrap_err();
            assert!(error.contains("is not the name"), "{name}: {error}");
        }
        assert!(credential(None, "secret").unwrap_err().contains("LoadCredential="));
        for relative in ["", "credentials", "./credentials"] {
            let error = credential(Some(OsStr::new(relative)), "secret").unwrap_err();
            assert!(error.contains("not an absolute path"), "{error}");
        }
    }
}
