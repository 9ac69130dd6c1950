//! `D127`: the contracts of the gates agree with one another.
//!
//! In this order: each of the three can be read; every active gate is assigned once, and nothing else is; every name of a
//! domain is one; the core gates are active; the release goes through all domains, each of which has a gate; and no
//! pack says other than the topology.

mod agree;

use gates_common::profiles::{self, Profiles};
use gates_common::registry::{self, Registry};
use gates_common::topology::{self, Topology};
use gates_common::{Look, Report};
use ops_guest::{Ctx, Failure, capability};
use schemars::JsonSchema;
use serde::Deserialize;

/// What is asked.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Input {
    /// The gate.
    #[schemars(extend("x-ops-positional" = 0))]
    gate: Gate,
}

/// The gate of this capability.
#[derive(Deserialize, JsonSchema)]
enum Gate {
    /// Topology parity.
    D127,
}

#[capability(
    name = "gates.topology.check",
    summary = "Checks that gates, domains and packs agree.",
    safety = "read-only",
    needs(
        contract("gate.registry.yaml"),
        contract("gate.execution.topology.yaml"),
        contract("gate.domain.profiles.yaml")
    )
)]
fn check(ctx: &Ctx, input: Input) -> Result<Report, Failure> {
    let Gate::D127 = input.gate;
    let mut look = Look::of("D127");
    let registry = look.take(Registry::parse(&ctx.contract(registry::NAME)?));
    let topology = look.take(Topology::parse(&ctx.contract(topology::NAME)?));
    let profiles = look.take(Profiles::parse(&ctx.contract(profiles::NAME)?));
    if let (Some(registry), Some(topology), Some(profiles)) = (registry, topology, profiles) {
        agree::check(&registry, &topology, &profiles, &mut look);
    }
    Ok(look.report())
}
