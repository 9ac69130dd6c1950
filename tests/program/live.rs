//! `communications.mail.send.test` against a real mail server: Cyrus and exim, started by each test for itself.

mod imap;
mod server;
mod watch;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use libtest_mimic::Trial;
use ops_tests::scratch::{Ran, Scratch, predicate, ran};
use ops_tests::skip;

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
    let scratch = workspace(&watch, &server::password("ops"));

    let asked = send(&scratch, &["--to", "alice@example.test", "--subject", "Greetings", "--body", "From the test."]);
    let asked = asked.exits(3);
    let plan = asked.plan();
    let shown = scratch.ops(&["plan", "show", &plan]).exits(0);
    println!("{}", shown.stdout);
    assert_eq!(watch.changes(), 0);

    let applied = scratch.ops(&["plan", "approve", &plan, "--key", "key", "--apply"]).exits(0);
    println!("{} {}", applied.stdout, applied.stderr);
    let messages = mail.alices_messages(1);
    println!("{messages:?} {:?} {:?}", mail.reader("ops").mailboxes(), mail.taken());
    println!("{}", serde_json::to_string_pretty(&scratch.last_receipt()).unwrap());
    for text in watch.heard() { println!("{text}\n-----"); }
    panic!();
}
fn a_dry_run_sends_nothing() {}
fn a_plan_is_approved_on_another_machine() {}
fn a_wrong_password() {}
fn a_server_that_is_gone() {}

fn send(scratch: &Scratch, words: &[&str]) -> Ran {
    scratch.ops(&[&SEND, words].concat())
}

/// A workspace that may send as ops through the mail server behind the watch, with this password.
fn workspace(watch: &Watch, password: &str) -> Scratch {
    let scratch = Scratch::new();
    let file = scratch.path("home/mail-password");
    fs::write(&file, STANDARD.encode(format!("ops:{password}"))).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let origin = watch.origin();
    scratch.write(
        "ops/ops.yaml",
        &format!(
            "workspace: demo\nsecrets:\n  mail-password: {{from: \"file:{}\", origins: [\"{origin}\"]}}\n",
            file.display()
        ),
    );
    scratch.bind("communications-mail-send-test", &BINDING.replace("ORIGIN", &origin));
    scratch
}
