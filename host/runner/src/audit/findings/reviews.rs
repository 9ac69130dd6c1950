//! Whether somebody has looked at it, and at this.

use ops_policy::finding::Severity;
use ops_policy::manifest::Safety;

use super::super::basis::Basis;
use super::super::page::Case;
use super::super::{Finding, ReviewState};

/// `review-missing`, `review-outdated`, `review-expired` and `review-unsigned`: high where ops.yaml requires a review, as
/// nothing runs without it; else medium. That there is none where none is required is a finding (low) only in a workspace
/// that has reviews, of a capability that can change something: elsewhere reviews are not how people work.
pub(super) fn state(case: &Case<'_>, basis: &Basis) -> Option<Finding> {
    // Where the lock does not hold, nobody knows what was reviewed.
    let settings = basis.settings.as_ref().filter(|_| basis.view.holds)?;
    let binding = case.binding.as_ref()?;
    case.component?;
    let required = settings.require.needs_review(binding.safety);
    let used_here = basis.lock.as_ref().is_some_and(|lock| !lock.reviews.is_empty());
    let weight = |otherwise| if required { Severity::High } else { otherwise };
    let refused = if required { "; its runs are refused" } else { "" };
    let (id, severity, what) = match &case.page.review {
        None if required || (binding.safety > Safety::ReadOnly && used_here) => {
            ("review-missing", weight(Severity::Low), "nobody has reviewed it".to_owned())
        }
        None => return None,
        Some(review) => {
            let why = review.why.as_deref().unwrap_or_default();
            match review.state {
                ReviewState::Valid => return None,
                ReviewState::Outdated => {
                    let what = format!("it has changed since {} reviewed it: {why}", review.reviewer);
                    ("review-outdated", weight(Severity::Medium), what)
                }
                ReviewState::Expired => {
                    let what = format!("the review by {} does not count any more: {why}", review.reviewer);
                    ("review-expired", weight(Severity::Medium), what)
                }
                ReviewState::Unsigned => {
                    ("review-unsigned", weight(Severity::Medium), format!("its review does not count: {why}"))
                }
            }
        }
    };
    let fix = format!("look at it, then `ops review sign {}`", case.page.capability);
    let finding = case.finding(id, severity, "/capability", format!("{what}{refused}"), fix);
    Some(Finding { subject: "review".to_owned(), ..finding })
}
