//! `D127` in a scripted world: the repository's own contracts agree, and each single mistake is told at its line.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use gates_common::{Finding, Report, Verdict, profiles, registry, topology};
use gates_topology_check::CAPABILITY;
use ops_guest::testing::World;
use serde_json::json;

const REGISTRY: &str = include_str!("../../../../ops/bindings/gate.registry.yaml");
const TOPOLOGY: &str = include_str!("../../../../ops/bindings/gate.execution.topology.yaml");
const PROFILES: &str = include_str!("../../../../ops/bindings/gate.domain.profiles.yaml");

fn look(gates: &str, domains: &str, packs: &str) -> Report {
    let ran = World::new(&CAPABILITY)
        .contract(registry::NAME, gates)
        .contract(topology::NAME, domains)
        .contract(profiles::NAME, packs)
        .plan(json!({"gate": "D127"}));
    serde_json::from_value(ran.output().clone()).unwrap()
}

/// The line on which a text stands last.
fn line(text: &str, part: &str) -> u64 {
    let at = text.rfind(part).unwrap_or_else(|| panic!("there is no {part:?}"));
    text[..at].matches('\n').count() as u64 + 1
}

#[test]
fn the_repositorys_own_contracts_agree() {
    let report = look(REGISTRY, TOPOLOGY, PROFILES);
    assert_eq!((report.result, report.findings.as_slice()), (Verdict::Pass, [].as_slice()));
    assert!(report.looked_at.iter().any(|saw| saw == "10 active gates and 10 assignments"), "{report:?}");
}

/// The failure of the second seed's first evidence: a gate was registered before it was assigned.
#[test]
fn a_gate_that_is_registered_and_not_assigned() {
    let domains = TOPOLOGY.replace("  - {gate: D320, primary: infra}\n", "");
    let report = look(REGISTRY, &domains, PROFILES);
    assert_eq!(report.result, Verdict::Fail);
    // The domain has other gates still, so there is this one finding.
    let [Finding { file, line: at, what, fix }] = report.findings.as_slice() else { panic!("{report:?}") };
    assert_eq!(file, "bindings/gate.registry.yaml");
    assert_eq!(*at, line(REGISTRY, "id: D320"));
    assert_eq!(what, "the gate `D320` is registered and not assigned");
    assert_eq!(fix, "add `- {gate: D320, primary: DOMAIN}` to `assignments` of gate.execution.topology.yaml");
}

/// Each case changes one place of one contract.
#[test]
fn each_mistake_is_told_at_its_line() {
    for (from, to, what) in [
        ("{gate: D404,", "{gate: D63,", "the gate `D63` is assigned twice"),
        (
            "{gate: D404,",
            "{gate: D999,",
            "the gate `D999` is assigned, and gate.registry.yaml has no such gate",
        ),
        ("{gate: D404, primary: core}", "{gate: D404, primary: cor}", "`cor` is no domain"),
        ("secondary: [loop_gap]}", "secondary: [gaps]}", "`gaps` is no domain"),
        ("depends_on: [core, infra]", "depends_on: [core, machines]", "`machines` is no domain"),
        ("infra, communications]\n", "infra, mail]\n", "`mail` is no domain"),
        (
            "D320, D401, D402, D403, D404, D405]",
            "D320, D401, D402, D403, D404, D406]",
            "the core gate `D406` is not",
        ),
    ] {
        assert!(TOPOLOGY.contains(from), "{from}");
        let domains = TOPOLOGY.replace(from, to);
        let report = look(REGISTRY, &domains, PROFILES);
        let found = report.findings.iter().find(|found| found.what.starts_with(what));
        let found = found.unwrap_or_else(|| panic!("{what}: {report:#?}"));
        assert_eq!(
            (found.file.as_str(), found.line),
            ("bindings/gate.execution.topology.yaml", line(&domains, to))
        );
        assert!(!found.fix.is_empty() && report.result == Verdict::Fail);
    }
    let left_out = TOPOLOGY.replace("infra, communications]\n", "infra]\n");
    let report = look(REGISTRY, &left_out, PROFILES);
    assert_eq!(report.findings[0].what, "the release leaves out the domain `communications`");
    let without = TOPOLOGY
        .replace("aof, communications, infra]", "aof, infra]")
        .replace("[communications, infra]", "[infra]")
        .replace("loop_gap, communications, infra]", "loop_gap, infra]");
    let report = look(REGISTRY, &without, PROFILES);
    assert!(report.findings[0].what.starts_with("the domain `communications` has no gate"), "{report:?}");
}

#[test]
fn a_pack_says_nothing_else_than_the_topology() {
    for (from, to, what) in [
        ("gates: [D75, D403]", "gates: [D75, D320]", "the pack `records-keeper` runs the gate `D320`"),
        ("domains: [infra]", "domains: [machines]", "`machines` is no domain"),
        ("name: infra-operator", "name: infra", "the pack `infra` has the name of a domain"),
        ("name: infra-operator", "name: loop-gap", "the pack `loop-gap` has the name of a domain"),
    ] {
        let packs = PROFILES.replace(from, to);
        let report = look(REGISTRY, TOPOLOGY, &packs);
        let [found] = report.findings.as_slice() else { panic!("{to}: {report:#?}") };
        assert!(found.what.starts_with(what), "{found:?}");
        assert_eq!(
            (found.file.as_str(), found.line),
            ("bindings/gate.domain.profiles.yaml", line(&packs, to))
        );
    }
}

#[test]
fn a_retired_gate_is_neither_assigned_nor_core() {
    let retired =
        REGISTRY.replace("    name: approvals-policy\n", "    name: approvals-policy\n    status: retired\n");
    let report = look(&retired, TOPOLOGY, PROFILES);
    let what: Vec<_> = report.findings.iter().map(|found| found.what.as_str()).collect();
    assert_eq!(
        what,
        [
            "the gate `D405` is assigned, and it is retired",
            "the core gate `D405` is not an active gate of gate.registry.yaml"
        ]
    );
}

#[test]
fn a_contract_that_cannot_be_read_is_a_finding() {
    for (gates, domains, packs, file, words) in [
        (
            REGISTRY.replace("class: invariant", "class: eternal"),
            TOPOLOGY.into(),
            PROFILES.to_owned(),
            registry::NAME,
            "`advisory`",
        ),
        (
            REGISTRY.into(),
            TOPOLOGY.replace("criticality: critical", "criticality: huge"),
            PROFILES.into(),
            topology::NAME,
            "`critical`",
        ),
        (REGISTRY.into(), TOPOLOGY.into(), PROFILES.replace("packs:", "pack:"), profiles::NAME, "`packs`"),
    ] {
        let report = look(&gates, &domains, &packs);
        let [found] = report.findings.as_slice() else { panic!("{report:#?}") };
        assert_eq!((found.file.clone(), report.result), (format!("bindings/{file}"), Verdict::Fail));
        assert!(found.what.contains(words) && found.line > 0, "{found:?}");
    }
}
