//! How runs end whose guest has a process of its own: by their limits, by the wish to cancel, by the death of the process,
//! and by that of the host.

use std::future::pending;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use libtest_mimic::Trial;
use ops_policy::message::{Call, Effect, Invoked, NetError, Outcome, Report, Request, Response};
use ops_sandbox::broker::{Answer, Broker, HttpRequest, Moment, Stop};
use ops_sandbox::component::Component;
use ops_sandbox::job::{End, Mount};
use ops_sandbox::worker::WORD;
use ops_sandbox::workers::Workers;
use tokio::sync::Mutex;

use crate::testing::{Guest, Script, job, sandbox};
use crate::{part, run, runtime, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("ends::output, failure and trap", by_itself),
        trial("ends::limits end what spins, sleeps and grows", by_limits),
        trial("ends::a read is given up, a change is waited for", in_flight),
        trial("ends::the broker ends it, and its panic too", by_the_broker),
        trial("ends::a process that is killed ends its run", killed),
        trial("ends::a process that kills itself ends its run", by_a_signal),
        trial("ends::a process whose host is killed ends", orphaned),
        trial("ends::a folder that is not there ends it before it begins", no_folder),
        trial("ends::a program that is not there ends it before it begins", no_program),
    ]
}

const CLOCKS: &str = r#"
  (import "wasi:clocks/monotonic-clock@0.2.6" "subscribe-duration" (func $timer (param i64) (result i32)))
  (import "wasi:io/poll@0.2.6" "[method]pollable.block" (func $block (param i32)))"#;
const CALLS: &str = r#"
  (import "ops:capability/fetch@0.1.0" "fetch" (func $fetch (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)))
  (import "ops:capability/effects@0.1.0" "perform" (func $perform (param i32 i32)))"#;
const ASK: &str =
    "(call $fetch (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
    (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 950000))";
const CHANGE: &str = "(call $perform (i32.const 900000) (i32.const 950000))";
const OK: &str = "(call $ok (local.get $arguments) (local.get $length))";
const SPIN: &str = "(loop $again (br $again)) unreachable";

fn guest<'a>(imports: &'a str, run: &'a str) -> Guest<'a> {
    Guest { imports, run, ..Guest::default() }
}

fn workers() -> Workers {
    Workers::new(part(&[WORD]))
}

