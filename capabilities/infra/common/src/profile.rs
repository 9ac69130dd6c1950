//! The profiles: what a virtual machine is made of, what is put into it, and what makes it ready.
//!
//! `docs/schemas/infra.vm.profiles.schema.json` is made from these types.

use std::net::Ipv4Addr;

use ops_guest::{Ctx, Failure, read_contract};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::form::{self, Version};
use crate::network::Network;

/// The file beside the bindings.
pub const NAME: &str = "infra.vm.profiles.yaml";
/// The most profiles of the file, and the most entries of one list in a profile.
const MOST: usize = 100;

/// The profiles.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Profiles {
    /// The version of this form.
    pub schema_version: Version,
    /// The role that answers for the profiles; never a person.
    #[serde(deserialize_with = "form::word")]
    #[schemars(regex(pattern = r"^[a-z][a-z0-9-]{0,63}$"))]
    pub owner: String,
    /// The profiles, at most 100.
    #[schemars(length(max = 100))]
    pub profiles: Vec<Profile>,
}

/// One profile.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Its name, for example `spine-ready-v1`. What is in use is not changed; it gets a successor.
    #[serde(deserialize_with = "form::word")]
    #[schemars(regex(pattern = r"^[a-z][a-z0-9-]{0,63}$"))]
    pub name: String,
    /// What it is a profile of.
    pub kind: Kind,
    /// What the machine is made of.
    pub provisioning: Provisioning,
    /// What is put into it.
    pub bootstrap: Bootstrap,
    /// What must be so before it is in use.
    pub readiness: Vec<Requirement>,
}

/// What a profile is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A virtual machine of QEMU, which `infra.vm.provision` makes.
    Vm,
    /// A container of LXC, which no capability makes yet.
    Lxc,
}

/// What a machine is made of.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Provisioning {
    /// The number of the template that is cloned, unless the run names another. A container has none.
    #[schemars(range(min = 100, max = 999_999_999))]
    pub template_vmid: Option<u32>,
    /// Processor cores.
    #[schemars(range(min = 1, max = 512))]
    pub cpu_cores: u32,
    /// Memory, in MiB.
    #[schemars(range(min = 256, max = 4_194_304))]
    pub memory_mb: u32,
    /// The first disk, in GiB.
    #[schemars(range(min = 1, max = 65_536))]
    pub disk_gb: u32,
    /// The bridge of the hypervisor that its network card is on.
    #[serde(deserialize_with = "form::pve_name")]
    pub bridge: String,
    /// The storage of the hypervisor that its disk is on.
    #[serde(deserialize_with = "form::pve_name")]
    pub storage: String,
    /// The user that cloud-init makes.
    #[serde(deserialize_with = "form::user")]
    pub ci_user: String,
    /// The address that cloud-init gives, unless the relocation plan says another.
    pub ci_network_cidr: Network,
    /// The name server that cloud-init sets.
    pub nameserver: Ipv4Addr,
    /// The domain that cloud-init searches names in.
    #[serde(deserialize_with = "form::domain")]
    pub search_domain: String,
    /// Who may log in as that user: public keys in OpenSSH's form.
    #[serde(deserialize_with = "form::public_keys")]
    #[schemars(length(min = 1, max = 100))]
    pub ssh_authorized_keys: Vec<String>,
    /// Whether the hypervisor speaks to the guest agent in it; a bootstrap needs that.
    pub qemu_agent: bool,
    /// Whether it starts when the hypervisor does.
    pub onboot: bool,
}

/// What is put into a machine.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bootstrap {
    /// How packages are installed.
    pub package_manager: PackageManager,
    /// The packages. They come from the sources that the template has.
    #[serde(deserialize_with = "form::packages")]
    #[schemars(length(max = 100))]
    pub packages: Vec<String>,
    /// Services of systemd that are to run, and to start with the system (`WantedBy=multi-user.target`).
    #[serde(deserialize_with = "form::services")]
    #[schemars(length(max = 100))]
    pub services_enable: Vec<String>,
    /// Whether it joins the tailnet, with the key that the binding names.
    pub tailscale: bool,
    /// Jobs of cron.
    #[schemars(length(max = 100))]
    pub cron_hooks: Vec<CronHook>,
}

