//! `verify.route.recommend`: which domains a change reaches, by the paths and capabilities that it touches, and what to
//! run then. It sees no repository, so what changed has to be said.

use gates_common::topology::Topology;
use ops_guest::{Ctx, Failure, capability};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use verify_common::Gates;

/// What is recommended where nothing else is: the gates that everything rests on.
const CORE: &str = "ops cap run verify.core.run";

/// What is asked.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Input {
    /// A path in the repository that changed, for example `ops/bindings/infra.vm.provision.yaml`.
    #[serde(default)]
    #[schemars(length(max = 1000))]
    path: Vec<String>,
    /// A capability that changed.
    #[serde(default)]
    #[schemars(length(max = 1000))]
    capability: Vec<String>,
}

/// What is recommended.
#[derive(Serialize, JsonSchema)]
struct Output {
    /// The domains that are reached.
    recommended_domains: Vec<String>,
    /// What to run.
    commands: Vec<String>,
    /// Why nothing more is recommended, where that is so.
    note: Option<String>,
    /// The paths that were asked for.
    input_paths: Vec<String>,
    /// The capabilities that were asked for.
    input_capabilities: Vec<String>,
    /// What reached which domain.
    reasons: Vec<Reason>,
}

/// What reached a domain.
#[derive(Serialize, JsonSchema)]
struct Reason {
    /// The domain.
    domain: String,
    /// The path or capability that was asked for.
    input: String,
    /// The beginning that it has.
    begins: String,
}

#[capability(
    name = "verify.route.recommend",
    summary = "Says which domains a change reaches, and what to run.",
    safety = "read-only",
    needs(contract("gate.registry.yaml"), contract("gate.execution.topology.yaml"))
)]
fn recommend(ctx: &Ctx, input: Input) -> Result<Output, Failure> {
    let Gates { topology, .. } = Gates::of(ctx)?;
    let mut reasons: Vec<_> = input.path.iter().flat_map(|path| by_path(&topology, path)).collect();
    reasons.extend(input.capability.iter().filter_map(|name| by_name(&topology, name)));
    let reached = |id: &str| reasons.iter().any(|reason| reason.domain == id);
    let domains: Vec<_> =
        topology.domains.iter().map(|domain| domain.id.value.clone()).filter(|id| reached(id)).collect();
    let note = match (input.path.is_empty() && input.capability.is_empty(), domains.is_empty()) {
        (true, _) => {
            Some("no --path and no --capability was given, so only the core gates are recommended".to_owned())
        }
        (false, true) => {
            Some("nothing of this is of any domain, so only the core gates are recommended".to_owned())
        }
        (false, false) => None,
    };
    let by_domain = domains.iter().map(|id| format!("ops cap run verify.domain.run {id}"));
    let commands = std::iter::once(CORE.to_owned()).chain(by_domain).collect();
    let recommended_domains = if domains.is_empty() { vec!["core".to_owned()] } else { domains };
    Ok(Output {
        recommended_domains,
        commands,
        note,
        input_paths: input.path,
        input_capabilities: input.capability,
        reasons,
    })
}

/// The domains whose files begin as this path does; a leading `./` counts for nothing.
fn by_path<'a>(topology: &'a Topology, path: &'a str) -> impl Iterator<Item = Reason> {
    let plain = path.strip_prefix("./").unwrap_or(path);
    topology.domains.iter().filter_map(move |domain| {
        let begins = domain.path_triggers.iter().find(|trigger| plain.starts_with(trigger.value.as_str()))?;
        Some(Reason { domain: domain.id.value.clone(), input: path.to_owned(), begins: begins.value.clone() })
    })
}

/// The domain of a capability.
fn by_name(topology: &Topology, name: &str) -> Option<Reason> {
    let domain = topology.domain_of(name)?;
    let begins = domain.capability_prefixes.iter().filter(|prefix| name.starts_with(prefix.value.as_str()));
    let begins = begins.max_by_key(|prefix| prefix.value.len())?.value.clone();
    Some(Reason { domain: domain.id.value.clone(), input: name.to_owned(), begins })
}
