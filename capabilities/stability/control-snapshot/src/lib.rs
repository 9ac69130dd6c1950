//! `stability.control.snapshot`: how things stand, in one word.
//!
//! In this order: the probes of the watched domains are called, several at a time; runs of which nobody knows what became;
//! the last verification and how old it is; the ledger. The worst of these is the summary. What cannot be looked at is
//! never healthy.

mod contract;
mod domains;
mod records;

pub use contract::{Contract, NAME, Status};

use ops_guest::{Ctx, Failure, capability};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use domains::Domain;
use records::Record;

/// Nothing is asked.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Input {}

/// How things stand.
#[derive(Serialize, JsonSchema)]
struct Output {
    /// The worst of what follows.
    #[schemars(extend("x-ops-fails-on" = ["INCIDENT"]))]
    summary: Summary,
    /// Each watched domain.
    domains: Vec<Domain>,
    /// What was recorded of runs.
    records: Vec<Record>,
}

/// How things stand, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
enum Summary {
    /// Everything was looked at, and all is well.
    Healthy,
    /// Somebody should look, or something cannot be looked at here.
    Warn,
    /// Something does not work.
    Incident,
}

#[capability(
    name = "stability.control.snapshot",
    summary = "Says how things stand: services, unknown runs, last verification, ledger.",
    safety = "read-only",
    needs(
        service(
            "ops",
            rule(GET "/runs", read, query("capability", "status", "last")),
            rule(GET "/ledger", read)
        ),
        contract("stability.control.contract.yaml"),
        invoke("communications.**", optional),
        invoke("infra.**", optional)
    )
)]
fn snapshot(ctx: &Ctx, _: Input) -> Result<Output, Failure> {
    // Without its contract nobody has looked: the set-up is to be mended, which is no incident.
    let text = ctx.contract(NAME).map_err(|failure| Failure::invalid(failure.why()))?;
    let contract = Contract::parse(&text).map_err(|found| {
        Failure::invalid(format!("{}, line {}: {}; {}", found.file, found.line, found.what, found.fix))
    })?;
    let domains = domains::look(ctx, &contract)?;
    let records = records::look(ctx, contract.verify_hours.value)?;
    let all = domains.iter().map(|domain| domain.status).chain(records.iter().map(|record| record.status));
    let summary = match all.max() {
        Some(Status::Healthy) => Summary::Healthy,
        Some(Status::NotBound | Status::Warn) => Summary::Warn,
        Some(Status::Incident) | None => Summary::Incident,
    };
    Ok(Output { summary, domains, records })
}
