//! What an operator writes to grant the communications capabilities a mail server, and a workspace with it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use ops_tests::scratch::{Ran, Scratch};

use super::server;

/// The mail stack as people describe it: one mailbox is in use, one is not made yet.
const CONTRACT: &str = r#"
schema_version: "1.0"
owner: communications-operator
stage: live-pilot
provider: cyrus
mode: live-pilot
domain: example.test
vm_target: {hostname: communications-stack, vm_id: 214, profile: spine-ready-v1}
ports:
  - {name: smtp, port: 25}
  - {name: imaps, port: 993}
  - {name: https, port: 443}
mailboxes:
  - {id: ops, address: ops@example.test, role: operations, status: active}
  - {id: alerts, address: alerts@example.test, role: alerts, status: planned}
send_test:
  default_sender: ops@example.test
  default_recipient: alice@example.test
  allowed_recipient_domains: [example.test]
"#;

/// A binding, and the crate that it is for.
#[derive(Clone, Copy)]
pub(super) struct Binding {
    guest: &'static str,
    text: &'static str,
}

/// Says whether the mail stack is as its contract says.
pub(super) const STATUS: Binding = Binding {
    guest: "communications-stack-status",
    text: r#"
capability: communications.stack.status
component: components/COMPONENT
safety: read-only
contracts: [communications.stack.contract.yaml]
services:
  mail:
    SERVICE
    rules:
      - {id: session,    method: GET,  path: /.well-known/jmap, effect: read}
      - {id: session-at, method: GET,  path: /jmap, effect: read}
      - {id: session-in, method: GET,  path: /jmap/, effect: read}
      - {id: mailboxes,  method: POST, path: /jmap/, effect: read, body: {"/methodCalls/*/0": [Mailbox/get, Identity/get]}}
"#,
};

/// Lists mailboxes.
pub(super) const LIST: Binding = Binding {
    guest: "communications-mailboxes-list",
    text: r#"
capability: communications.mailboxes.list
component: components/COMPONENT
safety: read-only
services:
  mail:
    SERVICE
    rules:
      - {id: session,    method: GET,  path: /.well-known/jmap, effect: read}
      - {id: session-at, method: GET,  path: /jmap, effect: read}
      - {id: session-in, method: GET,  path: /jmap/, effect: read}
      - {id: mailboxes,  method: POST, path: /jmap/, effect: read, body: {"/methodCalls/*/0": [Mailbox/get]}}
"#,
};

/// Finds messages.
pub(super) const SEARCH: Binding = Binding {
    guest: "communications-mail-search",
    text: r#"
capability: communications.mail.search
component: components/COMPONENT
safety: read-only
services:
  mail:
    SERVICE
    rules:
      - {id: session,    method: GET,  path: /.well-known/jmap, effect: read}
      - {id: session-at, method: GET,  path: /jmap, effect: read}
      - {id: session-in, method: GET,  path: /jmap/, effect: read}
      - {id: search,     method: POST, path: /jmap/, effect: read, body: {"/methodCalls/*/0": [Email/query, Email/get, SearchSnippet/get]}}
"#,
};

/// Sends a test message.
pub(super) const SEND: Binding = Binding {
    guest: "communications-mail-send-test",
    text: r#"
capability: communications.mail.send.test
component: components/COMPONENT
safety: mutating
approval: {mode: manual}
services:
  mail:
    SERVICE
    rules:
      - {id: session,    method: GET,  path: /.well-known/jmap, effect: read}
      - {id: session-at, method: GET,  path: /jmap, effect: read}
      - {id: session-in, method: GET,  path: /jmap/, effect: read}
      - {id: query, method: POST, path: /jmap/, effect: read,   body: {"/methodCalls/*/0": [Mailbox/get, Identity/get]}}
      - {id: send,  method: POST, path: /jmap/, effect: mutate, body: {"/methodCalls/*/0": [Email/set, EmailSubmission/set]}}
config:
  from: ops@example.test
  allowed_recipient_domains: [example.test]
"#,
};

impl Binding {
    /// The capability's name.
    pub(super) fn name(&self) -> &'static str {
        self.text.lines().find_map(|line| line.strip_prefix("capability: ")).unwrap()
    }

    /// The same rights for another component.
    pub(super) fn built_from(self, guest: &'static str) -> Self {
        Self { guest, ..self }
    }

    /// The whole file for a mail server.
    pub(super) fn yaml(&self, mail: &Mail) -> String {
        let component = format!("{}.wasm", self.guest.replace('-', "_"));
        self.text.replace("COMPONENT", &component).replace("SERVICE", &mail.yaml())
    }
}

/// How the program reaches the mail server.
#[derive(Clone)]
pub(super) struct Mail {
    /// Where it is.
    pub(super) origin: String,
    /// What is to be written after `tls:`, where there is something.
    pub(super) tls: Option<String>,
    /// `Basic {}` or `Bearer {}`.
    pub(super) scheme: &'static str,
    /// What stands in the file of the secret.
    pub(super) secret: String,
}

