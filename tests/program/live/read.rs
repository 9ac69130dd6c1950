//! The three that only read, against what the server itself says over IMAP.

use std::collections::BTreeMap;

use ops_tests::scratch::{Ran, Scratch};
use serde_json::{Value, json};

use super::Test;
use super::operator::{LIST, Mail, SEARCH, STATUS, directly, grant, keeps_secret, workspace};
use super::server::{self, MailServer};

pub(super) const TESTS: &[Test] = &[
    ("the_list_shows_the_mailboxes_that_the_server_has", the_list),
    ("a_search_finds_what_came_a_second_ago", a_search),
    ("the_status_is_ok_and_fails_with_its_reason", the_status),
];

/// Runs the status; its envelope is on standard output.
pub(super) fn status(scratch: &Scratch) -> Ran {
    scratch.ops(&["cap", "run", STATUS.name(), "--json"])
}

/// Runs the list.
pub(super) fn list(scratch: &Scratch) -> Ran {
    scratch.ops(&["cap", "run", LIST.name(), "--json"])
}

/// Runs a search.
pub(super) fn search(scratch: &Scratch, words: &[&str]) -> Ran {
    scratch.ops(&[&["cap", "run", SEARCH.name(), "--json"], words].concat())
}

/// The checks of a status that failed, each with why.
pub(super) fn failed_checks(ran: &Ran) -> Vec<(String, String)> {
    let envelope = ran.json();
    assert_eq!((&envelope["status"], &envelope["data"]["status"]), (&json!("failed"), &json!("FAILED")));
    let checks = envelope["data"]["checks"].as_array().unwrap().iter();
    let failed = checks.filter(|row| row["result"] == "failed");
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    failed.map(|row| (text(&row["check"]), text(&row["why"]))).collect()
}

fn the_list() {
    let server = MailServer::start();
    let scratch = workspace(&directly(&server), &[LIST], "");
    for subject in ["First", "Second"] {
        server.deliver(&message("dave@example.test", subject, "Sun, 22 Nov 2026 12:00:00 +0000", "Hello."));
    }
    let mut reader = server.reader("ops");
    reader.run("CREATE Projects/2026");
    let expected: BTreeMap<_, _> =
        reader.mailboxes().into_iter().map(|(name, total)| (name, json!(total))).collect();
    assert_eq!(expected.get("INBOX"), Some(&json!(2)), "{expected:?}");

    let listed = list(&scratch).exits(0).json();
    let rows = listed["data"]["mailboxes"].as_array().unwrap();
    let shown: BTreeMap<_, _> = rows.iter().map(|row| (imap_name(row), row["total"].clone())).collect();
    assert_eq!(shown, expected, "{rows:?}");
    let inbox = rows.iter().find(|row| row["role"] == "inbox").unwrap();
    assert_eq!((&inbox["unread"], &inbox["total"]), (&json!(2), &json!(2)));
}

/// A mailbox's name as IMAP has it: JMAP calls the first one as it likes.
fn imap_name(row: &Value) -> String {
    let name = row["name"].as_str().unwrap();
    if row["role"] == "inbox" { "INBOX".to_owned() } else { name.to_owned() }
}

