//! The predicate of a receipt: what a run was, was allowed, did and returned.
//!
//! Metadata and digests only; bodies are evidence. Digests of inputs, requests and contents are salted, since short
//! contents could be guessed from a bare digest; the salts are in `evidence.json` and go when it is erased. What
//! was used and denied is what the broker saw, never what a guest said. In JSON every field is present and `null`
//! where it is not known. The field list for other programs is `docs/schemas/run-receipt-v1.schema.json`.

mod changes;
mod rights;
#[cfg(test)]
pub(crate) mod sample;
#[cfg(test)]
mod tests;

pub use changes::{
    Approval, ApprovalHow, Approver, EffectOutcome, EffectRecord, FileChange, FileOutcome, FileRecord,
    UndoKind, UndoRecord,
};
pub use rights::{
    Access, Denial, DenialKind, DirectoryGrant, Grants, InvokedRecord, RuleEffect, RuleGrant, ServiceGrant,
    Use,
};

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::wire;

/// The predicate of a receipt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Receipt {
    /// What ran, when, and how it ended.
    pub run: Run,
    /// Who asked for it.
    pub actor: Actor,
    /// Exactly what ran.
    pub definition: Definition,
    /// On which host.
    pub host: Host,
    /// What it was allowed.
    pub grants: Grants,
    /// What it used of that, in the order of first use.
    pub used: Vec<Use>,
    /// The capabilities that it called, in order.
    #[serde(default)]
    pub invoked: Vec<InvokedRecord>,
    /// What was refused, in the order of the first refusal.
    pub denied: Vec<Denial>,
    /// Changes to services, in the plan's order.
    pub effects: Vec<EffectRecord>,
    /// Changes to files, by directory and path.
    pub files: Vec<FileRecord>,
    /// Who said yes, and how.
    pub approval: Approval,
    /// What came out.
    pub outcome: Outcome,
    /// What it cost.
    pub usage: Usage,
    /// The bodies that `evidence.json` lists.
    pub evidence: Vec<EvidenceRecord>,
    /// Its place in the ledger.
    pub ledger: LedgerPlace,
}

/// What ran, when, and how it ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Run {
    /// The run key.
    pub id: String,
    /// The capability's name.
    pub capability: String,
    /// The safety that the binding gives it; none where the binding could not be trusted.
    pub safety: Option<Safety>,
    /// What was asked for.
    pub mode: Mode,
    /// Start.
    #[serde(with = "wire::time")]
    pub started_on: Timestamp,
    /// End.
    #[serde(with = "wire::time")]
    pub finished_on: Timestamp,
    /// How it ended.
    pub status: Status,
    /// The exit code of the command line.
    pub exit_code: u8,
    /// The plan that it made or carried out.
    pub plan: Option<PlanRef>,
    /// Run key of the run that made the plan, where it was another one.
    pub planned_by: Option<String>,
    /// The plan for what is left, of a stale or partial run.
    pub new_plan: Option<PlanRef>,
    /// Run key of the run that this one continues or settles.
    pub continues: Option<String>,
    /// Run key of the run whose capability called this one.
    #[serde(default)]
    pub called_by: Option<String>,
    /// Run key of the run on whose word the host started this one.
    #[serde(default)]
    pub started_by: Option<String>,
}

/// The worst that a capability may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Safety {
    /// Changes nothing.
    ReadOnly,
    /// Changes something.
    Mutating,
    /// Takes something away.
    Destructive,
}

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// A read-only run.
    Read,
    /// A plan that can never be approved.
    DryRun,
    /// A plan.
    Plan,
    /// The carrying out of a plan.
    Apply,
    /// The taking of an approval, which was refused.
    Approve,
    /// A person's word on another run, of which nobody knew what became.
    Resolve,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// As it should.
    Done,
    /// With a plan that waits for a person.
    Planned,
    /// The capability failed.
    Failed,
    /// The host refused or stopped it.
    Denied,
    /// The world had changed since the plan; nothing was changed.
    Stale,
    /// A part was carried out.
    Partial,
    /// It is not known whether an effect happened.
    Unknown,
    /// Somebody cancelled it before it changed anything.
    Interrupted,
}

/// A plan by name and hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanRef {
    /// The plan's id.
    pub id: String,
    /// The plan's hash, which approvals sign.
    pub digest: Digest,
}

