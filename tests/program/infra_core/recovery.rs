//! From a failure to a restart: dispatch chooses, the host starts, a person approves.

use std::fs;

use ops_tests::scratch::{Ran, predicate};
use serde_json::{Value, json};

use super::Test;
use super::site::Site;

pub(super) const TESTS: &[Test] = &[
    ("a_failure_leads_to_a_restart_once_approved", restarted),
    ("attempts_are_given_time_and_then_somebody_is_called", escalated),
    ("a_capability_that_starts_does_not_list_is_not_started", not_listed),
];

const FAILURE: [&str; 7] =
    ["cap", "run", "recovery.dispatch", "--gate", "D320", "--failure-class", "deterministic"];

fn dispatch(site: &Site, more: &[&str]) -> Ran {
    site.scratch.ops(&[&FAILURE[..], more].concat())
}

/// The predicates of the receipts of a capability, oldest first.
fn receipts(site: &Site, capability: &str) -> Vec<Value> {
    let folders = site.scratch.receipts();
    let of =
        folders.iter().filter(|folder| folder.display().to_string().contains(&format!("__{capability}__")));
    of.map(|folder| predicate(folder)).collect()
}

fn restarted() {
    let mut site = Site::new();
    site.authentik.set("database", json!(false));
    let (_, report) = site.smoke(&[]);
    assert_eq!(report["data"]["failures"], 1);

    let dry = dispatch(&site, &["--dry-run"]).exits(0);
    assert!(
        dry.stdout.contains("result: dispatch") && dry.stdout.contains("action: recover-authentik-stack"),
        "{}",
        dry.stdout
    );
    assert_eq!(receipts(&site, "infra.container.restart").len(), 0, "a dry run starts nothing");

    let started = dispatch(&site, &[]).exits(3);
    let _ = started.clone().says("started on its word: infra.container.restart");
    assert!(
        started.stdout.contains(report["run_key"].as_str().unwrap()),
        "it says what it saw: {}",
        started.stdout
    );
    site.scratch.ops(&["plan", "approve", &started.plan(), "--key", "key", "--apply"]).exits(0);
    assert_eq!(site.engine.asked().iter().filter(|asked| asked["method"] == "POST").count(), 1);
    let dispatched = receipts(&site, "recovery.dispatch");
    let restarts = receipts(&site, "infra.container.restart");
    assert_eq!(
        restarts[0]["run"]["startedBy"],
        dispatched.last().unwrap()["run"]["id"],
        "{:#}",
        restarts[0]["run"]
    );

    // It is given time to help, then all is well again.
    let again = dispatch(&site, &[]).exits(0);
    assert!(
        again.stdout.contains("result: cooldown") && again.stdout.contains("attempts: 1"),
        "{}",
        again.stdout
    );
    site.authentik.set("database", json!(true));
    site.smoke(&[]).0.exits(0);
    let none = dispatch(&site, &[]).exits(0);
    assert!(none.stdout.contains("result: no-action"), "{}", none.stdout);
    site.scratch.ops(&["receipts", "verify", "--all"]).exits(0);
}

fn escalated() {
    let site = Site::new();
    let file = site.scratch.path("ops/bindings/recovery.actions.yaml");
    let contract = fs::read_to_string(&file).unwrap();
    fs::write(&file, contract.replace("cooldown_seconds: 1800", "cooldown_seconds: 0")).unwrap();
    site.scratch.pin();
    for attempt in 0..2 {
        let ran = dispatch(&site, &["--system", "cloudflare"]).exits(0);
        assert!(ran.stdout.contains(&format!("attempts: {attempt}")), "{}", ran.stdout);
        let _ = ran.says("started on its word: infra.core.smoke");
    }
    // What people start themselves is no attempt, and neither is another action's.
    site.smoke(&["cloudflare"]).0.exits(0);
    let spent = dispatch(&site, &["--system", "cloudflare"]).exits(1);
    assert!(
        spent.stdout.contains("result: escalate") && spent.stdout.contains("escalate_to: infrastructure"),
        "{}",
        spent.stdout
    );
    let other = dispatch(&site, &["--system", "authentik", "--dry-run"]).exits(0);
    assert!(other.stdout.contains("result: dispatch"), "{}", other.stdout);
}

fn not_listed() {
    let site = Site::new();
    let file = site.scratch.path("ops/bindings/recovery.dispatch.yaml");
    let binding = fs::read_to_string(&file).unwrap();
    fs::write(&file, binding.replace("starts: [infra.container.restart, ", "starts: [")).unwrap();
    site.scratch.pin();
    let refused = dispatch(&site, &["--system", "authentik"]);
    assert_ne!(refused.code, 0);
    let _ = refused.says("infra.container.restart");
    assert_eq!(receipts(&site, "infra.container.restart").len(), 0);
}
