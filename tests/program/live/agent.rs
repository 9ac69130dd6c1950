//! An agent's session from the question to the receipt: it searches the mail, asks for an answer to be sent, waits until
//! another user of the machine has approved that with a key of their own, and has it sent.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use libtest_mimic::Trial;
use ops_policy::plan::NAMESPACE;
use ops_policy::sign;
use ops_tests::agent::{Served, token};
use ops_tests::scratch::{Scratch, ran};
use ops_tests::server::free_port;
use ops_tests::skip;
use ops_tests::users::User;
use serde_json::json;

use super::operator::{SEARCH, SEND, directly, workspace};
use super::server::{self, MailServer};
use crate::mcp::clients::{self, LEGACY, STATELESS, Session};

pub(super) fn trials() -> Vec<Trial> {
    let missing = server::missing().or(clients::missing());
    let trial = |name, run: fn()| skip::trial(format!("live::agent::{name}"), missing, run);
    vec![
        trial("searches_proposes_and_sends_over_http", over_http),
        trial("searches_proposes_and_sends_over_streams", over_streams),
    ]
}

/// The approver: another user, whose key nobody else can read.
struct Approver {
    user: User,
    folder: tempfile::TempDir,
}

impl Approver {
    /// Makes the user and the key, and has the workspace accept it.
    fn of(scratch: &Scratch) -> Self {
        let user = User::new("bob");
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let pair = sign::generate(&[5; 32].into(), "bob").unwrap();
        let key = folder.path().join("key");
        fs::write(&key, &*pair.private).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        user.owns(&key);
        user.owns(folder.path());
        let approvers = scratch.path("ops/approvers");
        let line = format!("bob namespaces=\"{NAMESPACE}\" {}\n", pair.public);
        fs::write(&approvers, fs::read_to_string(&approvers).unwrap() + &line).unwrap();
        Self { user, folder }
    }

    /// Signs a plan as it was exported, as a person does on another machine.
    fn approves(&self, scratch: &Scratch, plan: &str) {
        scratch.ops(&["plan", "export", plan]).exits(0);
        let text = self.folder.path().join("plan.txt");
        fs::copy(scratch.path("plan.txt"), &text).unwrap();
        let mut sign = Command::new("ssh-keygen");
        sign.args(["-Y", "sign", "-q", "-n", NAMESPACE, "-f", "key", "plan.txt"])
            .current_dir(self.folder.path());
        ran(self.user.runs(&mut sign)).exits(0);
        let signature = self.folder.path().join("plan.txt.sig");
        scratch.ops(&["plan", "approve", plan, "--signature", signature.to_str().unwrap()]).exits(0);
    }
}

fn over_http() {
    story(|scratch| {
        let token = token(scratch, "robot");
        let served = Served::start(scratch.command(), free_port());
        let session = Session::over_http(&served, STATELESS, &token);
        (session, Some(served))
    });
}

fn over_streams() {
    story(|scratch| (Session::over_streams(scratch, LEGACY), None));
}

fn story(connect: impl FnOnce(&Scratch) -> (Session, Option<Served>)) {
    let mail = MailServer::start();
    let scratch = workspace(&directly(&mail), &[SEARCH, SEND], "");
    let approver = Approver::of(&scratch);
    let settings = scratch.path("ops/ops.yaml");
    let text = fs::read_to_string(&settings).unwrap();
    fs::write(settings, text + "agents: {proposer: [robot]}\napprovals: {self: refused}\n").unwrap();
    scratch.pin();
    mail.deliver(
        "From: dave@example.test\r\nTo: ops@example.test\r\nSubject: Pelicans\r\n\r\nHow many are there?\r\n",
    );
    let (mut agent, _served) = connect(&scratch);

    let found = agent.call("communications_mail_search", &json!({"query": "Pelicans"}));
    assert_eq!((&found["status"], &found["data"]["matches"]), (&json!("done"), &json!(1)), "{found}");
    let letter = json!({"to": ["dave@example.test"], "subject": "Re: Pelicans", "body": "Three."});
    let planned = agent.call("communications_mail_send_test", &letter);
    assert_eq!(planned["status"], "planned", "{planned}");
    let plan = planned["plan"]["id"].as_str().unwrap().to_owned();
    for part in ["dave@example.test", "Re: Pelicans", "IMPOSSIBLE"] {
        assert!(planned["plan"]["text"].as_str().unwrap().contains(part), "{planned}");
    }
    let status =
        |agent: &mut Session| agent.call("ops_plan_status", &json!({"plan_id": plan}))["status"].clone();
    assert_eq!(status(&mut agent), "pending");
    let early = agent.call("communications_mail_send_test", &json!({"plan_id": plan}));
    assert_eq!((&early["status"], mail.taken()), (&json!("planned"), vec![]), "{early}");

    approver.approves(&scratch, &plan);
    assert_eq!(status(&mut agent), "approved");
    let sent = agent.call("communications_mail_send_test", &json!({"plan_id": plan}));
    assert_eq!(sent["status"], "done", "{sent}");
    assert_eq!(status(&mut agent), "applied");
    let again = agent.call("communications_mail_send_test", &json!({"plan_id": plan}));
    assert_eq!(again["run_key"], sent["run_key"]);

    let messages = mail.messages("dave", 1);
    assert!(messages.len() == 1 && messages[0].contains("Three."), "{messages:?}");
    let receipt = agent.call("ops_receipt", &json!({"run_key": sent["run_key"]}));
    assert!(receipt.to_string().contains("Re: Pelicans"), "{receipt}");
    let receipt = scratch.last_receipt();
    assert_eq!(receipt["approval"]["approvers"][0]["principal"], "bob");
    assert_eq!(receipt["actor"]["via"], "mcp", "{}", receipt["actor"]);
    scratch.ops(&["receipts", "verify", "--all"]).exits(0);
}
