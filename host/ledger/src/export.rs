//! The folder `sessions/R<run-key>/` that a run leaves for people to read.
//!
//! It is derived from the ledger and the content store and can be made again, so nothing waits for the disk. Each
//! folder appears at once or not at all: it is written beside its place and renamed into it.

use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use crate::markdown;
use crate::private::{self, FileError};
use crate::receipt::Receipt;
use crate::statement::{EVIDENCE_NAME, Statement};

/// The file with the signed receipt.
pub const BUNDLE_NAME: &str = "receipt.sigstore.json";

/// The file for people.
pub const READABLE_NAME: &str = "receipt.md";

/// What is written into the folder.
#[derive(Clone, Copy, Debug)]
pub struct Export<'a> {
    /// The statement in the bundle.
    pub statement: &'a Statement<Receipt>,
    /// The signed bundle.
    pub bundle: &'a [u8],
    /// The bytes of `evidence.json`; none where the evidence was erased.
    pub evidence: Option<&'a [u8]>,
    /// The bodies by name.
    pub bodies: &'a [(&'a str, &'a [u8])],
}

/// Writes a receipt's folder under `receipts/sessions`, in place of one that is there, and returns its path.
///
/// # Errors
///
/// A run key or name that is not plain, two files of one name, or a folder that cannot be written.
pub fn export(receipts: &Path, export: &Export<'_>) -> Result<PathBuf, FileError> {
    let run = &export.statement.predicate.run.id;
    private::check_name(run)?;
    let sessions = receipts.join("sessions");
    std::fs::create_dir_all(&sessions).map_err(FileError::io("make the folder", &sessions))?;
    let scratch = sessions.join(private::scratch_name(&format!("R{run}"))?);
    let place = sessions.join(format!("R{run}"));
    let written = write_all(&scratch, export).and_then(|()| put_in_place(&scratch, &place));
    if written.is_err() {
        // The first error says more than one of the cleaning up.
        std::fs::remove_dir_all(&scratch).ok();
    }
    written.map(|()| place)
}

fn write_all(folder: &Path, export: &Export<'_>) -> Result<(), FileError> {
    private::make_folder(folder)?;
    private::write_new(&folder.join(BUNDLE_NAME), export.bundle, false)?;
    let readable = markdown::render(export.statement);
    private::write_new(&folder.join(READABLE_NAME), readable.as_bytes(), false)?;
    if let Some(evidence) = export.evidence {
        private::write_new(&folder.join(EVIDENCE_NAME), evidence, false)?;
    }
    for (name, body) in export.bodies {
        private::check_name(name)?;
        private::write_new(&folder.join(name), body, false)?;
    }
    Ok(())
}

fn put_in_place(scratch: &Path, place: &Path) -> Result<(), FileError> {
    match renameat_with(CWD, scratch, CWD, place, RenameFlags::NOREPLACE) {
        Ok(()) => return Ok(()),
        Err(Errno::EXIST) => {}
        Err(error) => return Err(FileError::io("create", place)(error.into())),
    }
    renameat_with(CWD, scratch, CWD, place, RenameFlags::EXCHANGE)
        .map_err(|error| FileError::io("replace", place)(error.into()))?;
    std::fs::remove_dir_all(scratch).map_err(FileError::io("remove", scratch))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::digest::Digest;
    use crate::receipt::sample;

    #[test]
    fn a_folder_is_whole_private_and_replaced() {
        let receipts = crate::scratch();
        let statement = Statement::receipt(&Digest::of(b""), sample::applied());
        let mut what = Export {
            statement: &statement,
            bundle: b"{}",
            evidence: Some(b"{}"),
            bodies: &[("output.json", b"1")],
        };
        let place = export(receipts.path(), &what).unwrap();
        assert!(place.ends_with(format!("sessions/R{}", statement.predicate.run.id)));
        assert_eq!(std::fs::read(place.join("output.json")).unwrap(), b"1");
        assert_eq!(place.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        let mode = place.join("receipt.md").metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);

        what.evidence = None;
        what.bodies = &[];
        export(receipts.path(), &what).unwrap();
        assert_eq!(std::fs::read_dir(&place).unwrap().count(), 2, "erased bodies came back");
        assert_eq!(std::fs::read_dir(place.parent().unwrap()).unwrap().count(), 1, "a scratch folder stayed");
    }

    #[test]
    fn bad_names_leave_nothing() {
        let receipts = crate::scratch();
        let statement = Statement::receipt(&Digest::of(b""), sample::applied());
        for name in ["../out", "/etc/x", "a/b", "receipt.md", "evidence.json"] {
            let bodies: &[(&str, &[u8])] = &[(name, b"")];
            let what = Export { statement: &statement, bundle: b"{}", evidence: Some(b"{}"), bodies };
            assert!(export(receipts.path(), &what).is_err(), "{name}");
        }
        assert_eq!(std::fs::read_dir(receipts.path().join("sessions")).unwrap().count(), 0);
    }
}
