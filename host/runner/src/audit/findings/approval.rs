//! How plans are approved.

use ops_policy::approval::{Accept, Mode, is_record};
use ops_policy::binding::Binding;
use ops_policy::finding::Severity;
use ops_policy::manifest::{Access, RuleEffect, Safety};
use ops_policy::visible::{clip, visible};

use super::super::Finding;
use super::super::page::Case;
use super::QUOTED;

/// `auto-approval`: high where it changes a service, medium where it changes files, low where those are records of the
/// workspace only.
pub(super) fn auto(case: &Case<'_>) -> Option<Finding> {
    let binding = case.binding.as_ref()?;
    if binding.safety == Safety::ReadOnly || binding.approval.mode != Mode::Auto {
        return None;
    }
    let staged = || binding.directories.values().filter(|directory| directory.access == Access::Stage);
    let (severity, changes) = if changes_a_service(binding) {
        (Severity::High, "changes to services".to_owned())
    } else if staged().any(|directory| !is_record(&directory.path)) {
        (Severity::Medium, format!("changes in {}", paths(staged().map(|directory| &directory.path))))
    } else if staged().next().is_some() {
        (Severity::Low, format!("changes of records in {}", paths(staged().map(|directory| &directory.path))))
    } else {
        (Severity::Low, "its plans, though nothing that it could change is granted".to_owned())
    };
    let reason = binding.approval.reason.as_deref().unwrap_or_default();
    let what = format!("nobody approves {changes}; the reason given: {}", clip(&visible(reason), QUOTED));
    let fix = "use `approval: {mode: manual}`, or suppress this with that reason and a day: `ops audit CAPABILITY` shows \
               the lines"
        .to_owned();
    Some(case.finding("auto-approval", severity, "/approval", what, fix))
}

/// `confirmed-approval`: medium where it changes a service, else low.
pub(super) fn confirmed(case: &Case<'_>) -> Option<Finding> {
    let binding =
        case.binding.as_ref().filter(|binding| binding.approval.accept.contains(&Accept::Confirmed))?;
    let severity = if changes_a_service(binding) { Severity::Medium } else { Severity::Low };
    let what =
        "a short hash that is typed at the terminal approves its plans; nobody's key is asked for".to_owned();
    Some(case.finding("confirmed-approval", severity, "/approval", what, "use `accept: [signed]`"))
}

/// `piped-approval`: bindings that can do more than stage records cannot have it.
pub(super) fn piped(case: &Case<'_>) -> Option<Finding> {
    let binding = case.binding.as_ref().filter(|binding| binding.approval.accept.contains(&Accept::Piped))?;
    let staged = binding.directories.values().filter(|directory| directory.access == Access::Stage);
    let what = format!(
        "a piped yes approves changes in {}: any program of this user can say it",
        paths(staged.map(|directory| &directory.path))
    );
    Some(case.finding("piped-approval", Severity::Low, "/approval", what, "use `accept: [signed]`"))
}

/// Whether a plan of it can change a service. Rules for taking runs back serve plans that always wait for a signature.
fn changes_a_service(binding: &Binding) -> bool {
    let mut rules = binding.services.values().flat_map(|service| &service.rules);
    rules.any(|rule| rule.effect > RuleEffect::Read && !rule.only_undo)
}

fn paths<'a>(paths: impl Iterator<Item = &'a String>) -> String {
    paths.map(|path| format!("{path}/")).collect::<Vec<_>>().join(", ")
}
