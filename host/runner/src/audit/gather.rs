//! How an audit is made, from the files to the findings.
//!
//! Each binding and each component is read once; the work is shared out to a few threads.

use std::collections::BTreeSet;
use std::path::PathBuf;

use jiff::Timestamp;

use super::basis::{About, Basis, unreadable};
use super::page::Case;
use super::{Audit, DeniedView, Finding, SCHEMA_VERSION, findings, suppress, timeline, uses};
use crate::ending::Ending;
use crate::pin::is_binding;
use crate::pinned::binding_file;
use crate::runner::Runner;
use crate::workspace::BINDINGS;

/// Threads that read at most, and things that are worth a thread.
const MOST_THREADS: usize = 8;
const LEAST_SHARE: usize = 16;
/// Runs of each capability that are looked at, at most.
pub const MOST_RUNS: u32 = 1000;

/// What an audit is to be of.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// These capabilities; all where it is empty.
    pub capabilities: Vec<String>,
    /// How many of the newest runs of each are looked at, up to [`MOST_RUNS`].
    pub runs: u32,
    /// A folder with components that were built again, to compare with.
    pub rebuilt: Option<PathBuf>,
}

/// Makes an audit. Nothing is changed.
///
/// # Errors
///
/// A capability that is asked for and neither bound nor in the lock; a ledger that cannot be read.
pub fn audit(runner: &Runner, asked: &Asked) -> Result<Audit, Ending> {
    let now = Timestamp::now();
    let mut basis = Basis::load(runner, now);
    let mut problems = std::mem::take(&mut basis.problems);
    let only = (!asked.capabilities.is_empty()).then(|| asked.capabilities.iter().cloned().collect());
    let names = names(runner, &basis, only.as_ref(), &mut problems)?;
    let runs = asked.runs.min(MOST_RUNS);
    let mut used = uses::gather(runner, &names, runs)?;
    let names: Vec<_> = names.into_iter().collect();
    let look = |part: &[String]| -> Vec<Option<Case<'_>>> {
        part.iter().map(|name| case(runner, &basis, name, asked)).collect()
    };
    let mut cases: Vec<Case<'_>> = shared_out(&names, look).into_iter().flatten().collect();
    for case in &mut cases {
        case.uses = used.remove(&case.page.capability).unwrap_or_default();
        case.count();
    }
    problems.extend(cases.iter_mut().flat_map(|case| std::mem::take(&mut case.problems)));
    if only.is_none() {
        let known = cases.iter().map(|case| case.page.capability.clone()).collect();
        problems.extend(basis.other_files(runner.workspace(), &known));
    }
    problems.extend(findings::all(runner.workspace(), &basis, &cases));
    let (mut findings, suppressed) = suppress::split(runner.workspace(), &basis, problems, only.as_ref());
    findings.sort_by(|one, other| order(one).cmp(&order(other)));
    let timeline = timeline::gather(runner, only.as_ref())?;
    Ok(Audit {
        schema_version: SCHEMA_VERSION,
        workspace: basis.settings.as_ref().map(|settings| settings.workspace.clone()).unwrap_or_default(),
        generated_at: now.to_string(),
        lock: basis.view.clone(),
        runs,
        capabilities: cases.into_iter().map(|case| case.page).collect(),
        findings,
        suppressed,
        timeline,
    })
}

/// The weightiest first, then by kind, file and line, so that two audits of the same thing read the same.
fn order(finding: &Finding) -> impl Ord + use<'_> {
    (
        std::cmp::Reverse(finding.severity),
        finding.id,
        finding.file.as_str(),
        finding.line,
        finding.subject.as_str(),
    )
}

/// Everything that may be a capability: the files beside the bindings, by name, and what the lock names.
fn names(
    runner: &Runner,
    basis: &Basis,
    only: Option<&BTreeSet<String>>,
    problems: &mut Vec<Finding>,
) -> Result<BTreeSet<String>, Ending> {
    let workspace = runner.workspace();
    if let Some(only) = only {
        let locked = basis.locked();
        return match only.iter().find(|name| !runner.is_bound(name) && !locked.contains(*name)) {
            Some(unknown) => Err(runner.unknown_capability(unknown)),
            None => Ok(only.clone()),
        };
    }
    let files = workspace.list(BINDINGS, ".yaml").unwrap_or_else(|error| {
        let about =
            About { capability: None, file: workspace.shown(BINDINGS), line: None, subject: BINDINGS };
        problems.push(unreadable(about, error.to_string()));
        Vec::new()
    });
    let stems = files.iter().filter_map(|file| file.strip_suffix(".yaml")).map(str::to_owned);
    Ok(stems.chain(basis.locked()).collect())
}

/// One capability; none where the file is a contract, which grants nothing.
fn case<'a>(runner: &Runner, basis: &'a Basis, name: &str, asked: &Asked) -> Option<Case<'a>> {
    let workspace = runner.workspace();
    let path = binding_file(name);
    let bytes = workspace.read(&path).map_err(|error| error.to_string());
    let is_pinned = || {
        let components = basis.lock.iter().flat_map(|lock| lock.components.values());
        components.into_iter().any(|component| component.capabilities.contains(name))
    };
    if bytes.as_ref().is_ok_and(|bytes| !is_binding(bytes)) && !is_pinned() {
        return None;
    }
    Some(Case::look(runner, basis, name, bytes, asked.rebuilt.as_deref()))
}

/// Shares a list out to a few threads; the answers come in the list's order.
pub(super) fn shared_out<T: Sync, R: Send>(list: &[T], work: impl Fn(&[T]) -> Vec<R> + Sync) -> Vec<R> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS);
    let share = list.len().div_ceil(threads).max(LEAST_SHARE);
    std::thread::scope(|scope| {
        let work = &work;
        let parts: Vec<_> = list.chunks(share).map(|part| scope.spawn(move || work(part))).collect();
        let done = parts.into_iter().map(std::thread::ScopedJoinHandle::join);
        // What a thread looked at must not go missing because it fell over.
        done.flat_map(|part| part.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    })
}

impl Case<'_> {
    /// Writes what was used into the page.
    fn count(&mut self) {
        let Some(binding) = &self.binding else { return };
        let uses = &self.uses;
        for row in self.page.rights.iter_mut().filter(|row| row.granted) {
            let count = |key| uses.used.get(&key).copied().unwrap_or_default();
            row.used = uses::key(binding, row).map(count);
        }
        let component = self.digest.map(|digest| digest.to_string());
        self.page.looked_at = uses.looked_at;
        self.page.runs.clone_from(&uses.runs);
        let denied =
            uses.denied.iter().map(|(view, by)| DeniedView { current: *by == component, ..view.clone() });
        self.page.denied = denied.collect();
    }
}
