//! `verify.core.run`: the core gates, of every class.

use ops_guest::{Ctx, Failure, capability};
use schemars::JsonSchema;
use serde::Deserialize;
use verify_common::run::run;
use verify_common::{Gates, Output, Scope};

/// Nothing is asked.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Input {}

#[capability(
    name = "verify.core.run",
    summary = "Runs the core gates.",
    safety = "read-only",
    needs(contract("gate.registry.yaml"), contract("gate.execution.topology.yaml"), invoke("gates.**"))
)]
fn verify(ctx: &Ctx, _: Input) -> Result<Output, Failure> {
    let gates = Gates::of(ctx)?;
    run(ctx, &gates, &Scope::core(&gates))
}
