//! Processes that are started before their run is known, or even their component, each by a thread of its own, so that nobody
//! waits for the system to put a program in its place.
//!
//! How many there are is bounded; one that is too many ends the one that has waited longest.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use ops_policy::digest::Digest;

use super::Program;
use super::process::Process;
use crate::component::Component;
use crate::worker::Use;

/// How many are started at a time.
const MOST: usize = 8;

/// The processes that are being started, or wait.
#[derive(Default)]
pub(super) struct Early(Mutex<VecDeque<Start>>);

struct Start {
    /// What it was given, or will be; none for one that may be given any.
    given: Option<(Digest, Use)>,
    process: JoinHandle<Result<Process, String>>,
}

impl Start {
    /// Whether it is for such a run of this component.
    fn fits(&self, component: Digest, folders: bool) -> bool {
        self.given.is_some_and(|(given, wanted)| given == component && (wanted.folders || !folders))
    }

    /// Waits until it is started.
    fn come(self) -> Option<Process> {
        self.process.join().ok()?.ok()
    }
}

impl Early {
    /// Starts a process that may be given any component.
    pub(super) fn start_any(&self, program: &Program) {
        let program = program.clone();
        self.start(None, move || Process::start(&program, None));
    }

    /// Starts a process for this component, or gives it to one that was started for any, where none waits that would do. Without
    /// one the run starts its own, and says what is wrong.
    pub(super) fn start_for(&self, program: &Program, component: &Component, wanted: Use) {
        let digest = component.digest();
        let any = {
            let mut starts = self.lock();
            // Runs that come in quick succession find those that others have left.
            if starts.iter().any(|start| start.fits(digest, wanted.folders)) {
                return;
            }
            let any = starts.iter().position(|start| start.given.is_none());
            any.and_then(|at| starts.remove(at))
        };
        let (program, compiled) = (program.clone(), component.file().try_clone());
        self.start(Some((digest, wanted)), move || {
            let compiled = compiled.map_err(|error| error.to_string())?;
            let process = match any.and_then(Start::come) {
                Some(process) => process,
                None => Process::start(&program, Some(digest))?,
            };
            process.give(&compiled, wanted)?;
            Ok(process)
        });
    }

    fn start(
        &self,
        given: Option<(Digest, Use)>,
        work: impl FnOnce() -> Result<Process, String> + Send + 'static,
    ) {
        let Ok(process) = std::thread::Builder::new().name("ops-early".to_owned()).spawn(work) else {
            return;
        };
        let mut starts = self.lock();
        starts.push_back(Start { given, process });
        let oldest = if starts.len() > MOST { starts.pop_front() } else { None };
        drop(starts);
        // Without the lock, since it may be waited for.
        drop(oldest.map(Start::come));
    }

    /// The process that was started for such a run of this component, if there is one and it is there still.
    pub(super) fn take(&self, component: Digest, folders: bool) -> Option<Process> {
        let mut starts = self.lock();
        let at = starts.iter().position(|start| start.fits(component, folders))?;
        let start = starts.remove(at)?;
        drop(starts);
        let mut process = start.come()?;
        process.is_alive().then_some(process)
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Start>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Early {
    fn drop(&mut self) {
        for start in self.lock().drain(..) {
            drop(start.come());
        }
    }
}
