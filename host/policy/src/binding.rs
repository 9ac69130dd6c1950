//! A binding: the operator's file for one capability, checked whole.
//!
//! A field that nothing enforces is not accepted. What can be judged from the file alone is judged here, in this order:
//! name and component, services with their rules, directories, contracts, config, the capabilities that it may call or
//! have started, limits, the lock, and last the approval, which depends on all of them.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::approval::{self, Approval};
use crate::grant_path;
use crate::limits::{self, Limits};
use crate::manifest::{Access, Safety};
use crate::name;
use crate::scalar::Setting;
use crate::service::{self, Service};
use crate::target_lock::TargetLock;
use crate::yaml::{self, At, Entries, FileError, Source, Wrong};

/// The most services, directories, contracts or config keys of one binding.
const GRANTS: usize = 100;

/// A binding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The capability's name.
    pub capability: String,
    /// The component's file, relative to the workspace.
    pub component: String,
    /// What the capability may do at most.
    pub safety: Safety,
    /// How its plans are approved.
    pub approval: Approval,
    /// The granted services by name.
    pub services: BTreeMap<String, Service>,
    /// The granted directories by name.
    pub directories: BTreeMap<String, Directory>,
    /// Names of the granted contract files, which lie beside the bindings.
    pub contracts: Vec<String>,
    /// Settings that the guest sees.
    pub config: BTreeMap<String, Setting>,
    /// The capabilities that it may call, read-only ones, in the order of the file.
    pub invoke: Vec<String>,
    /// The capabilities that the host starts on its word, each as a run of its own.
    pub starts: Vec<String>,
    /// What only one run at a time may work on, where that is so.
    pub lock: Option<TargetLock>,
    /// What a run may use.
    pub limits: Limits,
    /// What is kept of a run's requests and answers.
    pub record: Record,
}

/// What the content store keeps of a run, for as long as `ops.yaml` says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Record {
    /// Requests and answers with their bodies, so that the run can be replayed.
    #[default]
    Full,
    /// Their digests only.
    Digests,
}

impl Record {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Digests => "digests",
        }
    }
}

/// A granted directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directory {
    /// The folder, relative to the workspace.
    pub path: String,
    /// What may be done there.
    pub access: Access,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a binding, a map with `capability`, `component` and `safety`")]
