//! Checks the communications stack: its contract, and, where the binding maps the service `mail`, the mail server.
//!
//! Every check is a row with its result and why. One that could not be made is `skipped`, which is never `ok` and is
//! counted apart; what goes wrong with one check hides no other. The stack is `OK` when no check failed. Only a
//! contract that cannot be read ends the run without rows.

mod agreed;
mod checks;
mod probe;

use checks::{Check, Checks};
use communications_common::Lane;
use communications_common::contract::{Contract, MailboxStatus};
use ops_guest::{Ctx, Failure, capability};
use probe::Probe;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Nothing to say.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {}

/// What the stack is, each check, and what came of them.
#[derive(Serialize, JsonSchema)]
pub struct Output {
    provider: String,
    stage: String,
    /// Whether mail may really go out, by the contract.
    mode: &'static str,
    lane: Lane,
    /// What mail goes through in this lane.
    execution_backend: Backend,
    /// The virtual machine of the stack.
    vm_target: String,
    /// How many mailboxes the contract names.
    mailboxes: u64,
    /// How many of them are active.
    mailboxes_active: u64,
    /// What came of asking the mail server.
    live_probe_status: Outcome,
    /// How long its answers took together, in milliseconds.
    live_probe_latency_ms: Option<u64>,
    /// How many mailboxes it has.
    live_probe_count: Option<u64>,
    checks: Vec<Check>,
    checks_ok: u64,
    checks_failed: u64,
    checks_skipped: u64,
    /// OK when no check failed.
    #[schemars(extend("x-ops-fails-on" = ["FAILED"]))]
    status: Status,
}

/// What mail goes through.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Backend {
    /// Nothing: messages are written to files.
    Simulation,
    /// The mail server's JMAP interface.
    Jmap,
}

/// What came of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Outcome {
    /// It was made, and all is well.
    Ok,
    /// It was made, and something is wrong.
    Failed,
    /// It was not made.
    Skipped,
}

/// What came of all of them.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
enum Status {
    /// None failed.
    Ok,
    /// At least one failed.
    Failed,
}

#[capability(
    name = "communications.stack.status",
    summary = "Checks the communications stack: its contract, and the mail server where one is bound.",
    safety = "read-only",
    needs(
        contract("communications.stack.contract.yaml"),
        service("mail", optional,
            rule(GET "/.well-known/jmap", read),
            rule(GET "/jmap", read),
            rule(GET "/jmap/", read),
            rule(GET "/jmap/session", read),
            rule(POST "/jmap/", read)),
    )
)]
fn status(ctx: &Ctx, _: Input) -> Result<Output, Failure> {
    let contract = Contract::of(ctx)?;
    let lane = Lane::of(ctx);
    let mut checks = Checks::default();
    agreed::check(&contract, lane, &mut checks);
    let probe = match lane {
        Lane::Simulation => probe::skip(&contract, &mut checks),
        Lane::Live => probe::check(ctx, &contract, &mut checks),
    };
    Ok(output(contract, lane, &probe, checks))
}

fn output(contract: Contract, lane: Lane, probe: &Probe, checks: Checks) -> Output {
    let active = contract.mailboxes.iter().filter(|mailbox| mailbox.status == MailboxStatus::Active);
    let failed = checks.count(Outcome::Failed);
    Output {
        mode: contract.mode.as_str(),
        lane,
        execution_backend: match lane {
            Lane::Simulation => Backend::Simulation,
            Lane::Live => Backend::Jmap,
        },
        vm_target: agreed::vm_target(&contract.vm_target),
        mailboxes: count(contract.mailboxes.len()),
        mailboxes_active: count(active.count()),
        live_probe_status: probe.outcome,
        live_probe_latency_ms: probe.latency_ms,
        live_probe_count: probe.mailboxes,
        checks_ok: checks.count(Outcome::Ok),
        checks_failed: failed,
        checks_skipped: checks.count(Outcome::Skipped),
        checks: checks.rows(),
        status: if failed == 0 { Status::Ok } else { Status::Failed },
        provider: contract.provider,
        stage: contract.stage,
    }
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
