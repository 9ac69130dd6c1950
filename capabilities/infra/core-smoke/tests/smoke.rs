//! The smoke test in a scripted world: which probes it calls, and what it makes of their answers.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use infra_core_smoke::CAPABILITY;
use ops_guest::testing::{Ran, World};
use ops_guest::{Failure, InvokeError, Invoked};
use serde_json::{Value, json};

const CONTRACT: &str = include_str!("../../../../ops/bindings/infra.core.baseline.contract.yaml");
const SYSTEMS: [(&str, &[&str]); 4] = [
    ("cloudflare", &["token", "zones"]),
    ("vaultwarden", &["alive"]),
    ("infisical", &["status"]),
    ("authentik", &["live", "ready"]),
];

/// A report of a probe in which each check ended so.
fn report(system: &str, checks: &[&str], row: &str, result: &str) -> Value {
    let cause = if row == "failed" { json!("api_error") } else { Value::Null };
    let rows: Vec<_> = checks
        .iter()
        .map(|check| json!({"check": check, "result": row, "cause": cause, "why": format!("{check} was {row}")}))
        .collect();
    json!({"system": system, "checks": rows, "latency_ms": 7, "result": result})
}

fn probe(system: &str) -> String {
    format!("infra.{system}.probe")
}

/// A world in which all is well but for one system, which answers so.
fn world(but: &str, answer: impl Fn() -> Invoked + 'static) -> World {
    let world = World::new(&CAPABILITY).contract("infra.core.baseline.contract.yaml", CONTRACT);
    let world = SYSTEMS.iter().fold(world, |world, (system, checks)| {
        let good = report(system, checks, "ok", "ok");
        let run = format!("RUN-{system}");
        world.invocable(&probe(system), move |_| Invoked::with(&run, good.clone()))
    });
    world.invocable(&probe(but), move |arguments| {
        assert_eq!(arguments, &json!({}));
        answer()
    })
}

fn well() -> World {
    world("vaultwarden", || Invoked::with("RUN-vaultwarden", report("vaultwarden", &["alive"], "ok", "ok")))
}

fn row<'a>(ran: &'a Ran, system: &str) -> &'a Value {
    let rows = ran.output()["systems"].as_array().unwrap();
    rows.iter().find(|row| row["system"] == system).unwrap()
}

#[test]
fn all_is_all_four_and_each_can_be_asked_alone() {
    let ran = well().plan(json!({}));
    let output = ran.output();
    assert_eq!((&output["asked"], &output["result"]), (&json!("all"), &json!("PASS")));
    assert_eq!(
        (&output["passed"], &output["failures"], &output["not_bound"]),
        (&json!(4), &json!(0), &json!(0))
    );
    let order: Vec<_> =
        output["systems"].as_array().unwrap().iter().map(|row| row["system"].clone()).collect();
    assert_eq!(order, SYSTEMS.map(|(system, _)| json!(system)));
    for (system, checks) in SYSTEMS {
        let row = row(&ran, system);
        assert_eq!((&row["result"], &row["run"]), (&json!("pass"), &json!(format!("RUN-{system}"))));
        assert_eq!(row["why"], format!("{} ok", checks.join(", ")));
        let alone = well().plan(json!({"system": system}));
        assert_eq!((&alone.output()["passed"], &alone.output()["result"]), (&json!(1), &json!("PASS")));
        assert_eq!(alone.output()["systems"].as_array().unwrap().len(), 1);
    }
    assert!(matches!(well().plan(json!({"system": "stalwart"})).failure(), Failure::InvalidInput(_)));
}

