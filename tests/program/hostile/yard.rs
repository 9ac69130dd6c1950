//! A workspace with two guests in it, the one that a test is about and an honest one; and what a run left.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use ops_tests::scratch::{Ran, Scratch, predicate, ran};
use ops_tests::server::Server;
use serde_json::{Value, json};

/// The honest guest.
const HONEST: &str = "echo";
/// What this module itself asks a server, to know that everything before it has arrived.
const LAST_WORD: &str = "/that-was-all";

/// A workspace for one guest.
pub(crate) struct Yard {
    /// The workspace.
    pub(crate) scratch: Scratch,
    guest: &'static str,
}

impl Yard {
    pub(crate) fn new(guest: &'static str) -> Self {
        let scratch = Scratch::new();
        write_binding(&scratch, HONEST, "safety: read-only\nconfig: {greeting: hello}\n");
        Self { scratch, guest }
    }

    /// Grants the guest something and pins. Without `safety:` it is read-only.
    pub(crate) fn bind(&self, grants: &str) {
        let safety = if grants.contains("safety:") { "" } else { "safety: read-only\n" };
        write_binding(&self.scratch, self.guest, &format!("{safety}{grants}\n"));
        self.scratch.pin();
    }

    /// Puts one more guest beside the first and grants it something; pin afterwards.
    pub(crate) fn add(&self, guest: &str, grants: &str) {
        write_binding(&self.scratch, guest, &format!("{grants}\n"));
    }