fn by_itself() {
    let ran = run(&workers(), &Guest::default(), job().0, Script::default());
    assert_eq!((ran.end, ran.peak_memory), (End::Output(r#"{"a":1}"#.to_owned()), 1 << 20));
    let failed = guest("", "(call $failed (local.get $arguments) (local.get $length))");
    assert!(matches!(run(&workers(), &failed, job().0, Script::default()).end, End::Failed(_)));
    let ran = run(&workers(), &guest("", "unreachable"), job().0, Script::default());
    assert_eq!(ran.end, End::Trapped("wasm `unreachable` instruction executed".to_owned()));
}

fn by_limits() {
    let sleep = "(call $block (call $timer (i64.const 3600000000000))) unreachable";
    let grow = "(loop $again (br_if $again (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))) unreachable";
    for (guest, expected) in [
        (guest("", SPIN), End::OutOfTime),
        (guest(CLOCKS, sleep), End::OutOfTime),
        (guest("", grow), End::OutOfMemory),
    ] {
        let (mut job, _cancel) = job();
        job.limits.time = Duration::from_millis(300);
        let ran = run(&workers(), &guest, job, Script::default());
        assert_eq!(ran.end, expected);
    }
    let (mut job, _cancel) = job();
    job.limits.output = 6;
    assert_eq!(run(&workers(), &Guest::default(), job, Script::default()).end, End::OutputTooLong);
}

fn in_flight() {
    let short = || {
        let (mut job, _) = job();
        job.limits.time = Duration::from_millis(200);
        job
    };
    let read = Script { delay: Duration::from_secs(3_600), ..Script::default() };
    let asks = format!("{ASK} unreachable");
    assert_eq!(run(&workers(), &guest(CALLS, &asks), short(), read.clone()).end, End::OutOfTime);
    assert_eq!(read.fetched.load(Ordering::Relaxed), 0);
    let changes = format!("{CHANGE} {ASK} {OK}");
    let late = Script { delay: Duration::from_millis(600), ..Script::default() };
    assert_eq!(run(&workers(), &guest(CALLS, &changes), short(), late.clone()).end, End::OutOfTime);
    assert_eq!((late.performed.load(Ordering::Relaxed), late.fetched.load(Ordering::Relaxed)), (1, 0));
    // Cancelled while the change is in flight: the broker itself sees to that.
    let (job, cancel) = job();
    let broker = Arc::new(Mutex::new(Hands {
        on_perform: Some(Box::new(move || assert!(!cancel.send_replace(true)))),
        ..Hands::default()
    }));
    assert_eq!(run_with(&guest(CALLS, &changes), job, broker.clone()).end, End::Cancelled);
    assert_eq!(runtime().block_on(broker.lock()).performed, 1);
}

fn by_the_broker() {
    let asks = format!("{ASK} {OK}");
    let end = |script| run(&workers(), &guest(CALLS, &asks), job().0, script).end;
    assert!(matches!(end(Script::default()), End::Output(_)));
    assert_eq!(end(Script { stop: true, ..Script::default() }), End::Stopped);
    let panicked = end(Script { panic: true, ..Script::default() });
    assert_eq!(panicked, End::HostPanicked("the broker panicked".to_owned()));
    let (job, cancel) = job();
    cancel.send_replace(true);
    assert_eq!(run(&workers(), &Guest::default(), job, Script::default()).end, End::Cancelled);
}

fn killed() {
    let asks = format!("{ASK} unreachable");
    let broker = Arc::new(Mutex::new(Hands {
        on_fetch: Some(Box::new(|component| {
            assert_eq!(kill(process_of(component, std::process::id()), libc::SIGKILL), 0);
        })),
        ..Hands::default()
    }));
    let ran = run_with(&guest(CALLS, &asks), job().0, broker);
    assert!(matches!(&ran.end, End::Lost(why) if why.contains("killed (signal 9)")), "{ran:?}");
}

fn by_a_signal() {
    for signal in [libc::SIGSEGV, libc::SIGTERM] {
        let (mut job, _cancel) = job();
        job.input.arguments = format!(r#"{{"attack":"die","at":"{signal}"}}"#);
        let ran = run(&Workers::new(part(&["attacker"])), &Guest::default(), job, Script::default());
        assert!(matches!(&ran.end, End::Lost(_)), "{ran:?}");
    }
}

/// Another host, whose guest asks once and then spins.
pub(crate) fn host() -> ExitCode {
    let spins = format!("{ASK} {SPIN}");
    let broker = Arc::new(Mutex::new(Hands {
        on_fetch: Some(Box::new(|component| {
            println!("{}", process_of(component, std::process::id()));
            std::io::stdout().flush().unwrap();
        })),
        answers: true,
        ..Hands::default()
    }));
    run_with(&guest(CALLS, &spins), job().0, broker);
    ExitCode::SUCCESS
}

fn orphaned() {
    let mut host = Command::new("/proc/self/exe").arg("host").stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(host.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let process: i32 = line.trim().parse().unwrap();
    let descriptor = unsafe { libc::syscall(libc::SYS_pidfd_open, process, 0) };
    assert!(descriptor >= 0, "its guest runs");
    host.kill().unwrap();
    host.wait().unwrap();
    let mut poll = libc::pollfd { fd: descriptor.try_into().unwrap(), events: libc::POLLIN, revents: 0 };
    assert_eq!(unsafe { libc::poll(&mut poll, 1, 60_000) }, 1, "its process is still there");
}

fn no_folder() {
    let (mut job, _cancel) = job();
    job.mounts = vec![Mount { guest: "/gone".to_owned(), host: "/nowhere/at/all".into(), writable: false }];
    let ran = run(&workers(), &Guest::default(), job, Script::default());
    assert_eq!(ran.end, End::NotStarted("the copy of the folder `/gone` cannot be opened".to_owned()));
}

fn no_program() {
    let gone = ops_sandbox::workers::Program { path: "/nowhere/ops".into(), words: Vec::new() };
    let ran = run(&Workers::new(gone), &Guest::default(), job().0, Script::default());
    assert!(
        matches!(&ran.end, End::NotStarted(why) if why.contains("/nowhere/ops, cannot be started")),
        "{ran:?}"
    );
    let other = ops_sandbox::workers::Program { path: "/bin/false".into(), words: Vec::new() };
    let ran = run(&Workers::new(other), &Guest::default(), job().0, Script::default());
    assert!(matches!(&ran.end, End::Lost(why) if why.contains("ended with status 1")), "{ran:?}");
}

/// The process that this host has started for a component.
fn process_of(component: &str, host: u32) -> i32 {
    processes_of(component, host).pop().expect("a process for the guest")
}

/// The processes that this host has started for a component, whose digest is in their command line.
pub(crate) fn processes_of(component: &str, host: u32) -> Vec<i32> {
    let child = |entry: std::io::Result<std::fs::DirEntry>| {
        let process: i32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        let parent = stat.rsplit(')').next()?.split_whitespace().nth(1)?.parse::<u32>().ok()?;
        let words = std::fs::read_to_string(format!("/proc/{process}/cmdline")).ok()?;
        (parent == host && words.contains(component)).then_some(process)
    };
    std::fs::read_dir("/proc").unwrap().filter_map(child).collect()
}

fn kill(process: i32, signal: i32) -> i32 {
    unsafe { libc::kill(process, signal) }
}

fn run_with(
    guest: &Guest<'_>,
    job: ops_sandbox::job::Job,
    broker: Arc<Mutex<Hands>>,
) -> ops_sandbox::job::Ran {
    let (sandbox, _folder) = sandbox();
    let component: Component = sandbox.load(&guest.build()).unwrap();
    let runtime = runtime();
    runtime.block_on(broker.lock()).component = component.digest().to_string();
    runtime.block_on(workers().run(&component, job, broker))
}

type OnFetch = Box<dyn FnMut(&str) + Send>;
type OnPerform = Box<dyn FnMut() + Send>;

/// A broker that does something in the middle of a run.
#[derive(Default)]
struct Hands {
    component: String,
    on_fetch: Option<OnFetch>,
    on_perform: Option<OnPerform>,
    /// Whether reads are answered, and not waited for in vain.
    answers: bool,
    performed: u32,
}

fn empty() -> Response {
    Response { status: 204, headers: Vec::new(), body: Vec::new() }
}

impl Broker for Hands {
    fn fetch(&mut self, _: Request) -> Answer<'_, Result<Response, NetError>> {
        Box::pin(async {
            if let Some(on_fetch) = &mut self.on_fetch {
                on_fetch(&self.component);
            }
            if self.answers { Ok(Ok(empty())) } else { pending().await }
        })
    }

    fn fetch_url(&mut self, _: HttpRequest) -> Answer<'_, Result<Response, NetError>> {
        Box::pin(async { Err(Stop) })
    }

    fn refused(&mut self, _: &str, _: &str) -> Result<(), Stop> {
        Ok(())
    }

    fn perform(&mut self, _: Effect) -> Answer<'_, Result<Outcome, NetError>> {
        Box::pin(async {
            if let Some(on_perform) = &mut self.on_perform {
                on_perform();
            }
            // Cancelled is not cut short.
            tokio::time::sleep(Duration::from_millis(50)).await;
            self.performed += 1;
            Ok(Ok(Outcome::Performed(empty())))
        })
    }

    fn invoke(&mut self, _: Vec<Call>) -> Answer<'_, Vec<Invoked>> {
        Box::pin(async { Err(Stop) })
    }

    fn report(&mut self, _: Report) -> Answer<'_, ()> {
        Box::pin(async { Ok(()) })
    }

    fn now(&mut self) -> Moment {
        Moment { clock: 0, replaying: false }
    }
}
