//! `D320`: the baseline contract of infra-core holds.
//!
//! In this order: both contracts can be read; each system has a probe that is bound, read-only, and called by the smoke
//! runner; its recovery action is there, for that system and that failure, and may be started; the gates that call for it
//! are in use; and the capabilities that show that it was taken in are bound.

mod systems;

use gates_common::registry::{self, Registry};
use gates_common::{Finding, Look, Report, read};
use infra_common::baseline::{self, Baseline};
use infra_common::recovery::{self, Actions};
use ops_guest::{Ctx, Failure, capability, records};
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;

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
    /// The baseline of infra-core.
    D320,
}

#[capability(
    name = "gates.infra.baseline.check",
    summary = "Checks the baseline contract of infra-core, and that smoke and recovery cover it.",
    safety = "read-only",
    needs(
        service("ops", rule(GET "/registry", read)),
        contract("gate.registry.yaml"),
        contract("infra.core.baseline.contract.yaml"),
        contract("recovery.actions.yaml")
    )
)]
fn check(ctx: &Ctx, input: Input) -> Result<Report, Failure> {
    let Gate::D320 = input.gate;
    let mut look = Look::of("D320");
    // D127 tells what is wrong with the registry of gates, so that one mistake fails one gate.
    let Ok(gates) = Registry::parse(&ctx.contract(registry::NAME)?) else {
        return Ok(look.skipped("the registry of gates cannot be read: see D127"));
    };
    let (declared, actions) = (ctx.contract(baseline::NAME)?, ctx.contract(recovery::NAME)?);
    let baseline = look.take(parse(baseline::NAME, &declared, Baseline::parse));
    let known = look.take(parse(recovery::NAME, &actions, Actions::parse));
    if let (Some(baseline), Some(known)) = (baseline, known) {
        let bound = records::registry(ctx)?;
        systems::check(&systems::World { baseline, text: declared, known, gates, bound }, &mut look);
    }
    Ok(look.report())
}

/// Reads a contract. Where its form is wrong the finding has the line; where its own rules are, they say the place.
fn parse<T: DeserializeOwned>(
    name: &str,
    text: &str,
    rules: fn(&str) -> Result<T, Failure>,
) -> Result<T, Finding> {
    read::<T>(name, text)?;
    rules(text).map_err(|failure| {
        Finding::new(format!("bindings/{name}"), 0, failure.why(), "correct the file, then `ops pin`")
    })
}
