//! The processes that guests run in, seen from the host.
//!
//! A run takes a process, hands it the job, answers what it asks (`talk`), and is told how it ended. A process that
//! had folders is dead and waited for before anybody looks at them; so is one that did not end in order. One without
//! folders may take the next run of the same binding, where processes are kept at all; else it is killed, and waited for later.
//!
//! A process may be started before its run is known ([`Workers::expect`]). It runs nothing until then.

mod early;
mod keep;
mod process;
mod talk;

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use ops_policy::manifest::Manifest;
use tokio::sync::Mutex;
use tokio::time::Instant;

use self::early::Early;
use self::keep::Kept;
use self::process::Process;
use self::talk::{Fault, Talk, Told};
use crate::broker::{Broker, Moment};
use crate::component::Component;
use crate::confine::Confinement;
use crate::describe::{self, DescribeError};
use crate::job::{End, Job, Printed, Ran};
use crate::worker::{Use, WORD};

/// What is started for a guest: a program that calls [`crate::worker::serve`] when it finds these words.
#[derive(Clone, Debug)]
pub struct Program {
    /// The program's file.
    pub path: PathBuf,
    /// What it is given. The component's digest comes after it, where that is known.
    pub words: Vec<OsString>,
}

impl Program {
    /// The program that runs now, even if its file has been replaced meanwhile.
    pub fn own() -> Self {
        Self { path: "/proc/self/exe".into(), words: vec![WORD.into()] }
    }
}

/// Runs guests, each in a process that is confined for it.
pub struct Workers {
    program: Program,
    kept: Option<Arc<Kept>>,
    early: Early,
    /// Processes that were killed and not waited for.
    ending: std::sync::Mutex<Vec<Process>>,
}

impl Workers {
    /// A process for each run.
    pub fn new(program: Program) -> Self {
        Self { program, kept: None, early: Early::default(), ending: std::sync::Mutex::default() }
    }

    /// Processes that are ready before a run wants one, and that take several runs. For a host that stays.
    pub fn kept(program: Program) -> Self {
        Self { kept: Some(Arc::new(Kept::new(program.clone()))), ..Self::new(program) }
    }

    /// Has a process started for a run of this component that will come, beside whatever the caller does until then. It runs
    /// nothing of the guest, and ends with this value where no run takes it. One that is expected to have no folders is taken by
    /// such a run only, and is confined without waiting for it.
    pub fn expect(&self, component: &Component, folders: bool) {
        if self.kept.as_ref().is_some_and(|kept| kept.has_one_for(component)) {
            return;
        }
        let wanted = Use { many_runs: self.kept.is_some(), folders };
        self.early.start_for(&self.program, component, wanted);
    }

    /// Has a process started for the first run that is expected, before anybody knows of what component. Where none comes, it
    /// ends with this value.
    pub fn expect_any(&self) {
        self.early.start_any(&self.program);
    }

    /// Runs a component once. It must be polled on a tokio runtime that has timers and sockets.
    ///
    /// It ends by the job's limits and its `cancel`, except that a `perform` in flight is waited for; so do not drop
    /// the future to end a run. Every end is a value: there is no error besides.
    pub async fn run(&self, component: &Component, job: Job, broker: Arc<Mutex<dyn Broker>>) -> Ran {
        let mut ran = Ran {
            end: End::Cancelled,
            stdout: Printed::default(),
            stderr: Printed::default(),
            peak_memory: 0,
            elapsed: Duration::ZERO,
            confined: None,
        };
        if *job.cancel.borrow() {
            return ran;
        }
        let mut broker = broker.lock().await;
        let called = Instant::now();
        self.wait_for_the_dead();
        let mut process = match self.process(component, &job) {
            Ok(process) => process,
            Err(why) => return Ran { end: End::NotStarted(why), ..ran },
        };
        let mut begins = None;
        let mut told = Self::turn(&mut process, &job, &mut *broker, called, &mut begins, &mut ran).await;
        // One that has run before, and says nothing to this order, may have begun, but has asked nothing: so nothing has
        // happened that a new one would do again.
        if process.runs > 1 && matches!(told, Err(Fault::Silent(_))) {
            process.end();
            process = match self.start(component) {
                Ok(process) => process,
                Err(why) => return Ran { end: End::NotStarted(why), ..ran },
            };
            told = Self::turn(&mut process, &job, &mut *broker, called, &mut begins, &mut ran).await;
        }
        match told {
            Ok(told) => {
                ran = Ran {
                    end: told.end,
                    stdout: told.stdout,
                    stderr: told.stderr,
                    peak_memory: told.peak_memory,
                    ..ran
                };
                let again = told.in_order && job.mounts.is_empty();
                match self.kept.as_ref().filter(|_| again) {
                    Some(kept) => kept.put_back(component, job.binding, process),
                    None if again => self.end_aside(process),
                    None => process.end(),
                }
            }
            Err(fault) => ran.end = ended(fault, process),
        }
        ran
    }

