//! One process for guests: how it is started, ended, and what is said of its end.

use std::fs::File;
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};

use ops_policy::digest::Digest;
use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

use crate::confine::Confinement;
use crate::job::End;
use crate::tree;
use crate::wire::Inbox;
use crate::worker::Use;
use crate::workers::Program;

/// A process that was started. Dropped, it is dead and waited for.
pub(super) struct Process {
    child: Child,
    /// Our end of the socket. It belongs to no runtime but while a run has it.
    pub(super) socket: UnixStream,
    /// What came over it and was not looked at.
    pub(super) inbox: Inbox,
    /// What it said that it is confined by.
    pub(super) confined: Option<Confinement>,
    /// How many runs it has had.
    pub(super) runs: u32,
}

impl Process {
    /// Starts a process, for this component where that is known: without an environment, out of the reach of a terminal's
    /// signals, with one end of a socket as its only descriptor.
    pub(super) fn start(program: &Program, component: Option<Digest>) -> Result<Self, String> {
        let refuse = |what: &str, error: std::io::Error| format!("{what}: {error}");
        let (socket, theirs) =
            UnixStream::pair().map_err(|error| refuse("no socket for its process", error))?;
        socket.set_nonblocking(true).map_err(|error| refuse("no socket for its process", error))?;
        let child = Command::new(&program.path)
            .args(&program.words)
            // For people, and for those who look for a component's processes.
            .args(component.map(|digest| digest.to_string()))
            .env_clear()
            .process_group(0)
            .stdin(OwnedFd::from(theirs))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| {
                refuse(&format!("its process, {}, cannot be started", program.path.display()), error)
            })?;
        Ok(Self { child, socket, inbox: Inbox::default(), confined: None, runs: 0 })
    }

    /// Hands it the compiled component, and says what it is wanted for. It is told nothing before that, and this once. Of one that
    /// is gone already its run finds out, and how it ended.
    pub(super) fn give(&self, compiled: &File, wanted: Use) -> Result<(), String> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let files = [compiled.as_fd()];
        control.push(SendAncillaryMessage::ScmRights(&files));
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        match sendmsg(&self.socket, &[IoSlice::new(&[wanted.byte()])], &mut control, flags) {
            Ok(_) | Err(Errno::PIPE | Errno::CONNRESET) => Ok(()),
            Err(error) => Err(format!("its process cannot be given the component: {error}")),
        }
    }

    /// Whether it has not ended by itself.
    pub(super) fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Ends it. Afterwards nothing of it is left that could hold a file open.
    pub(super) fn end(self) {
        drop(self);
    }

    /// Begins to end it, and waits for nothing.
    pub(super) fn begin_to_end(&mut self) {
        // One that is ending already has its own status, whatever is done to it now.
        let _ = self.child.kill();
    }

    /// Ends it, which is how a run came to this end.
    pub(super) fn end_as(self, end: End) -> End {
        drop(self);
        end
    }

    /// What became of a process that has closed its socket.
    pub(super) fn last_words(mut self) -> String {
        match self.kill() {
            Ok(status) => words(status),
            Err(error) => format!("its process is gone, and nobody knows how it ended: {error}"),
        }
    }

    fn kill(&mut self) -> std::io::Result<ExitStatus> {
        self.begin_to_end();
        self.child.wait()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Err(error) = self.kill() {
            tracing::warn!(%error, "a process that ran a capability could not be waited for");
        }
    }
}

/// How a process ended by itself, for people.
fn words(status: ExitStatus) -> String {
    let largest = tree::Limits::default().file >> 20;
    let why = match status.signal() {
        Some(libc::SIGKILL) => {
            "was killed (signal 9): by a person, or by the system because memory ran short".to_owned()
        }
        Some(libc::SIGXFSZ) => format!("was ended because it wrote a file of more than {largest} MiB"),
        Some(libc::SIGSYS) => {
            "was ended because it made a call that the system does not let it make".to_owned()
        }
        Some(signal) => format!("was ended by signal {signal}"),
        None => match status.code() {
            Some(0) => "ended before the capability did".to_owned(),
            Some(code) => format!("ended with status {code} before the capability did"),
            None => "ended in no known way".to_owned(),
        },
    };
    format!("its process {why}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_told_in_words() {
        for (status, expected) in [
            (9, "its process was killed (signal 9)"),
            (libc::SIGXFSZ, "a file of more than 16 MiB"),
            (libc::SIGSYS, "a call that the system does not let it make"),
            (11, "its process was ended by signal 11"),
            (0, "its process ended before the capability did"),
            (3 << 8, "its process ended with status 3"),
        ] {
            let words = words(ExitStatus::from_raw(status));
            assert!(words.contains(expected), "{words}");
        }
    }
}
