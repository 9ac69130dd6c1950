//! Packs, domains, and what there is of them, in a scripted world.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use gates_common::{profiles, registry, topology};
use ops_guest::testing::{Ran, World};
use ops_guest::{Failure, Invoked};
use serde_json::{Value, json};
use verify_pack_run::CAPABILITY;

const REGISTRY: &str = include_str!("../../../../ops/bindings/gate.registry.yaml");
const TOPOLOGY: &str = include_str!("../../../../ops/bindings/gate.execution.topology.yaml");
const PROFILES: &str = include_str!("../../../../ops/bindings/gate.domain.profiles.yaml");

fn run(arguments: Value) -> Ran {
    let world = World::new(&CAPABILITY)
        .contract(registry::NAME, REGISTRY)
        .contract(topology::NAME, TOPOLOGY)
        .contract(profiles::NAME, PROFILES);
    let passed = |arguments: &Value| {
        let gate = &arguments["gate"];
        Invoked::with("CAP-1", json!({"gate": gate, "result": "pass", "looked_at": ["all"], "findings": []}))
    };
    let gates = ["registry", "topology", "records", "infra.baseline", "docs", "ledger"];
    gates
        .iter()
        .fold(world, |world, name| world.invocable(&format!("gates.{name}.check"), passed))
        .plan(arguments)
}

#[test]
fn a_pack_a_domain_or_the_core_operators() {
    for (arguments, scope, gates) in [
        (json!({}), "pack core-operator", "D63 D67 D75 D127 D320 D401 D402 D403 D404 D405"),
        (json!({"name": "loop_gap"}), "domain loop_gap", "D75 D402 D403"),
        (json!({"name": "loop-gap"}), "domain loop_gap", "D75 D402 D403"),
        (json!({"name": "records-keeper"}), "pack records-keeper", "D75 D403"),
        (
            json!({"name": "communications-operator"}),
            "pack communications-operator",
            "D63 D401 D402 D75 D403",
        ),
    ] {
        let ran = run(arguments);
        let rows = ran.output()["gates"].as_array().unwrap();
        let ids: Vec<_> = rows.iter().map(|row| row["gate"].as_str().unwrap()).collect();
        assert_eq!((ran.output()["scope"].as_str().unwrap(), ids.join(" ").as_str()), (scope, gates));
    }
}

#[test]
fn another_name_is_told_with_those_that_there_are() {
    let ran = run(json!({"name": "mail"}));
    let part = "there is no pack `mail`; packs: core-operator, communications-operator";
    assert!(matches!(ran.failure(), Failure::InvalidInput(why) if why.contains(part)), "{ran:?}");
}
