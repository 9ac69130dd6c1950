//! Processes that wait for a run: spare ones, which have run nothing, and warm ones, which have run their binding.
//!
//! A spare process has mapped its component and is confined for whatever run comes first; another takes its place, made
//! beside the run that took it. A warm one was confined without any folder, and takes runs of the same component and
//! binding only, and only those without folders. How many wait is bounded; the one that has waited longest goes first.

use std::collections::BTreeSet;
use std::fs::File;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};

use ops_policy::digest::Digest;

use super::Program;
use super::early::Early;
use super::process::Process;
use crate::component::Component;
use crate::job::Job;
use crate::worker::Use;

/// How many runs a process takes.
const MOST_RUNS: u32 = 1_000;

/// How many processes wait at most.
const MOST_WAITING: usize = 16;

/// What a process is started for that may be kept.
const MANY: Use = Use { many_runs: true, folders: true };

/// The processes that wait.
pub(super) struct Kept {
    program: Program,
    shared: Mutex<Shared>,
    /// A spare process has been started, or not.
    started: Condvar,
}

#[derive(Default)]
struct Shared {
    waiting: Vec<Waiting>,
    /// The components for which a spare process is being started.
    starting: BTreeSet<Digest>,
}

struct Waiting {
    component: Digest,
    /// What it has run; none for a spare one.
    binding: Option<Digest>,
    process: Process,
}

impl Kept {
    pub(super) fn new(program: Program) -> Self {
        Self { program, shared: Mutex::default(), started: Condvar::new() }
    }

    /// Whether some process waits for a run of this component, or is being started for one.
    pub(super) fn has_one_for(&self, component: &Component) -> bool {
        let digest = component.digest();
        let shared = self.lock();
        shared.starting.contains(&digest) || shared.waiting.iter().any(|one| one.component == digest)
    }

    /// A process for a run: a warm one, else a spare one, else one that was started early, else a new one.
    pub(super) fn take(
        self: &Arc<Self>,
        component: &Component,
        job: &Job,
        early: &Early,
    ) -> Result<Process, String> {
        let digest = component.digest();
        let warm = if job.mounts.is_empty() { self.waiting(digest, Some(job.binding)) } else { None };
        if let Some(process) = warm {
            return Ok(process);
        }
        self.wait_for_spare(digest);
        let process = match self.waiting(digest, None).or_else(|| early.take(digest, !job.mounts.is_empty()))
        {
            Some(process) => process,
            None => given(&self.program, component.file(), digest)?,
        };
        self.prepare(component);
        Ok(process)
    }

    /// Puts a process back that has run this binding without folders and ended in order.
    pub(super) fn put_back(&self, component: &Component, binding: Digest, process: Process) {
        if process.runs < MOST_RUNS {
            self.add(Waiting { component: component.digest(), binding: Some(binding), process });
        } else {
            end_aside(process);
        }
    }

    /// Starts a spare process in the background, where there is none. Without one the next run waits for its own.
    fn prepare(self: &Arc<Self>, component: &Component) {
        let digest = component.digest();
        let mut shared = self.lock();
        let is_spare = |one: &Waiting| one.component == digest && one.binding.is_none();
        if shared.waiting.iter().any(is_spare) || !shared.starting.insert(digest) {
            return;
        }
        drop(shared);
        let (mark, program) =
            (Starting { kept: Arc::downgrade(self), component: digest }, self.program.clone());
        let compiled = component.file().try_clone();
        // Where it cannot begin the mark goes with what was to be done.
        let _ = compiled.and_then(|compiled| {
            std::thread::Builder::new().name("ops-spare".to_owned()).spawn(move || {
                let started = given(&program, &compiled, digest);
                let Some(kept) = mark.kept.upgrade() else { return };
                match started {
                    Ok(process) => kept.add(Waiting { component: digest, binding: None, process }),
                    Err(why) => tracing::warn!(why, "no spare process"),
                }
                drop(mark);
            })
        });
    }

    fn is_started(&self, component: &Digest) {
        self.lock().starting.remove(component);
        self.started.notify_all();
    }

    /// Waits while a spare process is being started, which is further on than another one would be.
    fn wait_for_spare(&self, component: Digest) {
        let is_starting = |shared: &mut Shared| shared.starting.contains(&component);
        drop(self.started.wait_while(self.lock(), is_starting));
    }

    fn waiting(&self, component: Digest, binding: Option<Digest>) -> Option<Process> {
        loop {
            let mut shared = self.lock();
            let fits = |one: &Waiting| one.component == component && one.binding == binding;
            let at = shared.waiting.iter().rposition(fits)?;
            let mut process = shared.waiting.remove(at).process;
            drop(shared);
            if process.is_alive() {
                return Some(process);
            }
        }
    }

    fn add(&self, one: Waiting) {
        let mut shared = self.lock();
        shared.waiting.push(one);
        let oldest = (shared.waiting.len() > MOST_WAITING).then(|| shared.waiting.remove(0));
        drop(shared);
        if let Some(oldest) = oldest {
            end_aside(oldest.process);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends a process that nobody has to see dead. It takes a while, and the caller's run is waited for.
fn end_aside(mut process: Process) {
    process.begin_to_end();
    // Where there is no thread to be had, it is waited for here.
    let _ = std::thread::Builder::new().name("ops-ending".to_owned()).spawn(move || drop(process));
}

/// Says that a spare process is being started for a component, until it is, or cannot be.
struct Starting {
    kept: Weak<Kept>,
    component: Digest,
}

impl Drop for Starting {
    fn drop(&mut self) {
        if let Some(kept) = self.kept.upgrade() {
            kept.is_started(&self.component);
        }
    }
}

/// A new process that has its component.
fn given(program: &Program, compiled: &File, component: Digest) -> Result<Process, String> {
    let process = Process::start(program, Some(component))?;
    process.give(compiled, MANY)?;
    Ok(process)
}
