//! `verify.pack.run`: the gates of a pack, or of a domain of that name.

use gates_common::profiles;
use ops_guest::{Ctx, Failure, capability};
use schemars::JsonSchema;
use serde::Deserialize;
use verify_common::run::run;
use verify_common::{Gates, Output, Scope, packs};

/// What is asked.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Input {
    /// The pack or the domain.
    #[serde(default = "default")]
    #[schemars(extend("x-ops-positional" = 0))]
    name: String,
}

fn default() -> String {
    profiles::DEFAULT.to_owned()
}

#[capability(
    name = "verify.pack.run",
    summary = "Runs the gates of a pack or a domain.",
    safety = "read-only",
    needs(
        contract("gate.registry.yaml"),
        contract("gate.execution.topology.yaml"),
        contract("gate.domain.profiles.yaml"),
        invoke("gates.**")
    )
)]
fn verify(ctx: &Ctx, input: Input) -> Result<Output, Failure> {
    let gates = Gates::of(ctx)?;
    let scope = Scope::pack(&gates, &packs(ctx)?, &input.name)?;
    run(ctx, &gates, &scope)
}
