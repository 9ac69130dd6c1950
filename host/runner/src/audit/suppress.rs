//! What is suppressed, by `audit:` of `ops.yaml`.
//!
//! A suppression counts only where the lock holds, since only then an approver has signed it; otherwise every finding is
//! shown. It hides the findings of its subject: of a kind that is about one place of many, nothing that was added beside
//! it later. One whose day is over counts no more and is a finding, and so is one that suppresses nothing.

use std::collections::BTreeSet;

use jiff::tz::TimeZone;
use ops_policy::finding::Severity;
use ops_policy::settings::audit::{Suppression, WORKSPACE};
use ops_policy::visible::visible;

use super::basis::{About, Basis};
use super::{Finding, Suppressed};
use crate::workspace::{SETTINGS, Workspace};

/// Parts what was found into what is shown and what is suppressed. Where only some capabilities were looked at, nothing
/// is said of suppressions for others.
pub(super) fn split(
    workspace: &Workspace,
    basis: &Basis,
    found: Vec<Finding>,
    only: Option<&BTreeSet<String>>,
) -> (Vec<Finding>, Vec<Suppressed>) {
    let suppressions = match &basis.settings {
        Some(settings) if basis.view.holds => settings.audit.suppress.as_slice(),
        _ => return (found, Vec::new()),
    };
    let today = basis.now.to_zoned(TimeZone::UTC).date();
    let (mut shown, mut suppressed) = (Vec::new(), Vec::new());
    let mut used = BTreeSet::new();
    for finding in found {
        let by = suppressions.iter().enumerate().find(|(_, suppression)| {
            suppression.hides(finding.id, finding.capability.as_deref(), &finding.subject)
        });
        if let Some((index, suppression)) = by {
            used.insert(index);
            if today <= suppression.expires {
                let (reason, expires) = (visible(&suppression.reason), suppression.expires.to_string());
                suppressed.push(Suppressed { finding, reason, expires });
                continue;
            }
        }
        shown.push(finding);
    }
    let is_known = |suppression: &Suppression| match (&suppression.capability, only) {
        (Some(capability), Some(only)) => only.contains(capability),
        (None, Some(_)) => false,
        (_, None) => true,
    };
    for (index, suppression) in suppressions.iter().enumerate().filter(|(_, one)| is_known(one)) {
        let of = suppression.capability.as_deref().unwrap_or(WORKSPACE);
        let named = suppression.subject.as_deref().map(visible);
        let subject = match &named {
            Some(named) => format!("audit/suppress/{}/{of}/{named}", suppression.finding),
            None => format!("audit/suppress/{}/{of}", suppression.finding),
        };
        let of = named.map_or_else(|| of.to_owned(), |named| format!("{of} at {named}"));
        let about = About {
            capability: suppression.capability.as_deref(),
            file: workspace.shown(SETTINGS),
            line: basis.lines.at(&format!("/audit/suppress/{index}")),
            subject: &subject,
        };
        if suppression.lacks_subject() {
            shown.push(about.finding(
                "suppression-unused",
                Severity::Low,
                format!(
                    "`{}` is suppressed for {of} without a `subject:`, which hides nothing",
                    suppression.finding
                ),
                "each such finding is about one place: `ops audit CAPABILITY` shows the lines that name it",
            ));
        } else if !used.contains(&index) {
            shown.push(about.finding(
                "suppression-unused",
                Severity::Low,
                format!("`{}` is suppressed for {of}, and there is no such finding", suppression.finding),
                "remove it from ops.yaml: it would hide the next one",
            ));
        } else if today > suppression.expires {
            shown.push(about.finding(
                "suppression-expired",
                Severity::Low,
                format!("`{}` was suppressed for {of} until {}", suppression.finding, suppression.expires),
                "look at the finding again: mend it, or write a new day and pin",
            ));
        }
    }
    (shown, suppressed)
}
