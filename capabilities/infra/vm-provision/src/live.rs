//! What the server knows: whether the template is what it must be, and the number is free.

use std::collections::BTreeMap;

use infra_common::checks::Checks;
use infra_common::pve::{self, Vm};
use ops_guest::{Ctx, Failure, Request, Response};
use serde::Deserialize;
use serde_json::Value;

use crate::Build;

/// The rows, in their order.
const ROWS: [&str; 6] = ["node", "template", "template-disk", "cloud-init", "storage", "id-free"];
/// The disk that is resized, the first one of the templates.
pub(crate) const DISK: &str = "scsi0";

/// Notes that none of these checks was made.
pub(crate) fn skip(checks: &mut Checks, why: &str) {
    for row in ROWS {
        checks.skipped(row, why);
    }
}

/// Makes them all, and learns whether the disk has to grow.
pub(crate) fn check(ctx: &Ctx, build: &mut Build, checks: &mut Checks) -> Result<(), Failure> {
    let template = Vm { node: &build.agreed.node, id: build.template };
    // 500 is how the server says that there is no such VM or no such node, 595 that the node does not answer.
    let answer = ctx.fetch(template.get("/config").accept(&[500, 595]))?;
    match answer.status {
        200 => build.grow = template_is_good(build, &pve::data(&answer)?, checks),
        _ => template_is_missing(build, &answer, checks),
    }
    is_free(ctx, build, checks)
}

fn template_is_missing(build: &Build, answer: &Response, checks: &mut Checks) {
    let (node, why) = (&build.agreed.node, pve::refusal(answer));
    // A server answers for a node that it does not know as for a VM that is not there, unless it has tried to reach it.
    if answer.status == 595 || why.contains("hostname lookup") || why.contains("no such cluster node") {
        checks.made("node", Err(format!("the server does not reach the node {node}: {why}")));
        checks.skipped("template", "the node cannot be asked");
    } else {
        checks.skipped("node", "it was asked for the template alone");
        checks.made("template", Err(format!("there is no VM {} on {node}: {why}", build.template)));
    }
    for row in ["template-disk", "cloud-init", "storage"] {
        checks.skipped(row, "there is no template to look at");
    }
}

/// What is looked at of a template's settings.
#[derive(Deserialize)]
struct Settings {
    #[serde(default)]
    template: Value,
    #[serde(default)]
    lock: Option<String>,
    #[serde(flatten)]
    others: BTreeMap<String, Value>,
}

/// Whether the disk has to grow.
fn template_is_good(build: &Build, settings: &Settings, checks: &mut Checks) -> bool {
    let wanted = &build.agreed.profile.provisioning;
    checks.made("node", Ok(format!("{} answers", build.agreed.node)));
    let is_template = settings.template == 1 || settings.template == "1" || settings.template == true;
    checks.made(
        "template",
        match &settings.lock {
            _ if !is_template => Err(format!("VM {} is no template", build.template)),
            Some(lock) => Err(format!("VM {} is locked ({lock}); wait until that is over", build.template)),
            None => Ok(format!("VM {} is a template", build.template)),
        },
    );
    let disk = settings.others.get(DISK).and_then(Value::as_str).unwrap_or_default();
    let wanted_bytes = u64::from(wanted.disk_gb) << 30;
    let size = size_of(disk);
    checks.made(
        "template-disk",
        match size {
            None => Err(format!("the template has no disk {DISK} with a size")),
            Some(size) if size > wanted_bytes => Err(format!(
                "the template's {DISK} is larger than {} GiB, and disks do not shrink",
                wanted.disk_gb
            )),
            Some(_) => Ok(format!("its {DISK} is not larger than {} GiB", wanted.disk_gb)),
        },
    );
    let has_drive =
        settings.others.values().filter_map(Value::as_str).any(|drive| drive.contains("cloudinit"));
    checks.made(
        "cloud-init",
        match has_drive {
            true => Ok("the template has a drive for cloud-init".to_owned()),
            false => {
                Err("the template has no drive for cloud-init, so user and network could not be set"
                    .to_owned())
            }
        },
    );
    // Free space changes from one moment to the next, and a plan that rests on it would be stale when it is approved.
    match disk.split(':').next() {
        Some(storage) if storage == wanted.storage => {
            checks.made(
                "storage",
                Ok(format!("{storage} holds the template already; the server checks its space")),
            );
        }
        _ => checks.skipped("storage", &format!("the server checks {} when it clones", wanted.storage)),
    }
    size.is_none_or(|size| size < wanted_bytes)
}

/// The size that a drive's settings tell, in bytes.
fn size_of(drive: &str) -> Option<u64> {
    let size = drive.split(',').find_map(|option| option.strip_prefix("size="))?;
    let (number, shift) = match size.strip_suffix(['K', 'M', 'G', 'T']) {
        Some(number) => (
            number,
            match size.chars().last() {
                Some('K') => 10,
                Some('M') => 20,
                Some('G') => 30,
                _ => 40,
            },
        ),
        None => (size, 0),
    };
    number.parse::<u64>().ok()?.checked_mul(1 << shift)
}

fn is_free(ctx: &Ctx, build: &Build, checks: &mut Checks) -> Result<(), Failure> {
    let id = build.agreed.target.vm_id;
    // The server answers this for every VM and container of the cluster, also for those that the token may not see.
    let answer =
        ctx.fetch(Request::get(pve::SERVICE, format!("/api2/json/cluster/nextid?vmid={id}")).accept(&[400]))?;
    checks.made("id-free", match answer.status {
        400 => Err(format!(
            "{}; if an earlier run of this capability made it and broke off, go on with `ops cap resume KEY` or take it \
             back with `ops runs undo KEY` (`ops runs list` has the keys)",
            pve::refusal(&answer)
        )),
        _ => Ok(format!("{id} is free in the cluster")),
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_of_drives() {
        for (drive, size) in [
            ("local-lvm:base-9000-disk-0,size=10G", Some(10 << 30)),
            ("a:b,size=2252M,ssd=1", Some(2252 << 20)),
            ("a:b,size=1T", Some(1 << 40)),
            ("a:b,size=528K", Some(528 << 10)),
            ("a:b,size=4096", Some(4096)),
            ("a:b", None),
            ("a:b,size=", None),
            ("a:b,size=99999999999999999999T", None),
            ("a:b,size=99999999T", None),
        ] {
            assert_eq!(size_of(drive), size, "{drive}");
        }
    }
}
