//! A workspace with two guests in it, the one that a test is about and an honest one; and what a run left.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};

use ops_tests::scratch::{Ran, Scratch, predicate};
use ops_tests::server::Server;
use serde_json::{Value, json};

/// The honest guest.
const HONEST: &str = "echo";
/// What this module itself asks a server, to know that everything before it has arrived.
const LAST_WORD: &str = "/that-was-all";

/// A workspace for one guest.
pub(super) struct Yard {
    /// The workspace.
    pub(super) scratch: Scratch,
    guest: &'static str,
}

impl Yard {
    pub(super) fn new(guest: &'static str) -> Self {
        let scratch = Scratch::new();
        write_binding(&scratch, HONEST, "safety: read-only\nconfig: {greeting: hello}\n");
        Self { scratch, guest }
    }

    /// Grants the guest something and pins. Without `safety:` it is read-only.
    pub(super) fn bind(&self, grants: &str) {
        let safety = if grants.contains("safety:") { "" } else { "safety: read-only\n" };
        write_binding(&self.scratch, self.guest, &format!("{safety}{grants}\n"));
        self.scratch.pin();
    }

    /// Runs the guest.
    pub(super) fn run(&self, words: &[&str]) -> Run<'_> {
        let name = format!("test.guest.{}", self.guest);
        let command: Vec<_> = ["cap", "run", &name].iter().chain(words).copied().collect();
        Run::new(self, self.scratch.ops(&command))
    }

    /// Approves a plan and carries it out.
    pub(super) fn approve(&self, plan: &str) -> Run<'_> {
        Run::new(self, self.scratch.ops(&["plan", "approve", plan, "--key", "key", "--apply"]))
    }

    /// The ids of the plans that wait for a person.
    pub(super) fn waiting(&self) -> Vec<String> {
        let status = self.scratch.ops(&["status", "--json"]).exits(0).json();
        status["plans"]
            .as_array()
            .unwrap()
            .iter()
            .map(|plan| plan["id"].as_str().unwrap().to_owned())
            .collect()
    }

    /// A folder of the workspace for a directory grant: made, with one file in it. Its name in a binding is
    /// `state/box`.
    pub(super) fn folder(&self) -> PathBuf {
        self.scratch.write("ops/state/box/kept.txt", "kept");
        self.scratch.path("ops/state/box")
    }

    /// Whatever the guest did, the host goes on, and nothing of the guest is left but what its receipts tell.
    pub(super) fn is_unharmed(&self) {
        let honest = self.scratch.ops(&["cap", "run", "test.guest.echo", "--text", "still here"]);
        assert_eq!(Run::new(self, honest).ends("done", 0, None).output()["texts"], json!(["still here"]));
        self.scratch.ops(&["status"]).exits(0);
        self.scratch.ops(&["receipts", "verify", "--all"]).exits(0);
        for workspace in entries(&self.scratch.path("state/ops")) {
            assert_eq!(entries(&workspace.join("staging")), <[PathBuf; 0]>::default());
        }
    }

    /// The files of the whole scratch folder, state and receipts included, that hold these bytes.
    pub(super) fn files_with(&self, text: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut folders = vec![self.scratch.path("")];
        while let Some(folder) = folders.pop() {
            for path in entries(&folder) {
                let about = fs::symlink_metadata(&path).unwrap();
                if about.is_dir() {
                    folders.push(path);
                } else if about.is_file() && contains(&fs::read(&path).unwrap(), text.as_bytes()) {
                    found.push(path);
                }
            }
        }
        found
    }
}

fn write_binding(scratch: &Scratch, guest: &str, rest: &str) {
    let component = scratch.place(&format!("guest-{guest}"));
    scratch.write_binding(&format!("capability: test.guest.{guest}\ncomponent: {component}\n{rest}"));
}

fn contains(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len()).any(|window| window == text)
}

/// The paths in a folder, sorted; none where there is no folder.
pub(super) fn entries(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// One run: what the caller saw, and its receipt.
pub(super) struct Run<'a> {
    yard: &'a Yard,
    /// What the caller saw.
    pub(super) ran: Ran,
    /// The folder of its receipt.
    pub(super) folder: PathBuf,
    /// The predicate of its receipt.
    pub(super) receipt: Value,
}

