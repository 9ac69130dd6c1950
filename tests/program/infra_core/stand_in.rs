//! A stand-in of `tests/stand-ins`, running until it is dropped, with the file that says how it is.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use ops_tests::scratch::repository;
use serde_json::{Value, json};
use tempfile::TempDir;

pub(super) struct StandIn {
    script: &'static str,
    process: Child,
    folder: TempDir,
    state: Value,
    origin: String,
}

impl StandIn {
    /// Starts the script on a free port, with this state.
    pub(super) fn start(script: &'static str, state: Value) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("state.json");
        fs::write(&file, state.to_string()).unwrap();
        let (process, origin) = serve(script, &file, "0");
        Self { script, process, folder, state, origin }
    }

    /// `http://127.0.0.1:PORT`.
    pub(super) fn origin(&self) -> &str {
        &self.origin
    }

    pub(super) fn port(&self) -> u16 {
        self.origin.rsplit(':').next().unwrap().parse().unwrap()
    }

    /// Sets one thing of its state.
    pub(super) fn set(&mut self, key: &str, value: Value) {
        self.state[key] = value;
        // Written aside first: the stand-in may be reading.
        let (new, file) = (self.file("new"), self.file("state.json"));
        fs::write(&new, self.state.to_string()).unwrap();
        fs::rename(new, file).unwrap();
    }

    /// Has it give this answer in place of its own.
    pub(super) fn answers(&mut self, request: &str, answer: Value) {
        self.set("answers", json!({request: answer}));
    }

    /// Has it answer as it is again.
    pub(super) fn is_well(&mut self) {
        self.set("answers", json!({}));
    }

    /// What it was asked so far: a line of its log each.
    pub(super) fn asked(&self) -> Vec<Value> {
        let log = fs::read_to_string(self.file("state.json.log")).unwrap_or_default();
        log.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Ends it: nobody listens on its port from here on.
    pub(super) fn stop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// Starts it again after [`StandIn::stop`], on the same port.
    pub(super) fn start_again(&mut self) {
        let (process, origin) = serve(self.script, &self.file("state.json"), &self.port().to_string());
        assert_eq!(origin, self.origin);
        self.process = process;
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// Starts a script with a file for its state. Returns the process and where it listens.
fn serve(script: &str, state: &Path, port: &str) -> (Child, String) {
    let mut process = Command::new("python3")
        .arg(repository().join("tests/stand-ins").join(script))
        .arg(state)
        .arg(port)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let origin = line.trim().trim_start_matches("listening on ").to_owned();
    assert!(origin.starts_with("http"), "{script} did not start: {line:?}");
    (process, origin)
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.stop();
    }
}
