//! The mail server behind TLS: whom the program trusts, and what it is known by.
//!
//! Cyrus takes Basic. Where a test sends Bearer, its TLS front takes the token and puts the Basic credential in its
//! place: a stand-in for a server that takes tokens.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, OnceLock};

use ops_tests::scratch::Scratch;
use ops_tests::tls::{Authority, Certified, Front, Then, saying};
use serde_json::json;

use super::Test;
use super::operator::{
    LIST, Mail, SEARCH, SEND, STATUS, basic, grant, keeps_secret, secret_file, workspace, write_secret,
};
use super::read::{failed_checks, list, search, status};
use super::server::{self, MailServer};

pub(super) const TESTS: &[Test] = &[
    ("a_private_ca_and_a_password", private_ca_and_password),
    ("a_private_ca_and_a_token", private_ca_and_token),
    ("a_pinned_certificate", pinned_certificate),
    ("a_wrong_token_is_a_clear_failure", wrong_token),
    ("a_password_that_changes_during_a_run", rotated_password),
];

/// Those that need no mail server: nothing gets as far.
pub(super) const ALONE: &[Test] = &[
    ("nothing_is_sent_to_a_server_that_is_not_the_right_one", wrong_servers),
    ("a_certificate_of_another_name_fails_the_status", another_name_fails_the_status),
];

const HOST: &str = "127.0.0.1";
const TOKEN: &str = "a-token-nobody-else-has-0815";

fn private_ca_and_password() {
    let (server, authority) = (MailServer::start(), Authority::new("Private CA"));
    // By name: it stands in /etc/hosts.
    let front = Front::passing(&authority.certify("localhost"), server.jmap());
    let mail = Mail::basic(&front.origin("localhost"), &server::password("ops")).tls("{ca: tls/ca.pem}");
    serves_all_four(&server, &mail, &authority.pem(), &[&server::password("ops")]);
    let expected = format!("Basic {}", basic(&server::password("ops")));
    assert_eq!(credentials(&front), [expected]);
}

fn private_ca_and_token() {
    let (server, authority) = (MailServer::start(), Authority::new("Private CA"));
    let front = takes_token(&authority.certify(HOST), &server);
    let mail = Mail::bearer(&front.origin(HOST), TOKEN).tls("{ca: tls/ca.pem}");
    serves_all_four(&server, &mail, &authority.pem(), &[TOKEN]);
    assert_eq!(credentials(&front), [format!("Bearer {TOKEN}")]);
}

fn pinned_certificate() {
    let server = MailServer::start();
    let authority = Authority::new("Nobody trusts this one");
    // The certificate itself is what is trusted: its issuer, its name and its dates say nothing.
    let certified = authority.certify_for("another.example.test", 2001, 2002);
    let front = Front::passing(&certified, server.jmap());
    let tls = format!("{{fingerprint: \"{}\"}}", fingerprint(&certified));
    let mail = Mail::basic(&front.origin(HOST), &server::password("ops")).tls(&tls);
    serves_all_four(&server, &mail, "", &[&server::password("ops")]);
}

/// Uses each capability once, looks at what came of it, and looks for the secrets everywhere.
fn serves_all_four(server: &MailServer, mail: &Mail, ca: &str, secrets: &[&str]) {
    let scratch = workspace(mail, &[STATUS, LIST, SEARCH, SEND], ca);
    server.deliver("From: dave@example.test\nSubject: Over TLS\n\nSafe and sound.\n");
    let mut said = vec![
        status(&scratch).exits(0),
        list(&scratch).exits(0),
        search(&scratch, &["--subject", "Over TLS"]).exits(0),
    ];
    assert_eq!(said[0].json()["data"]["status"], "OK");
    assert_eq!(said[2].json()["data"]["matches"], 1);
    let asked = scratch.ops(&["cap", "run", SEND.name(), "--to", "alice@example.test"]).exits(3);
    let plan = asked.plan();
    said.push(asked);
    said.push(scratch.ops(&["plan", "show", &plan]).exits(0));
    said.push(scratch.ops(&["plan", "approve", &plan, "--key", "key", "--apply"]).exits(0));
    assert_eq!(server.messages("alice", 1).len(), 1);
    keeps_secret(&scratch, secrets, &said);
}

fn wrong_token() {
    let (server, authority) = (MailServer::start(), Authority::new("Private CA"));
    let front = takes_token(&authority.certify(HOST), &server);
    // Another token, the right one in another way, and a way that the mail server itself would take.
    for mail in [
        Mail::bearer(&front.origin(HOST), "not-the-token-4711"),
        Mail { scheme: "Basic {}", ..Mail::bearer(&front.origin(HOST), TOKEN) },
        Mail::basic(&front.origin(HOST), &server::password("ops")),
    ] {
        let secret = mail.secret.clone();
        let scratch = workspace(&mail.tls("{ca: tls/ca.pem}"), &[LIST], &authority.pem());
        let before = front.asked().len();
        let refused = list(&scratch).exits(1).says("service `mail`").says("answered 401");
        assert_eq!(front.asked().len(), before + 1, "a refused credential is sent again");
        assert_eq!(scratch.last_receipt()["run"]["status"], "failed");
        keeps_secret(&scratch, &[&secret], &[refused]);
    }
}

