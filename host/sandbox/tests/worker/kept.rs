//! Processes that take more than one run, for a host that stays.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use libtest_mimic::Trial;
use ops_policy::digest::Digest;
use ops_sandbox::component::Component;
use ops_sandbox::engine::Sandbox;
use ops_sandbox::job::{End, Job, Mount};
use ops_sandbox::workers::Workers;
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::Mutex;

use crate::ends::processes_of;
use crate::testing::{Guest, Script, job, sandbox};
use crate::{part, runtime, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("kept::one process takes the runs of one binding", one_binding),
        trial("kept::a run with folders has a process of its own", folders),
        trial("kept::a process that did not end in order takes no more", faults),
        trial("kept::a process takes a thousand runs", recycled),
        trial("kept::a process that has died meanwhile is not asked", died),
        trial("kept::a process that does not take its order is replaced", stuck),
        trial("kept::a spare process is ready for the next run", spare),
        trial("kept::many runs at once have a process each", at_once),
        trial("kept::without a host that stays none is kept", not_kept),
        trial("kept::a process that was expected is taken", expected),
        trial("kept::one that was expected before its component is given it", expected_before_its_component),
        trial("kept::one that was expected without folders gets none", expected_without_folders),
    ]
}

/// How many hosts there were.
static HOUSES: AtomicU32 = AtomicU32::new(0);

/// A host that stays, with one component.
struct House {
    workers: Workers,
    component: Component,
    _sandbox: (Sandbox, TempDir),
}

impl House {
    fn new() -> Self {
        Self::with(Workers::kept(part(&["attacker"])))
    }

    fn with(workers: Workers) -> Self {
        let sandbox = sandbox();
        // One of its own, so that its processes can be told from those of other tests.
        let name = format!("tests.kept.n{}", HOUSES.fetch_add(1, Ordering::Relaxed));
        let component = sandbox.0.load(&Guest { name, ..Guest::default() }.build()).unwrap();
        Self { workers, component, _sandbox: sandbox }
    }

    fn end(&self, attack: &str, change: impl FnOnce(&mut Job)) -> End {
        let (mut job, _cancel) = job();
        job.input.arguments = serde_json::json!({"attack": attack, "at": "15"}).to_string();
        change(&mut job);
        let broker = Arc::new(Mutex::new(Script::default()));
        runtime().block_on(self.workers.run(&self.component, job, broker)).end
    }

    /// The number of the process that took a run.
    #[track_caller]
    fn process(&self, change: impl FnOnce(&mut Job)) -> i32 {
        let said = match self.end("pid", change) {
            End::Output(said) => said,
            other => panic!("{other:?}"),
        };
        let said: Value = serde_json::from_str(&said).unwrap();
        said["got"].as_str().unwrap().parse().unwrap()
    }
}

fn is_there(process: i32) -> bool {
    unsafe { libc::kill(process, 0) == 0 }
}

fn one_binding() {
    let house = House::new();
    let first = house.process(|_| ());
    assert_eq!(house.process(|_| ()), first);
    let other = |job: &mut Job| job.binding = Digest::of(b"another binding");
    let second = house.process(other);
    assert_ne!(second, first);
    assert_eq!((house.process(|_| ()), house.process(other)), (first, second));
    drop(house);
    // They go with their host, which may be held for a moment by the start of a spare process.
    while is_there(first) || is_there(second) {
        std::thread::yield_now();
    }
}

fn folders() {
    let house = House::new();
    let folder = tempfile::tempdir().unwrap();
    let mounts = |job: &mut Job| {
        let host = PathBuf::from(folder.path());
        job.mounts = vec![Mount { guest: "/in".to_owned(), host, writable: true }];
    };
    let without = house.process(|_| ());
    let with = house.process(mounts);
    assert!(with != without && !is_there(with), "it is gone before anybody looks at the folder");
    let again = house.process(mounts);
    assert!(again != with && again != without && !is_there(again));
    assert_eq!(house.process(|_| ()), without);
}

fn faults() {
    let house = House::new();
    let first = house.process(|_| ());
    assert!(matches!(house.end("die", |_| ()), End::Lost(_)));
    let second = house.process(|_| ());
    assert!(second != first && !is_there(first));
    assert!(matches!(house.end("nothing", |job| job.limits.output = 1), End::Lost(_)));
    assert!(house.process(|_| ()) != second && !is_there(second));
}

fn recycled() {
    let house = House::new();
    let first = house.process(|_| ());
    for _ in 1..1_000 {
        assert_eq!(house.process(|_| ()), first);
    }
    assert_ne!(house.process(|_| ()), first);
    assert!(!is_there(first));
}

/// Signals a process, and waits until that has done its work. Whoever waits for the process later still can.
fn signal(process: i32, signal: i32, work: i32) {
    unsafe { libc::kill(process, signal) };
    let mut status = unsafe { std::mem::zeroed::<libc::siginfo_t>() };
    let id = process.unsigned_abs();
    assert_eq!(unsafe { libc::waitid(libc::P_PID, id, &mut status, work | libc::WNOWAIT) }, 0);
}

