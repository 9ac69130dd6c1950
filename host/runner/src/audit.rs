//! The audit: what each capability can reach, who wanted it, who granted it, what was used, and what of that deserves
//! a second look.
//!
//! It reads what is there and changes nothing. It needs no lock that holds: that one does not is a finding. Order
//! ([`audit`]): the lock and the settings (`basis`); every binding with its component, a page each (`page`, `rows`); what
//! receipts say was used (`uses`); the findings (`findings`); what is suppressed (`suppress`); the timeline (`timeline`).
//!
//! Texts of components and guests are made visible on the way in, so that whoever shows an audit shows plain text.

mod basis;
mod findings;
mod gather;
mod page;
mod rows;
mod suppress;
mod timeline;
mod uses;

use ops_policy::finding::{self, Severity};
use ops_policy::manifest::RuleEffect;
use ops_policy::settings::audit::WORKSPACE;
use serde::Serialize;
use serde_json::Value;

pub use gather::{Asked, MOST_RUNS, audit};

/// The version of the JSON form.
pub const SCHEMA_VERSION: &str = "1.0";

/// An audit. Times are RFC 3339, UTC.
#[derive(Clone, Debug, Serialize)]
pub struct Audit {
    /// [`SCHEMA_VERSION`].
    pub schema_version: &'static str,
    /// The workspace's name; empty where `ops.yaml` cannot be read.
    pub workspace: String,
    /// When it was made.
    pub generated_at: String,
    /// The lock.
    pub lock: LockView,
    /// How many of each capability's newest runs were looked at, at most.
    pub runs: u32,
    /// The capabilities, sorted by name.
    pub capabilities: Vec<Page>,
    /// What was found and is not suppressed: the weightiest first, then by kind, file and line.
    pub findings: Vec<Finding>,
    /// What was found and is suppressed.
    pub suppressed: Vec<Suppressed>,
    /// The newest events, the newest first.
    pub timeline: Vec<Event>,
}

/// The lock.
#[derive(Clone, Debug, Serialize)]
pub struct LockView {
    /// Whether it holds.
    pub holds: bool,
    /// Why it does not.
    pub why: Option<String>,
    /// Its counter, where it could be read.
    pub counter: Option<u64>,
    /// Whether it is for development.
    pub development: bool,
    /// Who signed it, where it holds.
    pub signer: Option<String>,
}

/// One capability.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Page {
    /// Its name.
    pub capability: String,
    /// What it does, in the author's words; empty where the manifest is not known.
    pub summary: String,
    /// The binding's safety class; empty where the binding cannot be read.
    pub safety: String,
    /// How its plans are approved, in a word or two: `none`, `auto`, `signed`, `signed or confirmed` and so on.
    pub approval: String,
    /// The binding's file, as people see it.
    pub binding: String,
    /// The component's file, as people see it; empty where the binding cannot be read.
    pub component: String,
    /// Digest of the component as it lies there, `sha256:…`.
    pub digest: Option<String>,
    /// The component's version, by its manifest.
    pub version: Option<String>,
    /// What the component says of itself and nobody checked.
    pub claims: Claims,
    /// What it imports.
    pub imports: Vec<Import>,
    /// What it exports.
    pub exports: Vec<String>,
    /// The services that the binding grants.
    pub services: Vec<ServiceView>,
    /// Its rights: what is granted, and what is needed and not granted.
    pub rights: Vec<RightRow>,
    /// What a run may use: name and amount.
    pub limits: Vec<(String, String)>,
    /// Its review, where there is one.
    pub review: Option<ReviewView>,
    /// How many of its newest runs were looked at.
    pub looked_at: u64,
    /// The newest of them, the newest first.
    pub runs: Vec<RunView>,
    /// What they asked for and did not get, by what it was.
    pub denied: Vec<DeniedView>,
    /// Why it cannot run, or could not be looked at.
    pub fault: Option<String>,
    /// Why nobody knows what the author says it needs: then every row's `needed` is [`Coverage::Unknown`], and nothing is
    /// found by comparing with needs.
    pub needs_unknown: Option<String>,
}

/// What a component says of itself. Nothing of it is checked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Claims {
    /// Its name.
    pub name: Option<String>,
    /// Its version.
    pub version: Option<String>,
    /// Its authors.
    pub authors: Option<String>,
    /// Its licence.
    pub licenses: Option<String>,
    /// Where its source is.
    pub source: Option<String>,
    /// From which revision it was built.
    pub revision: Option<String>,
    /// Its home page.
    pub homepage: Option<String>,
    /// What it was made with, such as `language Rust`, `processed-by rustc 1.95.0`.
    pub producers: Vec<String>,
}

/// An interface that a component imports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Import {
    /// Its name with version.
    pub name: String,
    /// `inert`, `power` or `never`.
    pub class: &'static str,
    /// What it lets a component do, in a sentence.
    pub words: String,
    /// The functions that are imported of it, where the bytes could be read.
    pub functions: Vec<String>,
}

/// A service as the binding grants it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ServiceView {
    /// The name that the guest addresses.
    pub name: String,
    /// The origin; `this host` for the service `ops`.
    pub place: String,
    /// The private ranges in which it may be dialled.
    pub addresses: Vec<String>,
    /// How its certificate is checked.
    pub trust: String,
    /// The secrets that are sent there, each with its place.
    pub secrets: Vec<String>,
    /// The line in the binding.
    pub line: Option<u64>,
}

