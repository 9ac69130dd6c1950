//! The smoke test with all systems well, each of them down or failing in turn, and none bound.

use std::fs;

use serde_json::{Value, json};

use super::Test;
use super::site::{SYSTEMS, Site, TOKEN, check, row, smoke};

pub(super) const TESTS: &[Test] = &[
    ("all_four_pass", all_pass),
    ("each_that_is_down_fails_with_its_reason", each_down),
    ("each_that_says_that_it_is_not_well_fails_with_its_reason", each_failing),
    ("a_limit_ends_as_one_with_the_same_credential", limited),
    ("a_limit_that_is_over_soon_is_waited_for", limited_for_a_moment),
    ("a_refused_token_is_no_limit_and_nothing_else_is_tried", refused),
    ("what_is_not_bound_is_said_and_is_not_ok", not_bound),
    ("a_probe_that_the_binding_does_not_name_fails", not_named),
];

fn all_pass() {
    let site = Site::new();
    let (ran, report) = site.smoke(&[]);
    ran.clone().exits(0);
    let data = &report["data"];
    assert_eq!(
        (&data["result"], &data["passed"], &data["failures"]),
        (&json!("PASS"), &json!(4), &json!(0)),
        "{ran:?}"
    );
    assert_eq!(check(&report, "cloudflare", "zones")["why"], "51 zones, 0 of them not active");
    // Each has a receipt of its own, which is linked to the smoke test's.
    let receipts = site.scratch.receipts();
    assert_eq!(receipts.len(), 5);
    let names: Vec<_> =
        receipts.iter().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect();
    for (system, _) in SYSTEMS {
        let run = row(&report, system)["run"].as_str().unwrap();
        assert!(names.contains(&format!("R{run}")), "{run} in {names:?}");
    }
    site.scratch.ops(&["receipts", "verify", "--all"]).exits(0);
    for (system, _) in SYSTEMS {
        let (ran, report) = site.smoke(&[system]);
        ran.exits(0);
        assert_eq!(
            (&report["data"]["result"], &report["data"]["passed"]),
            (&json!("PASS"), &json!(1)),
            "{system}"
        );
    }
    // For people, the word stands in the last line.
    let told = site.scratch.ops(&["cap", "run", "infra.core.smoke"]).exits(0);
    assert!(told.stdout.ends_with("result: PASS\n"), "{}", told.stdout);
    tells_no_secret(&site);
}

/// Runs the smoke test, in which this system and no other fails.
#[track_caller]
fn fails(site: &Site, system: &str) -> Value {
    let (ran, report) = site.smoke(&[]);
    let ran = ran.exits(1);
    let data = &report["data"];
    assert_eq!(
        (&data["result"], &data["failures"], &data["passed"]),
        (&json!("FAIL"), &json!(1), &json!(3)),
        "{ran:?}"
    );
    assert_eq!(row(&report, system)["result"], "fail");
    assert!(!ran.stdout.contains("PASS"), "{}", ran.stdout);
    let (alone, one) = site.smoke(&[system]);
    alone.exits(1);
    assert_eq!(one["data"]["result"], "FAIL");
    report
}

fn each_down() {
    let mut site = Site::new();
    for (system, first) in
        [("cloudflare", "token"), ("vaultwarden", "alive"), ("infisical", "status"), ("authentik", "live")]
    {
        site.of(system).stop();
        let report = fails(&site, system);
        let row = check(&report, system, first);
        assert_eq!((&row["result"], &row["cause"]), (&json!("failed"), &json!("network_error")), "{row}");
        site.of(system).start_again();
    }
    site.smoke(&[]).0.exits(0);
}

fn each_failing() {
    let mut site = Site::new();
    for (system, request, answer, name, cause) in [
        ("cloudflare", "GET /client/v4/zones", json!({"status": 500, "body": "boom"}), "zones", "api_error"),
        (
            "cloudflare",
            "GET /client/v4/user/tokens/verify",
            json!({"status": 200, "body": {"success": false, "errors": [{"code": 1000, "message": "no"}], "result": null}}),
            "token",
            "api_error",
        ),
        ("vaultwarden", "GET /alive", json!({"status": 500, "body": ""}), "alive", "api_error"),
        ("vaultwarden", "GET /alive", json!({"status": 200, "body": "<html>"}), "alive", "unexpected_answer"),
        (
            "authentik",
            "GET /-/health/live/",
            json!({"status": 302, "headers": {"location": "/"}}),
            "live",
            "unexpected_answer",
        ),
    ] {
        site.of(system).answers(request, answer);
        let report = fails(&site, system);
        let row = check(&report, system, name);
        assert_eq!((&row["result"], &row["cause"]), (&json!("failed"), &json!(cause)), "{row}");
        site.of(system).is_well();
    }
    site.infisical.set("down", json!(true));
    assert_eq!(check(&fails(&site, "infisical"), "infisical", "status")["cause"], "api_error");
    site.infisical.set("down", json!(false));
    site.authentik.set("database", json!(false));
    let report = fails(&site, "authentik");
    assert_eq!(check(&report, "authentik", "live")["result"], "ok");
    assert_eq!(check(&report, "authentik", "ready")["cause"], "api_error");
    site.authentik.set("database", json!(true));
    site.authentik.set("empty", json!(true));
    site.smoke(&[]).0.exits(0);
}

