//! Which gates each scope runs, in a scripted world.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use gates_common::{registry, topology};
use ops_guest::testing::{Ran, World};
use ops_guest::{Failure, Invoked};
use serde_json::{Value, json};
use verify_run::CAPABILITY;

const REGISTRY: &str = include_str!("../../../../ops/bindings/gate.registry.yaml");
const TOPOLOGY: &str = include_str!("../../../../ops/bindings/gate.execution.topology.yaml");
const GATES: [&str; 6] = [
    "gates.registry.check",
    "gates.topology.check",
    "gates.records.check",
    "gates.infra.baseline.check",
    "gates.docs.check",
    "gates.ledger.check",
];

/// The repository's own gates, with one more of each other class in `infra`.
fn run(arguments: Value) -> Ran {
    let one = REGISTRY.split("  - id: D63\n").nth(1).unwrap().split("  - id:").next().unwrap();
    let more = |id: &str, class: &str| {
        format!(
            "  - id: {id}\n{}",
            one.replace("invariant", class).replace("gate: D63", &format!("gate: {id}"))
        )
    };
    let gates = format!("{REGISTRY}{}{}", more("D901", "freshness"), more("D902", "advisory"));
    let assigned = "assignments:\n  - {gate: D901, primary: infra}\n  - {gate: D902, primary: infra}\n";
    let domains = TOPOLOGY.replace("assignments:\n", assigned).replace("core: [D63,", "core: [D902, D63,");
    let world = World::new(&CAPABILITY).contract(registry::NAME, &gates).contract(topology::NAME, &domains);
    let passed = |arguments: &Value| {
        let gate = &arguments["gate"];
        Invoked::with("CAP-1", json!({"gate": gate, "result": "pass", "looked_at": ["all"], "findings": []}))
    };
    GATES.iter().fold(world, |world, name| world.invocable(name, passed)).plan(arguments)
}

fn ids(ran: &Ran) -> String {
    let rows = ran.output()["gates"].as_array().unwrap();
    rows.iter().map(|row| row["gate"].as_str().unwrap()).collect::<Vec<_>>().join(" ")
}

#[test]
fn each_scope_has_its_gates() {
    let fast = "D63 D67 D75 D127 D320 D401 D402 D403 D404 D405";
    for (arguments, gates, summary) in [
        (json!({"scope": "fast"}), fast.to_owned(), "10/10 PASS"),
        (json!({"scope": "domain", "domain": "infra"}), format!("{fast} D901"), "11/11 PASS"),
        (json!({"scope": "domain", "domain": "infra-core"}), format!("{fast} D901"), "11/11 PASS"),
        (
            json!({"scope": "release"}),
            "D63 D127 D403 D404 D67 D401 D402 D405 D75 D901 D902 D320".to_owned(),
            "12/12 PASS",
        ),
    ] {
        let ran = run(arguments.clone());
        assert_eq!((ids(&ran), &ran.output()["summary"]), (gates, &json!(summary)), "{arguments}");
    }
}

#[test]
fn a_domain_is_run_with_what_is_fast_and_says_so() {
    let ran = run(json!({"scope": "domain", "domain": "infra"}));
    assert_eq!(ran.output()["scope"], "fast and domain infra");
}

#[test]
fn a_domain_that_is_none_is_told_with_those_that_are() {
    for (arguments, part) in [
        (
            json!({"scope": "domain", "domain": "mail"}),
            "there is no domain `mail`; domains: core, aof, loop_gap",
        ),
        (json!({"scope": "domain"}), "name a domain: core, aof"),
        (json!({"scope": "fast", "domain": "infra"}), "write `domain infra`"),
    ] {
        let ran = run(arguments);
        assert!(matches!(ran.failure(), Failure::InvalidInput(why) if why.contains(part)), "{ran:?}");
    }
}
