//! The placement policy: which machine may be on which hypervisor, with which number.
//!
//! `docs/schemas/infra.placement.policy.schema.json` is made from these types. The form is checked here; whether a target
//! may be where the plan wants it is for [`PlacementPolicy::check`], rule by rule.

use ops_guest::{Ctx, Failure, read_contract};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::checks::Checks;
use crate::form::{self, Version};
use crate::relocation::VmTarget;

/// The file beside the bindings.
pub const NAME: &str = "infra.placement.policy.yaml";
/// The most entries of one list.
const MOST: usize = 300;

/// The placement policy.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlacementPolicy {
    /// The version of this form.
    pub schema_version: Version,
    /// The role that answers for the policy; never a person.
    #[serde(deserialize_with = "form::word")]
    #[schemars(regex(pattern = r"^[a-z][a-z0-9-]{0,63}$"))]
    pub owner: String,
    /// The places, at most 300.
    #[schemars(length(max = 300))]
    pub sites: Vec<Site>,
    /// The hypervisors, at most 300.
    #[schemars(length(max = 300))]
    pub hypervisors: Vec<Hypervisor>,
    /// What must be so for single machines, at most 300.
    #[schemars(length(max = 300))]
    pub vm_target_requirements: Vec<TargetRequirement>,
}

/// A place.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Site {
    /// Its name.
    #[serde(deserialize_with = "form::word")]
    #[schemars(regex(pattern = r"^[a-z][a-z0-9-]{0,63}$"))]
    pub name: String,
    /// The hypervisors that stand there.
    #[serde(deserialize_with = "form::hostnames")]
    pub hypervisors: Vec<String>,
    /// The machines that belong there, by host name.
    #[serde(deserialize_with = "form::hostnames")]
    pub vm_targets: Vec<String>,
    /// The numbers that machines there have.
    pub vm_ids: IdRange,
}

/// Numbers from `min` to `max`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IdRange {
    /// The first.
    #[schemars(range(min = 100, max = 999_999_999))]
    pub min: u32,
    /// The last.
    #[schemars(range(min = 100, max = 999_999_999))]
    pub max: u32,
}

/// A hypervisor.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hypervisor {
    /// The name by which the contracts speak of it.
    #[serde(deserialize_with = "form::hostname")]
    #[schemars(regex(pattern = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"))]
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// The name that it has in its own cluster: the node of Proxmox VE.
    #[serde(deserialize_with = "form::pve_name")]
    pub node: String,
    /// Where it stands.
    #[serde(deserialize_with = "form::word")]
    #[schemars(regex(pattern = r"^[a-z][a-z0-9-]{0,63}$"))]
    pub site: String,
}

/// What a hypervisor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A node of Proxmox VE.
    Proxmox,
    /// Anything else, on which no capability makes machines.
    Other,
}

/// What must be so for one machine.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TargetRequirement {
    /// The machine.
    #[serde(deserialize_with = "form::hostname")]
    #[schemars(regex(pattern = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"))]
    pub hostname: String,
    /// The site that it must be at.
    #[serde(deserialize_with = "form::word")]
    #[schemars(regex(pattern = r"^[a-z][a-z0-9-]{0,63}$"))]
    pub required_site: String,
    /// The hypervisor that it must be on.
    #[serde(deserialize_with = "form::hostname")]
    #[schemars(regex(pattern = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"))]
    pub required_proxmox_host: String,
}

impl PlacementPolicy {
    /// The policy that the binding grants.
    ///
    /// # Errors
    /// `NotGranted` where it grants none, `Failed` where the file is not in the form of a policy.
    pub fn of(ctx: &Ctx) -> Result<Self, Failure> {
        Self::parse(&ctx.contract(NAME)?)
    }

