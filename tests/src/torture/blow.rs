//! One program, and what hits it.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::disk;
use crate::scratch::{Ran, ran};

/// A killed program's exit code, as [`Ran`] has it.
const KILLED: i32 = 128 + 9;

/// What hits a program.
#[derive(Clone, Copy, Debug)]
pub enum Blow {
    /// It kills itself at this place, at the nth time.
    Place(&'static str, usize),
    /// It is killed after this time.
    After(Duration),
    /// Its disk fails at the nth call; see [`disk::FAULTS`].
    Fault(&'static str, usize),
}

/// What became of a program that was hit, or not.
#[derive(Clone, Debug)]
pub struct Struck {
    /// What it left.
    pub ran: Ran,
    /// Where it was killed, if it was.
    pub killed: Option<&'static str>,
    /// Whether its disk failed.
    pub faulted: bool,
}

/// Runs a program, and hits it. `state` is where the host's state lies.
pub fn strike(mut command: Command, blow: Option<Blow>, state: &Path) -> Struck {
    let mut place = "nowhere";
    let mut hit = None;
    let ran = match blow {
        None => ran(&mut command),
        Some(Blow::Place(name, time)) => {
            place = name;
            ran(command.env("OPS_FAILPOINT", format!("{name}:{time}")))
        }
        Some(Blow::After(time)) => {
            place = "by time";
            let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            std::thread::sleep(time);
            child.kill().unwrap();
            Ran::of(&child.wait_with_output().unwrap())
        }
        Some(Blow::Fault(fault, nth)) => {
            hit = Some(disk::fail(&mut command, state, fault, nth));
            ran(&mut command)
        }
    };
    assert!(!ran.stderr.contains("panicked"), "{blow:?}: {ran:?}");
    let killed = (ran.code == KILLED).then_some(place);
    Struck { ran, killed, faulted: hit.is_some_and(|hit| hit.exists()) }
}
