//! Everything that is refused: each with its exit code, a receipt that names the reason, and no effect.
//!
//! The world of these tests is small: a workspace where an honest capability may change two things at a server on
//! loopback, and that server, which counts.

mod deployment;
mod ends;
mod lock;
mod plans;
mod review;
mod ways;

use std::fs;
use std::path::{Path, PathBuf};

use libtest_mimic::Trial;
use ops_policy::sign;
use ops_tests::scratch::{Ran, Scratch, predicate, ran};
use ops_tests::server::{Reply, Server};
use ops_tests::skip;
use serde_json::Value;

pub(crate) fn trials() -> Vec<Trial> {
    [lock::trials(), plans::trials(), ways::trials(), ends::trials(), deployment::trials(), review::trials()]
        .into_iter()
        .flatten()
        .collect()
}

fn trial(name: &str, run: impl FnOnce() + Send + 'static) -> Trial {
    skip::trial(format!("refusals::{name}"), None, run)
}

/// The honest capability that most of these tests run.
const TWO: &str = "test.guest.two-effects";

/// A workspace, and the server that its one capability may reach.
struct World {
    scratch: Scratch,
    server: Server,
}

impl World {
    /// `test.guest.two-effects`, whose plans need one signature.
    fn new() -> Self {
        Self::with_approval("{mode: manual}")
    }

    fn with_approval(approval: &str) -> Self {
        let world = Self { scratch: Scratch::new(), server: Server::answering("done") };
        world.scratch.bind("guest-two-effects", &two_effects(&world.server, approval));
        world
    }

    /// `test.guest.two-effects`, at a server that answers as `reply` says.
    fn answering(reply: impl Fn(&ops_tests::server::Seen, usize) -> Reply + Send + Sync + 'static) -> Self {
        let world = Self { scratch: Scratch::new(), server: Server::start(reply) };
        world.scratch.bind("guest-two-effects", &two_effects(&world.server, "{mode: manual}"));
        world
    }

    /// A plan that waits for its approval.
    fn plan(&self) -> String {
        self.scratch.ops(&["cap", "run", TWO]).exits(3).plan()
    }

    /// A plan that is approved and not yet carried out.
    fn approved(&self) -> String {
        let plan = self.plan();
        self.scratch.ops(&["plan", "approve", &plan, "--key", "key"]).exits(0);
        plan
    }

    /// What the server was sent, as `POST /a`.
    fn sent(&self) -> Vec<String> {
        self.server.seen().iter().map(|seen| format!("{} {}", seen.method, seen.target)).collect()
    }

    /// Runs `ops` and checks that it is refused as [`refused`] says, and that nobody dialled the server.
    #[track_caller]
    fn refused(&self, words: &[&str], code: &str, why: &str) {
        let before = self.server.connections();
        refused(&self.scratch, words, code, why);
        assert_eq!(self.server.connections(), before, "{words:?} dialled the server");
    }
}

fn two_effects(server: &Server, approval: &str) -> String {
    format!(
        "\
capability: {TWO}
component: components/guest_two_effects.wasm
safety: mutating
approval: {approval}
services:
  web:
    origin: {}
    addresses: [127.0.0.1/32]
    rules:
      - {{id: task, method: GET, path: /task, effect: read}}
      - {{id: a, method: POST, path: /a, effect: mutate}}
      - {{id: b, method: POST, path: /b, effect: mutate}}
",
        server.origin()
    )
}

/// The simulation lane of the mail capability, which changes nothing but its outbox.
const MAIL: &str = "communications.mail.send.test";

/// A workspace with the simulation lane.
fn mail(approval: &str) -> Scratch {
    let scratch = Scratch::new();
    scratch.bind(
        "communications-mail-send-test",
        &format!(
            "\
capability: {MAIL}
component: components/communications_mail_send_test.wasm
safety: mutating
approval: {approval}
directories:
  outbox: {{path: state/outbox, access: stage}}
config: {{from: ops@example.test, allowed_recipient_domains: [example.test]}}
"
        ),
    );
    scratch
}

/// What a person types to send a message.
const SEND: [&str; 9] = ["cap", "run", MAIL, "--to", "alice@example.test", "--subject", "S", "--body", "B"];

/// The names in the outbox.
fn outbox(scratch: &Scratch) -> Vec<String> {
    let Ok(entries) = fs::read_dir(scratch.path("ops/state/outbox")) else { return Vec::new() };
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// Runs `ops` and checks that it is refused: exit 4, and a good receipt of the refusal, with the code and the reason.
#[track_caller]
fn refused(scratch: &Scratch, words: &[&str], code: &str, why: &str) {
    let ran = scratch.ops(words).exits(4).says(why);
    let receipt = receipt(&ran);
    assert_eq!(receipt["run"]["status"], "denied", "{words:?}");
    assert_eq!(receipt["outcome"]["stopped"], code, "{words:?}: {}", receipt["outcome"]);
    assert!(
        receipt["outcome"]["message"].as_str().unwrap().contains(why),
        "{words:?}: {}",
        receipt["outcome"]
    );
    assert!(!receipt["denied"].as_array().unwrap().is_empty(), "{words:?}: no denial in the receipt");
    let folder = receipt_folder(&ran);
    scratch.ops(&["receipts", "verify", folder.to_str().unwrap()]).exits(0);
}

/// The predicate of the receipt that a run names on standard error.
#[track_caller]
fn receipt(ran: &Ran) -> Value {
    predicate(&receipt_folder(ran))
}

#[track_caller]
fn receipt_folder(ran: &Ran) -> PathBuf {
    let line = ran.stderr.lines().find_map(|line| line.strip_prefix("receipt  "));
    let line = line.unwrap_or_else(|| panic!("no receipt in:\n{}", ran.stderr));
    Path::new(line).parent().unwrap().to_path_buf()
}

/// The status of a plan in `ops plan list`.
#[track_caller]
fn plan_status(scratch: &Scratch, plan: &str) -> String {
    let list = scratch.ops(&["plan", "list", "--json"]).exits(0).json();
    let rows = list["plans"].as_array().unwrap();
    let row = rows.iter().find(|row| row["id"] == plan).unwrap_or_else(|| panic!("no {plan} in {list}"));
    row["status"].as_str().unwrap().to_owned()
}

/// Makes a key, as a person would with `ssh-keygen`, and returns the line for approvers.
fn new_key(scratch: &Scratch, file: &str, principal: &str, seed: u8) -> String {
    let pair = sign::generate(&[seed; 32].into(), file).unwrap();
    scratch.write(file, &pair.private);
    fs::set_permissions(scratch.path(file), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    scratch.write(&format!("{file}.pub"), &pair.public);
    format!("{principal} namespaces=\"ops-lock,ops-plan\" {}\n", pair.public)
}

/// A signature by a key of the workspace's folder, as `ssh-keygen -Y sign` would make it.
fn signature(scratch: &Scratch, key: &str, namespace: &str, text: &[u8]) -> String {
    let key = sign::load(&fs::read_to_string(scratch.path(key)).unwrap(), None).unwrap();
    sign::sign(&key, namespace, text).unwrap()
}

/// Appends to a file.
fn append(path: &Path, text: &str) {
    let before = fs::read_to_string(path).unwrap();
    fs::write(path, before + text).unwrap();
}

/// Runs `ops` in another folder, with the same home and state.
fn ops_in(scratch: &Scratch, folder: &Path, words: &[&str]) -> Ran {
    ran(scratch.command().current_dir(folder).args(words))
}
