//! Fills a virtual machine through its guest agent: packages, services, the tailnet, jobs of cron, as its profile says.
//!
//! First every check, a row each: what the contracts say (see `infra_common::agreed`), then whether the guest agent
//! answers. If one fails, nothing is done. Then it looks at what is there, by reading files of the machine and never by
//! running anything in it, and takes the steps that are missing, an effect each: refresh the package lists, install,
//! enable services, join the tailnet, write the jobs. Each is waited for, and an exit code other than 0 ends the run.
//! What makes the machine ready is checked when nothing is left to do.
//!
//! The key of the tailnet never comes here: the request holds a placeholder, the host puts the key in its place, and the
//! machine gets it on standard input, where no list of processes shows it.

mod ready;
mod seen;
mod steps;

use infra_common::agreed::{self, Agreed, Asked};
use infra_common::checks::{Check, Checks, Outcome, Status};
use infra_common::profile::Requirement;
use infra_common::pve::{self, Vm};
use ops_guest::{Ctx, Failure, capability};
use schemars::JsonSchema;
use seen::Seen;
use serde::{Deserialize, Serialize};
use steps::Step;

/// Which machine to fill.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The host name of a target in the relocation plan.
    #[schemars(length(min = 1, max = 63))]
    target: String,
    /// The profile that it was made from.
    #[schemars(length(min = 1, max = 64))]
    profile: String,
    /// Its number, which must be the plan's.
    #[schemars(range(min = 100, max = 999_999_999))]
    vm_id: u32,
}

/// What was checked, what was done, and what came of it.
#[derive(Serialize, JsonSchema)]
pub struct Output {
    target: String,
    profile: String,
    vm_id: u32,
    /// The node of Proxmox VE, where the contracts say one.
    node: Option<String>,
    checks: Vec<Check>,
    checks_passed: u64,
    checks_failed: u64,
    checks_skipped: u64,
    /// What was done, in order, or is planned.
    steps: Vec<Step>,
    state: State,
    /// OK when no check failed.
    #[schemars(extend("x-ops-fails-on" = ["FAILED"]))]
    status: Status,
}

/// What the machine is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum State {
    /// Nothing was done, and nothing will be: a check failed.
    Refused,
    /// Something is left to do.
    Planned,
    /// All steps are done, but something that makes it ready is missing.
    NotReady,
    /// It is as its profile says.
    Ready,
}

#[capability(
    name = "infra.vm.bootstrap",
    summary = "Fills a virtual machine through its guest agent, as its profile says.",
    safety = "mutating",
    needs(
        contract("infra.relocation.plan.yaml"),
        contract("infra.vm.profiles.yaml"),
        contract("infra.placement.policy.yaml"),
        service("pve", optional,
            rule(GET "/api2/json/nodes/{node}/qemu/{vmid}/agent/get-osinfo", read),
            rule(GET "/api2/json/nodes/{node}/qemu/{vmid}/agent/file-read", read, query("file")),
            rule(GET "/api2/json/nodes/{node}/qemu/{vmid}/agent/exec-status", read, query("pid")),
            rule(POST "/api2/json/nodes/{node}/qemu/{vmid}/agent/exec", mutate),
            rule(POST "/api2/json/nodes/{node}/qemu/{vmid}/agent/file-write", mutate)),
    )
)]
fn bootstrap(ctx: &Ctx, input: Input) -> Result<Output, Failure> {
    let mut checks = Checks::default();
    let asked = Asked { target: &input.target, profile: &input.profile, vm_id: input.vm_id };
    let agreed = agreed::check(ctx, &asked, &mut checks)?;
    let (steps, state) = match &agreed {
        Some(agreed) => fill(ctx, agreed, &mut checks)?,
        None => {
            checks.skipped(Requirement::QemuAgent.as_str(), "the contracts do not say what to ask for");
            (vec![], State::Refused)
        }
    };
    Ok(Output {
        node: agreed.map(|agreed| agreed.node),
        checks: checks.rows(),
        checks_passed: checks.count(Outcome::Pass),
        checks_failed: checks.count(Outcome::Fail),
        checks_skipped: checks.count(Outcome::Skipped),
        steps,
        state,
        status: checks.status(),
        target: input.target,
        profile: input.profile,
        vm_id: input.vm_id,
    })
}

fn fill(ctx: &Ctx, agreed: &Agreed, checks: &mut Checks) -> Result<(Vec<Step>, State), Failure> {
    let vm = Vm { node: &agreed.node, id: agreed.target.vm_id };
    let is_bound = ctx.is_bound(pve::SERVICE);
    if is_bound {
        agent_answers(ctx, &vm, agreed, checks)?;
    } else {
        checks.skipped(Requirement::QemuAgent.as_str(), "no service `pve` is bound");
    }
    if checks.status() == Status::Failed {
        return Ok((vec![], State::Refused));
    }
    let seen = if is_bound { Seen::of(ctx, &vm, agreed)? } else { Seen::nothing(agreed) };
    let steps = steps::take(ctx, &vm, agreed, &seen)?;
    if steps.iter().any(Step::is_planned) {
        ready::skip(agreed, checks);
        return Ok((steps, State::Planned));
    }
    // Without a step, what was seen is how it is.
    let now = if steps.is_empty() { seen } else { Seen::of(ctx, &vm, agreed)? };
    ready::check(agreed, &now, checks);
    Ok((steps, if checks.status() == Status::Ok { State::Ready } else { State::NotReady }))
}

/// The agent answers in a machine that runs and whose settings turn it on.
fn agent_answers(ctx: &Ctx, vm: &Vm<'_>, agreed: &Agreed, checks: &mut Checks) -> Result<(), Failure> {
    #[derive(Deserialize)]
    struct Told {
        result: System,
    }
    #[derive(Deserialize)]
    struct System {
        #[serde(default, rename = "pretty-name")]
        name: String,
    }

    let answer = ctx.fetch(vm.get("/agent/get-osinfo").accept(&[500, 595]))?;
    let told = match answer.status {
        200 => {
            let told: Told = pve::data(&answer)?;
            Ok(format!("the agent in VM {} answers: {}", vm.id, pve::excerpt(&told.result.name)))
        }
        _ => Err(format!(
            "{} on {}: {}; make it with infra.vm.provision, and wait until its agent runs",
            agreed.target.hostname,
            vm.node,
            pve::refusal(&answer)
        )),
    };
    checks.made(Requirement::QemuAgent.as_str(), told);
    Ok(())
}
