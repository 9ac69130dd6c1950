//! A scratch workspace with a home and a state of its own, and the program `ops` run in it.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::users::User;

/// The repository.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// The folder with everything that is built.
fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| repository().join("target"), PathBuf::from)
}

/// The program `ops`: `OPS` where it is set (to test another build), else the one that was built with the tests.
pub fn ops() -> PathBuf {
    std::env::var_os("OPS").map_or_else(|| target().join("debug/ops"), PathBuf::from)
}

/// A built guest, by its crate's name.
pub fn guest(name: &str) -> PathBuf {
    let file = format!("{}.wasm", name.replace('-', "_"));
    let folder =
        std::env::var_os("GUESTS").map_or_else(|| target().join("wasm32-wasip2/guest"), PathBuf::from);
    let path = folder.join(file);
    assert!(path.exists(), "{} is not built: `make guests`", path.display());
    path
}

/// What a program left.
#[derive(Clone, Debug)]
pub struct Ran {
    /// Its exit code; 128 and the signal where one ended it.
    pub code: i32,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Ran {
    /// What a program left that has ended.
    pub fn of(output: &Output) -> Self {
        Self {
            code: output.status.code().unwrap_or_else(|| 128 + output.status.signal().unwrap_or(0)),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Checks the exit code and shows everything where it is another.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// Checks that standard error says something.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "no `{text}` in:\n{}", self.stderr);
        self
    }

    /// Standard output as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}\n{}", self.stdout, self.stderr))
    }

    /// The id of the plan that standard error names.
    #[track_caller]
    pub fn plan(&self) -> String {
        let after = self
            .stderr
            .split("ops plan show ")
            .nth(1)
            .unwrap_or_else(|| panic!("no plan in:\n{}", self.stderr));
        after.split_whitespace().next().unwrap().to_owned()
    }
}

/// A scratch workspace. Everything in it goes when it is dropped, after every run in it was replayed.
pub struct Scratch {
    folder: TempDir,
    /// Whether a test breaks it.
    broken: AtomicBool,
    /// Who runs everything in it, where that is not the one who tests; and a folder that everybody may read.
    host: Option<(User, TempDir)>,
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let broken = self.broken.load(Ordering::Relaxed);
        if !broken && !std::thread::panicking() && self.path("ops/ops.lock").exists() {
            crate::replayed::check(self);
        }
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}

impl Scratch {
    /// A workspace named `demo`, whose approver's key is `key`.
    pub fn new() -> Self {
        let scratch = Self::without_workspace();
        scratch.ops(&["init", "--name", "demo", "--principal", "alice", "--new-key", "key"]).exits(0);
        scratch
    }

    /// A folder with a home and a state, where no workspace has been made yet.
    pub fn without_workspace() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let scratch = Self { folder, broken: AtomicBool::new(false), host: None };
        fs::create_dir(scratch.path("home")).unwrap();
        scratch
    }

