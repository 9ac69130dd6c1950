//! What people see: on standard error, coloured on a terminal only. Standard output belongs to the capability.

use std::fmt::Display;
use std::io::Write;

use anstyle::{AnsiColor, Style};
use ops_runner::ending::{Ending, Status};

const GOOD: Style = AnsiColor::Green.on_default().bold();
const WAITS: Style = AnsiColor::Yellow.on_default().bold();
const BAD: Style = AnsiColor::Red.on_default().bold();
const DIM: Style = Style::new().dimmed();

/// A line for people. That nobody reads standard error any more is no reason to stop.
pub(crate) fn note(text: impl Display) {
    let _ = writeln!(anstream::stderr(), "{text}");
}

/// A line that matters less.
pub(crate) fn dim(text: impl Display) {
    let _ = writeln!(anstream::stderr(), "{DIM}{text}{DIM:#}");
}

/// An error, and what to do.
pub(crate) fn error(text: impl Display) {
    let _ = writeln!(anstream::stderr(), "{BAD}error:{BAD:#} {text}");
}

/// How a run ended.
pub(crate) fn ending(ending: &Ending) {
    let (style, word) = match ending.status {
        None => return error(&ending.message),
        Some(Status::Done) => (GOOD, "done"),
        Some(status @ (Status::Planned | Status::Stale | Status::Partial)) => (WAITS, status.as_str()),
        Some(status) => (BAD, status.as_str()),
    };
    let message = match ending.message.trim_start_matches("done: ") {
        "done" => String::new(),
        message => format!(" {message}"),
    };
    let _ = writeln!(anstream::stderr(), "{style}{word}{style:#}{message}");
}

/// A line on standard output.
///
/// # Errors
///
/// Nobody reads it any more.
pub(crate) fn print(text: impl Display) -> std::io::Result<()> {
    writeln!(anstream::stdout(), "{text}")
}
