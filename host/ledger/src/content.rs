//! The content store: bodies of evidence, `evidence.json` and everything else that a run may want back later.
//!
//! One file per run and name, `content/<run>/<name>` in the state folder, 0600, written once; only a run that died before its
//! receipt has its files replaced. The
//! receipt holds the salted digests, so a torn file is noticed when it is checked.

use std::path::{Path, PathBuf};

use crate::evidence::LARGEST_BODY;
use crate::private::{self, FileError};

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
    if place(state, run, name)?.exists() {
        return Ok(());
    }
    put(state, run, name, body, durable)
}

/// Keeps a body in place of what a dead run may have left under its name.
///
/// # Errors
///
/// Those of [`put`], but for the taken name.
pub fn put_over(state: &Path, run: &str, name: &str, body: &[u8], durable: bool) -> Result<(), FileError> {
    let path = place(state, run, name)?;
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(FileError::io("replace", &path)(error))
        }
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
