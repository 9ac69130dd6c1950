//! `D320` in a scripted world, over the repository's own contracts.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use gates_common::{Report, Verdict, registry};
use gates_infra_baseline_check::CAPABILITY;
use infra_common::{baseline, recovery};
use ops_guest::testing::{Answer, World};
use serde_json::{Value, json};

const REGISTRY: &str = include_str!("../../../../ops/bindings/gate.registry.yaml");
const BASELINE: &str = include_str!("../../../../ops/bindings/infra.core.baseline.contract.yaml");
const ACTIONS: &str = include_str!("../../../../ops/bindings/recovery.actions.yaml");
const PROBES: [&str; 4] =
    ["infra.cloudflare.probe", "infra.vaultwarden.probe", "infra.infisical.probe", "infra.authentik.probe"];

fn one(name: &str, safety: &str, invoke: &[&str], starts: &[&str]) -> Value {
    json!({
        "name": name, "domain": "infra", "summary": "", "safety": safety, "approval": "auto", "reason": null,
        "accept": [], "binding": "", "component": "", "services": [], "directories": [], "contracts": [],
        "invoke": invoke, "starts": starts, "unneeded": [], "fault": null, "arguments": [],
        "lines": {"invoke": 6, "starts": 11},
    })
}

fn bound() -> Vec<Value> {
    let mut bound: Vec<_> = PROBES.iter().map(|probe| one(probe, "read-only", &[], &[])).collect();
    bound.extend([
        one("infra.core.smoke", "read-only", &PROBES, &[]),
        one("infra.core.baseline.record", "mutating", &[], &[]),
        one("recovery.dispatch", "read-only", &[], &["infra.core.smoke", "infra.container.restart"]),
        one("infra.container.restart", "mutating", &[], &[]),
    ]);
    bound
}

fn look(baseline: &str, actions: &str, bound: &[Value]) -> Report {
    let ran = World::new(&CAPABILITY)
        .contract(registry::NAME, REGISTRY)
        .contract(baseline::NAME, baseline)
        .contract(recovery::NAME, actions)
        .service("ops", [Answer::get("/registry").json(json!({"capabilities": bound}))])
        .plan(json!({"gate": "D320"}));
    serde_json::from_value(ran.output().clone()).unwrap()
}

#[track_caller]
fn finds(report: &Report, file: &str, line: Option<u64>, what: &str) {
    assert_eq!(report.result, Verdict::Fail, "{what}");
    let found = report.findings.iter().find(|found| found.what.contains(what));
    let found = found.unwrap_or_else(|| panic!("{what}: {report:#?}"));
    assert_eq!(found.file, format!("bindings/{file}"));
    assert!(line.is_none_or(|line| found.line == line) && !found.fix.is_empty(), "{found:#?}");
}

/// The line on which a text stands last.
fn line(text: &str, part: &str) -> Option<u64> {
    let (front, _) = text.split_at(text.rfind(part).unwrap());
    Some(front.matches('\n').count() as u64 + 1)
}

#[test]
fn the_repositorys_own_baseline_holds() {
    let report = look(BASELINE, ACTIONS, &bound());
    assert_eq!((report.result, report.looked_at.len()), (Verdict::Pass, 4), "{report:#?}");
}

#[test]
fn each_system_is_looked_at_by_the_smoke_runner() {
    for probe in PROBES {
        let others: Vec<_> = PROBES.into_iter().filter(|other| *other != probe).collect();
        let mut bound = bound();
        bound[4] = one("infra.core.smoke", "read-only", &others, &[]);
        let report = look(BASELINE, ACTIONS, &bound);
        finds(&report, "infra.core.smoke.yaml", Some(6), &format!("it may not call `{probe}`"));
        assert_eq!(report.findings.len(), 1);
    }
    let mut without = bound();
    without.remove(3);
    without[3] = one("infra.core.smoke", "read-only", &PROBES[..3], &[]);
    let at = line(BASELINE, "infra.authentik.probe");
    finds(&look(BASELINE, ACTIONS, &without), baseline::NAME, at, "which is not bound");
    let mut changes = bound();
    changes[3]["safety"] = json!("mutating");
    finds(&look(BASELINE, ACTIONS, &changes), baseline::NAME, at, "which is mutating");
}

