//! Processes that are started before their run is known, each by a thread of its own, so that nobody waits for the system to
//! put a program in its place.
//!
//! How many there are is bounded; one that is too many ends the one that has waited longest.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use ops_policy::digest::Digest;

use super::Program;
use super::process::{Kind, Process};
use crate::component::Component;

/// How many are started at a time.
const MOST: usize = 8;

/// The processes that are being started, or wait.
#[derive(Default)]
pub(super) struct Early(Mutex<VecDeque<Start>>);

struct Start {
    component: Digest,
    folders: bool,
    process: JoinHandle<Result<Process, String>>,
}

impl Start {
    /// Whether it is for such a run of this component.
    fn fits(&self, component: Digest, folders: bool) -> bool {
        self.component == component && (self.folders || !folders)
    }

    /// Waits until it is started.
    fn come(self) -> Option<Process> {
        self.process.join().ok()?.ok()
    }
}

impl Early {
    /// Starts a process, if it can, where none waits that would do. Without one the run starts its own, and says what is wrong.
    pub(super) fn start(&self, program: &Program, component: &Component, kind: Kind) {
        let (program, digest) = (program.clone(), component.digest());
        // Runs that come in quick succession find those that others have left.
        if self.lock().iter().any(|start| start.fits(digest, kind.folders)) {
            return;
        }
        let started = component.file().try_clone().and_then(|compiled| {
            std::thread::Builder::new()
                .name("ops-early".to_owned())
                .spawn(move || Process::start(&program, &compiled, digest, kind))
        });
        let Ok(process) = started else { return };
        let mut starts = self.lock();
        starts.push_back(Start { component: digest, folders: kind.folders, process });
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
