//! `verify.domain.run`: all gates of one domain, those that it answers for and those that it runs besides.

use ops_guest::{Ctx, Failure, capability};
use schemars::JsonSchema;
use serde::Deserialize;
use verify_common::run::run;
use verify_common::{Gates, Output, Scope};

/// What is asked.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Input {
    /// The domain.
    #[schemars(extend("x-ops-positional" = 0))]
    domain: String,
    /// Accepted and recorded. There is nothing that it could pass over.
    #[serde(default)]
    force: bool,
}

#[capability(
    name = "verify.domain.run",
    summary = "Runs the gates of a domain.",
    safety = "read-only",
    needs(contract("gate.registry.yaml"), contract("gate.execution.topology.yaml"), invoke("gates.**"))
)]
fn verify(ctx: &Ctx, input: Input) -> Result<Output, Failure> {
    let gates = Gates::of(ctx)?;
    let scope = Scope::domain(&gates, &input.domain)?;
    Ok(Output { forced: Some(input.force), ..run(ctx, &gates, &scope)? })
}
