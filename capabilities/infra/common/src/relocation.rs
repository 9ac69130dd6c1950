//! The relocation plan: which virtual machine is to be where.
//!
//! `docs/schemas/infra.relocation.plan.schema.json` is made from these types.

use std::net::Ipv4Addr;

use ops_guest::{Ctx, Failure, read_contract};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::form::{self, Version};
use crate::network::Network;

/// The file beside the bindings.
pub const NAME: &str = "infra.relocation.plan.yaml";
/// The most targets of a plan.
const MOST: usize = 300;

/// The relocation plan.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RelocationPlan {
    /// The version of this form.
    pub schema_version: Version,
    /// The role that answers for the plan, for example `infra-operator`; never a person.
    #[serde(deserialize_with = "form::word")]
    #[schemars(regex(pattern = r"^[a-z][a-z0-9-]{0,63}$"))]
    pub owner: String,
    /// The virtual machines, at most 300.
    #[schemars(length(max = 300))]
    pub vm_targets: Vec<VmTarget>,
}

/// One virtual machine.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VmTarget {
    /// Its host name, without a domain.
    #[serde(deserialize_with = "form::hostname")]
    #[schemars(regex(pattern = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"))]
    pub hostname: String,
    /// Its number at the hypervisor.
    #[schemars(range(min = 100, max = 999_999_999))]
    pub vm_id: u32,
    /// The hypervisor that it is to run on, by the name that the placement policy gives it.
    #[serde(deserialize_with = "form::hostname")]
    #[schemars(regex(pattern = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"))]
    pub proxmox_host: String,
    /// What it is for, for example `mail`.
    #[serde(deserialize_with = "form::word")]
    #[schemars(regex(pattern = r"^[a-z][a-z0-9-]{0,63}$"))]
    pub role: String,
    /// How far it is.
    pub status: Status,
    /// The address that cloud-init gives it, in place of the profile's.
    pub ci_network_cidr: Option<Network>,
    /// The way out of its network, where the address is a fixed one.
    pub ci_gateway: Option<Ipv4Addr>,
    /// Its address in the tailnet, where it is to have a certain one.
    pub tailscale_ip: Option<Ipv4Addr>,
}

/// How far a virtual machine is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// It is to be made.
    Planned,
    /// It is there and in use.
    Active,
    /// It was in use, and its number is not to be used again.
    Retired,
}

impl RelocationPlan {
    /// The plan that the binding grants.
    ///
    /// # Errors
    /// `NotGranted` where it grants none, `Failed` where the file is not in the form of a plan.
    pub fn of(ctx: &Ctx) -> Result<Self, Failure> {
        Self::parse(&ctx.contract(NAME)?)
    }

    /// Reads a plan's text, strictly.
    ///
    /// # Errors
    /// `Failed`, with the place in the file, or with what does not fit together.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        let plan: Self = read_contract(NAME, text)?;
        form::at_most(NAME, "targets", plan.vm_targets.len(), MOST)?;
        form::no_twins(NAME, "the host name", plan.vm_targets.iter().map(|target| target.hostname.as_str()))?;
        let ids: Vec<_> = plan.vm_targets.iter().map(|target| target.vm_id.to_string()).collect();
        form::no_twins(NAME, "the vm_id", ids.iter().map(String::as_str))?;
        for target in &plan.vm_targets {
            target.check().map_err(|why| Failure::failed(format!("{NAME}: {}: {why}", target.hostname)))?;
        }
        Ok(plan)
    }
}

impl VmTarget {
    fn check(&self) -> Result<(), String> {
        if !(100..=999_999_999).contains(&self.vm_id) {
            return Err(format!("vm_id is {}, which is not from 100 to 999999999", self.vm_id));
        }
        match (self.ci_network_cidr, self.ci_gateway) {
            (Some(network @ Network::Static { .. }), Some(gateway)) if !network.contains(gateway) => {
                return Err(format!("ci_gateway {gateway} is not in the network of {network}"));
            }
            (Some(Network::Static { .. }), _) | (_, None) => {}
            (_, Some(_)) => return Err("ci_gateway needs a fixed ci_network_cidr".into()),
        }
        match self.tailscale_ip {
            // What tailnets hand out: 100.64.0.0/10 (RFC 6598).
            Some(ip) if ip.octets()[0] != 100 || ip.octets()[1] & 0xc0 != 64 => {
                Err(format!("tailscale_ip {ip} is not in 100.64.0.0/10"))
            }
            _ => Ok(()),
        }
    }
}