/// What kind of right it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RightKind {
    /// A request to a service.
    Request,
    /// A directory.
    Directory,
    /// A contract file.
    Contract,
    /// A setting.
    Config,
    /// A capability that it may call.
    Invoke,
    /// A capability that the host starts on its word.
    Starts,
}

impl RightKind {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Directory => "directory",
            Self::Contract => "contract",
            Self::Config => "config",
            Self::Invoke => "invoke",
            Self::Starts => "starts",
        }
    }
}

/// How far a grant is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Coverage {
    /// All of it is.
    Whole,
    /// A part of it is.
    Part,
    /// Nothing of it is.
    No,
    /// Nobody knows: the manifest is not known, or it is for taking runs back.
    Unknown,
}

impl Coverage {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Part => "part",
            Self::No => "no",
            Self::Unknown => "unknown",
        }
    }
}

/// One right: who wanted it, who granted it, and whether it was used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RightRow {
    /// What kind.
    pub kind: RightKind,
    /// The service, for a request.
    pub of: Option<String>,
    /// The name of the directory, contract, setting or capability.
    pub name: Option<String>,
    /// The right, for people.
    pub right: String,
    /// The rule's id, for a granted request.
    pub rule: Option<String>,
    /// What such a request does; for a directory, `mutate` where it is staged.
    pub effect: Option<RuleEffect>,
    /// How far the author says that it is needed.
    pub needed: Coverage,
    /// Whether the component works without it, by its author's word; said of what is not granted.
    pub optional: bool,
    /// Whether the binding grants it; otherwise it is needed only.
    pub granted: bool,
    /// In how many of the runs that were looked at it was used; `null` where receipts do not say.
    pub used: Option<u64>,
    /// The line in the binding, for a grant.
    pub line: Option<u64>,
}

/// A review.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReviewView {
    /// Who reviewed it.
    pub reviewer: String,
    /// When.
    pub at: String,
    /// Until when it is good.
    pub expires: String,
    /// Whether it is.
    pub state: ReviewState,
    /// What differs, for one that is outdated.
    pub why: Option<String>,
}

/// Whether a review is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReviewState {
    /// It is.
    Valid,
    /// Something has changed since.
    Outdated,
    /// Its time is over.
    Expired,
    /// Nobody who counts has signed it.
    Unsigned,
}

/// One run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RunView {
    /// Its key.
    pub key: String,
    /// How it ended.
    pub status: String,
    /// When.
    pub at: String,
    /// Who approved, or `auto`; none where nothing was to approve, or nobody did.
    pub approved_by: Option<String>,
}

/// Something that runs asked for and did not get.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeniedView {
    /// What kind of thing, as in the receipt.
    pub kind: String,
    /// What was asked for.
    pub what: String,
    /// Why it was refused.
    pub reason: String,
    /// In how many runs.
    pub runs: u64,
    /// The newest of them.
    pub key: String,
    /// Whether the component was the one that is there now.
    pub current: bool,
}

/// A finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Which kind: an id of [`ops_policy::finding::KINDS`].
    pub id: &'static str,
    /// How much it weighs.
    pub severity: Severity,
    /// The capability; none where it is about the workspace.
    pub capability: Option<String>,
    /// The file, as people see it: relative to the folder that holds the workspace.
    pub file: String,
    /// The line in it.
    pub line: Option<u64>,
    /// What it is about, such as `services/mail/send`: the same as long as that has its name, whatever moves.
    pub subject: String,
    /// What is so.
    pub what: String,
    /// What to do.
    pub fix: String,
}

impl Finding {
    /// The entry under `audit: {suppress: …}` of `ops.yaml` that hides this finding and no other, up to a day
    /// (`YYYY-MM-DD`), in lines of YAML; none for what cannot be suppressed. Its reason is empty, as which it is refused:
    /// that is for the operator to write.
    pub fn suppression(&self, day: &str) -> Option<Vec<String>> {
        let kind = finding::kind(self.id).filter(|kind| kind.suppressible)?;
        let capability = self.capability.as_deref().unwrap_or(WORKSPACE);
        let mut lines = vec![format!("- finding: {}", self.id), format!("  capability: {capability}")];
        if kind.placed {
            // A JSON string is one of YAML too.
            lines.push(format!("  subject: {}", Value::from(self.subject.as_str())));
        }
        lines.extend(["  reason: \"\"".to_owned(), format!("  expires: {day}")]);
        Some(lines)
    }
}

/// A finding that somebody has said is as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Suppressed {
    /// The finding.
    pub finding: Finding,
    /// Why, in the operator's words.
    pub reason: String,
    /// The last day on which that counts, `YYYY-MM-DD`.
    pub expires: String,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Event {
    /// When.
    pub at: String,
    /// What kind.
    pub kind: EventKind,
    /// The capability.
    pub capability: String,
    /// Who, where it is known.
    pub who: Option<String>,
    /// What, for people.
    pub what: String,
    /// The run key.
    pub key: String,
}

/// What kind of event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventKind {
    /// A plan was made.
    Planned,
    /// Somebody approved a plan.
    Approved,
    /// A run was refused.
    Denied,
    /// A run ended.
    Ran,
}

impl EventKind {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Ran => "ran",
        }
    }
}
