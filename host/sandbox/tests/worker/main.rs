//! The processes that guests run in, from outside: what they are kept from, and what becomes of runs whose process lies or
//! dies.
//!
//! This program is the host, and by its first word also each process that the host starts: one for guests, one with an
//! attack in native code in the place of the guest, as if the WebAssembly sandbox were open, one that attacks without
//! any confinement, or one that lies to its host.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a panic is how a test fails, and standard output is how a process of the tests tells what it did"
)]
#![allow(unsafe_code, reason = "attacks are calls that nothing safe makes")]

mod attacks;
mod confined;
mod ends;
mod kept;
mod liars;
#[path = "../../src/testing.rs"]
#[expect(dead_code, reason = "the guests of the unit tests, of which not all are needed here")]
mod testing;
mod victims;

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Trial};
use ops_sandbox::confine::has_landlock;
use ops_sandbox::job::{Job, Ran};
use ops_sandbox::worker;
use ops_sandbox::workers::{Program, Workers};
// What the guests of the unit tests find in their own crate.
use ops_sandbox::{broker, engine, job};
use tokio::runtime::Runtime;
use tokio::sync::Mutex;

use crate::testing::{Guest, Script, sandbox};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.first().map(String::as_str) {
        Some(worker::WORD) => worker::serve(),
        Some("attacker") => worker::serve_with(Some(attacks::in_place_of_the_guest)),
        Some("poor") => attacks::poor(),
        Some("free") => attacks::without_confinement(&words[1]),
        Some("liar") => liars::lie(&words[1]),
        Some("host") => ends::host(),
        _ => {
            let trials =
                [confined::trials(), liars::trials(), ends::trials(), kept::trials()].concat_trials();
            libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
        }
    }
}

/// Joins lists that cannot be copied.
trait Concat {
    fn concat_trials(self) -> Vec<Trial>;
}

impl<const N: usize> Concat for [Vec<Trial>; N] {
    fn concat_trials(self) -> Vec<Trial> {
        self.into_iter().flatten().collect()
    }
}

/// A test.
fn trial(name: &str, test: fn()) -> Trial {
    Trial::test(name, move || {
        test();
        Ok(())
    })
}

/// A test that shows something only where the kernel has Landlock.
fn landlock_trial(name: &str, test: impl FnOnce() + Send + 'static) -> Trial {
    if has_landlock() {
        Trial::test(name, move || {
            test();
            Ok(())
        })
    } else {
        Trial::test(format!("{name} (not run: this kernel has no Landlock)"), || Ok(()))
            .with_ignored_flag(true)
    }
}

/// This program in another part.
fn part(words: &[&str]) -> Program {
    Program { path: "/proc/self/exe".into(), words: words.iter().map(OsString::from).collect() }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Runs a guest in a process of its own.
fn run(workers: &Workers, guest: &Guest<'_>, job: Job, broker: Script) -> Ran {
    let (sandbox, _folder) = sandbox();
    let component = sandbox.load(&guest.build()).unwrap();
    runtime().block_on(workers.run(&component, job, Arc::new(Mutex::new(broker))))
}
