//! `verify.pack.list`: what `verify.pack.run` can be asked for.

use ops_guest::{Ctx, Failure, capability};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use verify_common::{Gates, Scope, packs};

/// Nothing is asked.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Input {}

/// What there is.
#[derive(Serialize, JsonSchema)]
struct Output {
    /// Packs first, then domains.
    packs: Vec<Listed>,
}

/// A pack or a domain.
#[derive(Serialize, JsonSchema)]
struct Listed {
    /// Its name.
    name: String,
    /// Which of the two it is.
    kind: Kind,
    /// How many gates it has.
    gate_count: usize,
    /// The gates.
    gates: Vec<String>,
    /// What it is for.
    description: String,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Kind {
    /// A pack of the profiles.
    Pack,
    /// A domain of the topology.
    Domain,
}

#[capability(
    name = "verify.pack.list",
    summary = "Lists packs and domains with their gates.",
    safety = "read-only",
    needs(
        contract("gate.registry.yaml"),
        contract("gate.execution.topology.yaml"),
        contract("gate.domain.profiles.yaml")
    )
)]
fn list(ctx: &Ctx, _: Input) -> Result<Output, Failure> {
    let gates = Gates::of(ctx)?;
    let mut listed = vec![];
    for pack in &packs(ctx)?.packs {
        let scope = Scope::of_pack(&gates, pack);
        listed.push(row(&pack.name.value, Kind::Pack, scope, &pack.description));
    }
    for domain in &gates.topology.domains {
        let scope = Scope::domain(&gates, &domain.id.value)?;
        listed.push(row(&domain.id.value, Kind::Domain, scope, &domain.description));
    }
    Ok(Output { packs: listed })
}

fn row(name: &str, kind: Kind, scope: Scope, description: &str) -> Listed {
    let (name, description) = (name.to_owned(), description.to_owned());
    Listed { name, kind, gate_count: scope.ids.len(), gates: scope.ids, description }
}
