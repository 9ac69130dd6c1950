//! `communications.mail.send.test` against a real mail server: Cyrus and exim, started by each test for itself.

mod imap;
mod server;
mod watch;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use libtest_mimic::Trial;
use ops_tests::scratch::{Ran, Scratch, ran};
use ops_tests::skip;
use serde_json::json;

use server::MailServer;
use watch::Watch;

/// Starts `communications.mail.send.test`; the arguments follow.
const SEND: [&str; 3] = ["cap", "run", "communications.mail.send.test"];

/// What an operator writes to grant the live lane.
const BINDING: &str = r#"
capability: communications.mail.send.test
component: components/communications_mail_send_test.wasm
safety: mutating
approval: {mode: manual}
services:
  mail:
    origin: ORIGIN
    addresses: [127.0.0.1/32]
    credential: {secret: mail-password, header: Authorization, as: "Basic {}"}
    rules:
      - {id: session,    method: GET,  path: /.well-known/jmap, effect: read}
      - {id: session-at, method: GET,  path: /jmap, effect: read}
      - {id: session-in, method: GET,  path: /jmap/, effect: read}
      - {id: query, method: POST, path: /jmap/, effect: read,   body: {"/methodCalls/*/0": [Mailbox/get, Identity/get]}}
      - {id: send,  method: POST, path: /jmap/, effect: mutate, body: {"/methodCalls/*/0": [Email/set, EmailSubmission/set]}}
config:
  from: ops@example.test
  allowed_recipient_domains: [example.test]
"#;

pub(crate) fn trials() -> Vec<Trial> {
    let tests: [(&str, fn()); 5] = [
        ("live::a_message_goes_out_once_and_the_receipt_tells_all", a_message_goes_out_once),
        ("live::a_dry_run_sends_nothing", a_dry_run_sends_nothing),
        ("live::a_plan_is_approved_on_another_machine", a_plan_is_approved_on_another_machine),
        ("live::a_wrong_password_is_a_clear_failure", a_wrong_password),
        ("live::a_server_that_is_gone_is_a_clear_failure", a_server_that_is_gone),
    ];
    tests.map(|(name, test)| skip::trial(name, server::missing(), test)).into()
}

fn a_message_goes_out_once() {
    let mail = MailServer::start();
    let watch = Watch::over(mail.jmap());
    let scratch = workspace(&watch.origin(), &server::password("ops"));

    let asked =
        send(&scratch, &["--to", "alice@example.test", "--subject", "Greetings", "--body", "From the test."]);
    let asked = asked.exits(3).says("approve and run:");
    let plan = asked.plan();
    let shown = scratch.ops(&["plan", "show", &plan]).exits(0);
    for part in
        ["alice@example.test", "Greetings", "From the test.", "IMPOSSIBLE: a sent message cannot be recalled"]
    {
        assert!(shown.stdout.contains(part), "the plan does not show {part}:\n{}", shown.stdout);
    }
    assert_eq!((watch.changes(), mail.taken()), (0, vec![]), "something went out before anybody approved");

    let applied = scratch.ops(&["plan", "approve", &plan, "--key", "key", "--apply"]).exits(0);
    let messages = mail.alices_messages(1);
    assert_eq!(messages.len(), 1, "{messages:?}");
    for part in ["From: ops@example.test", "Subject: Greetings", "\r\n\r\nFrom the test."] {
        assert!(messages[0].contains(part), "{}", messages[0]);
    }
    assert_eq!((watch.changes(), mail.taken().len()), (1, 1));

    let receipt = scratch.last_receipt();
    let address = watch.origin().replace("http://", "");
    assert_eq!(
        receipt["effects"],
        json!([{
            "number": 1,
            "summary": "send \"Greetings\" from ops@example.test to alice@example.test",
            "service": "mail",
            "rule": "send",
            "method": "POST",
            "path": "/jmap/",
            "address": address,
            "outcome": "performed",
            "status": 200,
            "undo": {"kind": "impossible", "text": "a sent message cannot be recalled"},
            // Over the body too, which holds a message id of this run's own.
            "requestDigest": receipt["effects"][0]["requestDigest"],
        }])
    );
    let approval = &receipt["approval"];
    assert_eq!((&approval["required"], &approval["how"]), (&json!(true), &json!("signed")));
    let approver = &approval["approvers"][0];
    assert_eq!((&approver["principal"], &approver["kind"]), (&json!("alice"), &json!("ssh-ed25519")));
    assert_eq!(approver["fingerprint"], fingerprint(&scratch.path("key.pub")));

    let readable = fs::read_to_string(scratch.receipts().last().unwrap().join("receipt.md")).unwrap();
    for part in ["Greetings", "send", &address, "alice"] {
        assert!(readable.contains(part), "receipt.md does not say {part}:\n{readable}");
    }
    keeps_the_secret(&scratch, &server::password("ops"), &[asked, shown, applied]);

    // The same approval does not send it a second time.
    scratch.ops(&["plan", "apply", &plan]).exits(4);
    assert_eq!((watch.changes(), mail.alices_messages(1).len()), (1, 1));
}