/// How packages are installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PackageManager {
    /// With `apt-get`.
    Apt,
}

/// A job of cron, which is written to `/etc/cron.d/ops-NAME` and runs as root.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CronHook {
    /// Its name.
    #[serde(deserialize_with = "form::word")]
    #[schemars(regex(pattern = r"^[a-z][a-z0-9-]{0,63}$"))]
    pub name: String,
    /// When it runs: the five fields of cron.
    #[serde(deserialize_with = "form::schedule")]
    pub schedule: String,
    /// What it runs: a whole path with its arguments.
    #[serde(deserialize_with = "form::command")]
    pub command: String,
}

/// What must be so before a machine is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Requirement {
    /// Its guest agent answers, so it runs.
    QemuAgent,
    /// The packages are installed.
    Packages,
    /// The services run.
    Services,
    /// It is in the tailnet.
    Tailscale,
    /// The jobs of cron are there.
    Cron,
}

impl Requirement {
    /// The word in the file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::QemuAgent => "qemu-agent",
            Self::Packages => "packages",
            Self::Services => "services",
            Self::Tailscale => "tailscale",
            Self::Cron => "cron",
        }
    }
}

impl Profiles {
    /// The profiles that the binding grants.
    ///
    /// # Errors
    /// `NotGranted` where it grants none, `Failed` where the file is not in the form of profiles.
    pub fn of(ctx: &Ctx) -> Result<Self, Failure> {
        Self::parse(&ctx.contract(NAME)?)
    }

    /// Reads the profiles' text, strictly.
    ///
    /// # Errors
    /// `Failed`, with the place in the file, or with what does not fit together.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        let profiles: Self = read_contract(NAME, text)?;
        form::at_most(NAME, "profiles", profiles.profiles.len(), MOST)?;
        form::no_twins(NAME, "the profile", profiles.profiles.iter().map(|profile| profile.name.as_str()))?;
        for profile in &profiles.profiles {
            profile.check()?;
        }
        Ok(profiles)
    }
}

impl Profile {
    fn check(&self) -> Result<(), Failure> {
        let (made, put) = (&self.provisioning, &self.bootstrap);
        for (what, count) in [
            ("public keys", made.ssh_authorized_keys.len()),
            ("packages", put.packages.len()),
            ("services", put.services_enable.len()),
            ("jobs of cron", put.cron_hooks.len()),
            ("requirements", self.readiness.len()),
        ] {
            form::at_most(NAME, &format!("{what} in {}", self.name), count, MOST)?;
        }
        form::no_twins(NAME, "the job of cron", put.cron_hooks.iter().map(|hook| hook.name.as_str()))?;
        for (field, value, least, most) in [
            ("cpu_cores", made.cpu_cores, 1, 512),
            ("memory_mb", made.memory_mb, 256, 4_194_304),
            ("disk_gb", made.disk_gb, 1, 65_536),
            ("template_vmid", made.template_vmid.unwrap_or(100), 100, 999_999_999),
        ] {
            if !(least..=most).contains(&value) {
                return Err(self.wrong(&format!("{field} is {value}, which is not from {least} to {most}")));
            }
        }
        if made.ssh_authorized_keys.is_empty() {
            return Err(self.wrong("it has no ssh_authorized_keys, so nobody could log in"));
        }
        if matches!(made.ci_network_cidr, Network::Static { .. }) {
            return Err(self.wrong("a profile is for many machines, so its ci_network_cidr is dhcp"));
        }
        Ok(())
    }

    fn wrong(&self, why: &str) -> Failure {
        Failure::failed(format!("{NAME}: {}: {why}", self.name))
    }
}