    /// A run in this process. What is known of it is noted, however it ends.
    async fn turn(
        process: &mut Process,
        job: &Job,
        broker: &mut dyn Broker,
        called: Instant,
        begins: &mut Option<Moment>,
        ran: &mut Ran,
    ) -> Result<Told, Fault> {
        let mut talk = Talk::new(process, job);
        let told = talk.run(broker, begins).await;
        // Of one that was refused nothing is said: no guest was confined by it.
        ran.confined = talk.began().and(talk.confined());
        ran.elapsed = talk.began().unwrap_or(called).elapsed();
        told
    }

    /// Starts a process for a component, and says what it is confined by. It runs nothing of the component. It must be polled
    /// on a tokio runtime that has timers and sockets.
    ///
    /// # Errors
    ///
    /// How a run would end: the process cannot be started, or not be confined as it has to be.
    pub async fn confinement(&self, component: &Component, needs_landlock: bool) -> Result<Confinement, End> {
        let mut process = self.start(component).map_err(End::NotStarted)?;
        let up = Talk::describing(&mut process, needs_landlock).confine().await;
        match up {
            Ok(confined) => {
                process.end();
                Ok(confined)
            }
            Err(fault) => Err(ended(fault, process)),
        }
    }

    /// Asks a component what it is, where it has to only on a kernel that has Landlock. It must be polled on a tokio runtime that has timers and sockets.
    ///
    /// # Errors
    ///
    /// A component that has no manifest to give, or none within the bounds.
    pub async fn describe(
        &self,
        component: &Component,
        needs_landlock: bool,
    ) -> Result<Manifest, DescribeError> {
        let mut process = self.start(component).map_err(DescribeError::Lost)?;
        let told = Talk::describing(&mut process, needs_landlock).describe().await;
        match told {
            Ok(said) => {
                process.end();
                describe::received(said)
            }
            Err(fault) => Err(match ended(fault, process) {
                End::OutOfTime | End::Cancelled => DescribeError::OutOfTime,
                End::Unconfined(why) => DescribeError::Unconfined(why),
                End::NotStarted(why) | End::Lost(why) => DescribeError::Lost(why),
                other => DescribeError::Lost(format!("{other:?}")),
            }),
        }
    }

    /// A new process, for one run.
    fn start(&self, component: &Component) -> Result<Process, String> {
        let process = Process::start(&self.program, Some(component.digest()))?;
        process.give(component.file(), Use { many_runs: false, folders: true })?;
        Ok(process)
    }

    fn process(&self, component: &Component, job: &Job) -> Result<Process, String> {
        match &self.kept {
            Some(kept) => kept.take(component, job, &self.early),
            None => {
                let early = self.early.take(component.digest(), !job.mounts.is_empty());
                early.map_or_else(|| self.start(component), Ok)
            }
        }
    }

    /// Kills a process that nobody has to see dead: it had no folders, and its run ended in order.
    fn end_aside(&self, mut process: Process) {
        process.begin_to_end();
        self.ending.lock().unwrap_or_else(PoisonError::into_inner).push(process);
    }

    /// Waits for what was killed before.
    fn wait_for_the_dead(&self) {
        let dead = std::mem::take(&mut *self.ending.lock().unwrap_or_else(PoisonError::into_inner));
        drop(dead);
    }
}

/// How a run ended that did not end in order. Its process is dead afterwards.
fn ended(fault: Fault, process: Process) -> End {
    match fault {
        Fault::Cancelled => process.end_as(End::Cancelled),
        Fault::Overdue => process.end_as(End::OutOfTime),
        Fault::Refused(end) => process.end_as(end),
        Fault::Panicked(what) => process.end_as(End::HostPanicked(what)),
        Fault::Silent(time) => process.end_as(End::Lost(format!(
            "its process did not come up within {} s; is this machine overloaded?",
            time.as_secs()
        ))),
        Fault::Said(what) => process.end_as(End::Lost(format!(
            "its process did not keep to what is agreed with it ({what}), and was ended; this may be an attempt to break \
             out of the sandbox"
        ))),
        Fault::Gone => End::Lost(process.last_words()),
    }
}
