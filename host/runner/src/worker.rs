//! The process that a guest runs in: what a front end's program is when its first word says so.
//!
//! The runner starts its own program again for guests, so each program that opens a [`crate::runner::Runner`] calls
//! [`is_one`] before it does anything else, and is that process if so.

use std::process::ExitCode;

/// Whether this process was started for a guest.
pub fn is_one() -> bool {
    std::env::args_os().nth(1).is_some_and(|word| word == ops_sandbox::worker::WORD)
}

/// Is the process for a guest, to its end.
pub fn main() -> ExitCode {
    ops_sandbox::worker::serve()
}