fn a_search() {
    let server = MailServer::start();
    let scratch = workspace(&directly(&server), &[SEARCH], "");
    // In this order; the dates that their senders write into them say the contrary.
    for (from, subject, date) in [
        ("dave@example.test", "Report of the oldest", "Sun, 22 Nov 2026 12:00:00 +0000"),
        ("erin@example.test", "Report of the middle", "Sun, 22 Nov 2026 11:00:00 +0000"),
        ("dave@example.test", "Report of the newest", "Sun, 22 Nov 2026 10:00:00 +0000"),
    ] {
        server::next_second();
        server.deliver(&message(from, subject, date, &format!("The pelican said: {subject}.")));
    }
    let newest = "Report of the newest";
    let all = [newest, "Report of the middle", "Report of the oldest"];
    for (words, found) in [
        (["--query", "pelican"].as_slice(), all.as_slice()),
        (&["pelican"], &all),
        (&["--top", "1", "pelican"], &[newest]),
        (&["--top", "1"], &[newest]),
        (&["--subject", "middle"], &["Report of the middle"]),
        (&["--from", "erin@example.test"], &["Report of the middle"]),
        (&["--from", "dave@example.test", "--top", "1"], &[newest]),
        (&["--from", "dave@example.test", "--subject", "oldest"], &["Report of the oldest"]),
        (&["--since", "2026-01-01", "--from", "erin"], &["Report of the middle"]),
        (&["--since", "2999-01-01T00:00:00Z"], &[]),
        (&["--query", "flamingo"], &[]),
    ] {
        let answer = search(&scratch, words).exits(0).json();
        let rows = answer["data"]["messages"].as_array().unwrap();
        let subjects: Vec<_> = rows.iter().map(|row| row["subject"].as_str().unwrap()).collect();
        assert_eq!(subjects, found, "{words:?}: {rows:?}");
    }
    // Each row tells enough to find the message again.
    let row = search(&scratch, &["--query", "pelican", "--top", "1"]).exits(0).json();
    assert_eq!(row["data"]["matches"], 3);
    let row = row["data"]["messages"][0].clone();
    assert!(row["id"].as_str().is_some_and(|id| !id.is_empty()), "{row}");
    assert!(row["from"].to_string().contains("dave@example.test"), "{row}");
    assert!(row["preview"].as_str().unwrap().contains("The pelican said"), "{row}");
    assert!(row["snippet"].as_str().unwrap().contains("pelican said"), "{row}");
    assert!(row["date"].as_str().is_some_and(|date| date.parse::<jiff::Timestamp>().is_ok()), "{row}");
}

fn the_status() {
    let mut server = MailServer::start();
    let scratch = workspace(&directly(&server), &[STATUS], "");
    let good = status(&scratch).exits(0);
    let told = good.json();
    assert_eq!(told["data"]["status"], "OK");
    assert_eq!(told["data"]["live_probe_status"], "ok");
    assert_eq!(told["data"]["live_probe_count"], server.reader("ops").mailboxes().len());
    let checks = told["data"]["checks"].as_array().unwrap();
    assert!(checks.iter().all(|row| row["result"] == "ok"), "{checks:?}");
    assert!(checks.iter().any(|row| row["check"] == "mailbox ops"), "{checks:?}");
    assert!(told["data"]["live_probe_latency_ms"].is_number(), "{told}");

    let wrong = Mail::basic(&directly(&server).origin, "not-the-password");
    grant(&scratch, &wrong, &[STATUS], "");
    let refused = status(&scratch).exits(1);
    has_failed(&scratch, &refused, "401");

    grant(&scratch, &directly(&server), &[STATUS], "");
    server.stop();
    let gone = status(&scratch).exits(1);
    has_failed(&scratch, &gone, "service `mail`");
    keeps_secret(&scratch, &[&server::password("ops"), "not-the-password"], &[good, refused, gone]);
}

/// One check failed for this reason; the others are shown all the same, and the receipt says that the run failed.
#[track_caller]
fn has_failed(scratch: &Scratch, ran: &Ran, why: &str) {
    let failed = failed_checks(ran);
    assert!(failed.len() == 1 && failed[0].1.contains(why), "{failed:?}");
    let data = &ran.json()["data"];
    assert_eq!(data["live_probe_status"], "failed");
    let checks = data["checks"].as_array().unwrap();
    assert!(
        checks.iter().any(|row| row["result"] == "ok"),
        "the contract's checks are not shown: {checks:?}"
    );
    let receipt = scratch.last_receipt();
    assert_eq!((&receipt["run"]["status"], &receipt["run"]["exitCode"]), (&json!("failed"), &json!(1)));
}

fn message(from: &str, subject: &str, date: &str, text: &str) -> String {
    format!("From: {from}\nTo: ops@example.test\nSubject: {subject}\nDate: {date}\n\n{text}\n")
}