fn a_dry_run_sends_nothing() {
    let mail = MailServer::start();
    let watch = Watch::over(mail.jmap());
    let scratch = workspace(&watch.origin(), &server::password("ops"));

    let before = mail.reader("ops").mailboxes();
    let dry =
        send(&scratch, &["--to", "alice@example.test", "--subject", "Never sent", "--dry-run"]).exits(0);
    assert!(dry.stderr.contains("Never sent"), "it does not show what it would send:\n{}", dry.stderr);

    // What the server was asked: where its interface is, and what is there.
    let heard = watch.heard();
    assert!(!heard.is_empty(), "the watch heard nothing at all, so it shows nothing");
    for text in &heard {
        let is_read = text.starts_with("GET /")
            || (text.starts_with("POST /jmap/ ") && text.contains("Mailbox/get") && !text.contains("/set"));
        assert!(is_read, "not a read:\n{text}");
    }
    assert_eq!(mail.taken(), [""; 0]);
    assert_eq!(mail.reader("ops").mailboxes(), before);

    // Its plan cannot be approved, so it is never sent later either.
    let id = dry.stderr.split_whitespace().skip_while(|word| *word != "Plan").nth(1).unwrap();
    assert_eq!(scratch.ops(&["plan", "approve", id, "--key", "key", "--apply"]).code, 4);

    // A message that is sent for real overtakes none: it arrives, and it is the only one.
    let plan = send(&scratch, &["--to", "alice@example.test", "--subject", "Sent"]).exits(3).plan();
    scratch.ops(&["plan", "approve", &plan, "--key", "key", "--apply"]).exits(0);
    let messages = mail.alices_messages(1);
    assert_eq!(messages.len(), 1, "{messages:?}");
    assert!(messages[0].contains("Subject: Sent"), "{messages:?}");
    assert_eq!(watch.changes(), 1);
}

fn a_plan_is_approved_on_another_machine() {
    let mail = MailServer::start();
    let watch = Watch::over(mail.jmap());
    let scratch = workspace(&watch.origin(), &server::password("ops"));
    let plan =
        send(&scratch, &["--to", "alice@example.test", "--subject", "Signed elsewhere"]).exits(3).plan();

    // The other machine has the two files, a key, and no workspace.
    let elsewhere = tempfile::tempdir().unwrap();
    let there = |name: &str| elsewhere.path().join(name);
    scratch.ops(&["plan", "export", &plan, "--to", elsewhere.path().to_str().unwrap()]).exits(0);
    fs::copy(scratch.path("key"), there("key")).unwrap();
    let shown =
        ran(scratch.command().current_dir(elsewhere.path()).args(["plan", "show", "--file", "plan.json"]))
            .exits(0);
    assert_eq!(
        shown.stdout,
        scratch.ops(&["plan", "show", &plan]).stdout,
        "both machines must show the same"
    );
    let text = fs::read_to_string(there("plan.txt")).unwrap();
    assert!(text.contains("communications.mail.send.test"), "{text}");
    ran(Command::new("ssh-keygen")
        .current_dir(elsewhere.path())
        .args(["-Y", "sign", "-n", "ops-plan", "-f", "key", "plan.txt"]))
    .exits(0);

    let signature = there("plan.txt.sig");
    let signature = signature.to_str().unwrap();
    scratch.ops(&["plan", "approve", &plan, "--signature", signature, "--apply"]).exits(0);
    let messages = mail.alices_messages(1);
    assert_eq!(messages.len(), 1, "{messages:?}");
    assert!(messages[0].contains("Subject: Signed elsewhere"), "{messages:?}");
    let approver = scratch.last_receipt()["approval"]["approvers"][0].clone();
    assert_eq!(approver["fingerprint"], fingerprint(&scratch.path("key.pub")));
}