    /// A workspace named `demo` that belongs to another user, as its state, its keys and its secrets do. Nobody else
    /// may enter its folder. Takes root.
    pub fn of(host: User) -> Self {
        let mut scratch = Self::without_workspace();
        fs::set_permissions(scratch.path(""), fs::Permissions::from_mode(0o700)).unwrap();
        for folder in ["", "home"] {
            host.owns(&scratch.path(folder));
        }
        let public = tempfile::tempdir().unwrap();
        fs::set_permissions(public.path(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::copy(ops(), public.path().join("ops")).unwrap();
        scratch.host = Some((host, public));
        scratch.ops(&["init", "--name", "demo", "--principal", "alice", "--new-key", "key"]).exits(0);
        scratch
    }

    /// The program, where everybody may run it.
    pub fn program(&self) -> PathBuf {
        self.host.as_ref().map_or_else(ops, |(_, public)| public.path().join("ops"))
    }

    /// Leaves everything where it is, for somebody who looks into a failure.
    pub fn keep(&mut self) -> &Path {
        self.folder.disable_cleanup(true);
        self.folder.path()
    }

    /// Says that the test breaks the workspace on purpose, and how, so that its runs cannot be replayed.
    pub fn breaks(&self, _how: &'static str) {
        self.broken.store(true, Ordering::Relaxed);
    }

    /// A path in the folder of the workspace.
    pub fn path(&self, relative: &str) -> PathBuf {
        self.folder.path().join(relative)
    }

    /// The program, in the workspace, with nothing of the caller's environment that could change what it does.
    pub fn command(&self) -> Command {
        let mut command = Command::new(self.program());
        self.around(&mut command);
        command
    }

    /// Puts any program into the workspace, with the environment that `ops` has there.
    pub fn around<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        if let Some((host, _)) = &self.host {
            host.runs(command);
        }
        command
            .current_dir(self.folder.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.path("home"))
            .env("XDG_STATE_HOME", self.path("state"))
            .env("USER", "tester")
            .stdin(Stdio::null())
    }

    /// Runs `ops` with these words.
    pub fn ops(&self, words: &[&str]) -> Ran {
        ran(self.command().args(words))
    }

    /// Runs `ops` with these words and this standard input.
    pub fn ops_with_input(&self, words: &[&str], input: &str) -> Ran {
        let file = self.path("input");
        fs::write(&file, input).unwrap();
        ran(self.command().args(words).stdin(fs::File::open(&file).unwrap()))
    }

    /// Puts a built guest into the workspace, writes its binding, and pins.
    pub fn bind(&self, guest_name: &str, binding: &str) {
        self.place(guest_name);
        self.write_binding(binding);
        self.pin();
    }

    /// Puts a built guest into the workspace. Returns its path relative to the workspace.
    pub fn place(&self, guest_name: &str) -> String {
        let from = guest(guest_name);
        let name = from.file_name().unwrap().to_str().unwrap().to_owned();
        fs::copy(&from, self.path("ops/components").join(&name)).unwrap();
        format!("components/{name}")
    }

    /// Writes a binding under the name that it gives itself.
    pub fn write_binding(&self, binding: &str) {
        let name = binding.lines().find_map(|line| line.strip_prefix("capability: ")).unwrap();
        let name = name.split_whitespace().next().unwrap();
        self.write(&format!("ops/bindings/{name}.yaml"), binding);
    }

    /// Writes a file.
    pub fn write(&self, relative: &str, text: &str) {
        let path = self.path(relative);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Signs the lock over everything as it is.
    pub fn pin(&self) -> Ran {
        self.ops(&["pin", "--key", "key", "--yes"]).exits(0)
    }

    /// The exported folders of receipts, oldest first.
    pub fn receipts(&self) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(self.path("receipts/sessions")) else { return Vec::new() };
        let mut folders: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        folders.sort_by_key(|path| fs::metadata(path).unwrap().modified().unwrap());
        folders
    }

    /// The predicate of the newest receipt.
    #[track_caller]
    pub fn last_receipt(&self) -> Value {
        predicate(self.receipts().last().expect("no receipt"))
    }
}

/// The predicate of the receipt in a folder.
pub fn predicate(folder: &Path) -> Value {
    use base64::Engine;
    let bundle: Value =
        serde_json::from_slice(&fs::read(folder.join("receipt.sigstore.json")).unwrap()).unwrap();
    let payload = bundle["dsseEnvelope"]["payload"].as_str().unwrap();
    let payload = base64::engine::general_purpose::STANDARD.decode(payload).unwrap();
    serde_json::from_slice::<Value>(&payload).unwrap()["predicate"].clone()
}

/// Runs a program to its end.
pub fn ran(command: &mut Command) -> Ran {
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        match command.output() {
            // A program that was just written: another thread's new process has its descriptor still, for a moment.
            Err(error) if error.kind() == ErrorKind::ExecutableFileBusy && Instant::now() < end => {
                std::thread::sleep(Duration::from_millis(10));
            }
            output => return Ran::of(&output.unwrap()),
        }
    }
}
