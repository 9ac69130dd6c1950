//! Whole processes, from their start to their end: posix_spawn and wait4, in turns with what they are compared with.

use std::process::{Command, Stdio};
use std::time::Instant;

use wait4::Wait4;

use crate::amount::{Amount, millisecond};

/// What a program took, over all its runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    /// From the start to the end, in milliseconds.
    pub(crate) elapsed: Amount,
    /// Of processors, by itself and by what it waited for, in milliseconds.
    pub(crate) processor: Amount,
    /// The most resident memory, in MiB.
    pub(crate) memory: Amount,
}

/// Runs programs this often each, in turns, so that whatever else the machine does meets all of them alike. Each has to
/// end well. The standard library starts a command that has no more than a folder and an environment by posix_spawn.
pub(crate) fn in_turns(commands: &mut [Command], runs: usize) -> Vec<Cost> {
    for command in commands.iter_mut() {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        // The first run finds its files in the system's memory.
        run(command);
    }
    let mut times = vec![[const { Vec::new() }; 3]; commands.len()];
    for _ in 0..runs {
        for (command, [elapsed, processor, memory]) in commands.iter_mut().zip(&mut times) {
            let (took, used, resident) = run(command);
            elapsed.push(took);
            processor.push(used);
            memory.push(resident);
        }
    }
    let cost = |[elapsed, processor, memory]: [Vec<_>; 3]| Cost {
        elapsed: Amount::median(&elapsed),
        processor: Amount::median(&processor),
        memory: Amount::median(&memory),
    };
    times.into_iter().map(cost).collect()
}

/// Milliseconds from start to end, milliseconds of processors, MiB.
fn run(command: &mut Command) -> (f64, f64, f64) {
    let began = Instant::now();
    let child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let ended = child.wait4().unwrap();
    let took = began.elapsed();
    assert!(ended.status.success(), "{command:?} ended with {}", ended.status);
    let used = ended.rusage;
    (millisecond(took), millisecond(used.utime + used.stime), used.maxrss as f64 / (1 << 20) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_does_more_uses_more() {
        let mut idle = Command::new("true");
        idle.env_clear();
        let mut busy = Command::new("bash");
        busy.args(["-c", "for ((i = 0; i < 20000; i++)); do :; done"]);
        let costs = in_turns(&mut [idle, busy], 3);
        assert!(costs[0].processor.value < costs[1].processor.value, "{costs:?}");
        assert!(costs[1].memory.value > 0.5 && costs[1].memory.value < 100.0, "{costs:?}");
        assert_eq!(costs[0].elapsed.samples, 3);
    }

    #[test]
    #[should_panic(expected = "ended with")]
    fn a_program_that_fails_is_not_measured() {
        in_turns(&mut [Command::new("false")], 1);
    }
}
