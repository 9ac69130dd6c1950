//! The life of a run: resolve, decide, plan, approve, intend, apply, commit files, receipt.
//!
//! [`run`] is the one way through; the other modules are its steps, and what front ends need around it: making and
//! trusting a workspace, binding and pinning capabilities, and looking at plans and receipts.

pub mod agents;
mod applying;
pub mod approvals;
mod approving;
pub mod arguments;
pub mod audit;
pub mod bind;
pub mod broker;
mod carrying;
pub mod catalogue;
mod decide;
mod deployment;
pub mod diff;
pub mod doctor;
pub mod ending;
pub mod explain;
pub mod fixture;
pub mod inspection;
mod invoking;
mod journal;
pub mod key;
pub mod ledger;
mod output;
mod own;
mod phase;
pub mod pin;
pub mod pinned;
mod planning;
pub mod plans;
pub mod prune;
mod ready;
pub mod receipt;
pub mod receipts;
mod record;
mod recording;
mod recovery;
pub mod replay;
pub mod resolution;
mod resolve;
mod resuming;
pub mod reviewing;
pub mod rights_text;
pub mod run;
pub mod runner;
pub mod runs;
mod schema;
mod secrets;
mod seen;
mod sends;
pub mod setup;
pub mod show;
mod snapshot;
mod staging;
mod statement;
pub mod status;
pub mod suggest;
pub mod sync;
pub mod syncing;
mod target;
mod trail;
pub mod trust;
mod undoing;
pub mod worker;
pub mod workspace;
pub mod writing_out;

/// The name of the user that this process runs as, by the system's accounts: an environment variable could claim
/// anybody's, and who asked for a plan decides who may approve it. Where the account has no name, its number.
pub fn user_name() -> String {
    let uid = rustix::process::geteuid().as_raw();
    uzers::get_user_by_uid(uid)
        .and_then(|user| user.name().to_str().map(ops_policy::visible::visible))
        .unwrap_or_else(|| format!("uid-{uid}"))
}