impl Mail {
    /// By user name and password.
    pub(super) fn basic(origin: &str, password: &str) -> Self {
        let secret = basic(password);
        Self { origin: origin.to_owned(), tls: None, scheme: "Basic {}", secret }
    }

    /// By a token.
    pub(super) fn bearer(origin: &str, token: &str) -> Self {
        Self { origin: origin.to_owned(), tls: None, scheme: "Bearer {}", secret: token.to_owned() }
    }

    /// With this after `tls:`.
    pub(super) fn tls(mut self, tls: &str) -> Self {
        self.tls = Some(tls.to_owned());
        self
    }

    fn yaml(&self) -> String {
        let tls = self.tls.as_ref().map_or_else(String::new, |tls| format!("tls: {tls}\n    "));
        format!(
            "origin: {}\n    {tls}addresses: [127.0.0.1/32]\n    \
             credential: {{secret: mail-password, header: Authorization, as: \"{}\"}}",
            self.origin, self.scheme
        )
    }
}

/// What stands after `Basic` for the user ops.
pub(super) fn basic(password: &str) -> String {
    STANDARD.encode(format!("ops:{password}"))
}

/// The mail server without a front, with the right password.
pub(super) fn directly(server: &server::MailServer) -> Mail {
    Mail::basic(&format!("http://127.0.0.1:{}", server.jmap()), &server::password("ops"))
}

/// A workspace in which these capabilities may reach the mail server. Where `ca` holds a certificate, it lies in
/// `tls/ca.pem`.
pub(super) fn workspace(mail: &Mail, bindings: &[Binding], ca: &str) -> Scratch {
    let scratch = Scratch::new();
    grant(&scratch, mail, bindings, ca);
    scratch
}

/// Grants the same in a workspace that is there already.
pub(super) fn grant(scratch: &Scratch, mail: &Mail, bindings: &[Binding], ca: &str) {
    let file = secret_file(scratch);
    write_secret(&file, &mail.secret);
    scratch.write(
        "ops/ops.yaml",
        &format!(
            "workspace: demo\nsecrets:\n  mail-password: {{from: \"file:{}\", origins: [\"{}\"]}}\n",
            file.display(),
            mail.origin
        ),
    );
    if !ca.is_empty() {
        scratch.write("ops/tls/ca.pem", ca);
    }
    scratch.write("ops/bindings/communications.stack.contract.yaml", CONTRACT);
    for binding in bindings {
        scratch.place(binding.guest);
        scratch.write_binding(&binding.yaml(mail));
    }
    scratch.pin();
}

/// The file that holds the secret, outside the workspace.
pub(super) fn secret_file(scratch: &Scratch) -> PathBuf {
    scratch.path("home/mail-password")
}

/// Writes a secret as the host wants it: nobody else may read it.
pub(super) fn write_secret(file: &Path, secret: &str) {
    fs::write(file, secret).unwrap();
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
}

/// Looks for each of these, as it is and in base64, in everything that the program wrote and said.
#[track_caller]
pub(super) fn keeps_secret(scratch: &Scratch, secrets: &[&str], said: &[Ran]) {
    let file = fs::read(secret_file(scratch)).unwrap();
    let known = secrets.iter().any(|secret| holds(&file, &forms(secret)));
    assert!(known, "the search finds nothing, wherever it looks");
    tells_nobody(scratch, secrets, said);
}

/// The same for secrets that do not lie in [`secret_file`].
#[track_caller]
pub(super) fn tells_nobody(scratch: &Scratch, secrets: &[&str], said: &[Ran]) {
    let needles: Vec<Vec<u8>> = secrets.iter().flat_map(|secret| forms(secret)).collect();
    for ran in said {
        let said = [ran.stdout.as_bytes(), ran.stderr.as_bytes()];
        assert!(said.iter().all(|said| !holds(said, &needles)), "the secret was said");
    }
    let mut searched = 0;
    for folder in ["ops", "state", "receipts"] {
        for file in files(&scratch.path(folder)) {
            let bytes = fs::read(&file).unwrap();
            assert!(!holds(&bytes, &needles), "the secret is in {}", file.display());
            searched += 1;
        }
    }
    assert!(searched > 10, "only {searched} files were searched");
}

fn holds(bytes: &[u8], needles: &[Vec<u8>]) -> bool {
    needles.iter().any(|needle| bytes.windows(needle.len()).any(|window| window == needle))
}

/// A secret as it is, and in base64 from each of the three places in a group of bytes that it can start at.
fn forms(secret: &str) -> Vec<Vec<u8>> {
    let mut forms = vec![secret.as_bytes().to_vec()];
    for before in 0..3 {
        for alphabet in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
            let padded = [vec![0; before], secret.as_bytes().to_vec()].concat();
            let encoded = alphabet.encode(&padded).into_bytes();
            // The letters at both ends hold bits of what is beside the secret.
            let (first, last) = ((before * 8).div_ceil(6), padded.len() * 8 / 6);
            forms.push(encoded[first..last].to_vec());
        }
    }
    forms
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
