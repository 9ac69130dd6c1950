//! The program `ops`: the front end for people.
//!
//! It reads words, calls the runner, and shows what came of it. Standard output carries what was asked for and
//! nothing else; everything for people goes to standard error.

mod args;
mod commands;
mod flags;
mod output;
mod progress;
mod report;
mod sarif;
mod say;
mod schedule;
mod signing;
mod terminal;

use std::process::ExitCode;

fn main() -> ExitCode {
    if ops_runner::worker::is_one() {
        return ops_runner::worker::main();
    }
    // A host panic while a guest is served becomes the end of that run, with a receipt; what the guest put into its
    // message does not belong on a terminal.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        say::error(format!("internal fault at {place}; please report it"));
    }));
    let cli = match args::Cli::read(std::env::args_os().collect()) {
        Ok(cli) => cli,
        Err(error) => {
            // Clap knows whether this is help on standard output or an error on standard error.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    match commands::run(cli) {
        Ok(code) => ExitCode::from(code),
        Err(message) => {
            say::error(message);
            ExitCode::from(2)
        }
    }
}
