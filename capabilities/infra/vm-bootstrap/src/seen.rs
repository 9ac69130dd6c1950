//! What is there already, seen by reading files through the guest agent, which runs nothing and changes nothing.
//!
//! * a package is installed where dpkg has its list of checksums, which goes when the package does;
//! * a service runs where its control group (version 2) has processes, and is enabled where the multi-user target
//!   wants it;
//! * the machine is in the tailnet where the interface `tailscale0` has an address of the tailnet's IPv6 range;
//! * a job of cron is there where its file has exactly the text that would be written.
//!
//! All of these stay as they are until somebody changes them, so a plan can rest on them.

use infra_common::agreed::Agreed;
use infra_common::profile::CronHook;
use infra_common::pve::{self, Vm};
use ops_guest::{Ctx, Failure};
use serde::Deserialize;

/// The tailnet's IPv6 range, fd7a:115c:a1e0::/48, as the kernel writes addresses.
const TAILNET: &str = "fd7a115ca1e0";

/// What of the profile is missing.
pub(crate) struct Seen {
    pub(crate) packages: Vec<String>,
    pub(crate) services: Vec<String>,
    /// The machine is to be in the tailnet and is not.
    pub(crate) tailnet: bool,
    pub(crate) hooks: Vec<CronHook>,
}

impl Seen {
    /// Nobody has looked: all is missing.
    pub(crate) fn nothing(agreed: &Agreed) -> Self {
        let put = &agreed.profile.bootstrap;
        Self {
            packages: put.packages.clone(),
            services: put.services_enable.clone(),
            tailnet: put.tailscale,
            hooks: put.cron_hooks.clone(),
        }
    }

    /// Looks.
    pub(crate) fn of(ctx: &Ctx, vm: &Vm<'_>, agreed: &Agreed) -> Result<Self, Failure> {
        let mut missing = Self { packages: vec![], services: vec![], tailnet: false, hooks: vec![] };
        let put = &agreed.profile.bootstrap;
        for package in &put.packages {
            if read(ctx, vm, &format!("/var/lib/dpkg/info/{package}.md5sums"))?.is_none() {
                missing.packages.push(package.clone());
            }
        }
        for service in &put.services_enable {
            let group =
                read(ctx, vm, &format!("/sys/fs/cgroup/system.slice/{service}.service/cgroup.events"))?;
            let runs = group.is_some_and(|events| events.lines().any(|line| line == "populated 1"));
            let wanted = format!("/etc/systemd/system/multi-user.target.wants/{service}.service");
            if !runs || read(ctx, vm, &wanted)?.is_none() {
                missing.services.push(service.clone());
            }
        }
        if put.tailscale {
            let addresses = read(ctx, vm, "/proc/net/if_inet6")?.unwrap_or_default();
            missing.tailnet = !addresses.lines().any(is_of_tailnet);
        }
        for hook in &put.cron_hooks {
            if read(ctx, vm, &file_of(hook))?.as_deref() != Some(&text_of(hook)) {
                missing.hooks.push(hook.clone());
            }
        }
        Ok(missing)
    }
}

/// A line of `/proc/net/if_inet6`: address, index, prefix, scope, flags, interface.
fn is_of_tailnet(line: &str) -> bool {
    line.starts_with(TAILNET) && line.split_whitespace().last() == Some("tailscale0")
}

/// Where a job of cron is written.
pub(crate) fn file_of(hook: &CronHook) -> String {
    format!("/etc/cron.d/ops-{}", hook.name)
}

/// What is written there.
pub(crate) fn text_of(hook: &CronHook) -> String {
    format!("# Written by ops (infra.vm.bootstrap).\n{} root {}\n", hook.schedule, hook.command)
}

/// The text of a file in the machine, if there is such a file.
fn read(ctx: &Ctx, vm: &Vm<'_>, file: &str) -> Result<Option<String>, Failure> {
    #[derive(Deserialize)]
    struct File {
        content: String,
    }

    let answer = ctx.fetch(vm.get(&format!("/agent/file-read?file={}", pve::encode(file))).accept(&[500]))?;
    if answer.status != 500 {
        return Ok(Some(pve::data::<File>(&answer)?.content));
    }
    let why = pve::refusal(&answer);
    if why.contains("No such file or directory") {
        return Ok(None);
    }
    Err(Failure::failed(format!("{file} in VM {} cannot be read: {why}", vm.id)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_the_tailnet() {
        let line = "fd7a115ca1e0ab12000000000000000e 05 80 00 80 tailscale0";
        assert!(is_of_tailnet(line));
        assert!(
            !is_of_tailnet(&line.replace("tailscale0", "eth0"))
                && !is_of_tailnet("fe80 02 40 20 80 tailscale0")
        );
    }
}
