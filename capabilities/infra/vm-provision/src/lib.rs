//! Makes a virtual machine out of a template of Proxmox VE.
//!
//! First every check, a row each: what the contracts say (see `infra_common::agreed`), then what the server knows. If one
//! fails, nothing is asked of the server that would change it. Then four effects, in this order: clone, configure,
//! resize, start; each task is waited for before the next begins.
//!
//! A plan rests on the answers that it saw, so only such things of the server are read before the first effect as stay as
//! they are until somebody changes them. Where no service `pve` is bound, the server's checks are skipped, and a dry run shows what
//! would be done.
//!
//! A second run for a machine that is there is refused by the check `id-free`. After a run that broke off half way, that
//! check fails too, and says what to do: resume that run, or undo it.

mod live;
mod steps;

use infra_common::agreed::{self, Agreed, Asked};
use infra_common::checks::{Check, Checks, Outcome, Status};
use infra_common::pve;
use ops_guest::{Ctx, Failure, capability};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use steps::Step;

/// Which machine to make.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The host name of a target in the relocation plan.
    #[schemars(length(min = 1, max = 63))]
    target: String,
    /// The profile that it is made from.
    #[schemars(length(min = 1, max = 64))]
    profile: String,
    /// The number that it gets, which must be the plan's.
    #[schemars(range(min = 100, max = 999_999_999))]
    vm_id: u32,
    /// The template to clone, in place of the profile's.
    #[serde(default)]
    #[schemars(range(min = 100, max = 999_999_999))]
    template_vmid: Option<u32>,
}

/// What was checked, what was done, and what came of it.
#[derive(Serialize, JsonSchema)]
pub struct Output {
    target: String,
    profile: String,
    vm_id: u32,
    /// The node of Proxmox VE, where the contracts say one.
    node: Option<String>,
    template_vmid: Option<u32>,
    /// Its address, where it is known before the machine runs.
    ip: Option<String>,
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
#[serde(rename_all = "lowercase")]
enum State {
    /// Nothing was done, and nothing will be: a check failed.
    Refused,
    /// Nothing was done yet.
    Planned,
    /// The server says that it runs.
    Running,
}

/// What is made, with everything that requests are made of.
pub(crate) struct Build {
    pub(crate) agreed: Agreed,
    pub(crate) template: u32,
    /// Whether the template's disk is smaller than the profile's, or nobody has looked.
    pub(crate) grow: bool,
}

#[capability(
    name = "infra.vm.provision",
    summary = "Makes a virtual machine out of a template of Proxmox VE, as the contracts say.",
    safety = "mutating",
    needs(
        contract("infra.relocation.plan.yaml"),
        contract("infra.vm.profiles.yaml"),
        contract("infra.placement.policy.yaml"),
        service("pve", optional,
            rule(GET "/api2/json/cluster/nextid", read, query("vmid")),
            rule(GET "/api2/json/nodes/{node}/qemu/{vmid}/config", read),
            rule(GET "/api2/json/nodes/{node}/qemu/{vmid}/status/current", read),
            rule(GET "/api2/json/nodes/{node}/tasks/{upid}/status", read),
            rule(POST "/api2/json/nodes/{node}/qemu/{template}/clone", mutate),
            rule(PUT "/api2/json/nodes/{node}/qemu/{vmid}/config", mutate),
            rule(PUT "/api2/json/nodes/{node}/qemu/{vmid}/resize", mutate),
            rule(POST "/api2/json/nodes/{node}/qemu/{vmid}/status/start", mutate),
            rule(POST "/api2/json/nodes/{node}/qemu/{vmid}/status/stop", mutate, undo),
            rule(DELETE "/api2/json/nodes/{node}/qemu/{vmid}", destroy, undo,
                query("purge", "destroy-unreferenced-disks"))),
    )
)]
fn provision(ctx: &Ctx, input: Input) -> Result<Output, Failure> {
    let mut checks = Checks::default();
    let asked = Asked { target: &input.target, profile: &input.profile, vm_id: input.vm_id };
    let agreed = agreed::check(ctx, &asked, &mut checks)?;
    let build = build(ctx, agreed, input.template_vmid, &mut checks)?;
    let (steps, state) = match &build {
        Some(build) if checks.status() == Status::Ok => steps::take(ctx, build)?,
        _ => (vec![], State::Refused),
    };
    Ok(Output {
        node: build.as_ref().map(|build| build.agreed.node.clone()),
        template_vmid: build.as_ref().map(|build| build.template),
        ip: build.and_then(|build| Some(build.agreed.network.address()?.to_string())),
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

/// The server's part of the checks.
fn build(
    ctx: &Ctx,
    agreed: Option<Agreed>,
    template: Option<u32>,
    checks: &mut Checks,
) -> Result<Option<Build>, Failure> {
    let Some(agreed) = agreed else {
        live::skip(checks, "the contracts do not say what to ask for");
        return Ok(None);
    };
    let Some(template) = template.or(agreed.profile.provisioning.template_vmid) else {
        checks.made(
            "template",
            Err(format!("{} names no template_vmid; give --template-vmid", agreed.profile.name)),
        );
        return Ok(None);
    };
    let mut build = Build { agreed, template, grow: true };
    if ctx.is_bound(pve::SERVICE) {
        live::check(ctx, &mut build, checks)?;
    } else {
        live::skip(checks, "no service `pve` is bound");
    }
    Ok(Some(build))
}
