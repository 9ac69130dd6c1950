//! The list of packs and domains, in a scripted world.

use gates_common::{profiles, registry, topology};
use ops_guest::testing::World;
use serde_json::json;
use verify_pack_list::CAPABILITY;

#[test]
fn packs_then_domains_with_their_gates() {
    let ran = World::new(&CAPABILITY)
        .contract(registry::NAME, include_str!("../../../../ops/bindings/gate.registry.yaml"))
        .contract(topology::NAME, include_str!("../../../../ops/bindings/gate.execution.topology.yaml"))
        .contract(profiles::NAME, include_str!("../../../../ops/bindings/gate.domain.profiles.yaml"))
        .plan(json!({}));
    let packs = &ran.output()["packs"];
    assert_eq!(
        (&packs[0]["name"], &packs[0]["kind"], &packs[0]["gate_count"]),
        (&json!("core-operator"), &json!("pack"), &json!(10))
    );
    assert_eq!(
        (&packs[6]["name"], &packs[6]["gates"]),
        (&json!("loop_gap"), &json!(["D75", "D402", "D403"]))
    );
}
