//! Processes that wait for a run: spare ones, which have run nothing, and warm ones, which have run their binding.
//!
//! A spare process has mapped its component and is confined for whatever run comes first. A warm one was confined
//! without any folder, and takes runs of the same component and binding only, and only those without folders.
//! How many wait is bounded; the one that has waited longest goes first.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ops_policy::digest::Digest;

use super::Program;
use super::process::Process;
use crate::component::Component;
use crate::job::Job;

/// How many runs a process takes.
const MOST_RUNS: u32 = 1_000;

/// How many processes wait at most.
const MOST_WAITING: usize = 16;

/// The processes that wait.
pub(super) struct Kept {
    program: Program,
    waiting: Mutex<Vec<Waiting>>,
}

struct Waiting {
    component: Digest,
    /// What it has run; none for one that has run nothing.
    binding: Option<Digest>,
    process: Process,
}

impl Kept {
    pub(super) fn new(program: Program) -> Self {
        Self { program, waiting: Mutex::default() }
    }

    /// A process for a run: a warm one, else a spare one, else a new one.
    pub(super) fn take(self: &Arc<Self>, component: &Component, job: &Job) -> Result<Process, String> {
        let digest = component.digest();
        if job.mounts.is_empty()
            && let Some(process) = self.waiting(digest, Some(job.binding))
        {
            return Ok(process);
        }
        let spare = self.waiting(digest, None);
        let started = spare.map_or_else(|| Process::start(&self.program, component), Ok);
        started
    }

    /// Puts a process back that has run this binding without folders and ended in order.
    pub(super) fn put_back(&self, component: &Component, binding: Digest, process: Process) {
        if process.runs < MOST_RUNS {
            self.add(Waiting { component: component.digest(), binding: Some(binding), process });
        }
    }

    fn waiting(&self, component: Digest, binding: Option<Digest>) -> Option<Process> {
        loop {
            let mut waiting = self.lock();
            let at = waiting.iter().rposition(|one| one.component == component && one.binding == binding)?;
            let mut process = waiting.remove(at).process;
            drop(waiting);
            if process.is_alive() {
                return Some(process);
            }
        }
    }

    fn add(&self, one: Waiting) {
        let mut waiting = self.lock();
        waiting.push(one);
        let oldest = (waiting.len() > MOST_WAITING).then(|| waiting.remove(0));
        drop(waiting);
        drop(oldest);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
