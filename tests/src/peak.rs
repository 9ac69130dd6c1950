//! How much memory a program took at most.

use std::fs;
use std::process::Command;

use crate::scratch::{Ran, ran};

/// Runs the words after a file's name and writes the most memory that they held, in KiB, into that file.
const MEASURE: &str = "\
import os, sys
child = os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ)
_, status, usage = os.wait4(child, 0)
with open(sys.argv[1], 'w') as file:
    file.write(str(usage.ru_maxrss))
os._exit(os.waitstatus_to_exitcode(status) % 256)
";

/// Runs a program to its end. Returns what it left, and the most memory that it held, in bytes: `ru_maxrss` of
/// `wait4`, which counts what was resident and not what was merely reserved. Needs `python3`.
pub fn ran_with_peak(command: &Command) -> (Ran, u64) {
    let figure = tempfile::NamedTempFile::new().unwrap();
    let mut measured = Command::new("python3");
    measured.args(["-c", MEASURE]).arg(figure.path()).arg(command.get_program()).args(command.get_args());
    measured.env_clear();
    for (name, value) in command.get_envs() {
        measured.envs(value.map(|value| (name, value)));
    }
    if let Some(folder) = command.get_current_dir() {
        measured.current_dir(folder);
    }
    let ran = ran(measured.stdin(std::process::Stdio::null()));
    let kib: u64 = fs::read_to_string(figure.path()).unwrap().parse().unwrap_or_else(|_| panic!("{ran:?}"));
    (ran, kib * 1024)
}