#[test]
fn no_two_systems_share_a_probe() {
    let baseline = BASELINE.replace("capability: infra.authentik.probe", "capability: infra.infisical.probe");
    let report = look(&baseline, ACTIONS, &bound());
    let at = line(&baseline, "capability: infra.infisical.probe");
    finds(
        &report,
        baseline::NAME,
        at,
        "authentik is probed by `infra.infisical.probe`, which is the probe of",
    );
    assert_eq!(report.findings.len(), 1, "{report:#?}");
}

/// That a name which bindings, gates or actions hold is not bound is D63's; that a binding cannot run is D401's.
#[test]
fn what_another_gate_says_is_not_said_again() {
    for (gone, passed) in
        [("infra.authentik.probe", 3), ("infra.container.restart", 4), ("infra.core.smoke", 4)]
    {
        let without: Vec<_> = bound().into_iter().filter(|bound| bound["name"] != gone).collect();
        let report = look(BASELINE, ACTIONS, &without);
        assert_eq!((report.result, report.looked_at.len()), (Verdict::Pass, passed), "{gone}: {report:#?}");
    }
    for (number, passed) in [(3, 3), (4, 4), (6, 4)] {
        let mut broken = bound();
        let name = broken[number]["name"].as_str().unwrap().to_owned();
        broken[number] = one(&name, "", &[], &[]);
        broken[number]["fault"] = json!("unknown field");
        let report = look(BASELINE, ACTIONS, &broken);
        assert_eq!((report.result, report.looked_at.len()), (Verdict::Pass, passed), "{name}: {report:#?}");
    }
    // What only the baseline names is told here.
    let without: Vec<_> =
        bound().into_iter().filter(|bound| bound["name"] != "infra.core.baseline.record").collect();
    finds(&look(BASELINE, ACTIONS, &without), baseline::NAME, None, "and it is not bound");
    let without: Vec<_> = bound().into_iter().filter(|bound| bound["name"] != "recovery.dispatch").collect();
    finds(&look(BASELINE, ACTIONS, &without), "recovery.dispatch.yaml", None, "may not start");
}

#[test]
fn each_system_can_be_recovered() {
    let baseline = BASELINE.replace("recover-infisical-stack", "recover-by-hope");
    let at = line(&baseline, "recover-by-hope");
    finds(&look(&baseline, ACTIONS, &bound()), baseline::NAME, at, "has no such action");
    let of = "gate_ids: [D320], failure_class: deterministic, system: infisical";
    let actions = ACTIONS.replace(of, "gate_ids: [D63], failure_class: deterministic, system: infisical");
    let at = line(BASELINE, "recover-infisical-stack");
    finds(
        &look(BASELINE, &actions, &bound()),
        baseline::NAME,
        at,
        "is for another failure than the one of infisical",
    );
    let mut bound = bound();
    bound[6]["starts"] = json!(["infra.core.smoke"]);
    finds(
        &look(BASELINE, ACTIONS, &bound),
        "recovery.dispatch.yaml",
        Some(11),
        "may not start `infra.container.restart`",
    );
}

#[test]
fn gates_and_evidence_are_there() {
    let baseline = BASELINE.replacen("trigger_gate_ids: [D320]", "trigger_gate_ids: [D999]", 1);
    let report = look(&baseline, ACTIONS, &bound());
    finds(&report, baseline::NAME, line(&baseline, "D999"), "waits for the gate `D999`, which is not in use");
    let baseline =
        BASELINE.replacen("[infra.core.smoke, infra.core.baseline.record]", "[infra.core.seen]", 1);
    let report = look(&baseline, ACTIONS, &bound());
    finds(
        &report,
        baseline::NAME,
        line(&baseline, "infra.core.seen"),
        "is to show that cloudflare was taken in",
    );
}

#[test]
fn contracts_that_cannot_be_read() {
    let baseline = BASELINE.replacen("runtime_type: saas", "runtime_type: rented", 1);
    finds(&look(&baseline, ACTIONS, &bound()), baseline::NAME, line(&baseline, "rented"), "`self-hosted`");
    let actions = ACTIONS.replacen("failure_class: freshness", "failure_class: sudden", 1);
    finds(&look(BASELINE, &actions, &bound()), recovery::NAME, line(&actions, "sudden"), "`deterministic`");
    let (three, _) = BASELINE.rsplit_once("  - system: authentik").unwrap();
    finds(&look(three, ACTIONS, &bound()), baseline::NAME, None, "authentik is not listed");
}