struct Written {
    capability: At<String>,
    component: At<String>,
    safety: At<Safety>,
    #[serde(default, deserialize_with = "yaml::present")]
    approval: Option<At<approval::Written>>,
    #[serde(default)]
    services: Entries<service::Written>,
    #[serde(default)]
    directories: Entries<WrittenDirectory>,
    #[serde(default)]
    contracts: Vec<At<String>>,
    #[serde(default)]
    config: Entries<Setting>,
    #[serde(default)]
    invoke: Vec<At<String>>,
    #[serde(default)]
    starts: Vec<At<String>>,
    #[serde(default, deserialize_with = "yaml::present")]
    lock: Option<At<String>>,
    #[serde(default)]
    limits: limits::Written,
    #[serde(default)]
    record: Record,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a directory, such as {path: state/outbox, access: stage}")]
struct WrittenDirectory {
    path: At<String>,
    access: At<Access>,
}

impl Binding {
    /// Reads a binding. `file` is its name for people.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the file, one at a time, with its place.
    pub fn parse(file: &str, bytes: &[u8]) -> Result<Self, FileError> {
        let source = Source::new(file, bytes)?;
        let written: Written = source.parse()?;
        written.check().map_err(|wrong| source.wrong(wrong))
    }
}

impl Written {
    fn check(self) -> Result<Binding, Wrong> {
        let safety = self.safety.value;
        name::check(&self.capability.value).map_err(|why| Wrong::at(&self.capability, why))?;
        grant_path::relative(&self.component.value).map_err(|why| Wrong::at(&self.component, why))?;
        if !self.component.value.ends_with(".wasm") {
            return Err(Wrong::at(&self.component, "a component's file ends in .wasm"));
        }
        let services = named("services", self.services, |name, service| service.check(name, safety))?;
        let directories = named("directories", self.directories, |_, directory| directory.check(safety))?;
        let contracts = contracts(&self.contracts)?;
        let config = config(self.config)?;
        let invoke = capabilities("invoke", &self.invoke, &self.capability.value)?;
        let starts = capabilities("starts", &self.starts, &self.capability.value)?;
        let limits = self.limits.check()?;
        let lock = self.lock.as_ref().map(lock).transpose()?;
        let effects: Vec<_> =
            services.values().flat_map(|service| &service.rules).map(|rule| rule.effect).collect();
        let opened: Vec<_> =
            directories.values().map(|directory| (directory.path.as_str(), directory.access)).collect();
        let context = approval::Context { safety, effects: &effects, directories: &opened };
        let approval = approval::check(self.approval.as_ref(), &self.safety, &context)?;
        Ok(Binding {
            capability: self.capability.value,
            component: self.component.value,
            safety,
            approval,
            services,
            directories,
            contracts,
            config,
            invoke,
            starts,
            lock,
            limits,
            record: self.record,
        })
    }
}

impl WrittenDirectory {
    fn check(self, safety: Safety) -> Result<Directory, Wrong> {
        grant_path::directory(&self.path.value).map_err(|why| Wrong::at(&self.path, why))?;
        if safety == Safety::ReadOnly && self.access.value == Access::Stage {
            return Err(Wrong::at(&self.access, "a read-only capability stages nothing")
                .hint("use `access: read`, or raise `safety`"));
        }
        Ok(Directory { path: self.path.value, access: self.access.value })
    }
}

/// Checks the names of a map's entries, and each entry.
fn named<W, T>(
    what: &str,
    entries: Entries<W>,
    check: impl Fn(&str, W) -> Result<T, Wrong>,
) -> Result<BTreeMap<String, T>, Wrong> {
    let mut checked = BTreeMap::new();
    for (key, written) in entries.0 {
        name::check_word(&key.value).map_err(|why| Wrong::at(&key, why))?;
        if checked.len() == GRANTS {
            return Err(Wrong::at(&key, format!("a binding has at most {GRANTS} {what}")));
        }
        // Contract files are mounted under that name.
        if (what, key.value.as_str()) == ("directories", "contracts") {
            return Err(Wrong::at(&key, "the name `contracts` is taken by the contract files"));
        }
        let value = check(&key.value, written)?;
        checked.insert(key.value, value);
    }
    Ok(checked)
}

fn contracts(written: &[At<String>]) -> Result<Vec<String>, Wrong> {
    let mut names = Vec::new();
    for contract in written {
        let name = &contract.value;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        if !name.ends_with(".yaml") || name.starts_with('.') || name.len() > 128 || !name.bytes().all(plain) {
            return Err(Wrong::at(contract, format!("`{name}` is not a contract file"))
                .hint("write the name of a .yaml file that lies beside the bindings, without a folder"));
        }
        if names.contains(name) {
            return Err(Wrong::at(contract, format!("the contract `{name}` is listed twice")));
        }
        if names.len() == GRANTS {
            return Err(Wrong::at(contract, format!("a binding has at most {GRANTS} contracts")));
        }
        names.push(name.clone());
    }
    Ok(names)
}

/// The names of capabilities under `what`, each once, and not the binding's own.
fn capabilities(what: &str, written: &[At<String>], own: &str) -> Result<Vec<String>, Wrong> {
    let mut names = Vec::new();
    for name in written {
        name::check(&name.value).map_err(|why| {
            Wrong::at(name, why).hint(format!("`{what}` names each capability in full, and no pattern"))
        })?;
        if name.value == own {
            return Err(Wrong::at(name, format!("`{what}` names the capability itself")));
        }
        if names.contains(&name.value) {
            return Err(Wrong::at(name, format!("`{}` is listed twice", name.value)));
        }
        if names.len() == GRANTS {
            return Err(Wrong::at(name, format!("`{what}` has at most {GRANTS} capabilities")));
        }
        names.push(name.value.clone());
    }
    Ok(names)
}

fn lock(written: &At<String>) -> Result<TargetLock, Wrong> {
    TargetLock::parse(&written.value).map_err(|why| {
        Wrong::at(written, why)
            .hint("write what runs must not work on at once, such as lock: \"pve/{vm_id}\"")
    })
}

fn config(written: Entries<Setting>) -> Result<BTreeMap<String, Setting>, Wrong> {
    let mut config = BTreeMap::new();
    for (key, setting) in written.0 {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        if key.value.is_empty() || key.value.len() > 64 || !key.value.bytes().all(plain) {
            return Err(Wrong::at(&key, "a config key is 1 to 64 letters, digits, `_`, `-` or `.`"));
        }
        if config.len() == GRANTS {
            return Err(Wrong::at(&key, format!("a binding has at most {GRANTS} config keys")));
        }
        config.insert(key.value, setting);
    }
    Ok(config)
}

#[cfg(test)]
mod tests;
