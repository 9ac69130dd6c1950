//! Where it is measured: a workspace of its own, with everything of it and its state on a RAM disk where there is one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use ops_tests::scratch::{Ran, guest, ops, ran};
use tempfile::TempDir;

/// The system's RAM disk.
const RAM: &str = "/dev/shm";

/// A capability to measure: its name, its guest, and what else its binding says.
pub(crate) type Bound<'a> = (&'a str, &'a str, &'a str);

/// What answers at once and asks nothing of the world.
pub(crate) const ECHO: Bound<'_> = ("test.guest.echo", "guest-echo", "");
/// What spins until its time is over.
pub(crate) const SPINS: Bound<'_> = ("test.guest.spins", "guest-spins", "limits: {time: 10s}\n");

/// A workspace to measure in. It goes when it is dropped.
pub(crate) struct Site {
    folder: TempDir,
    /// The host's state, where it does not lie with the rest.
    state: Option<TempDir>,
}

/// A folder for a workspace, or a part of one.
fn folder(parent: &Path) -> TempDir {
    tempfile::Builder::new().prefix("ops-bench-").tempdir_in(parent).unwrap()
}

/// Where workspaces are made: on the RAM disk, else where temporary files are.
fn parent() -> PathBuf {
    let ram = Some(PathBuf::from(RAM)).filter(|ram| ram.is_dir());
    ram.unwrap_or_else(std::env::temp_dir)
}

/// The file system that workspaces lie on.
pub(crate) fn file_system() -> String {
    crate::machine::file_system(&parent())
}

impl Site {
    /// A pinned workspace with these read-only capabilities, on the RAM disk.
    pub(crate) fn new(capabilities: &[Bound<'_>]) -> Self {
        Self::made(Self { folder: folder(&parent()), state: None }, capabilities)
    }

    /// The same with its ledger, and all other state of the host, in a folder of this one.
    pub(crate) fn with_state_in(state: &Path, capabilities: &[Bound<'_>]) -> Self {
        Self::made(Self { folder: folder(&parent()), state: Some(folder(state)) }, capabilities)
    }

    fn made(site: Self, capabilities: &[Bound<'_>]) -> Self {
        fs::create_dir(site.path("home")).unwrap();
        site.run(&["init", "--name", "bench", "--principal", "bench", "--new-key", "key"]);
        for (name, guest, more) in capabilities {
            let file = site.place(guest);
            let binding =
                format!("capability: {name}\ncomponent: components/{file}\nsafety: read-only\n{more}");
            site.write(&format!("ops/bindings/{name}.yaml"), &binding);
        }
        site.pin();
        site
    }

    /// Puts a built guest among the components. Returns its file's name.
    pub(crate) fn place(&self, name: &str) -> String {
        let from = guest(name);
        let file = from.file_name().unwrap().to_str().unwrap().to_owned();
        fs::copy(&from, self.path("ops/components").join(&file)).unwrap();
        file
    }

    /// Writes a file.
    pub(crate) fn write(&self, relative: &str, text: &str) {
        fs::write(self.path(relative), text).unwrap();
    }

    /// Signs the lock over everything as it is.
    pub(crate) fn pin(&self) {
        self.run(&["pin", "--key", "key", "--yes"]);
    }

    /// A path in its folder.
    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.folder.path().join(relative)
    }

    /// Where the state of the host lies.
    pub(crate) fn state(&self) -> PathBuf {
        self.state.as_ref().map_or_else(|| self.path("state"), |state| state.path().to_path_buf())
    }

    /// A program in the workspace, with an environment that holds what it has to and nothing of the caller's.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.folder.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.path("home"))
            .env("XDG_STATE_HOME", self.state())
            .stdin(Stdio::null());
        command
    }

    /// `ops` in the workspace.
    pub(crate) fn ops(&self, words: &[&str]) -> Command {
        let mut command = self.command(ops());
        command.args(words);
        command
    }

    /// Runs `ops` to its end, which has to be a good one.
    pub(crate) fn run(&self, words: &[&str]) -> Ran {
        ran(&mut self.ops(words)).exits(0)
    }
}
