//! `communications.mail.send.test`: what is approved goes out once, and nothing else does.

use std::fs;
use std::path::Path;
use std::process::Command;

use ops_tests::scratch::{Ran, Scratch, ran};
use serde_json::json;

use super::Test;
use super::operator::{Mail, SEND, directly, keeps_secret, workspace};
use super::server::{self, MailServer};
use super::watch::Watch;

pub(super) const TESTS: &[Test] = &[
    ("a_message_goes_out_once_and_the_receipt_tells_all", a_message_goes_out_once),
    ("several_recipients_and_one_whom_no_copy_names", several_recipients),
    ("a_dry_run_sends_nothing", a_dry_run_sends_nothing),
    ("a_plan_is_approved_on_another_machine", a_plan_is_approved_on_another_machine),
    ("a_wrong_password_is_a_clear_failure", a_wrong_password),
    ("a_server_that_is_gone_is_a_clear_failure", a_server_that_is_gone),
];

fn a_message_goes_out_once() {
    let mail = MailServer::start();
    let watch = Watch::over(mail.jmap());
    let scratch = workspace(&watched(&watch), &[SEND], "");

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
    let messages = mail.messages("alice", 1);
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
            "summary": "send from ops@example.test to alice@example.test: \"Greetings\", 14 bytes of text",
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
    keeps_secret(&scratch, &[&server::password("ops")], &[asked, shown, applied]);

    // The same approval does not send it a second time.
    scratch.ops(&["plan", "apply", &plan]).exits(4);
    assert_eq!((watch.changes(), mail.messages("alice", 1).len()), (1, 1));
}

fn several_recipients() {
    let mail = MailServer::start();
    let scratch = workspace(&directly(&mail), &[SEND], "");
    let words = ["--to", "alice@example.test", "--to", "bob@example.test", "--cc", "dave@example.test"];
    let words = [&words[..], &["--bcc", "carol@example.test", "--subject", "To some"]].concat();
    let plan = send(&scratch, &words).exits(3).plan();
    let everybody = ["alice", "bob", "dave", "carol"].map(|user| format!("{user}@example.test"));
    let shown = scratch.ops(&["plan", "show", &plan]).exits(0).stdout;
    for address in &everybody {
        assert!(shown.contains(address), "the approver is not told of {address}:\n{shown}");
    }
    scratch.ops(&["plan", "approve", &plan, "--key", "key", "--apply"]).exits(0);

    let summary = scratch.last_receipt()["effects"][0]["summary"].as_str().unwrap().to_owned();
    assert!(everybody.iter().all(|address| summary.contains(address)), "{summary}");
    let inboxes = ["alice", "bob", "dave", "carol"].map(|user| mail.messages(user, 1));
    let copies = [inboxes.concat(), mail.reader("ops").messages("Sent")].concat();
    assert_eq!(copies.len(), 5, "{copies:?}");
    for copy in copies {
        let fields: Vec<_> = copy.split_once("\r\n\r\n").unwrap().0.lines().collect();
        assert!(fields.contains(&"To: alice@example.test, bob@example.test"), "{fields:?}");
        assert!(fields.contains(&"Cc: dave@example.test"), "{fields:?}");
        assert!(!fields.iter().any(|field| field.to_lowercase().starts_with("bcc:")), "{fields:?}");
        assert!(!copy.contains("carol"), "{copy}");
    }
    // One message for all of them.
    assert_eq!(mail.taken().len(), 1, "{:?}", mail.taken());
}

fn a_dry_run_sends_nothing() {
    let mail = MailServer::start();
    let watch = Watch::over(mail.jmap());
    let scratch = workspace(&watched(&watch), &[SEND], "");

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
    let messages = mail.messages("alice", 1);
    assert_eq!(messages.len(), 1, "{messages:?}");
    assert!(messages[0].contains("Subject: Sent"), "{messages:?}");
    assert_eq!(watch.changes(), 1);
}

fn a_plan_is_approved_on_another_machine() {
    let mail = MailServer::start();
    let watch = Watch::over(mail.jmap());
    let scratch = workspace(&watched(&watch), &[SEND], "");
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
    let messages = mail.messages("alice", 1);
    assert_eq!(messages.len(), 1, "{messages:?}");
    assert!(messages[0].contains("Subject: Signed elsewhere"), "{messages:?}");
    let approver = scratch.last_receipt()["approval"]["approvers"][0].clone();
    assert_eq!(approver["fingerprint"], fingerprint(&scratch.path("key.pub")));
}

fn a_wrong_password() {
    let mail = MailServer::start();
    let watch = Watch::over(mail.jmap());
    let scratch = workspace(&Mail::basic(&watch.origin(), "not-the-password"), &[SEND], "");

    let refused = send(&scratch, &["--to", "alice@example.test"]).exits(1);
    let refused =
        refused.says("answered 401: GET /").says("the credential of the binding is missing or wrong");
    assert_eq!(scratch.last_receipt()["run"]["status"], "failed");
    has_no_effect(&scratch);
    assert_eq!((watch.changes(), mail.taken().len()), (0, 0));
    keeps_secret(&scratch, &["not-the-password"], &[refused]);
}

fn a_server_that_is_gone() {
    let mut mail = MailServer::start();
    let scratch = workspace(&directly(&mail), &[SEND], "");
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

/// The mail server through a watch, with the right password.
fn watched(watch: &Watch) -> Mail {
    Mail::basic(&watch.origin(), &server::password("ops"))
}

fn send(scratch: &Scratch, words: &[&str]) -> Ran {
    scratch.ops(&[&["cap", "run", SEND.name()], words].concat())
}
