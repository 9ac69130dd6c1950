//! The process that a guest runs in, from its start to its end.
//!
//! In this order: it takes the socket that its host gave it as standard input, puts nothing in its place and closes everything
//! else; it is given the compiled component, and maps it; it waits for its first run, with one
//! thread and no guest instruction run; it confines itself for exactly that run ([`crate::confine`]) and says what by;
//! then, told to begin, it runs the guest. It goes on with the next run if its host sends one, and ends when its host is gone.
//!
//! One that is to have no folders does not wait with that: it is confined before it hears of a run, and takes none with folders.
//!
//! It has no environment, no argument but the component's digest, for people, and no file, socket, key or secret of the host's but
//! those two descriptors. One for many runs also has open which of its own pages were written.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::process::ExitCode;
use std::sync::Arc;

use ops_policy::digest::Digest;
use ops_policy::message::Input;
use rustix::fs::{Mode, OFlags};
use rustix::io::fcntl_dupfd_cloexec;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use tokio::runtime::Runtime;
use tokio::sync::{Mutex, watch};

use crate::broker::Moment;
use crate::component::Code;
use crate::confine::{Confinement, confine};
use crate::describe::DescribeError;
use crate::engine::{self, Guests};
use crate::job::{End, Job, Mount, Printed, Ran};
use crate::remote::{Host, RemoteBroker};
use crate::wire::{self, DESCRIBED, Described, TO_HOST, Task, ToHost, ToWorker};

/// The word that makes a program a process for guests, when it is the first of its arguments.
pub const WORD: &str = "guest-worker";

/// What a process is wanted for: it is told with the component, as one byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Use {
    /// Whether it is to take more than one run.
    pub(crate) many_runs: bool,
    /// Whether its first run may have folders.
    pub(crate) folders: bool,
}

impl Use {
    const MANY_RUNS: u8 = 1;
    const FOLDERS: u8 = 2;

    pub(crate) fn byte(self) -> u8 {
        (u8::from(self.many_runs) * Self::MANY_RUNS) | (u8::from(self.folders) * Self::FOLDERS)
    }

    fn of(byte: u8) -> Self {
        Self { many_runs: byte & Self::MANY_RUNS != 0, folders: byte & Self::FOLDERS != 0 }
    }
}

/// What runs in the place of a guest in tests of the confinement: native code, which no engine holds. It has the guest's
/// input and folders, and returns its output.
pub type Hook = fn(&Input, &[Mount]) -> String;

/// Is the process for guests. For a program whose first argument is [`WORD`], before it does anything else.
pub fn serve() -> ExitCode {
    serve_with(None)
}

/// The same with something in the place of the guest. The product never calls this with a hook.
pub fn serve_with(hook: Option<Hook>) -> ExitCode {
    let Ok(socket) = only_socket() else { return ExitCode::FAILURE };
    let Ok((compiled, wanted)) = given(&socket) else { return ExitCode::FAILURE };
    let host = Host::new(socket.into());
    let ready = mapped(&compiled, wanted.many_runs).and_then(|code| {
        code.prepare();
        if wanted.folders {
            Ok(Ready::Open(code))
        } else {
            Worker::start(code, &host, hook, &[], false).map(Ready::Confined)
        }
    });
    drop(compiled);
    let first = match host.read() {
        ToWorker::Run(task) => Order::Run(task),
        ToWorker::Describe { needs_landlock } => Order::Describe { needs_landlock },
        ToWorker::Begin(_) | ToWorker::Answer(_) | ToWorker::Heard(_) => return ExitCode::FAILURE,
    };
    let (mounts, needs_landlock) = match &first {
        Order::Run(task) => (task.mounts(), task.needs_landlock),
        Order::Describe { needs_landlock } => (Vec::new(), *needs_landlock),
    };
    let worker = ready.and_then(|ready| match ready {
        Ready::Open(code) => Worker::start(code, &host, hook, &mounts, needs_landlock),
        Ready::Confined(worker) if mounts.is_empty() => Ok(worker),
        Ready::Confined(_) => {
            Err(End::NotStarted("its process was made for runs without folders".to_owned()))
        }
    });
    match worker {
        Ok(worker) => worker.serve(first),
        Err(end) => ran(&host, end, Default::default(), 0),
    }
    host.close();
    ExitCode::SUCCESS
}

/// Takes the socket from standard input, closes whatever else was left open by those who started this process, and leaves the
/// folder that they are in.
fn only_socket() -> io::Result<OwnedFd> {
    rustix::process::chdir("/")?;
    let first = rustix::stdio::raw_stderr() + 1;
    let socket = fcntl_dupfd_cloexec(rustix::stdio::stdin(), first)?;
    let nothing = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    rustix::stdio::dup2_stdin(nothing.as_fd())?;
    rustix::stdio::dup2_stdout(nothing.as_fd())?;
    rustix::stdio::dup2_stderr(nothing.as_fd())?;
    drop(nothing);
    let only = socket.as_raw_fd();
    for (from, to) in [(first, only - 1), (only + 1, RawFd::MAX)] {
        if from <= to {
            close_all(from, to)?;
        }
    }
    Ok(socket)
}

/// Waits for the compiled component, which comes over the socket before all else, and for what it is wanted for.
fn given(socket: &OwnedFd) -> io::Result<(File, Use)> {
    let mut byte = [0];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    recvmsg(socket, &mut [IoSliceMut::new(&mut byte)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let files = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(files) => Some(files),
        _ => None,
    });
    let [byte] = byte;
    let compiled = files.flatten().next().ok_or(io::ErrorKind::UnexpectedEof)?;
    Ok((compiled.into(), Use::of(byte)))
}