fn a_wrong_password() {
    let mail = MailServer::start();
    let watch = Watch::over(mail.jmap());
    let scratch = workspace(&watch.origin(), "not-the-password");

    let refused = send(&scratch, &["--to", "alice@example.test"]).exits(1);
    let refused = refused.says("status 401: the credential of the binding is missing, wrong or too weak");
    assert_eq!(scratch.last_receipt()["run"]["status"], "failed");
    has_no_effect(&scratch);
    assert_eq!((watch.changes(), mail.taken().len()), (0, 0));
    keeps_the_secret(&scratch, "not-the-password", &[refused]);
}

fn a_server_that_is_gone() {
    let mut mail = MailServer::start();
    let scratch = workspace(&format!("http://127.0.0.1:{}", mail.jmap()), &server::password("ops"));
    let plan = send(&scratch, &["--to", "alice@example.test"]).exits(3).plan();
    mail.stop();

    send(&scratch, &["--to", "alice@example.test"]).exits(1).says("service `mail`");
    assert_eq!(scratch.last_receipt()["run"]["status"], "failed");
    has_no_effect(&scratch);

    // What was planned while the server was there can be approved, and finds nobody to send it to.
    let late = scratch.ops(&["plan", "approve", &plan, "--key", "key", "--apply"]).exits(1);
    late.says("nothing was changed").says("GET /.well-known/jmap");
    has_no_effect(&scratch);
    assert_eq!(mail.taken(), [""; 0]);
}

/// The newest receipt tells of no effect that was performed.
#[track_caller]
fn has_no_effect(scratch: &Scratch) {
    let receipt = scratch.last_receipt();
    let effects = receipt["effects"].as_array().unwrap();
    assert!(effects.iter().all(|effect| effect["outcome"] == "not-sent"), "{effects:?}");
}

/// A key's fingerprint, as `ssh-keygen` tells it.
fn fingerprint(public: &Path) -> String {
    let told = ran(Command::new("ssh-keygen").arg("-lf").arg(public)).exits(0).stdout;
    told.split_whitespace().nth(1).unwrap().to_owned()
}

/// Looks for the password, as it is and as it goes over the wire, in everything that the program wrote and said.
#[track_caller]
fn keeps_the_secret(scratch: &Scratch, password: &str, said: &[Ran]) {
    let needles = [password.to_owned(), STANDARD.encode(format!("ops:{password}"))];
    let holds = |bytes: &[u8]| {
        needles.iter().any(|needle| bytes.windows(needle.len()).any(|window| window == needle.as_bytes()))
    };
    assert!(holds(&fs::read(credential(scratch)).unwrap()), "the search finds nothing, wherever it looks");
    for ran in said {
        assert!(!holds(ran.stdout.as_bytes()) && !holds(ran.stderr.as_bytes()), "the secret was said");
    }
    let mut searched = 0;
    for folder in ["ops", "state", "receipts"] {
        for file in files(&scratch.path(folder)) {
            assert!(!holds(&fs::read(&file).unwrap()), "the secret is in {}", file.display());
            searched += 1;
        }
    }
    assert!(searched > 10, "only {searched} files were searched");
}

/// Every regular file in a folder and below.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    entries
        .flat_map(|entry| match entry.file_type().unwrap() {
            kind if kind.is_dir() => files(&entry.path()),
            kind if kind.is_file() => vec![entry.path()],
            _ => Vec::new(),
        })
        .collect()
}

/// The file that holds the credential, outside the workspace.
fn credential(scratch: &Scratch) -> PathBuf {
    scratch.path("home/mail-password")
}

fn send(scratch: &Scratch, words: &[&str]) -> Ran {
    scratch.ops(&[&SEND, words].concat())
}

/// A workspace that may send as ops through the mail server at `origin`, with this password.
fn workspace(origin: &str, password: &str) -> Scratch {
    let scratch = Scratch::new();
    let file = credential(&scratch);
    fs::write(&file, STANDARD.encode(format!("ops:{password}"))).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    scratch.write(
        "ops/ops.yaml",
        &format!(
            "workspace: demo\nsecrets:\n  mail-password: {{from: \"file:{}\", origins: [\"{origin}\"]}}\n",
            file.display()
        ),
    );
    scratch.bind("communications-mail-send-test", &BINDING.replace("ORIGIN", origin));
    scratch
}