/// Who asked for the run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Actor {
    /// What kind of caller.
    pub kind: ActorKind,
    /// User name, or the name of a token.
    pub id: String,
    /// Through which front end.
    pub via: Via,
    /// The client's own name and version; untrusted text.
    pub client: Option<String>,
}

/// A kind of caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ActorKind {
    /// A person.
    Human,
    /// An agent.
    Agent,
    /// A pipeline.
    Ci,
}

/// A front end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Via {
    /// The command line.
    Cli,
    /// The server for agents.
    Mcp,
}

/// Exactly what ran. A run that was refused early knows only a part of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Definition {
    /// The component's file and digest.
    pub component: Option<NamedDigest>,
    /// The binding's file and digest.
    pub binding: Option<NamedDigest>,
    /// Digest of the manifest.
    pub manifest: Option<Digest>,
    /// The lock that was in force.
    pub lock: Option<LockRef>,
    /// Salted digest of the arguments.
    pub input_digest: Option<Digest>,
    /// The component's imports, sorted.
    pub imports: Vec<String>,
}

/// A file of the workspace by name and digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamedDigest {
    /// Path relative to the workspace.
    pub name: String,
    /// Digest of its bytes.
    pub digest: Digest,
}

/// A lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockRef {
    /// Digest of its bytes.
    pub digest: Digest,
    /// Its version counter.
    #[serde(with = "wire::integer")]
    pub counter: u64,
    /// Whether it was pinned for development.
    pub development: bool,
}

/// The host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Host {
    /// The id of its key.
    pub id: String,
    /// The version of ops.
    pub ops_version: String,
    /// The engine and its version.
    pub engine: String,
    /// Who else could use its files.
    pub deployment: Deployment,
    /// What confined the capability, by name; empty where none ran. `wasm`, the engine; `process`, one of its own, without
    /// an environment and with nothing open; `seccomp`; and `landlock-N`, of the version N of its interface, where the
    /// kernel has it.
    pub sandbox: Vec<String>,
}

/// How the host is set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Deployment {
    /// Agents run as the same user: guests are contained, agents with a shell are not.
    SameUser,
    /// Workspace, state and keys belong to a user of their own.
    SeparateUser,
}

/// What came out. Messages may hold a guest's words: untrusted text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Outcome {
    /// A stable code of the error.
    pub error_code: Option<String>,
    /// What happened, for people.
    pub message: String,
    /// What the host stopped, such as a limit or an effect.
    pub stopped: Option<String>,
}

/// What a run cost, all phases together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Usage {
    /// Milliseconds from start to end.
    #[serde(with = "wire::integer")]
    pub wall_ms: u64,
    /// The most memory that the guest had, in bytes.
    #[serde(with = "wire::integer")]
    pub peak_memory_bytes: u64,
    /// Requests to services.
    #[serde(with = "wire::integer")]
    pub requests: u64,
    /// Bytes that the guest printed to stdout.
    #[serde(with = "wire::integer")]
    pub stdout_bytes: u64,
    /// Bytes that the guest printed to stderr.
    #[serde(with = "wire::integer")]
    pub stderr_bytes: u64,
}

/// One body that `evidence.json` lists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EvidenceRecord {
    /// File name.
    pub name: String,
    /// Media type.
    pub media_type: String,
    /// Salted digest of its bytes.
    pub digest: Digest,
    /// Bytes.
    #[serde(with = "wire::integer")]
    pub size: u64,
}

/// A receipt's place in the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LedgerPlace {
    /// The ledger's id, 32 hex digits.
    pub id: String,
    /// Sequence of the run's intent, where it had one.
    #[serde(with = "wire::optional_integer")]
    pub intent: Option<u64>,
    /// Sequence of this receipt.
    #[serde(with = "wire::integer")]
    pub sequence: u64,
}

impl Status {
    /// Every status.
    pub const ALL: [Self; 8] = [
        Self::Done,
        Self::Planned,
        Self::Failed,
        Self::Denied,
        Self::Stale,
        Self::Partial,
        Self::Unknown,
        Self::Interrupted,
    ];

    /// The word in JSON, on screens and in the ledger.
    pub fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Planned => "planned",
            Self::Failed => "failed",
            Self::Denied => "denied",
            Self::Stale => "stale",
            Self::Partial => "partial",
            Self::Unknown => "unknown",
            Self::Interrupted => "interrupted",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
