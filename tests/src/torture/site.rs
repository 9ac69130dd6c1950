//! One operator with a workspace, machines, and a change to make to them.

use super::machines::Machines;
use crate::scratch::{Ran, Scratch};

/// A workspace in which one capability is bound to the machines.
pub struct Site {
    /// The workspace.
    pub scratch: Scratch,
    /// What the capability changes.
    pub machines: Machines,
    /// How many requests that change something one whole run makes.
    pub effects: usize,
    words: Vec<String>,
}

impl Site {
    /// Two effects with a wait between them.
    pub fn two_effects() -> Self {
        let (scratch, machines) = (Scratch::new(), Machines::start());
        scratch.bind(
            "guest-two-effects",
            &format!(
                "capability: test.guest.two-effects\n\
                 component: components/guest_two_effects.wasm\n\
                 safety: mutating\n\
                 approval: {{mode: manual}}\n\
                 services:\n  web:\n    origin: {}\n    addresses: [127.0.0.1/32]\n    rules:\n\
                 \x20     - {{id: task, method: GET, path: /task, effect: read}}\n\
                 \x20     - {{id: a, method: POST, path: /a, effect: mutate}}\n\
                 \x20     - {{id: b, method: POST, path: /b, effect: mutate}}\n",
                machines.origin()
            ),
        );
        Self { scratch, machines, effects: 2, words: vec!["test.guest.two-effects".to_owned()] }
    }

    /// Asks for the change. The run ends as planned; returns the plan's id.
    pub fn plan(&self) -> String {
        let words: Vec<&str> = ["cap", "run"].into_iter().chain(self.words.iter().map(String::as_str)).collect();
        self.scratch.ops(&words).exits(3).plan()
    }

    /// The words that approve a plan and carry it out.
    pub fn approve(plan: &str) -> [&str; 7] {
        ["plan", "approve", plan, "--key", "key", "--apply", "--json"]
    }

    /// The host's state folder of this workspace, links followed.
    pub fn state(&self) -> std::path::PathBuf {
        let all = self.scratch.path("state/ops");
        let mut folders = std::fs::read_dir(all).unwrap();
        folders.next().unwrap().unwrap().path().canonicalize().unwrap()
    }

    /// Every receipt of the ledger is good.
    #[track_caller]
    pub fn verify(&self) -> Ran {
        self.scratch.ops(&["receipts", "verify", "--all"]).exits(0)
    }
}
