//! What the host knows: receipts, runs, plans, the registry, the lock and the ledger.
//!
//! The service `ops` is answered by the host itself. It is granted like any other, by read rules without an origin:
//!
//! ```yaml
//! services:
//!   ops:
//!     rules: [{id: receipt, method: GET, path: "/receipts/{run}", effect: read}]
//! ```
//!
//! A receipt and an output stay as they are once they are written, so a capability that changes something may read them.
//! Whatever else it reads here, its plan is stale as soon as another run has ended.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Ctx, Failure, Request};

/// The service's name.
pub const SERVICE: &str = "ops";

/// A run's receipt.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Receipt {
    /// The run key.
    pub run: String,
    /// The capability.
    pub capability: String,
    /// `read-only`, `mutating` or `destructive`.
    pub safety: String,
    /// How the run ended: `done`, `planned`, `failed`, `denied`, `stale`, `partial`, `unknown` or `interrupted`.
    pub status: String,
    /// When, RFC 3339.
    pub at: String,
    /// Whether it was a dry run, which shows what would be done and that nothing was.
    pub dry_run: bool,
    /// Whether signature, log and evidence hold.
    pub verifies: bool,
    /// Why not, or what is no longer there to be checked.
    pub why: Option<String>,
}

/// What came of checking receipts.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Receipts {
    /// How many were checked.
    pub receipts: u64,
    /// How many of them hold, evidence included.
    pub verified: u64,
    /// How many hold without their evidence, which was erased in order.
    pub erased: u64,
    /// Those that do not.
    pub bad: Vec<BadReceipt>,
}

/// A receipt that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct BadReceipt {
    /// The run key.
    pub run: String,
    /// What is wrong.
    pub why: String,
}

/// A run.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Run {
    /// The run key.
    pub run: String,
    /// The capability.
    pub capability: String,
    /// As in [`Receipt`], or `running`.
    pub status: String,
    /// When it ended, or began where it has not, RFC 3339.
    pub at: String,
    /// Whether it was a dry run.
    pub dry_run: bool,
    /// The run that called this one.
    pub parent: Option<String>,
    /// The run on whose word the host started this one.
    pub started_by: Option<String>,
}

/// A plan that waits.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Plan {
    /// Its id.
    pub plan: String,
    /// The capability.
    pub capability: String,
    /// `waiting` or `approved`.
    pub status: String,
    /// Who asked for it.
    pub requester: String,
    /// When it was made, RFC 3339.
    pub at: String,
    /// Until when it can be carried out, RFC 3339.
    pub expires: String,
}

/// The ledger.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Ledger {
    /// Whether its rows, seals, log and files agree.
    pub consistent: bool,
    /// How many entries its log has.
    pub entries: u64,
    /// What does not agree.
    pub findings: Vec<String>,
}

/// A file that differs from what `ops sync` would write.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Difference {
    /// The file, from the workspace's folder.
    pub file: String,
    /// The line, from 1.
    pub line: u64,
    /// What differs.
    pub what: String,
    /// What mends it.
    pub fix: String,
}

/// What is generated, and what of it differs.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Sync {
    /// The files that are generated.
    pub files: Vec<String>,
    /// Those that are not as they would be written.
    pub differences: Vec<Difference>,
}

/// The lock.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Lock {
    /// Whether it holds: signed by an approver, and not older than one seen.
    pub holds: bool,
    /// Why not.
    pub why: Option<String>,
    /// Its number.
    pub counter: u64,
    /// Whether it was signed for development.
    pub development: bool,
    /// Who signed it.
    pub signer: Option<String>,
    /// Files that are not as the lock has them.
    pub changed: Vec<Changed>,
}

/// A file that is not as the lock has it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Changed {
    /// The file, from the workspace's folder.
    pub file: String,
    /// `changed`, `missing` or `not in the lock`.
    pub what: String,
}

/// A capability that is bound here.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Bound {
    /// Its name.
    pub name: String,
    /// The first part of its name.
    pub domain: String,
    /// What it does.
    pub summary: String,
    /// `read-only`, `mutating` or `destructive`.
    pub safety: String,
    /// `auto` or `manual`.
    pub approval: String,
    /// Why it is `auto`, where it changes something.
    pub reason: Option<String>,
    /// The ways of approval that count.
    pub accept: Vec<String>,
    /// The binding's file, from the workspace's folder.
    pub binding: String,
    /// The component's file, from the workspace's folder.
    pub component: String,
    /// The services that are bound, with their origins; none for the host's own.
    pub services: Vec<BoundService>,
    /// The directories that are granted.
    pub directories: Vec<BoundDirectory>,
    /// The contracts that are granted.
    pub contracts: Vec<String>,
    /// The capabilities that it may call.
    pub invoke: Vec<String>,
    /// The capabilities that the host starts on its word.
    pub starts: Vec<String>,
    /// Grants that no need of its author covers, in words.
    pub unneeded: Vec<String>,
    /// Why it cannot run.
    pub fault: Option<String>,
    /// The names of its arguments.
    pub arguments: Vec<String>,
    /// Where things stand in its binding, by what it is: a field such as `approval`, or a grant such as `directory outbox`,
    /// `invoke infra.vm.status` or `rule mail send`. From line 1; what is not found is left out.
    #[serde(default)]
    pub lines: BTreeMap<String, u64>,
}

