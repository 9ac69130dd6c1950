//! `--force` is recorded and passes over nothing, in a scripted world.

use gates_common::{registry, topology};
use ops_guest::testing::{Ran, World};
use ops_guest::{Failure, Invoked};
use serde_json::{Value, json};
use verify_domain_run::CAPABILITY;

const REGISTRY: &str = include_str!("../../../../ops/bindings/gate.registry.yaml");
const TOPOLOGY: &str = include_str!("../../../../ops/bindings/gate.execution.topology.yaml");

fn run(arguments: Value, result: &'static str) -> Ran {
    let world = World::new(&CAPABILITY).contract(registry::NAME, REGISTRY).contract(topology::NAME, TOPOLOGY);
    let answer = move |arguments: &Value| {
        let gate = &arguments["gate"];
        Invoked::with("CAP-1", json!({"gate": gate, "result": result, "looked_at": ["all"], "findings": []}))
    };
    let gates = ["registry", "topology", "docs"];
    gates
        .iter()
        .fold(world, |world, name| world.invocable(&format!("gates.{name}.check"), answer))
        .plan(arguments)
}

#[test]
fn force_changes_nothing_and_is_recorded() {
    for (force, result, outcome) in [
        (true, "pass", "PASS"),
        (false, "pass", "PASS"),
        (true, "fail", "FAIL"),
        (true, "skipped", "INCOMPLETE"),
    ] {
        let ran = run(json!({"domain": "aof", "force": force}), result);
        let output = ran.output();
        assert_eq!((&output["forced"], &output["result"]), (&json!(force), &json!(outcome)));
        assert_eq!((&output["scope"], &output["total"]), (&json!("domain aof"), &json!(6)));
    }
}

#[test]
fn a_domain_that_is_none() {
    let ran = run(json!({"domain": "home"}), "pass");
    assert!(
        matches!(ran.failure(), Failure::InvalidInput(why) if why.contains("domains: core, aof")),
        "{ran:?}"
    );
}
