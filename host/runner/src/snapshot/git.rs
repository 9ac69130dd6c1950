//! A workspace's files as a git revision has them, read by the program `git`.
//!
//! The repository may be anybody's. So only plumbing is used that runs no hook, no filter and no diff driver; nothing is
//! fetched; a revision is resolved to a commit first, so that it cannot be taken for an option.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use super::Files;
use crate::workspace::BINDINGS;

/// The largest file that is read from a revision, in bytes.
const MAX_FILE: u64 = 64 * 1024 * 1024;
/// The most bytes of a list of names.
const MAX_NAMES: usize = 8 * 1024 * 1024;

/// A revision of the repository that a workspace lies in.
pub(crate) struct Revision {
    root: PathBuf,
    commit: String,
    /// The workspace's folder in the repository, with a slash at the end; empty where it is the repository's own.
    prefix: String,
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Revision {
    /// Opens a revision of the repository around `root`, the folder of `ops.yaml`.
    pub(crate) fn open(root: &Path, revision: &str) -> Result<Self, String> {
        let wanted = format!("{revision}^{{commit}}");
        let commit = ask(root, &["rev-parse", "--verify", "--quiet", "--end-of-options", &wanted])
            .map_err(|why| format!("`{revision}` is neither a file, a folder nor a git revision{why}"))?;
        let prefix = ask(root, &["rev-parse", "--show-prefix"]).map_err(|why| format!("git{why}"))?;
        let mut child = git(root)
            .args(["cat-file", "--batch"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("git: {error}"))?;
        match (child.stdin.take(), child.stdout.take()) {
            (Some(input), Some(output)) => {
                let output = BufReader::new(output);
                Ok(Self { root: root.to_path_buf(), commit, prefix, child, input, output })
            }
            _ => Err("git: it has no pipes".to_owned()),
        }
    }
}

/// Whether the repository around `root` has a revision of that name.
pub(crate) fn is_revision(root: &Path, name: &str) -> bool {
    let wanted = format!("{name}^{{commit}}");
    ask(root, &["rev-parse", "--verify", "--quiet", "--end-of-options", &wanted]).is_ok()
}

impl Drop for Revision {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Files for Revision {
    fn read(&mut self, path: &str) -> Result<Option<Vec<u8>>, String> {
        let fail = |why: &str| format!("git: {path}: {why}");
        // One request is one line.
        if path.contains(['\n', '\0']) {
            return Err(fail("is no plain path"));
        }
        writeln!(self.input, "{}:{}{path}", self.commit, self.prefix)
            .and_then(|()| self.input.flush())
            .map_err(|error| fail(&error.to_string()))?;
        let mut head = String::new();
        self.output.by_ref().take(8192).read_line(&mut head).map_err(|error| fail(&error.to_string()))?;
        if head.trim_end().ends_with(" missing") {
            return Ok(None);
        }
        let mut words = head.trim_end().rsplit(' ');
        let size = words.next().and_then(|size| size.parse::<u64>().ok());
        let (Some(size), Some(kind)) = (size, words.next()) else {
            return Err(fail("an answer that is none"));
        };
        if kind != "blob" || size > MAX_FILE {
            return Err(fail(&format!("is no file of at most {} MiB", MAX_FILE >> 20)));
        }
        let mut bytes = Vec::new();
        self.output
            .by_ref()
            .take(size + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| fail(&error.to_string()))?;
        if bytes.pop() != Some(b'\n') || bytes.len() as u64 != size {
            return Err(fail("an answer that ends early"));
        }
        Ok(Some(bytes))
    }

    fn folder(&self) -> String {
        self.prefix.clone()
    }

    fn bindings(&mut self) -> Result<Vec<String>, String> {
        let tree = format!("{}:{}{BINDINGS}", self.commit, self.prefix);
        // A revision without bindings has no such folder; every other failure is one.
        if ask(&self.root, &["rev-parse", "--verify", "--quiet", "--end-of-options", &tree]).is_err() {
            return Ok(Vec::new());
        }
        let names = ask(&self.root, &["ls-tree", "--name-only", "-z", "--full-tree", &tree])
            .map_err(|why| format!("git: {BINDINGS}{why}"))?;
        let mut names: Vec<String> =
            names.split('\0').filter(|name| name.ends_with(".yaml")).map(str::to_owned).collect();
        names.sort();
        Ok(names)
    }
}

fn git(root: &Path) -> Command {
    let mut command = Command::new("git");
    command
        .arg("-C")
        .arg(root)
        .args(["--no-pager", "-c", "core.fsmonitor=false", "-c", "protocol.allow=never"])
        // What the repository says is put in the place of a commit would be compared in its stead.
        .env("GIT_NO_REPLACE_OBJECTS", "1")
        .env("GIT_OPTIONAL_LOCKS", "0")
        .env("GIT_NO_LAZY_FETCH", "1")
        .env("GIT_TERMINAL_PROMPT", "0");
    command
}

/// What git says to a question, without the line's end; the error is for the end of a sentence.
fn ask(root: &Path, arguments: &[&str]) -> Result<String, String> {
    let asked = git(root).args(arguments).stdin(Stdio::null()).output();
    let answer = asked.map_err(|error| format!(" (git: {error})"))?;
    if !answer.status.success() || answer.stdout.len() > MAX_NAMES {
        let told = String::from_utf8_lossy(&answer.stderr);
        let first = told.lines().next().unwrap_or_default();
        return Err(if first.is_empty() { String::new() } else { format!(" (git: {first})") });
    }
    let text = String::from_utf8(answer.stdout).map_err(|_| " (git: a name that is not UTF-8)".to_owned())?;
    Ok(text.trim_end_matches('\n').to_owned())
}