    /// Runs the guest.
    pub(crate) fn run(&self, words: &[&str]) -> Run<'_> {
        self.ended(ran(&mut self.command(words)))
    }

    /// The command that runs the guest, for a test that changes something about it.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = self.scratch.command();
        command.args(["cap", "run", &format!("test.guest.{}", self.guest)]).args(words);
        command
    }

    /// The run that a program has told about.
    #[track_caller]
    pub(crate) fn ended(&self, ran: Ran) -> Run<'_> {
        Run::new(self, ran)
    }

    /// Approves a plan and carries it out.
    pub(crate) fn approve(&self, plan: &str) -> Run<'_> {
        Run::new(self, self.scratch.ops(&["plan", "approve", plan, "--key", "key", "--apply"]))
    }

    /// The ids of the plans that wait for a person.
    pub(crate) fn waiting(&self) -> Vec<String> {
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
    pub(crate) fn folder(&self) -> PathBuf {
        self.scratch.write("ops/state/box/kept.txt", "kept");
        self.scratch.path("ops/state/box")
    }

    /// Whatever the guest did, the host goes on, and nothing of the guest is left but what its receipts tell.
    pub(crate) fn is_unharmed(&self) {
        let honest = self.scratch.ops(&["cap", "run", "test.guest.echo", "--text", "still here"]);
        assert_eq!(Run::new(self, honest).ends("done", 0, None).output()["texts"], json!(["still here"]));
        self.scratch.ops(&["status"]).exits(0);
        self.scratch.ops(&["receipts", "verify", "--all"]).exits(0);
        for workspace in entries(&self.scratch.path("state/ops")) {
            assert_eq!(entries(&workspace.join("staging")), <[PathBuf; 0]>::default());
        }
    }

    /// The files of the whole scratch folder, state and receipts included, that hold this text.
    pub(crate) fn files_with(&self, text: &str) -> Vec<PathBuf> {
        let files = self.files().into_iter();
        files.filter(|(_, content)| contains(content, text.as_bytes())).map(|(path, _)| path).collect()
    }

    /// All files of the whole scratch folder, state and receipts included, with what is in them.
    pub(crate) fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut found = Vec::new();
        let mut folders = vec![self.scratch.path("")];
        while let Some(folder) = folders.pop() {
            for path in entries(&folder) {
                let about = fs::symlink_metadata(&path).unwrap();
                if about.is_dir() {
                    folders.push(path);
                } else if about.is_file() {
                    let content = fs::read(&path).unwrap();
                    found.push((path, content));
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

pub(crate) fn contains(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len()).any(|window| window == text)
}

/// The paths in a folder, sorted; none where there is no folder.
pub(crate) fn entries(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// One run: what the caller saw, and its receipt.
pub(crate) struct Run<'a> {
    yard: &'a Yard,
    /// What the caller saw.
    pub(crate) ran: Ran,
    /// The folder of its receipt.
    pub(crate) folder: PathBuf,
    /// The predicate of its receipt.
    pub(crate) receipt: Value,
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
    pub(crate) fn ends(self, status: &str, exit: i32, code: Option<&str>) -> Self {
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
    pub(crate) fn denies(self, kind: &str, words: &str) -> Self {
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
    pub(crate) fn says(self, words: &str) -> Self {
        let _ = self.ran.clone().says(words);
        self
    }

    /// Checks that nothing was refused.
    #[track_caller]
    pub(crate) fn denies_nothing(self) -> Self {
        assert_eq!(self.receipt["denied"], json!([]));
        self
    }

    /// The output, as it is kept with the receipt.
    #[track_caller]
    pub(crate) fn output(&self) -> Value {
        serde_json::from_slice(&self.evidence("output.json")).unwrap()
    }

    /// A file that is kept with the receipt.
    #[track_caller]
    pub(crate) fn evidence(&self, name: &str) -> Vec<u8> {
        fs::read(self.folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}\n{:?}", self.ran))
    }

    /// Checks that a plan was stored, and returns its id.
    #[track_caller]
    pub(crate) fn plan(&self) -> String {
        let plan = self.ran.plan();
        assert!(self.yard.waiting().contains(&plan), "{plan} does not wait");
        plan
    }

    /// How often each rule was used, with the service's name: `web/hello`.
    pub(crate) fn used(&self) -> BTreeMap<String, u64> {
        let mut used = BTreeMap::new();
        for one in self.receipt["used"].as_array().unwrap() {
            let rule = format!("{}/{}", one["service"].as_str().unwrap(), one["rule"].as_str().unwrap());
            *used.entry(rule).or_default() += one["count"].as_u64().unwrap();
        }
        used
    }

    /// What became of each effect of the plan, by its summary.
    pub(crate) fn effects(&self) -> Vec<(&str, &str)> {
        let effects = self.receipt["effects"].as_array().unwrap().iter();
        effects
            .map(|effect| (effect["summary"].as_str().unwrap(), effect["outcome"].as_str().unwrap()))
            .collect()
    }
}

/// The grant of a server as the service `web`, with these rules.
pub(crate) fn web(server: &Server, rules: &[&str]) -> String {
    services(server, &["web"], rules)
}

/// The grant of a server under several names.
pub(crate) fn services(server: &Server, names: &[&str], rules: &[&str]) -> String {
    let (origin, rules) = (server.origin(), rules.join("\n      - "));
    let service = |name: &&str| {
        format!(
            "\n  {name}:\n    origin: {origin}\n    addresses: [127.0.0.1/32]\n    rules:\n      - {rules}"
        )
    };
    format!("services:{}", names.iter().map(service).collect::<String>())
}

/// The names of what a run left as evidence.
pub(crate) fn kept(receipt: &Value) -> Vec<&str> {
    receipt["evidence"].as_array().unwrap().iter().map(|file| file["name"].as_str().unwrap()).collect()
}

/// The requests that a server was sent, such as `GET /hello`, in order. A connection without a request is a failure.
#[track_caller]
pub(crate) fn saw(server: &Server) -> Vec<String> {
    // Connections are taken in order, so everything before this one has been counted when it is answered.
    let mut last = TcpStream::connect(server.origin().trim_start_matches("http://")).unwrap();
    write!(last, "GET {LAST_WORD} HTTP/1.1\r\n\r\n").unwrap();
    // The beginning of the answer is enough, and some servers have no end of it.
    let _ = last.read(&mut [0]);
    let seen = server.seen();
    assert_eq!(server.connections(), seen.len(), "a connection was opened and nothing sent on it");
    let seen = seen.iter().filter(|seen| seen.target != LAST_WORD);
    seen.map(|seen| format!("{} {}", seen.method, seen.target)).collect()
}
