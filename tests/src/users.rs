//! Users of this machine that exist for one test.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::process::geteuid;

use crate::scratch::ran;
use crate::skip;

/// One who makes or removes users at a time: the system's files are locked, and the one who comes second fails.
static ONE: Mutex<()> = Mutex::new(());
static NEXT: AtomicU32 = AtomicU32::new(0);

/// A user. It is removed when this is dropped.
#[derive(Debug)]
pub struct User {
    name: String,
    id: u32,
    group: u32,
}

/// Why none can be made, where none can.
pub fn missing() -> Option<&'static str> {
    if geteuid().is_root() && skip::has_program("useradd") { None } else { Some("only root can make users") }
}

impl User {
    /// Makes a user without a home, a password or a shell.
    pub fn new(role: &str) -> Self {
        let name = format!("opst-{role}-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let _one = ONE.lock();
        ran(Command::new("useradd").args([
            "--system",
            "--user-group",
            "--no-create-home",
            "--shell",
            "/bin/sh",
            &name,
        ]))
        .exits(0);
        let id = |flag: &str| {
            let told = ran(Command::new("id").args([flag, &name])).exits(0).stdout;
            told.trim().parse().unwrap()
        };
        let (id, group) = (id("-u"), id("-g"));
        Self { name, id, group }
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The user's and the group's number.
    pub fn ids(&self) -> (u32, u32) {
        (self.id, self.group)
    }

    /// Has a program run as this user, with no other groups.
    pub fn runs<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.uid(self.id).gid(self.group)
    }

    /// Gives a file or folder to this user.
    pub fn owns(&self, path: &Path) {
        std::os::unix::fs::chown(path, Some(self.id), Some(self.group)).unwrap();
    }
}

impl Drop for User {
    fn drop(&mut self) {
        let _one = ONE.lock();
        // One that is gone already is as good as removed.
        let _ = Command::new("userdel").arg(&self.name).output();
    }
}
