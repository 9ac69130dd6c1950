//! The audit log: every decision, allowed or denied, as one line of JSON.
//!
//! It is made for other programs to follow while things happen. It proves nothing: the receipts do. A line is
//! written with one call, so that lines of several processes do not mix, and holds no query string and no header.
//! The file is ours alone (0600); when it is full it moves aside, and the oldest goes.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use rustix::fs::{FlockOperation, OFlags, flock};
use serde::{Deserialize, Serialize};

use crate::private::{FileError, check_folder};
use crate::wire;

/// The file's name in the state folder; fuller ones are `audit.1.jsonl`, the newest of them, and so on.
pub const FILE: &str = "audit.jsonl";

/// A file that is longer than this moves aside, in bytes.
pub const FULL: u64 = 32 << 20;

/// How many full files are kept.
pub const KEPT: u32 = 4;

/// What was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decision {
    /// It may be.
    Allowed,
    /// It may not.
    Denied,
}

/// Where in the life of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// A read-only run, or a read in one.
    Read,
    /// The plan phase: effects are written down and not sent.
    Plan,
    /// The apply phase.
    Apply,
    /// Outside the guest's phases: lock, imports, secrets, approval, limits.
    Run,
}

impl Phase {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Plan => "plan",
            Self::Apply => "apply",
            Self::Run => "run",
        }
    }
}

/// One decision. `docs/schemas/audit-record-v1.schema.json` is its schema.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// When it was made, or, for a request that was sent, when that was over.
    #[serde(with = "wire::time")]
    pub time: Timestamp,
    /// The run key.
    pub run: String,
    /// The capability.
    pub capability: String,
    /// Where in the run.
    pub phase: Phase,
    /// What was decided.
    pub decision: Decision,
    /// The service, where it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The rule that allowed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// The rule or right that was missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing: Option<String>,
    /// HTTP method.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// The path, without its query.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The address that was dialled, `ip:port`; none where nothing was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// HTTP bytes that were sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent: Option<u64>,
    /// HTTP bytes that came back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub received: Option<u64>,
    /// HTTP status of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Why there is no answer: a kind of failure, such as `timeout`; `planned` for an effect that was written down and
    /// not sent, `sending` for one that is about to be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
}

/// The log, opened by the first line.
pub struct AuditLog {
    state: PathBuf,
    file: Mutex<Option<File>>,
}

impl AuditLog {
    /// The log in a host's state folder.
    pub fn new(state: &Path) -> Self {
        Self { state: state.to_path_buf(), file: Mutex::new(None) }
    }

    /// Opens the log, so that what must be on record does not begin where it cannot be.
    ///
    /// # Errors
    ///
    /// The file cannot be opened, or is not ours alone.
    pub fn ready(&self) -> Result<(), FileError> {
        let mut open = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if !open.as_ref().is_some_and(is_good) {
            *open = Some(self.open(&self.state.join(FILE))?);
        }
        Ok(())
    }

    /// Writes one line and returns it, without its end.
    ///
    /// # Errors
    ///
    /// The file cannot be opened or written, or is not ours alone. Then the decision is on no record, and what it
    /// is about must not happen.
    pub fn write(&self, record: &Record) -> Result<String, FileError> {
        let path = self.state.join(FILE);
        let mut line = serde_json::to_string(record)
            .map_err(|error| FileError::io("write a line of", &path)(error.into()))?;
        let mut open = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let mut file = match open.take() {
            Some(file) if is_good(&file) => file,
            _ => self.open(&path)?,
        };
        line.push('\n');
        file.write_all(line.as_bytes()).map_err(FileError::io("write", &path))?;
        *open = Some(file);
        line.pop();
        Ok(line)
    }

    fn open(&self, path: &Path) -> Result<File, FileError> {
        check_folder(&self.state)?;
        let file = open(path)?;
        if is_good(&file) {
            return Ok(file);
        }
        // Only one process moves files; another that waited finds a new one.
        flock(&file, FlockOperation::LockExclusive)
            .map_err(|error| FileError::io("lock", path)(error.into()))?;
        if open(path).is_ok_and(|now| is_full(&now)) {
            self.move_aside(path)?;
        }
        open(path)
    }

    fn move_aside(&self, path: &Path) -> Result<(), FileError> {
        let old = |number: u32| self.state.join(format!("audit.{number}.jsonl"));
        for number in (1..KEPT).rev() {
            match fs::rename(old(number), old(number + 1)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(FileError::io("move", &old(number))(error));
                }
                _ => {}
            }
        }
        fs::rename(path, old(1)).map_err(FileError::io("move", path))
    }
}

/// Whether the next line belongs into this file: it has room, and is still the one that others find.
fn is_good(file: &File) -> bool {
    !is_full(file) && file.metadata().is_ok_and(|about| about.nlink() > 0)
}

fn is_full(file: &File) -> bool {
    file.metadata().is_ok_and(|about| about.len() >= FULL)
}

