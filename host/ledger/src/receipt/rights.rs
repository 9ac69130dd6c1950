//! What a run was allowed, what it used of that, and what it was refused.

use serde::{Deserialize, Serialize};

use crate::wire;

/// What a run was allowed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grants {
    /// Services and their rules.
    pub services: Vec<ServiceGrant>,
    /// Directories.
    pub directories: Vec<DirectoryGrant>,
    /// Contracts, by file name.
    pub contracts: Vec<String>,
    /// Keys of the config; values may be evidence.
    pub config: Vec<String>,
    /// Capabilities that it may call.
    #[serde(default)]
    pub invoke: Vec<String>,
    /// Capabilities that the host starts on its word.
    #[serde(default)]
    pub starts: Vec<String>,
}

/// A granted service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceGrant {
    /// The name that the guest addresses.
    pub name: String,
    /// The origin that it is bound to; none for the host itself, which answers the service `ops`.
    pub origin: Option<String>,
    /// The rules in file order.
    pub rules: Vec<RuleGrant>,
}

/// A granted rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleGrant {
    /// The rule's id.
    pub id: String,
    /// HTTP method.
    pub method: String,
    /// Path pattern.
    pub path: String,
    /// What it may do.
    pub effect: RuleEffect,
    /// Whether it serves only plans that take a run back.
    #[serde(rename = "forUndo")]
    pub for_undo: bool,
}

/// What a rule may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RuleEffect {
    /// Read.
    Read,
    /// Change.
    Mutate,
    /// Take away.
    Destroy,
}

/// A granted directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DirectoryGrant {
    /// The name that the guest sees.
    pub name: String,
    /// Path relative to the workspace.
    pub path: String,
    /// How it may be used.
    pub access: Access,
}

/// How a directory may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    /// Read.
    Read,
    /// Written to a private copy, which is committed at the end.
    Stage,
}

/// What was used of one rule, to one path, at one address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Use {
    /// The service's name.
    pub service: String,
    /// The rule that allowed it.
    pub rule: String,
    /// HTTP method.
    pub method: String,
    /// The path that was asked for.
    pub path: String,
    /// The address that was dialled, `ip:port`; none where nothing was dialled.
    pub address: Option<String>,
    /// How often.
    #[serde(with = "wire::integer")]
    pub count: u64,
    /// HTTP bytes that were sent, the head included; of a request that was answered.
    #[serde(with = "wire::integer")]
    pub bytes_sent: u64,
    /// HTTP bytes that came back, the head included.
    #[serde(with = "wire::integer")]
    pub bytes_received: u64,
}

/// A capability that was called. It had a run of its own, with a receipt of its own, if it came to one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InvokedRecord {
    /// Its name.
    pub capability: String,
    /// The key of its run.
    pub run: Option<String>,
    /// Whether it gave an output, which may say that a check failed.
    pub output: bool,
}

/// Something that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Denial {
    /// What kind of thing.
    pub kind: DenialKind,
    /// What was asked for; untrusted text.
    pub what: String,
    /// Which rule refused it, or why no rule allowed it.
    pub reason: String,
    /// How often.
    #[serde(with = "wire::integer")]
    pub count: u64,
}

/// A kind of thing that is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DenialKind {
    /// An import of the component.
    Import,
    /// A read of a service.
    Request,
    /// A change to a service.
    Effect,
    /// An address that a name resolved to.
    Address,
    /// A file, folder or link.
    File,
    /// Another capability.
    Invoke,
    /// Something that the lock does not hold.
    Lock,
    /// An approval.
    Approval,
    /// More than a limit allows.
    Limit,
    /// Something else that the run needed, such as a component or a secret.
    Run,
}

impl RuleEffect {
    /// The word in JSON and on screens.
    pub fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Mutate => "mutate",
            Self::Destroy => "destroy",
        }
    }
}

impl Access {
    /// The word in JSON and on screens.
    pub fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Stage => "stage",
        }
    }
}

impl DenialKind {
    /// The word in JSON and on screens.
    pub fn word(self) -> &'static str {
        match self {
            Self::Import => "import",
            Self::Request => "request",
            Self::Effect => "effect",
            Self::Address => "address",
            Self::File => "file",
            Self::Invoke => "invoke",
            Self::Lock => "lock",
            Self::Approval => "approval",
            Self::Limit => "limit",
            Self::Run => "run",
        }
    }
}
