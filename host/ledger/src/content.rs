//! The content store: bodies of evidence, `evidence.json` and everything else that a run may want back later.
//!
//! One file per run and name, `content/<run>/<name>` in the state folder, 0600, written once; only a run that died before its
//! receipt has its files replaced. The
//! receipt holds the salted digests, so a torn file is noticed when it is checked.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::evidence::LARGEST_BODY;
use crate::private::{self, FileError};

/// Before a run key: the folder is being erased. No run key begins so.
const GOING: &str = ".erasing-";

/// Keeps a body. `durable` waits until it is on disk.
///
/// # Errors
///
/// A name or run key that is not plain, a name that is taken, a state folder that is open to others, or a body of
/// more than [`LARGEST_BODY`] bytes.
pub fn put(state: &Path, run: &str, name: &str, body: &[u8], durable: bool) -> Result<(), FileError> {
    let path = place(state, run, name)?;
    if u64::try_from(body.len()).unwrap_or(u64::MAX) > LARGEST_BODY {
        return Err(FileError::TooLarge { path, limit: LARGEST_BODY });
    }
    let all = state.join("content");
    let folder = all.join(run);
    private::make_folder(&all)?;
    private::make_folder(&folder)?;
    private::write_new(&path, body, durable)?;
    if durable {
        private::sync_folder(&folder)?;
        private::sync_folder(&all)?;
    }
    Ok(())
}

/// Keeps a body whose name tells its content, unless it is there already.
///
/// # Errors
///
/// Those of [`put`], but for the taken name.
pub fn keep(state: &Path, run: &str, name: &str, body: &[u8], durable: bool) -> Result<(), FileError> {
    // A run that died may have left half of it.
    match get(state, run, name) {
        Ok(Some(there)) if there == body => Ok(()),
        Ok(None) => put(state, run, name, body, durable),
        _ => put_over(state, run, name, body, durable),
    }
}

/// Keeps a body in place of what a dead run may have left under its name.
///
/// # Errors
///
/// Those of [`put`], but for the taken name.
pub fn put_over(state: &Path, run: &str, name: &str, body: &[u8], durable: bool) -> Result<(), FileError> {
    let path = place(state, run, name)?;
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(FileError::io("replace", &path)(error)),
        _ => put(state, run, name, body, durable),
    }
}

/// A body, or none where it was never kept or has been erased.
///
/// # Errors
///
/// A name or run key that is not plain, or a file that is not ours, not 0600 or too large.
pub fn get(state: &Path, run: &str, name: &str) -> Result<Option<Vec<u8>>, FileError> {
    match private::read_private(&place(state, run, name)?, LARGEST_BODY) {
        Ok(body) => Ok(Some(body)),
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(error),
    }
}

/// The bytes of everything that a run has in the store. A run that has nothing has 0.
///
/// # Errors
///
/// A run key that is not plain, or a folder that cannot be read.
pub fn size(state: &Path, run: &str) -> Result<u64, FileError> {
    private::check_name(run)?;
    let folder = state.join("content").join(run);
    let mut bytes = 0_u64;
    for name in names(&folder)? {
        let path = folder.join(name);
        bytes = bytes.saturating_add(path.symlink_metadata().map_err(FileError::io("look at", &path))?.len());
    }
    Ok(bytes)
}

/// Erases everything that a run has in the store, all at once for whoever looks. Nothing there is no error.
///
/// # Errors
///
/// A run key that is not plain, or a folder that cannot be removed.
pub fn erase(state: &Path, run: &str) -> Result<(), FileError> {
    private::check_name(run)?;
    let all = state.join("content");
    let going = all.join(format!("{GOING}{run}"));
    match std::fs::rename(all.join(run), &going) {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        other => other.map_err(FileError::io("erase", &all.join(run)))?,
    }
    match std::fs::remove_dir_all(&going) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other.map_err(FileError::io("erase", &going)),
    }
}

/// The runs that have something in the store, in no order. What an erasure that was cut short has left goes.
///
/// # Errors
///
/// A folder that cannot be read, or removed.
pub fn runs(state: &Path) -> Result<Vec<String>, FileError> {
    let mut runs = names(&state.join("content"))?;
    for left in runs.iter().filter_map(|name| name.strip_prefix(GOING)) {
        erase(state, left)?;
    }
    runs.retain(|name| !name.starts_with(GOING));
    Ok(runs)
}

fn names(folder: &Path) -> Result<Vec<String>, FileError> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(FileError::io("list", folder)(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        names.extend(entry.map_err(FileError::io("list", folder))?.file_name().into_string());
    }
    Ok(names)
}

fn place(state: &Path, run: &str, name: &str) -> Result<PathBuf, FileError> {
    private::check_name(run)?;
    private::check_name(name)?;
    Ok(state.join("content").join(run).join(name))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn bodies_come_back_and_are_private() {
        let state = crate::scratch();
        assert_eq!(get(state.path(), "R1", "plan.json").unwrap(), None);
        put(state.path(), "R1", "plan.json", b"{}", true).unwrap();
        put(state.path(), "R2", "plan.json", b"[]", false).unwrap();
        assert_eq!(get(state.path(), "R1", "plan.json").unwrap().unwrap(), b"{}");
        assert_eq!(get(state.path(), "R2", "plan.json").unwrap().unwrap(), b"[]");
        let file = state.path().join("content/R1/plan.json");
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o7777, 0o600);
    }

    #[test]
    fn what_is_erased_is_gone_at_once_and_for_good() {
        let state = crate::scratch();
        erase(state.path(), "R1").unwrap();
        assert_eq!(runs(state.path()).unwrap(), [""; 0]);
        for name in ["a", "b"] {
            put(state.path(), "R1", name, b"123", false).unwrap();
        }
        put(state.path(), "R2", "a", b"1234", false).unwrap();
        assert_eq!((size(state.path(), "R1").unwrap(), size(state.path(), "R3").unwrap()), (6, 0));
        // An erasure that was cut short after its first step.
        std::fs::rename(state.path().join("content/R1"), state.path().join("content/.erasing-R1")).unwrap();
        assert_eq!(get(state.path(), "R1", "b").unwrap(), None);
        assert_eq!(runs(state.path()).unwrap(), ["R2"]);
        assert_eq!(std::fs::read_dir(state.path().join("content")).unwrap().count(), 1);
        erase(state.path(), "R2").unwrap();
        assert_eq!(get(state.path(), "R2", "a").unwrap(), None);
        assert!(erase(state.path(), "..").is_err());
    }

    #[test]
    fn nothing_is_written_over_or_outside() {
        let state = crate::scratch();
        put(state.path(), "R1", "a", b"1", false).unwrap();
        assert!(put(state.path(), "R1", "a", b"2", false).is_err());
        assert_eq!(get(state.path(), "R1", "a").unwrap().unwrap(), b"1");
        for (run, name) in [("..", "a"), ("R1", "../a"), ("R1/..", "a"), ("R1", "")] {
            assert!(put(state.path(), run, name, b"", false).is_err(), "{run} {name}");
            assert!(get(state.path(), run, name).is_err(), "{run} {name}");
        }
    }
}
