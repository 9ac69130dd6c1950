//! What a guest's process is kept from, when native code runs where the guest would. Each attack works in a process that is
//! not confined, so that a test that finds it refused shows something.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use libtest_mimic::Trial;
use ops_policy::message::Input;
use ops_sandbox::confine::{Confinement, has_landlock};
use ops_sandbox::describe::DescribeError;
use ops_sandbox::job::{End, Mount, Ran};
use ops_sandbox::workers::Workers;
use serde_json::{Value, json};

use crate::attacks::ATTACKS;
use crate::testing::{Guest, Script, job, sandbox};
use crate::victims::{LANDLOCK, SECRET, Victim, without_calls};
use crate::{landlock_trial, part, run, runtime, trial};

/// Of the attacks, those that Landlock alone stops: they name a file, and the run has folders.
const BY_LANDLOCK: [&str; 6] = [
    "read a file",
    "list a folder",
    "write a file",
    "make a folder",
    "remove a file",
    "read a process's memory as a file",
];

/// Of the attacks, those that are none: they are for other tests, or show that something works.
const OTHERS: [&str; 12] = [
    "look for a file",
    "lock a file",
    "set the times of an open file",
    "nothing",
    "count the files that may be open",
    "pid",
    "make a link",
    "rename within a folder",
    "start a thread",
    "write a great file",
    "die",
    "truncate a file",
];

pub(crate) fn trials() -> Vec<Trial> {
    let attacks = ATTACKS.iter().map(|(name, _)| *name).filter(|name| !OTHERS.contains(name));
    let mut trials: Vec<_> = attacks
        .map(|name| {
            let title = format!("confined::it cannot {name}");
            if BY_LANDLOCK.contains(&name) {
                landlock_trial(&title, move || is_stopped(name, true))
            } else {
                Trial::test(title, move || {
                    is_stopped(name, true);
                    is_stopped(name, false);
                    Ok(())
                })
            }
        })
        .collect();
    trials.extend([
        landlock_trial("confined::its folders are what it has", its_folders),
        landlock_trial("confined::of two runs none has the other's folders", others_folders),
        trial("confined::without folders no file, also without Landlock", no_folders_no_files),
        trial("confined::a kernel without Landlock is said, and refused where it is required", no_landlock),
        trial("confined::Landlock that does not take hold is not done without", failing_landlock),
        trial("confined::Landlock that is required is so for descriptions", describing),
        trial("confined::a host with lower limits runs guests", lower_limits),
        trial("confined::a kernel without seccomp runs nothing", no_seccomp),
        trial("confined::what it is confined by is said", said),
        trial("confined::threads it may have", || drop(got(&confined("start a thread", "", Vec::new())))),
        trial("confined::a great file ends it", great_file),
    ]);
    trials
}

/// The attack as a run of a guest.
fn attempt(attack: &str, at: &str, mounts: Vec<Mount>, needs_landlock: bool) -> Ran {
    let (mut job, _cancel) = job();
    let arguments = json!({"attack": attack, "at": at}).to_string();
    job.input = Input { arguments, ..job.input };
    (job.mounts, job.needs_landlock) = (mounts, needs_landlock);
    run(&Workers::new(part(&["attacker"])), &Guest::default(), job, Script::default())
}

/// What it says of itself when it is confined.
fn confined(attack: &str, at: &str, mounts: Vec<Mount>) -> Value {
    let ran = attempt(attack, at, mounts, false);
    let End::Output(said) = ran.end else { panic!("{attack}: {:?}", ran.end) };
    serde_json::from_str(&said).unwrap()
}

/// What it says of itself when it is not.
fn free(attack: &str, at: &str) -> Value {
    let arguments = json!({"attack": attack, "at": at}).to_string();
    let ran = Command::new("/proc/self/exe").args(["free", &arguments]).output().unwrap();
    serde_json::from_slice(&ran.stdout).unwrap_or_else(|_| panic!("{attack}: {ran:?}"))
}

#[track_caller]
fn got(said: &Value) -> String {
    said["got"].as_str().unwrap_or_else(|| panic!("it was refused: {said}")).to_owned()
}

#[track_caller]
fn refused(said: &Value) -> String {
    said["refused"].as_str().unwrap_or_else(|| panic!("it was not stopped: {said}")).to_owned()
}

/// Refused to a guest's process, and given to one that is not confined.
#[track_caller]
fn is_stopped(attack: &str, with_folders: bool) {
    let victim = Victim::new();
    let at = victim.targets().get(attack).cloned().unwrap_or_default();
    if attack == "remove a file" {
        fs::write(&at, "to be removed").unwrap();
    }
    let mounts = if with_folders { victim.mounts() } else { Vec::new() };
    let why = refused(&confined(attack, &at, mounts));
    assert!(!why.contains(SECRET));
    let free = got(&free(attack, &at));
    if attack.starts_with("read") && attack != "read the environment" {
        assert_eq!(free, SECRET, "without confinement it is there to be read");
    }
}

