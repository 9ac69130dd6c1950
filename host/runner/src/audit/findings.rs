//! The findings: each kind of `ops_policy::finding::KINDS` has a small function here or below.
//!
//! Each is kept quiet where it would be noise: an alarm that a reviewer shrugs at teaches them to shrug. What a finding
//! weighs, and when it keeps quiet, stands with its function and in docs/auditing.md.

mod approval;
mod grants;
mod powers;
mod reviews;
mod secrets;
#[cfg(test)]
mod tests;
mod used;

use ops_policy::finding::Severity;
use ops_policy::manifest::RuleEffect;
use ops_policy::visible::clip;

use super::Finding;
use super::basis::{About, Basis};
use super::page::Case;
use crate::workspace::{LOCK, SETTINGS, Workspace};

/// The longest reason that is quoted, in bytes.
const QUOTED: usize = 300;

/// Everything that is found about the workspace and these capabilities.
pub(super) fn all(workspace: &Workspace, basis: &Basis, cases: &[Case<'_>]) -> Vec<Finding> {
    let mut found = lock(&workspace.shown(LOCK), basis);
    found.extend(secrets::several_origins(&workspace.shown(SETTINGS), basis));
    for case in cases {
        found.extend(of_case(basis, case));
    }
    found
}

fn of_case(basis: &Basis, case: &Case<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    found.extend(powers::refused(case));
    found.extend(powers::not_needed(case));
    found.extend(powers::not_reproducible(case, basis.view.development));
    found.extend(grants::not_needed(case));
    found.extend(grants::wider_than_need(case));
    found.extend(grants::private_range(case));
    found.extend(grants::limit_missing(case));
    found.extend(grants::body_unconditioned(case));
    found.extend(grants::safety_above_manifest(case));
    found.extend(approval::auto(case));
    found.extend(approval::confirmed(case));
    found.extend(approval::piped(case));
    found.extend(secrets::not_admitted(case, basis));
    found.extend(reviews::state(case, basis));
    found.extend(used::never(case));
    found.extend(used::asked_for_more(case));
    found.extend(used::damaged(case));
    found
}

/// `lock-does-not-hold` and `development-lock`.
fn lock(file: &str, basis: &Basis) -> Vec<Finding> {
    let about = || About { capability: None, file: file.to_owned(), line: None, subject: "lock" };
    let mut found = Vec::new();
    if let Some(why) = &basis.view.why {
        let why = clip(why.lines().next().unwrap_or_default(), QUOTED);
        let fix = "find out what changed and who changed it, then `ops pin`; until then nothing runs";
        found.push(about().finding("lock-does-not-hold", Severity::High, why, fix));
    }
    if basis.view.development {
        found.push(about().finding(
            "development-lock",
            Severity::Medium,
            "the lock is for development: every receipt says so".to_owned(),
            "for real operations, sign it without `--development`",
        ));
    }
    found
}

/// What is for reading only weighs less than what can change something.
fn by_effect(effect: Option<RuleEffect>) -> Severity {
    if effect > Some(RuleEffect::Read) { Severity::Medium } else { Severity::Low }
}