/// Each of these is one system of four that did not do well; no way leads to a pass or to a skip.
#[test]
fn what_is_not_well_is_a_failure() {
    let bad: [(&str, fn() -> Invoked, &str); 9] = [
        (
            "failed",
            || Invoked::with("R", report("authentik", &["live", "ready"], "failed", "failed")),
            "live: live was failed",
        ),
        // A probe that says one thing and means another.
        (
            "ok over failed",
            || Invoked::with("R", report("authentik", &["live", "ready"], "failed", "ok")),
            "live: live was failed",
        ),
        (
            "ok over skipped",
            || Invoked::with("R", report("authentik", &["live", "ready"], "skipped", "ok")),
            "says one thing",
        ),
        (
            "not bound over ok",
            || Invoked::with("R", report("authentik", &["live", "ready"], "ok", "not-bound")),
            "says one thing",
        ),
        (
            "a check left out",
            || Invoked::with("R", report("authentik", &["live"], "ok", "ok")),
            "does not make the check `ready`",
        ),
        (
            "another system",
            || Invoked::with("R", report("infisical", &["live", "ready"], "ok", "ok")),
            "reports on infisical",
        ),
        ("no report", || Invoked::with("R", json!({"result": "ok"})), "not what was expected"),
        ("a run that failed", || Invoked::failed("R", "it trapped"), "it trapped"),
        (
            "no receipt",
            || Invoked {
                run: None,
                milliseconds: 1,
                outcome: Ok(report("authentik", &["live", "ready"], "ok", "ok")),
            },
            "no receipt",
        ),
    ];
    for (what, answer, part) in bad {
        let ran = world("authentik", answer).plan(json!({}));
        let output = ran.output();
        assert_eq!(
            (&output["result"], &output["failures"], &output["passed"]),
            (&json!("FAIL"), &json!(1), &json!(3)),
            "{what}"
        );
        let row = row(&ran, "authentik");
        assert_eq!(row["result"], "fail", "{what}");
        assert!(row["why"].as_str().is_some_and(|why| why.contains(part)), "{what}: {row}");
        assert!(!output.to_string().contains("PASS"), "{what}: {output}");
    }
}

/// A binding that does not name a probe is a runner that does not look at a declared system.
#[test]
fn a_probe_that_may_not_be_called_is_a_failure() {
    let denied = || Invoked {
        run: None,
        milliseconds: 0,
        outcome: Err(InvokeError::NotGranted("the binding does not list infra.infisical.probe".into())),
    };
    let ran = world("infisical", denied).plan(json!({}));
    assert_eq!(ran.output()["result"], "FAIL");
    assert_eq!(row(&ran, "infisical")["why"], "the binding does not list infra.infisical.probe");
}

#[test]
fn what_is_not_bound_is_neither_well_nor_a_failure() {
    let unbound = || Invoked::with("R", report("cloudflare", &["token", "zones"], "not-bound", "not-bound"));
    let ran = world("cloudflare", unbound).plan(json!({}));
    let output = ran.output();
    assert_eq!(
        (&output["result"], &output["not_bound"], &output["passed"]),
        (&json!("INCOMPLETE"), &json!(1), &json!(3))
    );
    assert_eq!(row(&ran, "cloudflare")["result"], "not-bound");
    let alone = world("cloudflare", unbound).plan(json!({"system": "cloudflare"}));
    assert_eq!(alone.output()["result"], "INCOMPLETE");
}

#[test]
fn a_contract_that_leaves_a_system_out_ends_the_run() {
    let (others, _) = CONTRACT.split_once("  - system: authentik").unwrap();
    let ran = World::new(&CAPABILITY).contract("infra.core.baseline.contract.yaml", others).plan(json!({}));
    assert!(ran.failure().why().contains("the system authentik is not listed"), "{ran:?}");
}

#[test]
fn the_manifest_says_which_result_is_a_failure() {
    let manifest = CAPABILITY.manifest();
    let output: Value = serde_json::from_str(&manifest.output).unwrap();
    assert_eq!(output["properties"]["result"]["x-ops-fails-on"], json!(["FAIL"]));
    let input: Value = serde_json::from_str(&manifest.input).unwrap();
    assert_eq!(input["properties"]["system"]["x-ops-positional"], json!(0));
}