/// The server changes the password while a run asks for it: the file has the new one by the time the old is refused.
fn rotated_password() {
    let (server, authority) = (MailServer::start(), Authority::new("Private CA"));
    let (old, new) = (basic("the-old-one-which-no-server-takes"), basic(&server::password("ops")));
    let file: Arc<OnceLock<PathBuf>> = Arc::default();
    let (rotated, current) = (file.clone(), new.clone());
    let front = Front::start(&authority.certify(HOST), server.jmap(), move |asked, before| {
        if before == 0 {
            write_secret(rotated.get().unwrap(), &current);
            return Then::Refuse(401);
        }
        if asked.credential() == Some(&format!("Basic {current}")) { Then::Pass } else { Then::Refuse(401) }
    });
    let mail = Mail { secret: old.clone(), ..Mail::basic(&front.origin(HOST), "") }.tls("{ca: tls/ca.pem}");
    let scratch = workspace(&mail, &[LIST], &authority.pem());
    file.set(secret_file(&scratch)).unwrap();

    let listed = list(&scratch).exits(0);
    assert_eq!(scratch.last_receipt()["run"]["status"], "done");
    assert_eq!(credentials(&front), [format!("Basic {old}"), format!("Basic {new}")]);
    // The old one was tried once, and its request was repeated as it was.
    let lines: Vec<_> = front.asked().into_iter().map(|asked| (asked.line, asked.body)).collect();
    assert_eq!(lines[0], lines[1]);
    keeps_secret(&scratch, &[&old, &new, &server::password("ops")], &[listed]);
}

/// Servers that are not whom the binding names. Each is told nothing, and each failure says what is wrong.
fn wrong_servers() {
    let (trusted, other) = (Authority::new("Private CA"), Authority::new("Another CA"));
    let impostor = Authority::new("Private CA");
    let ca = "{ca: tls/ca.pem}";
    let good = trusted.certify(HOST);
    let pinned = format!("{{fingerprint: \"{}\"}}", fingerprint(&trusted.certify(HOST)));
    let fronts = [
        ("other name", Some(ca), trusted.certify("mail.example.test"), "is not for 127.0.0.1"),
        ("other address", Some(ca), trusted.certify("127.0.0.2"), "is not for 127.0.0.1"),
        ("expired", Some(ca), trusted.certify_for(HOST, 2001, 2002), "has expired"),
        ("not yet valid", Some(ca), trusted.certify_for(HOST, 2800, 2900), "is not valid yet"),
        ("unknown issuer", Some(ca), other.certify(HOST), "comes from an unknown CA"),
        (
            "issuer of the same name",
            Some(ca),
            impostor.certify(HOST),
            "the server's certificate was refused: ",
        ),
        ("this system's roots", None, good, "comes from an unknown CA"),
        ("other than pinned", Some(&pinned), trusted.certify(HOST), "is not the one that the binding pins"),
    ];
    let scratch = Scratch::new();
    for (what, tls, certified, why) in fronts {
        let front = Front::passing(&certified, 0);
        let mut mail = Mail::bearer(&front.origin(HOST), TOKEN);
        mail.tls = tls.map(str::to_owned);
        refuses(&scratch, &mail, &trusted, what, why);
        assert!(front.asked().is_empty(), "{what}: a request was sent");
    }
    for (what, words) in [("no TLS", b"HTTP/1.1 400 Bad Request\r\n\r\n".as_slice()), ("hangs up", b"")] {
        let mail = Mail::bearer(&format!("https://{HOST}:{}", saying(words)), TOKEN).tls(ca);
        refuses(&scratch, &mail, &trusted, what, "the TLS handshake failed");
    }
}

#[track_caller]
fn refuses(scratch: &Scratch, mail: &Mail, trusted: &Authority, what: &str, why: &str) {
    grant(scratch, mail, &[LIST], &trusted.pem());
    let ran = list(scratch);
    let told = ran.stderr.contains("service `mail`: ") && ran.stderr.contains(why);
    assert!(ran.code == 1 && told, "{what}: {ran:?}");
    let receipt = scratch.last_receipt();
    assert_eq!(receipt["run"]["status"], "failed", "{what}");
    keeps_secret(scratch, &[TOKEN], &[ran]);
}

fn another_name_fails_the_status() {
    let authority = Authority::new("Private CA");
    let front = Front::passing(&authority.certify("mail.example.test"), 0);
    let mail = Mail::bearer(&front.origin(HOST), TOKEN).tls("{ca: tls/ca.pem}");
    let scratch = workspace(&mail, &[STATUS], &authority.pem());
    let ran = status(&scratch).exits(1);
    let failed = failed_checks(&ran);
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert!(failed[0].1.contains("is not for 127.0.0.1"), "{failed:?}");
    assert_eq!(scratch.last_receipt()["run"]["status"], json!("failed"));
    assert!(front.asked().is_empty(), "a request was sent");
}

/// A front that takes the token and nothing else.
fn takes_token(certified: &Certified, server: &MailServer) -> Front {
    let password = basic(&server::password("ops"));
    Front::start(certified, server.jmap(), move |asked, _| {
        if asked.credential() != Some(&format!("Bearer {TOKEN}")) {
            return Then::Refuse(401);
        }
        asked.authorize(format!("Basic {password}"));
        Then::Pass
    })
}

/// The credentials that a front saw, each as often as it was changed to.
fn credentials(front: &Front) -> Vec<String> {
    let asked = front.asked();
    let mut seen: Vec<_> = asked.iter().map(|asked| asked.credential().unwrap().to_owned()).collect();
    seen.dedup();
    seen
}

/// A certificate's fingerprint, as `openssl` tells it and as an operator copies it.
fn fingerprint(certified: &Certified) -> String {
    let mut openssl = Command::new("openssl")
        .args(["x509", "-inform", "der", "-noout", "-fingerprint", "-sha256"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    openssl.stdin.take().unwrap().write_all(certified.der()).unwrap();
    let told = String::from_utf8(openssl.wait_with_output().unwrap().stdout).unwrap();
    told.trim().split_once('=').unwrap().1.to_owned()
}
