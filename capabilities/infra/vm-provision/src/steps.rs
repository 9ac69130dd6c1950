//! The effects: clone, configure, resize, start.

use std::time::Duration;

use infra_common::network::Network;
use infra_common::pve::{self, Task, Vm};
use ops_guest::{Ctx, Done, Failure, Request, Undo};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::live::DISK;
use crate::{Build, State};

/// How long the copy of a disk may take.
const CLONE: Duration = Duration::from_secs(40 * 60);
/// How long anything else may take.
const SHORT: Duration = Duration::from_secs(5 * 60);

/// One step, planned or done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Step {
    step: &'static str,
    /// The server's task, for its log.
    task: Option<String>,
    /// How long it took.
    seconds: Option<u64>,
}

impl Step {
    fn of(step: &'static str, task: Option<Task>) -> Self {
        let seconds = task.as_ref().map(|task| task.seconds);
        Self { step, task: task.map(|task| task.upid), seconds }
    }
}

/// Takes all steps, or plans them.
pub(crate) fn take(ctx: &Ctx, build: &Build) -> Result<(Vec<Step>, State), Failure> {
    let mut steps = vec![Step::of("clone", clone(ctx, build)?)];
    configure(ctx, build)?;
    steps.push(Step::of("configure", None));
    if build.grow {
        steps.push(Step::of("resize", resize(ctx, build)?));
    }
    let start = start(ctx, build)?;
    let state = if start.is_some() { State::Running } else { State::Planned };
    steps.push(Step::of("start", start));
    Ok((steps, state))
}

fn vm(build: &Build) -> Vm<'_> {
    Vm { node: &build.agreed.node, id: build.agreed.target.vm_id }
}

/// Waits for the task of an effect that was performed.
fn task(
    ctx: &Ctx,
    build: &Build,
    done: &Done,
    step: u64,
    what: &str,
    timeout: Duration,
) -> Result<Option<Task>, Failure> {
    done.then(|answer| {
        ctx.progress(step - 1, Some(4), &format!("waiting for {what}"));
        let task = pve::finished(ctx, &build.agreed.node, answer, what, timeout)?;
        ctx.progress(step, Some(4), &format!("{what} is done"));
        Ok(task)
    })
}

fn clone(ctx: &Ctx, build: &Build) -> Result<Option<Task>, Failure> {
    let (vm, template) = (vm(build), Vm { node: &build.agreed.node, id: build.template });
    let (name, storage) = (&build.agreed.target.hostname, &build.agreed.profile.provisioning.storage);
    let body = json!({"newid": vm.id, "name": name, "full": 1, "storage": storage});
    let request = Request::post_json(pve::SERVICE, template.path("/clone"), &body)?;
    let delete = Request::delete(pve::SERVICE, vm.path("?purge=1&destroy-unreferenced-disks=1"));
    let done = ctx
        .effect(
            format!(
                "clone template {} in full to VM {} ({name}) on {}, storage {storage}",
                template.id, vm.id, vm.node
            ),
            request,
        )
        .undo(Undo::request(delete))
        .perform()?;
    task(ctx, build, &done, 1, &format!("the clone of VM {}", vm.id), CLONE)
}

fn configure(ctx: &Ctx, build: &Build) -> Result<(), Failure> {
    let (vm, made) = (vm(build), &build.agreed.profile.provisioning);
    let keys = made.ssh_authorized_keys.len();
    let summary = format!(
        "set VM {}: {} cores, {} MiB, bridge {}, agent {}, start with the host {}; cloud-init: user {}, {}, name server {}, \
         search {}, {keys} SSH {}",
        vm.id,
        made.cpu_cores,
        made.memory_mb,
        made.bridge,
        on(made.qemu_agent),
        on(made.onboot),
        made.ci_user,
        address(build),
        made.nameserver,
        made.search_domain,
        if keys == 1 { "key" } else { "keys" },
    );
    let done = ctx
        .effect(summary, Request::put_json(pve::SERVICE, vm.path("/config"), &settings(build))?)
        .undo(Undo::by_hand(
            "nothing to do: the settings go away with the VM, which the undo of its clone deletes",
        ))
        .perform()?;
    if done.answer().is_some() {
        ctx.progress(2, Some(4), &format!("VM {} is configured", vm.id));
    }
    Ok(())
}

/// What is set, in the words of the server's API.
fn settings(build: &Build) -> Value {
    let made = &build.agreed.profile.provisioning;
    // The server wants this one value percent-encoded, whatever the body's form is.
    let keys = pve::encode(&made.ssh_authorized_keys.join("\n"));
    json!({
        "cores": made.cpu_cores,
        "memory": made.memory_mb.to_string(),
        "net0": format!("virtio,bridge={}", made.bridge),
        "agent": format!("enabled={}", u8::from(made.qemu_agent)),
        "onboot": u8::from(made.onboot),
        "ciuser": made.ci_user,
        "ipconfig0": address(build),
        "nameserver": made.nameserver,
        "searchdomain": made.search_domain,
        "sshkeys": keys,
    })
}

fn address(build: &Build) -> String {
    match (build.agreed.network, build.agreed.target.ci_gateway) {
        (network @ Network::Static { .. }, Some(gateway)) => format!("ip={network},gw={gateway}"),
        (network, _) => format!("ip={network}"),
    }
}

fn on(flag: bool) -> &'static str {
    if flag { "on" } else { "off" }
}

fn resize(ctx: &Ctx, build: &Build) -> Result<Option<Task>, Failure> {
    let (vm, size) = (vm(build), format!("{}G", build.agreed.profile.provisioning.disk_gb));
    let body = json!({"disk": DISK, "size": size});
    let done = ctx
        .effect(
            format!("grow disk {DISK} of VM {} to {} GiB", vm.id, build.agreed.profile.provisioning.disk_gb),
            Request::put_json(pve::SERVICE, vm.path("/resize"), &body)?,
        )
        .undo(Undo::by_hand("nothing to do: disks do not shrink, and this one goes away with the VM"))
        .perform()?;
    task(ctx, build, &done, 3, &format!("the new size of {DISK} of VM {}", vm.id), SHORT)
}

#[derive(Deserialize)]
struct Current {
    status: String,
}

fn start(ctx: &Ctx, build: &Build) -> Result<Option<Task>, Failure> {
    let vm = vm(build);
    let request = Request::post_json(pve::SERVICE, vm.path("/status/start"), &json!({}))?;
    let stop = Request::post_json(pve::SERVICE, vm.path("/status/stop"), &json!({}))?;
    let done = ctx.effect(format!("start VM {}", vm.id), request).undo(Undo::request(stop)).perform()?;
    let task = task(ctx, build, &done, 4, &format!("the start of VM {}", vm.id), SHORT)?;
    if task.is_some() {
        let current: Current = pve::data(&ctx.fetch(vm.get("/status/current"))?)?;
        if current.status != "running" {
            return Err(Failure::failed(format!(
                "VM {} was started, and the server says that it is {:?}",
                vm.id,
                pve::excerpt(&current.status)
            )));
        }
    }
    Ok(task)
}
