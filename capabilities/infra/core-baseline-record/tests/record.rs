//! Recording in a scripted world: what is written, what is taken for evidence and what is not.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use infra_common::record::{Drift, DriftVerdict, Observed, Seen};
use infra_core_baseline_record::CAPABILITY;
use ops_guest::read_contract;
use ops_guest::testing::{Answer, Ran, World, assert_converges};
use serde_json::{Value, json};

const NAME: &str = "infra.core.baseline.contract.yaml";
const CONTRACT: &str = include_str!("../../../../ops/bindings/infra.core.baseline.contract.yaml");
const SMOKE: &str = "CAP-20260302-022249__infra.core.smoke__Rabcdefghij";

fn probe(system: &str) -> String {
    format!("CAP-20260302-022249__infra.{system}.probe__R0123456789")
}

fn check(system: &str, check: &str, result: &str) -> Value {
    json!({"system": system, "check": check, "result": result, "cause": null, "why": "seen"})
}

fn system(system: &str, result: &str) -> Value {
    json!({"system": system, "result": result, "why": "said: \"x\"\nline: two\u{7f}", "run": probe(system), "milliseconds": 3})
}

/// A report in which Authentik is not ready and Cloudflare is not bound.
fn report() -> Value {
    json!({
        "asked": "all", "passed": 2, "failures": 1, "not_bound": 1, "result": "FAIL",
        "systems": [
            system("cloudflare", "not-bound"), system("vaultwarden", "pass"),
            system("infisical", "pass"), system("authentik", "fail"),
        ],
        "checks": [
            check("cloudflare", "token", "not-bound"), check("cloudflare", "zones", "not-bound"),
            check("vaultwarden", "alive", "ok"), check("infisical", "status", "ok"),
            check("authentik", "live", "ok"), check("authentik", "ready", "failed"),
        ],
    })
}

fn receipt(run: &str, capability: &str) -> Value {
    json!({"run": run, "capability": capability, "safety": "read-only", "status": "failed", "at": "2026-03-02T02:22:49Z", "dry_run": false, "verifies": true, "why": null})
}

fn answer(run: &str, receipt: Value) -> Answer {
    Answer::get(&format!("/receipts/{run}")).json(receipt)
}

fn output(report: Value) -> Answer {
    Answer::get(&format!("/runs/{SMOKE}/output")).json(report)
}

/// A world with good evidence, and these answers in place of what they are for.
fn world(others: impl IntoIterator<Item = Answer>) -> World {
    let mut answers = vec![answer(SMOKE, receipt(SMOKE, "infra.core.smoke")), output(report())];
    for system in ["cloudflare", "vaultwarden", "infisical", "authentik"] {
        answers.push(answer(&probe(system), receipt(&probe(system), &format!("infra.{system}.probe"))));
    }
    answers.extend(others);
    World::new(&CAPABILITY).contract(NAME, CONTRACT).service("ops", answers).directory("audit", &[])
}

fn arguments() -> Value {
    json!({"from": SMOKE})
}

fn file(ran: &Ran, name: &str) -> String {
    String::from_utf8(ran.files[&format!("audit/{name}")].clone().unwrap()).unwrap()
}