/// A service that is bound.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct BoundService {
    /// Its name.
    pub name: String,
    /// Scheme, host and port; none for the host's own.
    pub origin: Option<String>,
    /// Ranges, not globally routable, in which it may be dialled.
    pub addresses: Vec<String>,
    /// Its rules.
    pub rules: Vec<BoundRule>,
}

/// A rule of a service that is bound.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct BoundRule {
    /// Its id.
    pub id: String,
    /// The method.
    pub method: String,
    /// The path's pattern.
    pub path: String,
    /// `read`, `mutate` or `destroy`.
    pub effect: String,
    /// Whether a need of the author's covers the same requests or more.
    pub needed: bool,
}

/// A directory that is granted.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct BoundDirectory {
    /// The name.
    pub name: String,
    /// The folder, from the workspace's folder.
    pub path: String,
    /// `read` or `stage`.
    pub access: String,
}

/// The receipt of a run; none where there is no such run. Needs `GET /receipts/{run}`.
///
/// # Errors
/// The service is not granted, or does not answer.
pub fn receipt(ctx: &Ctx, run: &str) -> Result<Option<Receipt>, Failure> {
    found(ctx, &format!("/receipts/{}", segment(run)?))
}

/// The output of a run; none where there is none, or it was erased. Needs `GET /runs/{run}/output`.
///
/// # Errors
/// The service is not granted, or does not answer.
pub fn output(ctx: &Ctx, run: &str) -> Result<Option<Value>, Failure> {
    found(ctx, &format!("/runs/{}/output", segment(run)?))
}

/// Checks the latest receipts, at most that many. Needs `GET /receipts` with the query key `last`.
///
/// # Errors
/// The service is not granted, or does not answer.
pub fn receipts(ctx: &Ctx, last: u32) -> Result<Receipts, Failure> {
    read(ctx, &format!("/receipts?last={last}"))
}

/// The latest runs, newest first, at most that many; of one capability where it is given. Needs `GET /runs` with the query
/// keys `capability` and `last`.
///
/// # Errors
/// The service is not granted, or does not answer.
pub fn runs(ctx: &Ctx, capability: Option<&str>, last: u32) -> Result<Vec<Run>, Failure> {
    #[derive(Deserialize)]
    struct Runs {
        runs: Vec<Run>,
    }
    let of = match capability {
        Some(capability) => format!("capability={}&", segment(capability)?),
        None => String::new(),
    };
    Ok(read::<Runs>(ctx, &format!("/runs?{of}last={last}"))?.runs)
}

/// Runs of which nobody knows what became. Needs `GET /runs` with the query key `status`.
///
/// # Errors
/// The service is not granted, or does not answer.
pub fn unknown_runs(ctx: &Ctx) -> Result<Vec<Run>, Failure> {
    #[derive(Deserialize)]
    struct Runs {
        runs: Vec<Run>,
    }
    Ok(read::<Runs>(ctx, "/runs?status=unknown")?.runs)
}

/// Plans that wait for an approval, or are approved and wait to be carried out. Needs `GET /plans`.
///
/// # Errors
/// The service is not granted, or does not answer.
pub fn plans(ctx: &Ctx) -> Result<Vec<Plan>, Failure> {
    #[derive(Deserialize)]
    struct Plans {
        plans: Vec<Plan>,
    }
    Ok(read::<Plans>(ctx, "/plans")?.plans)
}

/// The ledger. Needs `GET /ledger`.
///
/// # Errors
/// The service is not granted, or does not answer.
pub fn ledger(ctx: &Ctx) -> Result<Ledger, Failure> {
    read(ctx, "/ledger")
}

/// The lock. Needs `GET /lock`.
///
/// # Errors
/// The service is not granted, or does not answer.
pub fn lock(ctx: &Ctx) -> Result<Lock, Failure> {
    read(ctx, "/lock")
}

/// What is generated. Needs `GET /sync`.
///
/// # Errors
/// The service is not granted, or does not answer.
pub fn sync(ctx: &Ctx) -> Result<Sync, Failure> {
    read(ctx, "/sync")
}

/// What is bound. Needs `GET /registry`.
///
/// # Errors
/// The service is not granted, or does not answer.
pub fn registry(ctx: &Ctx) -> Result<Vec<Bound>, Failure> {
    #[derive(Deserialize)]
    struct Registry {
        capabilities: Vec<Bound>,
    }
    Ok(read::<Registry>(ctx, "/registry")?.capabilities)
}

/// The settings of `ops.yaml` that bear on approvals, agents and hosts, as JSON with every default filled in. Needs
/// `GET /settings`.
///
/// # Errors
/// The service is not granted, or does not answer.
pub fn settings(ctx: &Ctx) -> Result<Value, Failure> {
    read(ctx, "/settings")
}

fn read<T: DeserializeOwned>(ctx: &Ctx, path: &str) -> Result<T, Failure> {
    ctx.fetch(Request::get(SERVICE, path))?.json()
}

fn found<T: DeserializeOwned>(ctx: &Ctx, path: &str) -> Result<Option<T>, Failure> {
    let response = ctx.fetch(Request::get(SERVICE, path).accept(&[404, 410]))?;
    if matches!(response.status, 404 | 410) { Ok(None) } else { response.json().map(Some) }
}

/// A word that goes into a path as it is.
fn segment(word: &str) -> Result<&str, Failure> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    if word.is_empty() || word.len() > 300 || !word.bytes().all(plain) || word.starts_with('.') {
        return Err(Failure::InvalidInput(format!(
            "`{}` is no run key and no capability's name",
            word.chars().take(80).collect::<String>()
        )));
    }
    Ok(word)
}