    /// Reads a policy's text, strictly.
    ///
    /// # Errors
    /// `Failed`, with the place in the file, or with what does not fit together.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        let policy: Self = read_contract(NAME, text)?;
        for (what, count) in [
            ("sites", policy.sites.len()),
            ("hypervisors", policy.hypervisors.len()),
            ("requirements", policy.vm_target_requirements.len()),
        ] {
            form::at_most(NAME, what, count, MOST)?;
        }
        form::no_twins(NAME, "the site", policy.sites.iter().map(|site| site.name.as_str()))?;
        form::no_twins(NAME, "the hypervisor", policy.hypervisors.iter().map(|one| one.name.as_str()))?;
        let of = policy.vm_target_requirements.iter().map(|one| one.hostname.as_str());
        form::no_twins(NAME, "a requirement of", of)?;
        let of = policy.sites.iter().flat_map(|site| &site.vm_targets);
        form::no_twins(NAME, "the target", of.map(String::as_str))?;
        Ok(policy)
    }

    /// Checks whether a target may be where the plan wants it, a row for each rule, and returns its hypervisor where
    /// there is one.
    pub fn check(&self, target: &VmTarget, checks: &mut Checks) -> Option<&Hypervisor> {
        let (name, host) = (&target.hostname, &target.proxmox_host);
        let site = self.sites.iter().find(|site| site.vm_targets.contains(name));
        checks.made(
            "target-site",
            match site {
                Some(site) => Ok(format!("{name} belongs to {}", site.name)),
                None => Err(format!("no site of {NAME} lists {name} in vm_targets")),
            },
        );
        let hypervisor = self.hypervisors.iter().find(|one| one.name == *host);
        checks.made(
            "hypervisor",
            match hypervisor {
                Some(one) if one.kind == Kind::Proxmox => {
                    Ok(format!("{host} is the node {} of Proxmox VE", one.node))
                }
                Some(_) => Err(format!("{host} is no Proxmox VE (its kind in {NAME} is other)")),
                None => Err(format!("{NAME} knows no hypervisor {host}")),
            },
        );
        let theirs = hypervisor.and_then(|one| self.sites.iter().find(|site| site.name == one.site));
        checks.made(
            "hypervisor-site",
            match (hypervisor, theirs) {
                (Some(_), Some(site)) if site.hypervisors.contains(host) => {
                    Ok(format!("{host} stands at {}, which lists it", site.name))
                }
                (Some(_), Some(site)) => {
                    Err(format!("{host} says that it stands at {}, which does not list it", site.name))
                }
                (Some(one), None) => {
                    Err(format!("{host} says that it stands at {}, which is no site", one.site))
                }
                (None, _) => Err(format!("{host} is not known")),
            },
        );
        self.check_together(target, site, theirs, checks);
        hypervisor.filter(|one| one.kind == Kind::Proxmox)
    }

    fn check_together(
        &self,
        target: &VmTarget,
        site: Option<&Site>,
        theirs: Option<&Site>,
        checks: &mut Checks,
    ) {
        let (name, host) = (&target.hostname, &target.proxmox_host);
        match (site, theirs) {
            (Some(site), Some(theirs)) => checks.made(
                "same-site",
                match site.name == theirs.name {
                    true => Ok(format!("both are at {}", site.name)),
                    false => {
                        Err(format!("{name} belongs to {}, {host} stands at {}", site.name, theirs.name))
                    }
                },
            ),
            _ => checks.skipped("same-site", "one of the two has no site"),
        }
        let required = self.vm_target_requirements.iter().find(|one| one.hostname == *name);
        checks.made(
            "requirements",
            match required {
                None => Ok(format!("the policy requires nothing more of {name}")),
                Some(one) if one.required_proxmox_host != *host => Err(format!(
                    "{name} must be on {}, and the plan puts it on {host}",
                    one.required_proxmox_host
                )),
                Some(one) if site.is_none_or(|site| site.name != one.required_site) => {
                    Err(format!("{name} must be at {}", one.required_site))
                }
                Some(one) => Ok(format!(
                    "{name} is on {} at {}, as it must be",
                    one.required_proxmox_host, one.required_site
                )),
            },
        );
        match site {
            None => checks.skipped("vm-id-range", "the target has no site"),
            Some(Site { name: at, vm_ids: IdRange { min, max }, .. }) => {
                checks.made(
                    "vm-id-range",
                    match (*min..=*max).contains(&target.vm_id) {
                        true => Ok(format!("{} is from {min} to {max}, the numbers of {at}", target.vm_id)),
                        false => {
                            Err(format!("{} is not from {min} to {max}, the numbers of {at}", target.vm_id))
                        }
                    },
                );
            }
        }
    }
}