/// The credentials that Cloudflare was shown, each once.
fn credentials(site: &Site) -> Vec<Value> {
    let mut shown: Vec<_> =
        site.cloudflare.asked().into_iter().map(|asked| asked["credential"].clone()).collect();
    shown.dedup();
    shown
}

fn limited() {
    let mut site = Site::new();
    let limit = json!({"status": 429, "headers": {"retry-after": "1"}, "body": {"success": false, "errors": [{"code": 10000, "message": "rate limited"}]}});
    site.cloudflare.answers("GET /client/v4/user/tokens/verify", limit);
    let (ran, report) = site.smoke(&["cloudflare"]);
    ran.exits(1);
    let row = check(&report, "cloudflare", "token");
    assert_eq!((&row["cause"], &row["result"]), (&json!("rate_limited"), &json!("failed")), "{row}");
    assert_eq!(check(&report, "cloudflare", "zones")["result"], "skipped");
    // The read was repeated a few times, and nothing else was asked of somebody who wants to be left alone.
    let asked = site.cloudflare.asked();
    assert!((2..=6).contains(&asked.len()), "{asked:#?}");
    assert!(asked.iter().all(|asked| asked["path"] == "/client/v4/user/tokens/verify"), "{asked:#?}");
    assert_eq!(credentials(&site).len(), 1, "another credential was tried: {asked:#?}");
    tells_no_secret(&site);
}

fn limited_for_a_moment() {
    let mut site = Site::new();
    let (_, before) = site.smoke(&["cloudflare"]);
    assert_eq!(before["data"]["result"], "PASS");
    // A day of rest is not waited for: the answer is what it is, after one request.
    let asked = site.cloudflare.asked().len();
    let limit = json!({"status": 429, "headers": {"retry-after": "86400"}});
    site.cloudflare.answers("GET /client/v4/zones", limit);
    let (ran, report) = site.smoke(&["cloudflare"]);
    ran.exits(1);
    let row = check(&report, "cloudflare", "zones");
    assert_eq!(row["cause"], "rate_limited");
    assert!(row["why"].as_str().unwrap().contains("86400 seconds"), "{row}");
    assert_eq!(site.cloudflare.asked().len(), asked + 2);
    site.cloudflare.is_well();
    site.smoke(&["cloudflare"]).0.exits(0);
}

fn refused() {
    let site = Site::new();
    site.set_token("another-t0ken");
    let (ran, report) = site.smoke(&["cloudflare"]);
    ran.exits(1);
    let row = check(&report, "cloudflare", "token");
    assert_eq!(row["cause"], "token_invalid", "{row}");
    let asked = site.cloudflare.asked();
    assert_eq!(asked.len(), 1, "a refused credential is neither repeated nor exchanged: {asked:#?}");
    // A token that may verify itself and read no zones.
    let mut site = Site::new();
    site.cloudflare
        .answers("GET /client/v4/zones", json!({"status": 403, "body": {"success": false, "errors": []}}));
    let report = fails(&site, "cloudflare");
    assert_eq!(check(&report, "cloudflare", "token")["result"], "ok");
    assert_eq!(check(&report, "cloudflare", "zones")["cause"], "token_invalid");
    assert_eq!(credentials(&site).len(), 1);
}

fn not_bound() {
    let scratch = Site::unbound();
    let (ran, report) = smoke(&scratch, &[]);
    ran.clone().exits(0);
    let data = &report["data"];
    assert_eq!(
        (&data["result"], &data["not_bound"], &data["passed"]),
        (&json!("INCOMPLETE"), &json!(4), &json!(0))
    );
    for (system, _) in SYSTEMS {
        assert_eq!(row(&report, system)["result"], "not-bound");
    }
    let checks = data["checks"].as_array().unwrap();
    assert_eq!(checks.len(), 6);
    assert!(checks.iter().all(|row| row["result"] == "not-bound"), "{checks:#?}");
    assert!(!ran.stdout.contains("PASS") && !ran.stdout.contains("\"ok\""), "{}", ran.stdout);
    let dry = scratch.ops(&[
        "cap",
        "run",
        "infra.container.restart",
        "--container",
        "authentik-server",
        "--dry-run",
    ]);
    let _ = dry.exits(0).says("not bound: unchecked");
}

fn not_named() {
    let site = Site::new();
    let file = site.scratch.path("ops/bindings/infra.core.smoke.yaml");
    let binding = fs::read_to_string(&file).unwrap();
    fs::write(&file, binding.replace(", infra.authentik.probe]", "]")).unwrap();
    site.scratch.pin();
    let report = fails(&site, "authentik");
    let row = row(&report, "authentik");
    assert!(row["why"].as_str().unwrap().contains("infra.authentik.probe"), "{row}");
    assert_eq!(row["run"], Value::Null);
}

/// Looks for the token in everything that was written.
fn tells_no_secret(site: &Site) {
    for folder in ["ops", "state", "receipts"] {
        let found = std::process::Command::new("grep")
            .args(["-rlF", TOKEN])
            .arg(site.scratch.path(folder))
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&found.stdout), "", "the token is in a file");
    }
}
