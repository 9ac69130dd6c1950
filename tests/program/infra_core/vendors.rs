//! The stand-ins, asked by the vendors' own clients: what those make of the answers is the vendor's contract.

use std::fs;
use std::process::Command;
use std::sync::OnceLock;

use ops_tests::scratch::{Ran, ran, repository};
use ops_tests::skip;
use serde_json::json;

use super::Test;
use super::stand_in::StandIn;

pub(super) const TESTS: &[Test] = &[
    ("cloudflares_own_client_is_served", cloudflare),
    ("infisicals_own_client_is_served", infisical),
    ("authentiks_own_client_is_served", authentik),
    ("dockers_own_client_is_served", docker),
];

/// A Python that has the clients. The one of Authentik takes long to load, and comes with the others.
fn python() -> Option<&'static str> {
    static PYTHON: OnceLock<Option<String>> = OnceLock::new();
    PYTHON.get_or_init(|| skip::python(&["cloudflare", "infisical_sdk", "docker"])).as_deref()
}

pub(super) fn missing() -> Option<&'static str> {
    python()
        .is_none()
        .then_some("one of the vendors' clients (PyPI cloudflare, infisicalsdk, authentik-client, docker)")
}

fn client(script: &str, words: &[&str]) -> Ran {
    let mut command = Command::new(python().unwrap());
    command.arg(repository().join("tests/stand-ins").join(script)).args(words);
    ran(command.env_clear().env("PYTHONDONTWRITEBYTECODE", "1"))
}

fn vendors(words: &[&str]) -> Ran {
    client("vendors_client.py", words)
}

fn cloudflare() {
    let zones: Vec<_> = (0..51).map(|number| format!("zone{number}.test")).collect();
    let mut server = StandIn::start("cloudflare_api.py", json!({"token": "good", "zones": zones}));
    let origin = server.origin().to_owned();
    let told = vendors(&["cloudflare", &origin, "good"]).exits(0).json();
    assert_eq!(told, json!({"token": "active", "zones": zones}));
    let _ = vendors(&["cloudflare", &origin, "bad"]).exits(1).says("AuthenticationError");
    server.answers("GET /client/v4/zones", json!({"status": 429, "headers": {"retry-after": "300"}}));
    let _ = vendors(&["cloudflare", &origin, "good"]).exits(1).says("RateLimitError");
}

fn infisical() {
    let secret = json!({"project": "5f2f1b0e-7a34-4c9e-9d0e-0c7f0e6b8a11", "environment": "prod", "path": "/", "name": "TOKEN", "value": "value"});
    let server = StandIn::start(
        "infisical.py",
        json!({"client_id": "client", "client_secret": "right", "secrets": [secret]}),
    );
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    let ask = |word: &str| {
        fs::write(&file, word).unwrap();
        let project = secret["project"].as_str().unwrap();
        client(
            "infisical_client.py",
            &[server.origin(), "client", file.to_str().unwrap(), project, "prod", "/", "TOKEN"],
        )
    };
    assert_eq!(ask("right").exits(0).stdout, "value\n");
    let _ = ask("wrong").exits(1).says("401");
}

fn authentik() {
    let server = StandIn::start("authentik.py", json!({}));
    let told = vendors(&["authentik", server.origin()]).exits(0).json();
    assert_eq!(told, json!({"capabilities": ["can_save_media", "can_geo_ip"]}));
}

fn docker() {
    let container = json!({"health": "unhealthy", "after": {"health": "healthy"}});
    let server =
        StandIn::start("docker_engine.py", json!({"token": "good", "containers": {"web": container}}));
    let told = vendors(&["docker", server.origin(), "good", "web"]).exits(0).json();
    assert_eq!(told, json!({"before": [], "after": ["web"]}));
    let _ = vendors(&["docker", server.origin(), "good", "gone"]).exits(1).says("NotFound");
    let _ = vendors(&["docker", server.origin(), "bad", "web"]).exits(1).says("APIError");
}
