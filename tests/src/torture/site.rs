//! One operator with a workspace, machines to set up, and perhaps a disk that is watched.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::disk::Disk;
use super::machines::Machines;
use crate::scratch::{Ran, Scratch, ran};

/// The steps of one setup, as method and last part of the path.
pub const STEPS: [(&str, &str); 3] = [("POST", "clone"), ("PUT", "config"), ("POST", "start")];

/// The step that the host repeats without asking, since it is a PUT.
pub const REPEATABLE: &str = "PUT";

/// A workspace in which `test.guest.sets-up` is bound to the machines.
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

    /// The same, with more lines in the binding.
    pub fn with(lines: &str) -> Self {
        let (scratch, machines) = (Scratch::new(), Machines::start());
        std::fs::create_dir_all(scratch.path("ops/state/notes")).unwrap();
        let mut rules = String::new();
        for (method, step) in STEPS {
            rules.push_str(&format!(
                "      - {{id: {step}, method: {method}, path: \"/machines/{{machine}}/{step}\", effect: mutate}}\n"
            ));
        }
        let binding = format!(
            "capability: test.guest.sets-up\n\
             component: components/guest_sets_up.wasm\n\
             safety: mutating\n\
             approval: {{mode: manual}}\n{lines}\
             directories: {{notes: {{path: state/notes, access: stage}}}}\n\
             services:\n  web:\n    origin: {}\n    addresses: [127.0.0.1/32]\n    rules:\n\
             \x20     - {{id: there, method: GET, path: \"/machines/{{machine}}\", effect: read}}\n\
             \x20     - {{id: task, method: GET, path: \"/machines/{{machine}}/task\", effect: read}}\n{rules}",
            machines.origin()
        );
        scratch.bind("guest-sets-up", &binding);
        let mut states = std::fs::read_dir(scratch.path("state/ops")).unwrap();
        let state = states.next().unwrap().unwrap().path().canonicalize().unwrap();
        Self { scratch, machines, disk: None, state }
    }

    /// From now on a power cut takes what the host does not sync.
    pub fn watch(&mut self) {
        self.disk = Some(Disk::new(&self.state));
    }

    /// The program with these words.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = self.scratch.command();
        command.args(words);
        if let Some(disk) = &self.disk {
            disk.watch(&mut command);
        }
        command
    }

    /// Runs the program to its end.
    pub fn ops(&self, words: &[&str]) -> Ran {
        ran(&mut self.command(words))
    }

    /// Asks for a machine with a note or none. The run ends as planned; returns the plan's id.
    #[track_caller]
    pub fn plan(&self, machine: &str, note: &str) -> String {
        self.ops(&plan_words(machine, note)).exits(3).plan()
    }

    /// The host's state folder of this workspace, links followed.
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// What the file about a machine says; nothing where there is none.
    pub fn note(&self, machine: &str) -> String {
        std::fs::read_to_string(self.scratch.path(&format!("ops/state/notes/{machine}.txt")))
            .unwrap_or_default()
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

/// The words that ask for a machine.
pub fn plan_words<'a>(machine: &'a str, note: &'a str) -> [&'a str; 7] {
    ["cap", "run", "test.guest.sets-up", "--machine", machine, "--note", note]
}

/// The words that approve a plan and carry it out.
pub fn approve_words(plan: &str) -> [&str; 7] {
    ["plan", "approve", plan, "--key", "key", "--apply", "--json"]
}

/// What the machines are told by a step, from 1.
pub fn change(machine: &str, step: usize) -> String {
    let (method, step) = STEPS[step - 1];
    format!("{method} /machines/{machine}/{step}")
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
