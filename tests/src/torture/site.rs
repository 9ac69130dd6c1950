//! One operator with a workspace, machines to set up, and perhaps a disk that is watched.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::disk::Disk;
use super::job::{self, Job};
use super::machines::Machines;
use crate::scratch::{Ran, Scratch, ran};

/// A workspace in which what sets up machines is bound to them.
pub struct Site {
    /// The workspace.
    pub scratch: Scratch,
    /// What is set up.
    pub machines: Machines,
    /// Where the host's state lies, where that is watched.
    pub disk: Option<Disk>,
    state: PathBuf,
}

/// A run of which nobody knows what became.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown {
    /// The run key.
    pub key: String,
    /// How many effects it has the answers of.
    pub performed: usize,
    /// The number of the effect that was started and has no answer, from 1.
    pub in_doubt: Option<usize>,
}

impl Default for Site {
    fn default() -> Self {
        Self::new()
    }
}

impl Site {
    /// A workspace and its machines.
    pub fn new() -> Self {
        Self::with("")
    }

    /// The same, with more lines in the test guest's binding.
    pub fn with(lines: &str) -> Self {
        let (scratch, machines) = (Scratch::new(), Machines::start());
        job::bind(&scratch, &machines.origin(), lines);
        let mut states = std::fs::read_dir(scratch.path("state/ops")).unwrap();
        let state = states.next().unwrap().unwrap().path().canonicalize().unwrap();
        Self { scratch, machines, disk: None, state }
    }

    /// From now on a power cut takes what the host does not sync.
    pub fn watch(&mut self) {
        self.disk = Some(Disk::new(&self.state));
    }

    /// The program with these words.
    pub fn command(&self, words: &[String]) -> Command {
        let mut command = self.scratch.command();
        command.args(words);
        if let Some(disk) = &self.disk {
            disk.watch(&mut command);
        }
        command
    }

    /// Runs the program to its end.
    pub fn ops(&self, words: &[&str]) -> Ran {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        ran(&mut self.command(&words))
    }

    /// Asks for something. The run ends as planned; returns the plan's id.
    #[track_caller]
    pub fn plan(&self, job: &Job) -> String {
        ran(&mut self.command(&job.words)).exits(3).plan()
    }

    /// The host's state folder of this workspace, links followed.
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// Whether the file that a job leaves is there. It is never there in part.
    #[track_caller]
    pub fn has_file(&self, job: &Job) -> bool {
        let Some((path, wanted)) = &job.file else { return false };
        let text = std::fs::read_to_string(self.scratch.path(path));
        assert!(text.as_ref().is_ok_and(|text| text == wanted) || text.is_err(), "half a file: {text:?}");
        text.is_ok()
    }

    /// How many of a job's requests have come, one after the other from the first on.
    pub fn steps_done(&self, job: &Job) -> usize {
        let done = self.machines.done();
        job.changes.iter().take_while(|wanted| done.iter().any(|change| change.what == **wanted)).count()
    }

    /// The runs of which nobody knows what became.
    #[track_caller]
    pub fn unknown(&self) -> Vec<Unknown> {
        let list = self.ops(&["runs", "list", "--unknown", "--json"]).exits(0).json();
        list["runs"].as_array().unwrap().iter().map(read_unknown).collect()
    }

    /// The newest receipts by their run keys, with their statuses, the newest first.
    #[track_caller]
    pub fn newest(&self, number: usize) -> Vec<(String, String)> {
        let list = self.ops(&["receipts", "list", "--json", "--top", &number.to_string()]).exits(0).json();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        list["receipts"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| (text(&row["key"]), text(&row["status"])))
            .collect()
    }
}

/// The words that approve a plan and carry it out.
pub fn approve(plan: &str) -> Vec<String> {
    ["plan", "approve", plan, "--key", "key", "--apply", "--json"].map(str::to_owned).into()
}

fn read_unknown(row: &Value) -> Unknown {
    let in_doubt = row["in_doubt"].as_array().unwrap();
    assert!(in_doubt.len() <= 1, "effects are sent one after the other: {row}");
    Unknown {
        key: row["key"].as_str().unwrap().to_owned(),
        performed: row["performed"].as_u64().unwrap() as usize,
        in_doubt: in_doubt.first().map(|number| number.as_u64().unwrap() as usize),
    }
}