#[test]
fn what_was_seen_is_written_and_held_against_what_is_declared() {
    let ran = world([]).plan(arguments());
    assert_eq!(
        ran.output()["files"],
        json!(["infra-core-baseline-20260302.yaml", "infra-core-drift-matrix-20260302.yaml"])
    );
    assert_eq!((&ran.output()["drift"], &ran.output()["not_observed"]), (&json!(1), &json!(2)));
    assert!(ran.effects.is_empty());
    let text = file(&ran, "infra-core-baseline-20260302.yaml");
    assert!(text.starts_with(&format!("# Written by infra.core.baseline.record from {SMOKE}.\n")), "{text}");
    let seen: Seen = read_contract("baseline", &text).unwrap();
    assert_eq!((seen.smoke_run.as_str(), seen.date.as_str(), seen.systems.len()), (SMOKE, "2026-03-02", 4));
    assert_eq!(seen.systems[0].why, "said: \"x\" line: two ");
    assert!(text.contains("\nsystems:\n  - system: cloudflare\n    authority: vendor-account\n"), "{text}");
    assert_eq!(seen.systems[3].evidence, Some(probe("authentik")));
    let drift: Drift = read_contract("matrix", &file(&ran, "infra-core-drift-matrix-20260302.yaml")).unwrap();
    let rows: Vec<_> = drift.rows.iter().map(|row| (row.check.as_str(), row.observed, row.verdict)).collect();
    assert_eq!(
        rows,
        [
            ("token", Observed::NotBound, DriftVerdict::NotObserved),
            ("zones", Observed::NotBound, DriftVerdict::NotObserved),
            ("alive", Observed::Ok, DriftVerdict::AsDeclared),
            ("status", Observed::Ok, DriftVerdict::AsDeclared),
            ("live", Observed::Ok, DriftVerdict::AsDeclared),
            ("ready", Observed::Failed, DriftVerdict::Drift),
        ]
    );
    assert!(drift.rows.iter().all(|row| row.evidence == Some(probe(row.system.as_str()))));
}

#[test]
fn recording_twice_changes_nothing() {
    assert_converges(&mut world([]), arguments());
}

#[test]
fn a_declared_check_that_the_probe_left_out_is_drift() {
    let mut left_out = report();
    left_out["checks"].as_array_mut().unwrap().pop();
    let ran = world([output(left_out)]).plan(arguments());
    let drift: Drift = read_contract("matrix", &file(&ran, "infra-core-drift-matrix-20260302.yaml")).unwrap();
    assert_eq!((drift.rows[5].observed, drift.rows[5].verdict), (Observed::Missing, DriftVerdict::Drift));
}

/// Nothing is written on evidence that does not hold.
#[test]
fn what_is_no_evidence_is_refused() {
    let with = |run: &str, capability: &str, key: &str, value: Value| {
        let mut changed = receipt(run, capability);
        changed[key] = value;
        answer(run, changed)
    };
    let changed = |pointer: &str, value: Value| {
        let mut changed = report();
        *changed.pointer_mut(pointer).unwrap() = value;
        output(changed)
    };
    let mut one_missing = report();
    one_missing["systems"].as_array_mut().unwrap().pop();
    one_missing["failures"] = json!(0);
    one_missing["result"] = json!("INCOMPLETE");
    let ready = probe("authentik");
    for (answer, part) in [
        (Answer::get(&format!("/receipts/{SMOKE}")).status(404), "there is no receipt of"),
        (with(SMOKE, "infra.core.smoke", "verifies", json!(false)), "does not verify"),
        (with(SMOKE, "verify.run", "status", json!("done")), "is a run of verify.run and not of"),
        (Answer::get(&format!("/runs/{SMOKE}/output")).status(410), "not kept any more"),
        (output(json!({"result": "PASS"})), "no report of the smoke test"),
        (changed("/asked", json!("authentik")), "asked for one system alone"),
        (changed("/result", json!("PASS")), "one thing in its rows and another in its result"),
        (changed("/failures", json!(0)), "one thing in its rows and another in its result"),
        (output(one_missing), "says nothing of authentik"),
        (Answer::get(&format!("/receipts/{ready}")).status(404), "for authentik: there is no receipt"),
        (with(&ready, "infra.authentik.probe", "verifies", json!(false)), "for authentik: the receipt of"),
        (with(&ready, "infra.infisical.probe", "status", json!("done")), "is a run of infra.infisical.probe"),
    ] {
        let ran = world([answer]).plan(arguments());
        let why = ran.failure().why();
        assert!(why.contains(part), "{part}: {why}");
        assert!(ran.files.is_empty());
    }
    let ran = world([]).plan(json!({"from": "../ledger"}));
    assert!(ran.failure().why().contains("is no run key"), "{ran:?}");
}
