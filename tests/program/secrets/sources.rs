//! A secret from each kind of place, planned, approved, applied, exported and looked for.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ops_tests::server::Server;
use serde_json::Value;
use tempfile::TempDir;

use super::forms::ODD;
use super::{Test, Vault, echoing, password, token};
use crate::hostile::yard::Yard;

pub(super) const TESTS: &[Test] = &[
    ("from_the_environment_nothing_is_left", from_the_environment),
    ("from_a_file_nothing_is_left", from_a_file),
    ("from_systemd_nothing_is_left", from_systemd),
];

fn settings(server: &Server, token: &str, password: &str) -> String {
    let secret = |name, from| format!("  {name}: {{from: \"{from}\", origins: [\"{}\"]}}\n", server.origin());
    format!("secrets:\n{}{}", secret("token", token), secret("password", password))
}

fn from_the_environment(yard: &Yard) {
    let server = echoing();
    let mut vault = Vault::new(yard, &server.origin(), &settings(&server, "env:TOKEN", "env:PASSWORD"), "");
    plant_all(&server, &mut vault, |vault, token, password| {
        vault.set("TOKEN", token);
        vault.set("PASSWORD", password);
    });
}

fn from_a_file(yard: &Yard) {
    let (server, folder) = (echoing(), tempfile::tempdir().unwrap());
    let place = |name: &str| format!("file:{}", folder.path().join(name).display());
    let settings = settings(&server, &place("token"), &place("password"));
    let mut vault = Vault::new(yard, &server.origin(), &settings, "");
    plant_all(&server, &mut vault, |_, token, password| {
        private(&folder, "token", token);
        private(&folder, "password", &format!("{password}\n"));
    });
}

fn from_systemd(yard: &Yard) {
    let (server, folder) = (echoing(), tempfile::tempdir().unwrap());
    let settings = settings(&server, "systemd:mail.token", "systemd:mail.password");
    let mut vault = Vault::new(yard, &server.origin(), &settings, "");
    vault.set("CREDENTIALS_DIRECTORY", folder.path().to_str().unwrap());
    plant_all(&server, &mut vault, |_, token, password| {
        private(&folder, "mail.token", token);
        private(&folder, "mail.password", password);
    });
}

fn private(folder: &TempDir, name: &str, value: &str) {
    let path = folder.path().join(name);
    let _ = fs::remove_file(&path);
    fs::write(&path, value).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
}

/// Plants each odd value as the token and another as the password, and takes a plan from its beginning to its end.
pub(super) fn plant_all(server: &Server, vault: &mut Vault<'_>, plant: impl Fn(&mut Vault<'_>, &str, &str)) {
    for (number, secret) in ODD.iter().enumerate() {
        let other = ODD[(number + 1) % ODD.len()];
        plant(vault, secret, other);
        let before = server.seen().len();
        whole_life(vault, number);
        let seen = server.seen().split_off(before);
        // The plan reads; the apply reads and changes. Each time the server got the real ones.
        let asked: Vec<_> = seen.iter().map(|seen| seen.target.as_str()).collect();
        assert_eq!(asked, ["/login", "/login", "/password"]);
        for seen in &seen {
            assert_eq!((token(seen).as_str(), password(seen).as_str()), (*secret, other), "{}", seen.target);
        }
    }
    for secret in ODD {
        vault.holds_nothing_of(secret);
    }
}

fn whole_life(vault: &mut Vault<'_>, number: usize) {
    let planned = vault.run(&["--change", "--trace-checks"]).ends("planned", 3, None);
    let plan = planned.plan();
    let shown = vault.ops(&["plan", "show", &plan]).exits(0);
    assert!(shown.stdout.contains("[secret]"), "{}", shown.stdout);
    let folder = format!("export-{number}");
    fs::create_dir(vault.yard.scratch.path(&folder)).unwrap();
    vault.ops(&["plan", "export", &plan, "--to", &folder]).exits(0);
    let exported: Value =
        serde_json::from_slice(&fs::read(vault.yard.scratch.path(&folder).join("plan.json")).unwrap())
            .unwrap();
    let body = STANDARD.decode(exported["effects"][0]["request"]["body"].as_str().unwrap()).unwrap();
    assert_eq!(String::from_utf8(body).unwrap(), r#"{"auth":{"password":"[secret]"},"note":null}"#);

    let done = vault.ops(&["plan", "approve", &plan, "--key", "key", "--apply", "--trace-checks"]);
    let done = vault.yard.ended(done).ends("done", 0, None);
    let output = done.output();
    for text in [&output["headers"].to_string(), &output["body"].to_string(), &output["changed"].to_string()]
    {
        for name in ["[secret token]", "[secret password]"] {
            assert!(text.contains(name), "no {name} in {text}");
        }
    }
    vault.ops(&["receipts", "verify", "--all"]).exits(0);
}
