//! Writes what a run of `infra.core.smoke` has seen into two files of the folder `audit`, for approval: the baseline, and
//! the drift matrix that holds it against the baseline contract.
//!
//! Nothing is taken on faith. In this order: the run's receipt must verify and be one of the smoke test over all systems;
//! its output is read from what the host keeps; each probe that it names as evidence must have a receipt that verifies,
//! and be the probe that the contract declares. Which result the run came to does not matter: a failure is recorded too.
//! The files depend on the run and the contract alone, so recording a run twice changes nothing.

use infra_common::baseline::Baseline;
use infra_common::record::{self, Drift, Seen};
use infra_common::smoke::{self, Asked, Smoke};
use ops_guest::records::{self, Receipt};
use ops_guest::{Ctx, Failure, capability};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which run.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The key of a run of `infra.core.smoke` over all systems.
    #[schemars(length(min = 1, max = 200))]
    from: String,
}

/// What was written.
#[derive(Serialize, JsonSchema)]
pub struct Output {
    /// The run of `infra.core.smoke`.
    smoke_run: String,
    /// What it came to.
    result: smoke::Result,
    /// How many declared checks were seen to be otherwise.
    drift: u64,
    /// How many declared checks nobody made.
    not_observed: u64,
    /// The files, in the folder `audit`.
    files: Vec<String>,
}

#[capability(
    name = "infra.core.baseline.record",
    summary = "Writes baseline and drift matrix of infra-core from a run of its smoke test.",
    safety = "mutating",
    needs(
        contract("infra.core.baseline.contract.yaml"),
        service("ops",
            rule(GET "/receipts/{run}", read),
            rule(GET "/runs/{run}/output", read)),
        directory("audit", stage),
    )
)]
fn record(ctx: &Ctx, input: Input) -> Result<Output, Failure> {
    let run = input.from;
    let contract = Baseline::of(ctx)?;
    let receipt = verified(ctx, &run, smoke::CAPABILITY)?;
    let smoke = output(ctx, &run)?;
    check_evidence(ctx, &contract, &run, &smoke)?;

    let date = receipt.at.get(..10).unwrap_or_default();
    let (seen, drift) = record::files(&contract, &run, date, &smoke)?;
    let day = date.replace('-', "");
    let files = [format!("infra-core-baseline-{day}.yaml"), format!("infra-core-drift-matrix-{day}.yaml")];
    write(ctx, &files, &run, &seen, &drift)?;
    Ok(Output {
        smoke_run: run,
        result: seen.result,
        drift: drift.drift,
        not_observed: drift.not_observed,
        files: files.into(),
    })
}

/// The receipt of a run, which must hold and be of this capability.
fn verified(ctx: &Ctx, run: &str, capability: &str) -> Result<Receipt, Failure> {
    let receipt = records::receipt(ctx, run)?.ok_or_else(|| {
        Failure::invalid(format!(
            "there is no receipt of {run}; `ops runs list` shows the keys, `ops cap run {capability}` makes a new one"
        ))
    })?;
    if !receipt.verifies {
        let why = receipt.why.unwrap_or_default();
        return Err(Failure::failed(format!("the receipt of {run} does not verify: {why}")));
    }
    if receipt.capability != capability {
        return Err(Failure::invalid(format!(
            "{run} is a run of {} and not of {capability}",
            receipt.capability
        )));
    }
    Ok(receipt)
}

/// What the smoke test reported. Counts and result are worked out again, so that they are those of the rows.
fn output(ctx: &Ctx, run: &str) -> Result<Smoke, Failure> {
    let output = records::output(ctx, run)?.ok_or_else(|| {
        Failure::invalid(format!(
            "the output of {run} is not kept any more, or it had none; run the smoke test again"
        ))
    })?;
    let smoke: Smoke = serde_json::from_value(output).map_err(|error| {
        Failure::failed(format!("the output of {run} is no report of the smoke test: {error}"))
    })?;
    if smoke.asked != Asked::All {
        return Err(Failure::invalid(format!("{run} asked for one system alone, and a baseline is of all")));
    }
    if Smoke::of(smoke.asked, smoke.systems.clone(), smoke.checks.clone()) != smoke {
        return Err(Failure::failed(format!(
            "the output of {run} says one thing in its rows and another in its result"
        )));
    }
    Ok(smoke)
}

/// Each probe's run must hold as evidence for its system.
fn check_evidence(ctx: &Ctx, contract: &Baseline, run: &str, smoke: &Smoke) -> Result<(), Failure> {
    for report in &smoke.systems {
        let (Some(probe), Some(declared)) = (&report.run, contract.declared(report.system)) else { continue };
        verified(ctx, probe, &declared.smoke.capability).map_err(|failure| {
            Failure::failed(format!("the evidence of {run} for {}: {}", report.system, failure.why()))
        })?;
    }
    Ok(())
}

fn write(ctx: &Ctx, files: &[String; 2], run: &str, seen: &Seen, drift: &Drift) -> Result<(), Failure> {
    let folder = ctx.directory("audit");
    let from = format!("Written by infra.core.baseline.record from {run}.");
    let form = |name: &str| format!("Form: docs/schemas/{name}.schema.json");
    let [baseline, matrix] = files;
    let text = record::to_yaml(baseline, &[&from, &form("infra-core-baseline")], seen)?;
    std::fs::write(folder.join(baseline), text)?;
    let text = record::to_yaml(matrix, &[&from, &form("infra-core-drift-matrix")], drift)?;
    std::fs::write(folder.join(matrix), text)?;
    Ok(())
}
