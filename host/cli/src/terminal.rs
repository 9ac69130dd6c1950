//! The person at the terminal.
//!
//! The runner calls these only where the binding lists the way: what stands on standard input is otherwise never
//! read. A plan is confirmed at `/dev/tty`, so that a pipe cannot answer for a person.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, IsTerminal, Write};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use ops_policy::plan::Plan;
use ops_runner::run::Person;
use ops_runner::show::plan_text;
use tokio::sync::watch;

use crate::say;

/// The longest answer that is read, in bytes.
const MAX_ANSWER: u64 = 256;

/// Asks at the terminal and on standard input, until somebody wants the run to end.
pub(crate) struct Terminal {
    cancel: watch::Receiver<bool>,
}

impl Terminal {
    pub(crate) fn new(cancel: watch::Receiver<bool>) -> Self {
        Self { cancel }
    }

    /// One line, read by a thread of its own: a read that nobody answers must not outlive a Ctrl-C.
    fn line(&self, from: impl BufRead + Send + 'static) -> Option<String> {
        let (give, take) = mpsc::channel();
        std::thread::spawn(move || give.send(answer(from)));
        loop {
            match take.recv_timeout(Duration::from_millis(50)) {
                Ok(line) => return line.filter(|line| !line.trim().is_empty()),
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) if *self.cancel.borrow() => return None,
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }
}

impl Person for Terminal {
    fn confirm(&mut self, plan: &Plan) -> Option<String> {
        if !std::io::stderr().is_terminal() {
            return None;
        }
        let mut tty = OpenOptions::new().read(true).write(true).open("/dev/tty").ok()?;
        let question = "Type the plan's short hash to carry it out, or press Enter to leave it waiting: ";
        write!(tty, "{}\n{question}", plan_text(plan, None)).and_then(|()| tty.flush()).ok()?;
        self.line(BufReader::new(tty))
    }

    fn piped(&mut self, plan: &Plan) -> Option<String> {
        if std::io::stdin().is_terminal() {
            return None;
        }
        say::note(plan_text(plan, None));
        self.line(BufReader::new(std::io::stdin()))
    }
}

/// One line, of bounded length.
fn answer(from: impl BufRead) -> Option<String> {
    let mut line = String::new();
    from.take(MAX_ANSWER).read_line(&mut line).ok()?;
    Some(line)
}

/// Asks for a yes at the terminal. False where there is no terminal.
pub(crate) fn yes(question: &str) -> bool {
    let Ok(mut tty) = OpenOptions::new().read(true).write(true).open("/dev/tty") else {
        return false;
    };
    if write!(tty, "{question} [yes/no] ").and_then(|()| tty.flush()).is_err() {
        return false;
    }
    answer(BufReader::new(tty)).is_some_and(|line| line.trim() == "yes")
}

/// Asks for a passphrase at the terminal, unseen.
pub(crate) fn passphrase(question: &str) -> Option<String> {
    use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
    let mut tty = OpenOptions::new().read(true).write(true).open("/dev/tty").ok()?;
    write!(tty, "{question}").and_then(|()| tty.flush()).ok()?;
    let before = tcgetattr(&tty).ok()?;
    let mut unseen = before.clone();
    unseen.local_modes.remove(LocalModes::ECHO);
    tcsetattr(&tty, OptionalActions::Flush, &unseen).ok()?;
    let line = tty.try_clone().ok().and_then(|read| answer(BufReader::new(read)));
    // The terminal must get its echo back whatever was read.
    let restored = tcsetattr(&tty, OptionalActions::Flush, &before);
    let _ = writeln!(tty);
    restored.ok()?;
    line.map(|line| line.trim_end_matches(['\r', '\n']).to_owned())
}