/// Opens for appending, without following a link; what is there must be ours alone. Half a line, which a full disk
/// leaves, is ended first.
fn open(path: &Path) -> Result<File, FileError> {
    let file = OpenOptions::new()
        .append(true)
        .read(true)
        .create(true)
        .mode(0o600)
        .custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC).bits().cast_signed())
        .open(path)
        .map_err(FileError::io("open", path))?;
    let about = file.metadata().map_err(FileError::io("look at", path))?;
    let unsafe_because = |what| Err(FileError::Unsafe { path: path.to_path_buf(), what });
    if !about.is_file() {
        return unsafe_because("is not a regular file");
    }
    if about.uid() != rustix::process::geteuid().as_raw() || about.mode() & 0o077 != 0 {
        return unsafe_because("is open to other users (it must be ours, with mode 0600)");
    }
    let mut last = [b'\n'];
    if let Some(end) = about.len().checked_sub(1) {
        file.read_exact_at(&mut last, end).map_err(FileError::io("read", path))?;
    }
    if last != [b'\n'] {
        (&file).write_all(b"\n").map_err(FileError::io("write", path))?;
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn record() -> Record {
        Record {
            time: "2026-11-22T09:00:00Z".parse().unwrap(),
            run: "CAP-20261122-090000__a.b__R0123456789".into(),
            capability: "a.b".into(),
            phase: Phase::Plan,
            decision: Decision::Denied,
            service: Some("mail".into()),
            rule: None,
            missing: Some("no rule with `effect: read` has this method and path".into()),
            method: Some("POST".into()),
            path: Some("/jmap/".into()),
            address: None,
            sent: None,
            received: None,
            status: None,
            outcome: None,
        }
    }

    #[test]
    fn one_decision_is_one_line_in_a_file_of_ours() {
        let state = crate::scratch();
        let log = AuditLog::new(state.path());
        let line = log.write(&record()).unwrap();
        log.write(&record()).unwrap();
        let path = state.path().join(FILE);
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().collect::<Vec<_>>(), [&line, &line]);
        assert_eq!(serde_json::from_str::<Record>(&line).unwrap(), record());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        for absent in ["\"address\"", "\"rule\"", "null"] {
            assert!(!line.contains(absent), "{line}");
        }
    }

    #[test]
    fn a_line_fits_the_published_schema() {
        let schema = include_str!("../../../docs/schemas/audit-record-v1.schema.json");
        let schema = jsonschema::validator_for(&serde_json::from_str(schema).unwrap()).unwrap();
        let whole = Record {
            decision: Decision::Allowed,
            rule: Some("query".into()),
            missing: None,
            address: Some("[::1]:443".into()),
            sent: Some(1),
            received: Some(2),
            status: Some(200),
            outcome: Some("timeout".into()),
            ..record()
        };
        for record in [record(), whole] {
            let value = serde_json::to_value(&record).unwrap();
            assert!(schema.is_valid(&value), "{value}");
        }
        let mut other = serde_json::to_value(record()).unwrap();
        other["query"] = "x=1".into();
        assert!(!schema.is_valid(&other), "the schema must be closed");
    }

    #[test]
    fn full_files_move_aside_and_the_oldest_goes() {
        let state = crate::scratch();
        let path = state.path().join(FILE);
        let log = AuditLog::new(state.path());
        for round in 0..KEPT + 2 {
            log.write(&Record { run: format!("round {round}"), ..record() }).unwrap();
            let mut file = File::options().append(true).open(&path).unwrap();
            file.set_len(FULL - 1).unwrap();
            file.write_all(b"\n").unwrap();
        }
        let mut names: Vec<_> = fs::read_dir(state.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        let expected = ["audit.1.jsonl", "audit.2.jsonl", "audit.3.jsonl", "audit.4.jsonl", FILE];
        assert_eq!(names, expected);
        let oldest = fs::read(state.path().join("audit.4.jsonl")).unwrap();
        assert!(String::from_utf8_lossy(&oldest).contains("round 1"));
    }

    #[test]
    fn half_a_line_is_ended_and_a_file_that_went_away_is_made_again() {
        let state = crate::scratch();
        let path = state.path().join(FILE);
        let log = AuditLog::new(state.path());
        log.write(&record()).unwrap();
        File::options().append(true).open(&path).unwrap().write_all(b"{\"half").unwrap();
        let line = AuditLog::new(state.path()).write(&record()).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().collect::<Vec<_>>(), [line.as_str(), "{\"half", &line]);

        fs::remove_file(&path).unwrap();
        log.ready().unwrap();
        log.write(&record()).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 1);
    }

    #[test]
    fn a_file_that_is_not_ours_alone_is_refused() {
        let state = crate::scratch();
        let path = state.path().join(FILE);
        fs::write(&path, "").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let refused = AuditLog::new(state.path()).write(&record()).unwrap_err();
        assert!(matches!(refused, FileError::Unsafe { .. }), "{refused}");
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/dev/null", &path).unwrap();
        assert!(AuditLog::new(state.path()).write(&record()).is_err());
    }
}