impl<'a> Run<'a> {
    #[track_caller]
    fn new(yard: &'a Yard, ran: Ran) -> Self {
        let key = ran.stderr.split("run key  ").nth(1).unwrap_or_else(|| panic!("no run key: {ran:?}"));
        let key = key.split_whitespace().next().unwrap();
        let folder = yard.scratch.path(&format!("receipts/sessions/R{key}"));
        let receipt = predicate(&folder);
        assert_eq!(receipt["run"]["id"], key);
        Self { yard, ran, folder, receipt }
    }

    /// Checks how it ended: the process and its receipt say the same.
    #[track_caller]
    pub(super) fn ends(self, status: &str, exit: i32, code: Option<&str>) -> Self {
        let ran = self.ran.clone().exits(exit).says(status);
        let (run, outcome) = (&self.receipt["run"], &self.receipt["outcome"]);
        assert_eq!(run["status"], status, "{ran:?}");
        assert_eq!(run["exitCode"], exit, "{ran:?}");
        assert_eq!(outcome["errorCode"], json!(code), "{ran:?}");
        assert_eq!(outcome["stopped"], json!(code.filter(|_| exit == 4)), "{ran:?}");
        self
    }

    /// Checks that the receipt lists a denial with these words.
    #[track_caller]
    pub(super) fn denies(self, kind: &str, words: &str) -> Self {
        let denied = self.receipt["denied"].as_array().unwrap();
        let says = |field: &Value| field.as_str().unwrap().contains(words);
        let found = denied
            .iter()
            .any(|denial| denial["kind"] == kind && (says(&denial["what"]) || says(&denial["reason"])));
        assert!(found, "no `{kind}` with `{words}` in {denied:?}");
        self
    }

    /// Checks that the caller was told something on standard error.
    #[track_caller]
    pub(super) fn says(self, words: &str) -> Self {
        let _ = self.ran.clone().says(words);
        self
    }

    /// Checks that nothing was refused.
    #[track_caller]
    pub(super) fn denies_nothing(self) -> Self {
        assert_eq!(self.receipt["denied"], json!([]));
        self
    }

    /// The output, as it is kept with the receipt.
    #[track_caller]
    pub(super) fn output(&self) -> Value {
        serde_json::from_slice(&self.evidence("output.json")).unwrap()
    }

    /// A file that is kept with the receipt.
    #[track_caller]
    pub(super) fn evidence(&self, name: &str) -> Vec<u8> {
        fs::read(self.folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}\n{:?}", self.ran))
    }

    /// Checks that a plan was stored, and returns its id.
    #[track_caller]
    pub(super) fn plan(&self) -> String {
        let plan = self.ran.plan();
        assert!(self.yard.waiting().contains(&plan), "{plan} does not wait");
        plan
    }

    /// What became of each effect of the plan, by its summary.
    pub(super) fn effects(&self) -> Vec<(&str, &str)> {
        let effects = self.receipt["effects"].as_array().unwrap().iter();
        effects
            .map(|effect| (effect["summary"].as_str().unwrap(), effect["outcome"].as_str().unwrap()))
            .collect()
    }
}

/// The grant of a server as the service `web`, with these rules.
pub(super) fn web(server: &Server, rules: &[&str]) -> String {
    services(server, &["web"], rules)
}

/// The grant of a server under several names.
pub(super) fn services(server: &Server, names: &[&str], rules: &[&str]) -> String {
    let (origin, rules) = (server.origin(), rules.join("\n      - "));
    let service = |name: &&str| {
        format!(
            "\n  {name}:\n    origin: {origin}\n    addresses: [127.0.0.1/32]\n    rules:\n      - {rules}"
        )
    };
    format!("services:{}", names.iter().map(service).collect::<String>())
}

/// The requests that a server was sent, such as `GET /hello`, in order. A connection without a request is a failure.
#[track_caller]
pub(super) fn saw(server: &Server) -> Vec<String> {
    // Connections are taken in order, so everything before this one has been counted when it is answered.
    let mut last = TcpStream::connect(server.origin().trim_start_matches("http://")).unwrap();
    write!(last, "GET {LAST_WORD} HTTP/1.1\r\n\r\n").unwrap();
    last.read_to_end(&mut Vec::new()).unwrap();
    let seen = server.seen();
    assert_eq!(server.connections(), seen.len(), "a connection was opened and nothing sent on it");
    let seen = seen.iter().filter(|seen| seen.target != LAST_WORD);
    seen.map(|seen| format!("{} {}", seen.method, seen.target)).collect()
}
