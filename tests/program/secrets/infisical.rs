//! Secrets from a stand-in for an Infisical server (`tests/stand-ins`), which the vendor's own client accepts.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use ops_tests::scratch::repository;
use ops_tests::server::Server;
use serde_json::json;
use tempfile::TempDir;

use super::sources::plant_all;
use super::{Test, Vault, echoing};
use crate::hostile::yard::{Yard, saw};

pub(super) const TESTS: &[Test] = &[
    ("from_infisical_nothing_is_left", nothing_is_left),
    ("from_infisical_that_cannot_be_had", cannot_be_had),
    ("from_infisical_at_an_address_that_is_not_listed", unlisted),
];

const CLIENT: &str = "cl1ent+secret/of=ops \"quoted\"";
const PROJECT: &str = "5f2f1b0e-7a34-4c9e-9d0e-0c7f0e6b8a11";

/// The stand-in, running until it is dropped.
struct StandIn {
    process: Child,
    folder: TempDir,
    origin: String,
}

impl StandIn {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut process = Command::new("python3")
            .arg(repository().join("tests/stand-ins/infisical.py"))
            .arg(folder.path().join("state.json"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let origin = line.trim().trim_start_matches("listening on ").to_owned();
        Self { process, folder, origin }
    }

    fn keep(&self, token: &str, password: &str) {
        let secret = |name: &str, value: &str, hidden: bool| json!({"project": PROJECT, "environment": "prod", "path": "/mail", "name": name, "value": value, "hidden": hidden});
        let secrets = [
            secret("TOKEN", token, false),
            secret("PASSWORD", password, false),
            secret("HIDDEN", password, true),
        ];
        let state = json!({"client_id": "ops-test", "client_secret": CLIENT, "secrets": secrets});
        // Written aside first: the stand-in may be reading.
        let (new, path) = (self.folder.path().join("new"), self.folder.path().join("state.json"));
        fs::write(&new, state.to_string()).unwrap();
        fs::rename(new, path).unwrap();
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The lines of `ops.yaml`. `password` is the name of the secret at the stand-in, `addresses` where it may be.
fn settings(server: &Server, standin: &StandIn, password: &str, addresses: &str) -> String {
    let (origin, vault) = (server.origin(), &standin.origin);
    format!(
        "secrets:\n  token: {{from: \"infisical:{PROJECT}/prod/mail/TOKEN\", origins: [\"{origin}\"]}}\n  \
         password: {{from: \"infisical:{PROJECT}/prod/mail/{password}\", origins: [\"{origin}\"]}}\n  \
         client: {{from: \"env:CLIENT\", origins: [\"{vault}\"]}}\n\
         infisical: {{origin: \"{vault}\", addresses: [{addresses}], client_id: ops-test, client_secret: client}}\n"
    )
}

fn nothing_is_left(yard: &Yard) {
    let (server, standin) = (echoing(), StandIn::start());
    let settings = settings(&server, &standin, "PASSWORD", "127.0.0.1/32");
    let mut vault = Vault::new(yard, &server.origin(), &settings, "");
    vault.set("CLIENT", CLIENT);
    plant_all(&server, &mut vault, |_, token, password| standin.keep(token, password));
    vault.holds_nothing_of(CLIENT);
}

fn cannot_be_had(yard: &Yard) {
    let (server, standin) = (echoing(), StandIn::start());
    standin.keep("t0ken-t0ken", "hunter2-hunter2");
    for (name, client, why) in [
        ("PASSWORD", "wr0ng-cl1ent-secret", "401"),
        ("MISSING", CLIENT, "MISSING"),
        ("HIDDEN", CLIENT, "HIDDEN"),
    ] {
        let settings = settings(&server, &standin, name, "127.0.0.1/32");
        let mut vault = Vault::new(yard, &server.origin(), &settings, "");
        vault.set("CLIENT", client);
        let run = vault.run(&[]).ends("denied", 4, Some("secret"));
        let _ = run.says("secret `").says("infisical:").says(why);
        for secret in [client, "t0ken-t0ken", "hunter2-hunter2", "<hidden-by-infisical>"] {
            vault.holds_nothing_of(secret);
        }
    }
    assert_eq!(saw(&server), <[&str; 0]>::default(), "a request went out without its secret");
}

/// The host's own requests go the same way as a guest's: by a checked address.
fn unlisted(yard: &Yard) {
    let (server, standin) = (echoing(), StandIn::start());
    standin.keep("t0ken-t0ken", "hunter2-hunter2");
    let over_tls = standin.origin.replace("http:", "https:");
    let settings = settings(&server, &standin, "PASSWORD", "").replace(&standin.origin, &over_tls);
    let mut vault = Vault::new(yard, &server.origin(), &settings, "");
    vault.set("CLIENT", CLIENT);
    let run = vault.run(&[]).ends("denied", 4, Some("secret"));
    let _ = run.says("no address that may be dialled");
    assert_eq!(saw(&server), <[&str; 0]>::default());
}
