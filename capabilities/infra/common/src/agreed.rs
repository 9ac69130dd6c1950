//! What the contracts say of one machine, and whether they agree, before any server is asked.
//!
//! Checked in this order: the target is in the relocation plan and is to be there; its number is the plan's; the profile
//! exists and is one of a VM; then the placement policy, rule by rule. Every check is a row, so what goes wrong with one
//! hides no other.

use ops_guest::{Ctx, Failure};

use crate::checks::Checks;
use crate::network::Network;
use crate::placement::PlacementPolicy;
use crate::profile::{Kind, Profile, Profiles};
use crate::relocation::{RelocationPlan, Status, VmTarget};

/// What a run is asked for.
#[derive(Clone, Debug)]
pub struct Asked<'a> {
    /// The host name of the target.
    pub target: &'a str,
    /// The name of the profile.
    pub profile: &'a str,
    /// The number of the VM.
    pub vm_id: u32,
}

/// What the contracts say of one machine.
#[derive(Clone, Debug)]
pub struct Agreed {
    /// The machine.
    pub target: VmTarget,
    /// What it is made of.
    pub profile: Profile,
    /// The node of Proxmox VE that it is to be on.
    pub node: String,
    /// The address that cloud-init gives it.
    pub network: Network,
}

/// Checks what is asked for against the contracts. `None` where so much is missing that no request could be made of it;
/// a row says what.
///
/// # Errors
/// Where a contract is not granted, or not in its form.
pub fn check(ctx: &Ctx, asked: &Asked<'_>, checks: &mut Checks) -> Result<Option<Agreed>, Failure> {
    let (plan, profiles) = (RelocationPlan::of(ctx)?, Profiles::of(ctx)?);
    let policy = PlacementPolicy::of(ctx)?;
    let target = target(&plan, asked, checks);
    let profile = profile(&profiles, asked, checks);
    let Some(target) = target else {
        for check in
            ["target-site", "hypervisor", "hypervisor-site", "same-site", "requirements", "vm-id-range"]
        {
            checks.skipped(check, "the target is not known");
        }
        return Ok(None);
    };
    let hypervisor = policy.check(&target, checks);
    let (Some(profile), Some(hypervisor)) = (profile, hypervisor) else { return Ok(None) };
    let network = target.ci_network_cidr.unwrap_or(profile.provisioning.ci_network_cidr);
    Ok(Some(Agreed { target, profile, node: hypervisor.node.clone(), network }))
}

fn target(plan: &RelocationPlan, asked: &Asked<'_>, checks: &mut Checks) -> Option<VmTarget> {
    let target = plan.vm_targets.iter().find(|target| target.hostname == asked.target);
    checks.made(
        "target",
        match target {
            None => Err(format!("the relocation plan has no target {:?}", asked.target)),
            Some(target) if target.status == Status::Retired => {
                Err(format!("the relocation plan says that {} is retired", target.hostname))
            }
            Some(target) => {
                Ok(format!("the relocation plan puts it on {}, for {}", target.proxmox_host, target.role))
            }
        },
    );
    match target {
        None => checks.skipped("vm-id", "the target is not known"),
        Some(target) => checks.made(
            "vm-id",
            match target.vm_id == asked.vm_id {
                true => Ok(format!("{} is the plan's", asked.vm_id)),
                false => Err(format!(
                    "the plan gives {} the number {}, not {}",
                    target.hostname, target.vm_id, asked.vm_id
                )),
            },
        ),
    }
    target.cloned()
}

fn profile(profiles: &Profiles, asked: &Asked<'_>, checks: &mut Checks) -> Option<Profile> {
    let profile = profiles.profiles.iter().find(|profile| profile.name == asked.profile);
    checks.made(
        "profile",
        match profile {
            None => {
                let known: Vec<_> = profiles.profiles.iter().map(|profile| profile.name.as_str()).collect();
                Err(format!("there is no profile {:?}, only {}", asked.profile, known.join(", ")))
            }
            Some(profile) if profile.kind == Kind::Lxc => {
                Err(format!("{} is a profile of LXC, not of a VM", profile.name))
            }
            Some(profile) => Ok(format!("{} is a profile of a VM", profile.name)),
        },
    );
    profile.filter(|profile| profile.kind == Kind::Vm).cloned()
}
