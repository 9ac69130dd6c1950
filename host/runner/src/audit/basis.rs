//! What the whole workspace rests on: the lock, the settings, and the files that the lock covers besides bindings and
//! components.
//!
//! Where the lock does not hold, it is read all the same, and so are the settings: a reviewer wants to see what is
//! there, under a finding that says that nobody vouches for it.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use ops_policy::finding::Severity;
use ops_policy::lock::{Lock, SignedLock};
use ops_policy::settings::Settings;
use ops_policy::visible::visible;
use ops_policy::yaml::places::Places;

use super::{Finding, LockView};
use crate::pinned::{Pinned, binding_file};
use crate::runner::Runner;
use crate::workspace::{LOCK, SETTINGS, Workspace};

/// What an audit rests on.
pub(super) struct Basis {
    pub(super) view: LockView,
    /// The lock's text, where there is one; it vouches for something only where `view.holds`.
    pub(super) lock: Option<Lock>,
    /// `ops.yaml` as it is.
    pub(super) settings: Option<Settings>,
    /// Where things stand in it.
    pub(super) lines: Lines,
    /// What the lock vouches for, where it holds.
    pub(super) pinned: Option<Arc<Pinned>>,
    pub(super) now: Timestamp,
    pub(super) problems: Vec<Finding>,
}

/// Where things stand in a file; knows nothing of one that could not be read.
#[derive(Default)]
pub(super) struct Lines(Option<Places>);

impl Lines {
    pub(super) fn of(file: &str, bytes: &[u8]) -> Self {
        Self(Places::parse(file, bytes).ok())
    }

    /// The line of a path, or of what is around it.
    pub(super) fn at(&self, path: &str) -> Option<u64> {
        self.0.as_ref().map(|places| places.nearest_line(path))
    }

    /// Whether the file says anything under a path.
    pub(super) fn has(&self, path: &str) -> bool {
        self.0.as_ref().is_some_and(|places| places.get(path).is_some())
    }
}

/// What a finding is about.
pub(super) struct About<'a> {
    pub(super) capability: Option<&'a str>,
    pub(super) file: String,
    pub(super) line: Option<u64>,
    pub(super) subject: &'a str,
}

impl About<'_> {
    pub(super) fn finding(
        self,
        id: &'static str,
        severity: Severity,
        what: String,
        fix: impl Into<String>,
    ) -> Finding {
        Finding {
            id,
            severity,
            capability: self.capability.map(str::to_owned),
            file: self.file,
            line: self.line,
            subject: self.subject.trim_start_matches('/').to_owned(),
            what,
            fix: fix.into(),
        }
    }
}

impl Basis {
    /// Looks at lock and settings.
    pub(super) fn load(runner: &Runner, now: Timestamp) -> Self {
        let workspace = runner.workspace();
        let read = runner.pinned(now).and_then(|pinned| Ok((pinned.whole()?, pinned)));
        let (lock, pinned, refused) = match read {
            Ok((lock, pinned)) => (Some(lock), Some(pinned), None),
            Err(refusal) => (None, None, Some(refusal.message)),
        };
        let mut problems = Vec::new();
        // One that does not hold is shown for what it says.
        let lock = lock.or_else(|| {
            let bytes = workspace.read(LOCK).ok()?;
            Some(SignedLock::parse(LOCK, &bytes).ok()?.lock)
        });
        let (settings, lines) = settings(workspace, &mut problems);
        let view = LockView {
            holds: pinned.is_some(),
            why: refused,
            counter: lock.as_ref().map(|lock| lock.counter),
            development: lock.as_ref().is_some_and(|lock| lock.development),
            signer: pinned.as_ref().map(|pinned| visible(&pinned.signer.principal)),
        };
        Self { view, lock, settings, lines, pinned, now, problems }
    }

    /// What the lock has of a file.
    pub(super) fn check_file(&self, path: &str, bytes: &[u8]) -> Option<String> {
        self.lock.as_ref()?.check_file(path, bytes).err().map(|error| error.to_string())
    }

    /// The capabilities that the lock names.
    pub(super) fn locked(&self) -> BTreeSet<String> {
        let components = self.lock.iter().flat_map(|lock| lock.components.values());
        components.flat_map(|component| component.capabilities.iter().cloned()).collect()
    }

    /// Compares the files that are no bindings of these capabilities with the lock.
    pub(super) fn other_files(&self, workspace: &Workspace, capabilities: &BTreeSet<String>) -> Vec<Finding> {
        let bindings: BTreeSet<String> =
            self.locked().iter().chain(capabilities).map(|name| binding_file(name)).collect();
        let Some(lock) = &self.lock else { return Vec::new() };
        let others = lock.files.keys().filter(|file| !bindings.contains(*file));
        others
            .filter_map(|file| {
                let why = match workspace.read(file) {
                    Err(error) => error.to_string(),
                    Ok(bytes) => self.check_file(file, &bytes)?,
                };
                let about =
                    About { capability: None, file: workspace.shown(file), line: None, subject: file };
                Some(not_in_lock(about, why))
            })
            .collect()
    }

    /// Whether the lock covers a file.
    pub(super) fn covers(&self, path: &str) -> bool {
        self.lock.as_ref().is_some_and(|lock| lock.files.contains_key(path))
    }
}

/// A file that is not as the lock has it.
pub(super) fn not_in_lock(about: About<'_>, why: String) -> Finding {
    let fix = "put it back, or look at the change with `ops pin --check` and sign it with `ops pin`";
    about.finding("not-in-lock", Severity::High, why, fix)
}

/// A file that cannot be read, or says what nobody understands.
pub(super) fn unreadable(about: About<'_>, why: String) -> Finding {
    about.finding(
        "unreadable",
        Severity::High,
        why,
        "mend the file; until then nothing is said about what it grants",
    )
}

fn settings(workspace: &Workspace, problems: &mut Vec<Finding>) -> (Option<Settings>, Lines) {
    let shown = workspace.shown(SETTINGS);
    let about = |line| About { capability: None, file: shown.clone(), line, subject: "file" };
    let bytes = match workspace.read(SETTINGS) {
        Ok(bytes) => bytes,
        Err(error) => {
            problems.push(unreadable(about(None), error.to_string()));
            return (None, Lines::default());
        }
    };
    match Settings::parse(&shown, &bytes) {
        Ok(settings) => (Some(settings), Lines::of(&shown, &bytes)),
        Err(error) => {
            let line = Some(error.line).filter(|line| *line > 0);
            problems.push(unreadable(about(line), error.message));
            (None, Lines::default())
        }
    }
}