fn died() {
    let house = House::new();
    let first = house.process(|_| ());
    signal(first, libc::SIGKILL, libc::WEXITED);
    assert_ne!(house.process(|_| ()), first);
}

fn stuck() {
    let house = House::new();
    let first = house.process(|_| ());
    signal(first, libc::SIGSTOP, libc::WSTOPPED);
    assert_ne!(house.process(|_| ()), first);
    assert!(!is_there(first));
}

fn spare() {
    let house = House::new();
    let folder = tempfile::tempdir().unwrap();
    let mounts = |job: &mut Job| {
        let host = PathBuf::from(folder.path());
        job.mounts = vec![Mount { guest: "/in".to_owned(), host, writable: true }];
    };
    let first = house.process(mounts);
    let component = house.component.digest().to_string();
    let spare = loop {
        // It is made beside the run, so it may take a moment.
        if let Some(process) = processes_of(&component, std::process::id()).pop() {
            break process;
        }
        std::thread::yield_now();
    };
    assert_ne!(spare, first);
    assert_eq!(house.process(mounts), spare);
}

fn at_once() {
    let house = House::new();
    let run = async || {
        let (mut job, _cancel) = job();
        job.input.arguments = r#"{"attack":"pid","at":""}"#.to_owned();
        let broker = Arc::new(Mutex::new(Script::default()));
        format!("{:?}", house.workers.run(&house.component, job, broker).await.end)
    };
    let (one, two, three) = runtime().block_on(async { tokio::join!(run(), run(), run()) });
    assert!(one != two && two != three && one != three, "{one} {two} {three}");
}

/// The processes of a house.
fn processes(house: &House) -> Vec<i32> {
    processes_of(&house.component.digest().to_string(), std::process::id())
}

/// The one process of a house, when it is there.
fn only_process(house: &House) -> i32 {
    loop {
        if let [process] = processes(house)[..] {
            return process;
        }
        std::thread::yield_now();
    }
}

fn expected() {
    let folder = tempfile::tempdir().unwrap();
    let mounts = |job: &mut Job| {
        let host = PathBuf::from(folder.path());
        job.mounts = vec![Mount { guest: "/in".to_owned(), host, writable: true }];
    };
    let house = House::with(Workers::new(part(&["attacker"])));
    house.workers.expect(&house.component, true);
    let first = only_process(&house);
    // There is one already.
    house.workers.expect(&house.component, false);
    assert_eq!(house.process(mounts), first);
    house.workers.expect(&house.component, false);
    let second = only_process(&house);
    assert_eq!(house.process(|_| ()), second);
    // One that has died meanwhile is not asked.
    house.workers.expect(&house.component, false);
    let third = loop {
        if let Some(process) = processes(&house).into_iter().find(|process| *process != second) {
            break process;
        }
        std::thread::yield_now();
    };
    signal(third, libc::SIGKILL, libc::WEXITED);
    assert_ne!(house.process(|_| ()), third);
    // One that nobody takes goes with its host.
    house.workers.expect(&house.component, false);
    drop(house.workers);
    let component = house.component.digest().to_string();
    assert!(processes_of(&component, std::process::id()).is_empty());
    // Where processes are kept, the one that was expected is kept, too.
    let house = House::new();
    house.workers.expect(&house.component, false);
    let first = only_process(&house);
    assert_eq!([house.process(|_| ()), house.process(|_| ())], [first, first]);
}

fn expected_before_its_component() {
    let house = House::with(Workers::new(part(&["attacker", "for any"])));
    let processes = || processes_of("attacker\0for any", std::process::id());
    house.workers.expect_any();
    let first = loop {
        if let [process] = processes()[..] {
            break process;
        }
        std::thread::yield_now();
    };
    house.workers.expect(&house.component, false);
    assert_eq!(house.process(|_| ()), first);
    // One that is given nothing goes with its host.
    house.workers.expect_any();
    drop(house.workers);
    assert!(processes().is_empty());
}

fn expected_without_folders() {
    let house = House::with(Workers::new(part(&["attacker"])));
    house.workers.expect(&house.component, false);
    let first = only_process(&house);
    let folder = tempfile::tempdir().unwrap();
    let with = house.process(|job| {
        let host = PathBuf::from(folder.path());
        job.mounts = vec![Mount { guest: "/in".to_owned(), host, writable: true }];
    });
    assert_ne!(with, first);
    assert_eq!(house.process(|_| ()), first, "it waits for another run");
}

fn not_kept() {
    let house = House::with(Workers::new(part(&["attacker"])));
    let first = house.process(|_| ());
    assert!(house.process(|_| ()) != first && !is_there(first));
}
