//! A restart at the Docker engine: planned, approved, and waited for.

use serde_json::{Value, json};

use super::Test;
use super::site::{ENGINE_TOKEN, Site};

pub(super) const TESTS: &[Test] = &[
    ("a_container_is_restarted_once_approved_and_left_alone_then", restarted),
    ("a_plan_holds_until_the_container_heals_by_itself", holds),
    ("a_container_that_is_not_there_fails_and_nothing_was_changed", not_there),
    ("a_container_that_no_rule_names_is_denied", not_named),
];

const NAME: &str = "authentik-server";

fn restart(site: &Site, more: &[&str]) -> ops_tests::scratch::Ran {
    site.scratch.ops(&[&["cap", "run", "infra.container.restart", "--container", NAME], more].concat())
}

/// What the engine was asked to change.
fn changes(site: &Site) -> Vec<Value> {
    site.engine.asked().into_iter().filter(|asked| asked["method"] == "POST").collect()
}

fn restarted() {
    let site = Site::new();
    let asked = restart(&site, &["--stop-seconds", "3"]).exits(3);
    assert_eq!(changes(&site).len(), 0);
    let done =
        site.scratch.ops(&["plan", "approve", &asked.plan(), "--key", "key", "--apply", "--json"]).exits(0);
    let output = done.json();
    assert_eq!((&output["data"]["state"], &output["data"]["healthy"]), (&json!("restarted"), &json!(true)));
    let changes = changes(&site);
    assert_eq!(changes.len(), 1);
    assert_eq!(
        (&changes[0]["path"], &changes[0]["query"]),
        (&json!(format!("/v1.44/containers/{NAME}/restart")), &json!({"t": "3"}))
    );
    let again = restart(&site, &[]).exits(0);
    assert!(again.stdout.contains("state: left-alone"), "{}", again.stdout);
    assert_eq!(self::changes(&site).len(), 1);
    // What the engine tells of a container's environment was never asked for.
    assert!(
        site.engine.asked().iter().all(|asked| asked["path"] != format!("/v1.44/containers/{NAME}/json"))
    );
    for folder in ["ops", "state", "receipts"] {
        let found = std::process::Command::new("grep")
            .args(["-rlF", ENGINE_TOKEN])
            .arg(site.scratch.path(folder))
            .output();
        assert_eq!(String::from_utf8_lossy(&found.unwrap().stdout), "");
    }
}

fn holds() {
    let mut site = Site::new();
    let approve =
        |site: &Site, plan: &str| site.scratch.ops(&["plan", "approve", plan, "--key", "key", "--apply"]);
    let sick = json!({NAME: {"health": "unhealthy", "after": {"health": "healthy"}}});
    let well = json!({NAME: {"health": "healthy"}});
    let plan = restart(&site, &[]).exits(3).plan();
    site.engine.set("containers", well);
    let _ = approve(&site, &plan).says("stale");
    assert_eq!(changes(&site).len(), 0, "a container that has healed is not restarted");
    site.engine.set("containers", sick);
    let plan = restart(&site, &[]).exits(3).plan();
    approve(&site, &plan).exits(0);
    assert_eq!(changes(&site).len(), 1);
    // Asked for all the same, a healthy one is restarted.
    let plan = restart(&site, &["--even-if-healthy"]).exits(3).plan();
    approve(&site, &plan).exits(0);
    assert_eq!(changes(&site).len(), 2);
}

fn not_there() {
    let mut site = Site::new();
    site.engine.set("containers", json!({}));
    let plan = restart(&site, &[]).exits(3).plan();
    let refused = site.scratch.ops(&["plan", "approve", &plan, "--key", "key", "--apply"]);
    let _ = refused.says("No such container: authentik-server");
    assert_eq!(changes(&site)[0]["status"], 404);
}

fn not_named() {
    let site = Site::new();
    let denied = site.scratch.ops(&["cap", "run", "infra.container.restart", "--container", "vaultwarden"]);
    let _ = denied.exits(4).says("/v1.44/containers/vaultwarden/restart");
    assert_eq!(changes(&site).len(), 0);
}
