//! What a change reaches, in a scripted world.

use gates_common::{registry, topology};
use ops_guest::testing::World;
use serde_json::json;
use verify_route_recommend::CAPABILITY;

const REGISTRY: &str = include_str!("../../../../ops/bindings/gate.registry.yaml");
const TOPOLOGY: &str = include_str!("../../../../ops/bindings/gate.execution.topology.yaml");

#[test]
fn paths_and_capabilities_lead_to_domains() {
    for (arguments, domains, note) in [
        (json!({}), json!(["core"]), true),
        (json!({"path": ["README.md"]}), json!(["core"]), true),
        (json!({"path": ["./ops/bindings/infra.vm.provision.yaml"]}), json!(["aof", "infra"]), false),
        (json!({"capability": ["gaps.close", "infra.core.smoke"]}), json!(["loop_gap", "infra"]), false),
        (
            json!({"path": ["capabilities/communications/common/src/lib.rs"], "capability": ["verify.run"]}),
            json!(["core", "communications"]),
            false,
        ),
    ] {
        let ran = World::new(&CAPABILITY)
            .contract(registry::NAME, REGISTRY)
            .contract(topology::NAME, TOPOLOGY)
            .plan(arguments.clone());
        let output = ran.output();
        assert_eq!(output["recommended_domains"], domains, "{arguments}");
        assert_eq!(output["note"].is_string(), note, "{arguments}");
        assert_eq!(output["commands"][0], "ops cap run verify.core.run");
        assert_eq!(output["input_paths"], arguments.get("path").cloned().unwrap_or_else(|| json!([])));
    }
}