#[expect(
    unsafe_code,
    reason = "no safe call closes descriptors that nobody here has opened; the argument is below"
)]
fn close_all(from: RawFd, to: RawFd) -> io::Result<()> {
    // SAFETY: the call touches no memory. It closes descriptors that nothing in this process owns: the process has just
    // begun, has one thread, and has opened nothing but the one that is not in any of the ranges.
    let closed = unsafe { libc::syscall(libc::SYS_close_range, from, to, 0) };
    if closed == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The component that the host has checked and handed over.
fn mapped(file: &File, many_runs: bool) -> Result<Code, End> {
    engine::mapped(file, many_runs)
        .map_err(|why| End::NotStarted(format!("its process cannot use the compiled component: {why}")))
}

/// What is to be done with the component.
enum Order {
    Run(Box<Task>),
    Describe { needs_landlock: bool },
}

/// A process before its first run.
enum Ready {
    Open(Code),
    Confined(Worker),
}

/// A process that is confined.
struct Worker {
    host: Host,
    guests: Guests,
    runtime: Runtime,
    confined: Confinement,
    hook: Option<Hook>,
}

impl Worker {
    /// Confines the process, says so, and starts what runs guests and what watches them.
    fn start(
        code: Code,
        host: &Host,
        hook: Option<Hook>,
        mounts: &[Mount],
        needs_landlock: bool,
    ) -> Result<Self, End> {
        let unfit = |error: io::Error| End::NotStarted(format!("its process cannot run it: {error}"));
        let confined = confine(mounts, needs_landlock)?;
        let ticks = host.clone();
        let guests = Guests::start(code, move || ticks.tick()).map_err(unfit)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(unfit)?;
        host.tell(&ToHost::Confined(confined));
        Ok(Self { host: host.clone(), guests, runtime, confined, hook })
    }

    /// Carries out one order after the other. Each begins when the host says so.
    fn serve(&self, first: Order) {
        let mut order = Some(first);
        loop {
            match (self.host.read(), order.take()) {
                (ToWorker::Begin(moment), Some(order)) => self.work(order, moment),
                // The host knows what by, and has said that it is to begin: it hears this with what comes of it.
                (ToWorker::Run(task), None) => {
                    self.host.hold(&ToHost::Confined(self.confined));
                    order = Some(Order::Run(task));
                }
                // Not as agreed. A description is of a process that has not run anything, and so its first order.
                _ => return,
            }
        }
    }

    fn work(&self, order: Order, moment: Moment) {
        match order {
            Order::Run(task) => self.run(*task, moment),
            Order::Describe { .. } => {
                let described = self.runtime.block_on(self.guests.describe());
                let Some(said) = described_as(&described) else { return };
                self.host.say(&said);
            }
        }
    }

    fn run(&self, task: Task, moment: Moment) {
        let (_nobody, cancel) = watch::channel(false);
        let job = task.into_job(cancel);
        if let Some(hook) = self.hook {
            let _watch = self.guests.watchdog.watch();
            let output = hook(&job.input, &job.mounts);
            return ran(&self.host, End::Output(output), Default::default(), 0);
        }
        let broker = Arc::new(Mutex::new(RemoteBroker::new(self.host.clone(), moment)));
        let Ran { end, stdout, stderr, peak_memory, .. } =
            self.runtime.block_on(self.guests.run(job, broker));
        ran(&self.host, end, [stdout, stderr], peak_memory);
    }
}

/// Tells what came of a run.
fn ran(host: &Host, end: End, [stdout, stderr]: [Printed; 2], peak_memory: u64) {
    let (end, output) = match end {
        End::Output(output) => (End::Output(String::new()), Some(output)),
        end => (end, None),
    };
    let printed = [stdout.total, stderr.total];
    // Nothing of an end is too long but the text of a guest's failure.
    let too_long = || {
        let end = End::Trapped("it returned a failure whose text is too long".to_owned());
        framed(&ToHost::Ran { end, printed, peak_memory })
    };
    let Some(mut said) = framed(&ToHost::Ran { end, printed, peak_memory }).or_else(too_long) else { return };
    for bytes in output.iter().map(String::as_bytes).chain([&stdout.kept[..], &stderr.kept[..]]) {
        wire::extend(&mut said, bytes);
    }
    host.say(&said);
}

/// What a component is, as a frame. No manifest within its bounds is too long for one.
fn described_as(described: &Described) -> Option<Vec<u8>> {
    let too_long = || {
        let why = "is too long".to_owned();
        let described: Described = Err(DescribeError::Field { field: "the whole of it".to_owned(), why });
        wire::frame_of(&described, DESCRIBED).ok()
    };
    wire::frame_of(described, DESCRIBED).ok().or_else(too_long)
}

fn framed(message: &ToHost) -> Option<Vec<u8>> {
    wire::frame_of(message, TO_HOST).ok()
}

impl Task {
    fn mounts(&self) -> Vec<Mount> {
        self.mounts.iter().map(Mount::from).collect()
    }

    fn into_job(self, cancel: watch::Receiver<bool>) -> Job {
        let mounts = self.mounts();
        let Self { input, links, clock, seed, limits, needs_landlock, .. } = self;
        Job {
            input,
            links,
            clock_seconds: clock.0,
            clock_nanoseconds: clock.1,
            seed,
            mounts,
            limits,
            binding: Digest::of(b""),
            needs_landlock,
            cancel,
        }
    }
}
