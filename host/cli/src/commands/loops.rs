//! `ops loops`: short for running the capabilities of loops, with the same words, receipts and exit codes.

use ops_runner::runner::Runner;

use super::{Outcome, cap};
use crate::args::{Loops, Words};

pub(crate) fn run(runner: &Runner, command: Loops) -> Outcome {
    let (capability, Words { words }) = match command {
        Loops::List(words) => ("loops.list", words),
        Loops::Show(words) => ("loops.show", words),
        Loops::Create(words) => ("loops.create", words),
        Loops::Close(words) => ("loops.close", words),
    };
    cap::call(runner, cap::listen(), capability, &words)
}
