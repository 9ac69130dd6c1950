//! What runs used, and what they asked for in vain.

use ops_policy::finding::Severity;

use super::super::page::Case;
use super::super::uses::key;
use super::super::{Coverage, Finding};
use super::by_effect;
use super::grants::row_name;

/// Runs that had the occasion, at least, before something counts as never used: fewer say little about rare cases.
pub(super) const ENOUGH: u64 = 10;
/// Denials that one finding tells of.
const TOLD: usize = 3;

/// `grant-never-used`: needed and granted, and none of at least ten runs that could have used it did. A rule for taking
/// runs back is for the day on which one has to be, and is left out; what leaves no trace in a receipt is too.
pub(super) fn never(case: &Case<'_>) -> Vec<Finding> {
    let Some(binding) = &case.binding else { return Vec::new() };
    let rows = case.page.rights.iter().filter(|row| {
        row.granted && row.used == Some(0) && matches!(row.needed, Coverage::Whole | Coverage::Part)
    });
    rows.filter_map(|row| {
        let key = key(binding, row)?;
        let offered = case.uses.offered.get(&key).copied().unwrap_or_default();
        (offered >= ENOUGH).then(|| {
            let what =
                format!("{} was not used in any of the last {offered} runs that had it", row_name(row));
            let fix = "look at `ops suggest`, and remove it if it is for no case";
            let finding = case.finding("grant-never-used", by_effect(row.effect), "", what, fix);
            Finding { subject: key.join("/"), line: row.line, ..finding }
        })
    })
    .collect()
}

/// `asked-for-more`: by the component that is there now. What an older one asked for is on the page.
pub(super) fn asked_for_more(case: &Case<'_>) -> Option<Finding> {
    let denied: Vec<_> = case.page.denied.iter().filter(|denied| denied.current).collect();
    let first = denied.first()?;
    let told: Vec<_> =
        denied.iter().take(TOLD).map(|denied| format!("{} ({})", denied.what, denied.reason)).collect();
    let more = match denied.len().saturating_sub(TOLD) {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    let what = format!("it asked for what it may not have: {}{more}", told.join("; "));
    let fix = format!(
        "see `ops receipts show {}`: a missing grant, a mistake of the author, or an attempt",
        first.key
    );
    Some(Finding {
        subject: "runs".to_owned(),
        ..case.finding("asked-for-more", Severity::Medium, "/component", what, fix)
    })
}

/// `receipt-damaged`: it is not counted, so what was used is not known in full.
pub(super) fn damaged(case: &Case<'_>) -> Option<Finding> {
    let first = case.uses.broken.first()?;
    let what = match case.uses.broken.len() {
        1 => format!("the receipt of {first} does not hold"),
        number => format!("{number} receipts do not hold, the newest of them of {first}"),
    };
    let fix = "run `ops ledger verify`, which says what is wrong with the ledger";
    Some(Finding {
        subject: "receipts".to_owned(),
        ..case.finding("receipt-damaged", Severity::High, "", what, fix)
    })
}
