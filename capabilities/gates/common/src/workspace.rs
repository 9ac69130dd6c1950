//! What the built-in service `ops` says of the workspace. Only the fields that a gate looks at; the host may say more.

use std::collections::BTreeMap;

use ops_guest::{Ctx, Failure, Request};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// The service's name in manifests and bindings.
pub const SERVICE: &str = "ops";

/// `/registry`: the capabilities that are bound.
#[derive(Clone, Debug, Deserialize)]
pub struct Capabilities {
    /// Each of them, by name.
    pub capabilities: Vec<Capability>,
}

/// A capability as it is bound.
#[derive(Clone, Debug, Deserialize)]
pub struct Capability {
    /// Its name.
    pub name: String,
    /// Its binding's file, relative to the workspace.
    pub binding: String,
    /// `read-only`, `mutating` or `destructive`.
    pub safety: String,
    /// `auto` or `manual`.
    pub approval: String,
    /// Why it is `auto`.
    #[serde(default)]
    pub reason: Option<String>,
    /// The ways in which an approval is taken.
    #[serde(default)]
    pub accept: Vec<String>,
    /// Services and the rules that are granted on them.
    #[serde(default)]
    pub services: Vec<Service>,
    /// Directories that are granted.
    #[serde(default)]
    pub directories: Vec<Directory>,
    /// Capabilities that it may call.
    #[serde(default)]
    pub invoke: Vec<String>,
    /// Capabilities that its output may start.
    #[serde(default)]
    pub starts: Vec<String>,
    /// Grants that no need of its author covers.
    #[serde(default)]
    pub unneeded: Vec<Unneeded>,
    /// Where things stand in its binding.
    #[serde(default)]
    pub lines: Lines,
    /// Why it cannot run.
    #[serde(default)]
    pub fault: Option<String>,
}

/// A grant that no need of the author covers.
#[derive(Clone, Debug, Deserialize)]
pub struct Unneeded {
    /// The grant in words.
    pub what: String,
    /// Its line in the binding, from 1; 0 where it is not known.
    #[serde(default)]
    pub line: u64,
}

/// Where things stand in a binding, from line 1; 0 where it is not known.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Lines {
    /// The field `approval`.
    #[serde(default)]
    pub approval: u64,
    /// The names under `invoke` and `starts`.
    #[serde(default)]
    pub names: BTreeMap<String, u64>,
}

/// A service that is granted.
#[derive(Clone, Debug, Deserialize)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// Its rules.
    #[serde(default)]
    pub rules: Vec<Rule>,
}

/// One rule of a service.
#[derive(Clone, Debug, Deserialize)]
pub struct Rule {
    /// Its id.
    pub id: String,
    /// `read`, `mutate` or `destroy`.
    pub effect: String,
}

/// A directory that is granted.
#[derive(Clone, Debug, Deserialize)]
pub struct Directory {
    /// Its path, relative to the workspace.
    pub path: String,
    /// `read` or `stage`.
    pub access: String,
}

/// `/sync`: generated files against what would be generated.
#[derive(Clone, Debug, Deserialize)]
pub struct Sync {
    /// The generated files.
    pub files: Vec<String>,
    /// Where they differ.
    pub differences: Vec<Difference>,
}

/// One difference of a generated file.
#[derive(Clone, Debug, Deserialize)]
pub struct Difference {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: u64,
    /// What differs.
    pub what: String,
    /// What to do.
    pub fix: String,
}

impl Capabilities {
    /// Asks for them. The rule of the manifest is `GET /registry`.
    ///
    /// # Errors
    /// What [`get`] says.
    pub fn of(ctx: &Ctx) -> Result<Self, Failure> {
        get(ctx, "/registry")
    }

    /// The capability of this name.
    pub fn named(&self, name: &str) -> Option<&Capability> {
        self.capabilities.iter().find(|capability| capability.name == name)
    }
}

impl Capability {
    /// The line of its binding in which a capability that it may call or start is named; 0 where it is not known.
    pub fn line_of(&self, name: &str) -> u64 {
        self.lines.names.get(name).copied().unwrap_or(0)
    }
}

impl Sync {
    /// Asks for it. The rule of the manifest is `GET /sync`.
    ///
    /// # Errors
    /// What [`get`] says.
    pub fn of(ctx: &Ctx) -> Result<Self, Failure> {
        get(ctx, "/sync")
    }
}

/// Asks the service for one path.
///
/// # Errors
/// `NotGranted` where the binding has no rule for it, `Failed` where the answer has another form.
pub fn get<T: DeserializeOwned>(ctx: &Ctx, path: &str) -> Result<T, Failure> {
    ctx.fetch(Request::get(SERVICE, path))?.json()
}