fn its_folders() {
    let victim = Victim::new();
    let at = |name: &str| victim.path(name);
    let try_it = |attack: &str, name: &str| confined(attack, &at(name), victim.mounts());
    assert_eq!(got(&try_it("read a file", "read/file")), SECRET);
    got(&try_it("list a folder", "read"));
    for (attack, name) in [
        ("write a file", "stage/new"),
        ("make a folder", "stage/folder"),
        ("rename within a folder", "stage"),
        ("set the times of an open file", "stage/file"),
        ("look for a file", "read/file"),
        ("remove a file", "stage/file"),
    ] {
        got(&try_it(attack, name));
    }
    assert_eq!(fs::read_to_string(at("stage/made/renamed")).unwrap(), "new");
    for (attack, name) in [
        ("write a file", "read/new"),
        ("write a file", "read/file"),
        ("make a folder", "read/folder"),
        ("remove a file", "read/file"),
        ("truncate a file", "read/file"),
        ("truncate a file", "beside/file"),
        ("make a link", "stage/link"),
        ("lock a file", "read/file"),
        ("set the times of a file", "beside/file"),
        ("ask for a file's attributes", "beside/file"),
        ("list a folder", ""),
        ("read a file", "stage/../beside/file"),
    ] {
        refused(&try_it(attack, name));
    }
    assert_eq!(fs::read_to_string(at("read/file")).unwrap(), SECRET);
    assert_eq!(fs::read_to_string(at("beside/file")).unwrap(), SECRET);
}

fn others_folders() {
    let (one, other) = (Victim::new(), Victim::new());
    refused(&confined("read a file", &other.path("stage/file"), one.mounts()));
    assert_eq!(got(&confined("read a file", &other.path("stage/file"), other.mounts())), SECRET);
}

fn no_folders_no_files() {
    let victim = Victim::new();
    let key = victim.targets()["read a process's memory as a file"].clone();
    without_calls(&LANDLOCK, libc::ENOSYS, || {
        for (attack, at) in [
            ("read a file", victim.path("beside/file")),
            ("read a file", "/proc/self/environ".to_owned()),
            ("list a folder", "/".to_owned()),
            ("look for a file", victim.path("beside/file")),
            ("write a file", victim.path("beside/written")),
            ("make a folder", victim.path("beside/made")),
            ("remove a file", victim.path("beside/file")),
            ("read a process's memory as a file", key),
        ] {
            refused(&confined(attack, &at, Vec::new()));
        }
        // What Landlock would have stopped.
        assert_eq!(got(&confined("read a file", &victim.path("beside/file"), victim.mounts())), SECRET);
    });
}

fn no_landlock() {
    without_calls(&LANDLOCK, libc::ENOSYS, || {
        assert!(!has_landlock());
        let ran = attempt("nothing", "", Vec::new(), false);
        assert_eq!(
            (ran.confined, ran.end),
            (Some(Confinement { landlock: None }), End::Output(r#"{"got":"nothing"}"#.into()))
        );
        let ran = attempt("nothing", "", Vec::new(), true);
        assert!(
            matches!(&ran.end, End::Unconfined(why) if why.contains("no Landlock, which ops.yaml requires")),
            "{ran:?}"
        );
        assert_eq!(ran.confined, None);
    });
}

fn failing_landlock() {
    if !has_landlock() {
        return;
    }
    let victim = Victim::new();
    for (call, mounts) in [
        (libc::SYS_landlock_restrict_self, Vec::new()),
        (libc::SYS_landlock_restrict_self, victim.mounts()),
        (libc::SYS_landlock_add_rule, victim.mounts()),
    ] {
        without_calls(&[call], libc::EPERM, || {
            let ran = attempt("nothing", "", mounts, false);
            assert!(
                matches!(&ran.end, End::Unconfined(why) if why.starts_with("Landlock did not take hold")),
                "{ran:?}"
            );
        });
    }
}

fn describing() {
    let (sandbox, _folder) = sandbox();
    let component = sandbox.load(&Guest::default().build()).unwrap();
    let workers = Workers::new(part(&["guest-worker"]));
    without_calls(&LANDLOCK, libc::ENOSYS, || {
        let described = |needs| runtime().block_on(workers.describe(&component, needs));
        assert_eq!(described(false).unwrap().name, "tests.guest.run");
        let error = described(true).unwrap_err();
        assert!(
            matches!(&error, DescribeError::Unconfined(why) if why.contains("ops.yaml requires")),
            "{error}"
        );
        let confinement = |needs| runtime().block_on(workers.confinement(&component, needs));
        assert_eq!(confinement(false).unwrap(), Confinement { landlock: None });
        assert!(matches!(confinement(true).unwrap_err(), End::Unconfined(_)));
    });
}

fn lower_limits() {
    let (mut job, _cancel) = job();
    job.input.arguments = json!({"attack": "count the files that may be open", "at": ""}).to_string();
    let ran = run(&Workers::new(part(&["poor"])), &Guest::default(), job, Script::default());
    assert_eq!(ran.end, End::Output(r#"{"got":"64"}"#.to_owned()));
}

fn no_seccomp() {
    without_calls(&[libc::SYS_seccomp], libc::EINVAL, || {
        let ran = attempt("nothing", "", Vec::new(), false);
        assert!(matches!(&ran.end, End::Unconfined(why) if why.starts_with("seccomp refused")), "{ran:?}");
    });
}

fn said() {
    let ran = attempt("nothing", "", Vec::new(), has_landlock());
    let confined = ran.confined.unwrap();
    assert_eq!(confined.landlock.is_some(), has_landlock());
    let names: BTreeSet<_> = confined.names().into_iter().collect();
    assert!(["wasm", "process", "seccomp"].into_iter().all(|name| names.contains(name)), "{names:?}");
}

fn great_file() {
    let victim = Victim::new();
    let ran = attempt("write a great file", &victim.path("stage/great"), victim.mounts(), false);
    assert!(matches!(&ran.end, End::Lost(why) if why.contains("a file of more than 16 MiB")), "{ran:?}");
}
