//! Secrets that are not used: kept badly, sent where they may not go, or asked for by a guest that has them already.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};

use ops_tests::server::Server;
use serde_json::json;

use super::{Test, Vault, echoing};
use crate::hostile::yard::{Yard, saw};

pub(super) const TESTS: &[Test] = &[
    ("kept_where_others_can_read_it", badly_kept),
    ("that_is_not_there", not_there),
    ("for_an_origin_that_ops_yaml_does_not_name", another_origin),
    ("without_its_place_in_the_body", no_placeholder),
    ("found_in_a_plan", in_a_plan),
    ("written_into_ops_yaml_itself", in_ops_yaml),
];

const TOKEN: &str = "t0ken-t0ken";
const PASSWORD: &str = "hunter2-hunter2";

/// `password` comes from here; the token is in the environment.
fn vault<'a>(yard: &'a Yard, server: &Server, password: &str, more: &str) -> Vault<'a> {
    let origin = server.origin();
    let settings = format!(
        "secrets:\n  token: {{from: \"env:TOKEN\", origins: [\"{origin}\"]}}\n  \
         password: {{from: \"{password}\", origins: [\"{origin}\"]}}\n"
    );
    let mut vault = Vault::new(yard, &origin, &settings, more);
    vault.set("TOKEN", TOKEN);
    vault
}

fn badly_kept(yard: &Yard) {
    let (server, folder) = (echoing(), tempfile::tempdir().unwrap());
    let path = folder.path().join("password");
    let write = |mode: u32| {
        let _ = fs::remove_file(&path);
        fs::write(&path, PASSWORD).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    };
    let mut vault = vault(yard, &server, &format!("file:{}", path.display()), "");
    let mut refused = |why: &str| {
        let run = vault.run(&[]).ends("denied", 4, Some("secret"));
        let _ = run.says("secret `password`").says(why);
    };
    for mode in [0o644, 0o640, 0o604, 0o660] {
        write(mode);
        refused("chmod 600");
    }
    write(0o600);
    if chown(&path, Some(12345), None).is_ok() {
        refused("belongs to another user");
    }
    let real = folder.path().join("real");
    write(0o600);
    fs::rename(&path, &real).unwrap();
    symlink(&real, &path).unwrap();
    refused("symlink");
    fs::remove_file(&path).unwrap();
    refused("No such file");
    assert_eq!(saw(&server), <[&str; 0]>::default(), "a request went out without its secret");

    write(0o600);
    vault.run(&[]).ends("done", 0, None);
    vault.holds_nothing_of(PASSWORD);
}

fn not_there(yard: &Yard) {
    let server = echoing();
    for (from, why) in [
        ("env:OPS_TEST_NOBODY_SETS_THIS", "env:OPS_TEST_NOBODY_SETS_THIS"),
        ("systemd:mail.password", "CREDENTIALS_DIRECTORY"),
    ] {
        let mut vault = vault(yard, &server, from, "");
        vault.run(&[]).ends("denied", 4, Some("secret")).says("secret `password`").says(why);
    }
    assert_eq!(saw(&server), <[&str; 0]>::default(), "a request went out without its secret");
}

/// A binding alone cannot carry a secret somewhere new: neither as the credential nor in a body.
fn another_origin(yard: &Yard) {
    let (server, other) = (echoing(), Server::answering("hello"));
    for (token, password, refused) in
        [(server.origin(), other.origin(), "password"), (other.origin(), server.origin(), "token")]
    {
        let settings = format!(
            "secrets:\n  token: {{from: \"env:TOKEN\", origins: [\"{token}\"]}}\n  \
             password: {{from: \"env:PASSWORD\", origins: [\"{password}\"]}}\n"
        );
        let mut vault = Vault::new(yard, &server.origin(), &settings, "");
        vault.set("TOKEN", TOKEN);
        vault.set("PASSWORD", PASSWORD);
        let run = vault.run(&[]).ends("denied", 4, Some("secret"));
        run.says(&format!("the secret `{refused}`")).says("not among its `origins` in ops.yaml");
    }
    assert_eq!(saw(&server), <[&str; 0]>::default());
}

fn no_placeholder(yard: &Yard) {
    let server = echoing();
    let mut vault = vault(yard, &server, "env:PASSWORD", "");
    vault.set("PASSWORD", PASSWORD);
    for text in ["guess", "", "[secret] ", "[secret password]"] {
        let run = vault.run(&["--password", text]).ends("done", 0, None);
        let run = run.denies("request", "rule `login`");
        let denied = run.output()["denied"].as_str().unwrap().to_owned();
        assert!(denied.contains("rule `login`") && denied.contains("/auth/password"), "{denied}");
    }
    assert_eq!(saw(&server), <[&str; 0]>::default(), "a request went out that the host has not filled in");
}

/// A guest cannot know a secret; an operator who writes one into `config:` tells it. It must not get into a plan,
/// whether the plan's own run has used the secret or only its apply would, and however a body spells it.
fn in_a_plan(yard: &Yard) {
    let server = echoing();
    let only_in_the_effect = ["      - {name: password, at: /auth/password, rule: login}\n", ""];
    for (secret, binding_says) in [
        (PASSWORD, None),
        (r#"hunter2 "and" \more\"#, None),
        ("gr\u{fc}n-gr\u{fc}n/gr\u{fc}n", None),
        (PASSWORD, Some(only_in_the_effect)),
    ] {
        let note = json!({"note": format!("say {secret}")});
        let mut vault = vault(yard, &server, "env:PASSWORD", &format!("config: {note}\n"));
        vault.set("PASSWORD", secret);
        if let Some([from, to]) = binding_says {
            let path = yard.scratch.path(BINDING);
            let text = fs::read_to_string(&path).unwrap().replace(from, to);
            fs::write(&path, text).unwrap();
            yard.scratch.pin();
        }
        let run = vault.run(&["--change"]).ends("failed", 4, Some("secret"));
        let _ = run.says("the plan would hold the value of the secret");
        assert_eq!(yard.waiting(), <[&str; 0]>::default(), "its plan waits for an approval");
        // Where the operator wrote it: the binding, and the copy of it that the lock's hash is of.
        let written = |place: &String| place.contains(BINDING) || place.contains("/pinned/");
        let found: Vec<_> = vault.files_with(secret).into_iter().filter(|place| !written(place)).collect();
        assert_eq!(found, <[&str; 0]>::default(), "they hold `{secret}`");
    }
    assert!(saw(&server).iter().all(|asked| asked == "POST /login"));
}

const BINDING: &str = "ops/bindings/test.guest.fills-secret.yaml";

/// Where a value is written in the place of its source, the message about it must not show it.
fn in_ops_yaml(yard: &Yard) {
    yard.scratch.pin();
    for from in [PASSWORD, "env:hunter2-hunter2", "vault:hunter2-hunter2", "systemd:../hunter2-hunter2"] {
        let settings = json!({"password": {"from": from, "origins": ["https://mail.example:443"]}});
        yard.scratch.write("ops/ops.yaml", &format!("workspace: demo\nsecrets: {settings}\n"));
        let told = yard.scratch.ops(&["pin", "--key", "key", "--yes"]).exits(2).says("ops.yaml:2");
        assert!(!told.stderr.contains(PASSWORD), "`{from}` is shown: {}", told.stderr);
    }
    yard.scratch.write("ops/ops.yaml", "workspace: demo\n");
    yard.scratch.pin();
}
