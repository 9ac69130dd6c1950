//! Asks all systems of infra-core at once, or one of them, through their probes.
//!
//! Which probe a system has and which checks it must make is in the baseline contract; whether it may be called is in the
//! binding. A probe that the binding does not name, that has no receipt, or that leaves out a declared check makes its
//! system fail: what nobody looked at is never a pass (see `infra_common::smoke`). It changes nothing; what was seen is
//! recorded by `infra.core.baseline.record`, from this run's receipt.

use infra_common::baseline::Baseline;
use infra_common::smoke::{Asked, Smoke, SystemReport};
use ops_guest::{Call, Ctx, Failure, capability};
use schemars::JsonSchema;
use serde::Deserialize;

/// What to look at.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The system to ask, or all of them.
    #[serde(default)]
    #[schemars(extend("x-ops-positional" = 0))]
    system: Asked,
}

/// A call without arguments.
#[derive(serde::Serialize)]
struct NoArguments {}

#[capability(
    name = "infra.core.smoke",
    summary = "Asks Cloudflare, Vaultwarden, Infisical and Authentik whether they work.",
    safety = "read-only",
    needs(
        contract("infra.core.baseline.contract.yaml"),
        invoke("infra.cloudflare.probe", optional),
        invoke("infra.vaultwarden.probe", optional),
        invoke("infra.infisical.probe", optional),
        invoke("infra.authentik.probe", optional),
    )
)]
fn smoke(ctx: &Ctx, input: Input) -> Result<Smoke, Failure> {
    let baseline = Baseline::of(ctx)?;
    let declared: Vec<_> =
        input.system.systems().into_iter().filter_map(|system| baseline.declared(system)).collect();
    let calls = declared
        .iter()
        .map(|declared| Call::new(declared.smoke.capability.as_str(), &NoArguments {}))
        .collect::<Result<Vec<_>, _>>()?;
    let answers = ctx.invoke(&calls)?;
    let (mut systems, mut checks) = (Vec::new(), Vec::new());
    for (declared, answer) in declared.iter().zip(&answers) {
        let (system, made) = SystemReport::of(declared, answer);
        systems.push(system);
        checks.extend(made);
    }
    Ok(Smoke::of(input.system, systems, checks))
}
