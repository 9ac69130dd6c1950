//! `verify.run`: `fast`, `domain D` or `release`.

use ops_guest::{Ctx, Failure, capability};
use schemars::JsonSchema;
use serde::Deserialize;
use verify_common::run::run;
use verify_common::{Gates, Output, Scope};

/// What is asked.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Input {
    /// Core gates that must hold at any time; these and those of one domain; or all gates.
    #[schemars(extend("x-ops-positional" = 0))]
    scope: Word,
    /// The domain, for the scope `domain`.
    #[schemars(extend("x-ops-positional" = 1))]
    domain: Option<String>,
}

/// A scope.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Word {
    /// Core gates that must hold at any time.
    Fast,
    /// These, and those of one domain.
    Domain,
    /// All gates.
    Release,
}

#[capability(
    name = "verify.run",
    summary = "Runs gates: fast, those of a domain, or all of a release.",
    safety = "read-only",
    needs(contract("gate.registry.yaml"), contract("gate.execution.topology.yaml"), invoke("gates.**"))
)]
fn verify(ctx: &Ctx, input: Input) -> Result<Output, Failure> {
    let gates = Gates::of(ctx)?;
    let scope = match (input.scope, input.domain) {
        (Word::Fast, None) => Scope::fast(&gates),
        (Word::Release, None) => Scope::release(&gates),
        (Word::Domain, Some(domain)) => Scope::fast_and_domain(&gates, &domain)?,
        (Word::Domain, None) => {
            let names = gates.topology.names();
            return Err(Failure::invalid(format!("name a domain: {names}")));
        }
        (Word::Fast | Word::Release, Some(domain)) => {
            return Err(Failure::invalid(format!(
                "`{domain}` is one word too many; write `domain {domain}`"
            )));
        }
    };
    run(ctx, &gates, &scope)
}
