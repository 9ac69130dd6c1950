//! What makes a machine ready, by its profile: a row for each requirement.

use infra_common::agreed::Agreed;
use infra_common::checks::Checks;
use infra_common::profile::Requirement;

use crate::seen::{self, Seen};

/// Notes that readiness was not looked at, because something is left to do.
pub(crate) fn skip(agreed: &Agreed, checks: &mut Checks) {
    for requirement in later(agreed) {
        checks.skipped(requirement.as_str(), "the steps come first");
    }
}

/// Looks at what is missing after the steps.
pub(crate) fn check(agreed: &Agreed, missing: &Seen, checks: &mut Checks) {
    for requirement in later(agreed) {
        let missing = match requirement {
            Requirement::QemuAgent => continue,
            Requirement::Packages => missing.packages.clone(),
            Requirement::Services => missing.services.clone(),
            Requirement::Tailscale => {
                if missing.tailnet {
                    vec!["tailscale0 has no address of the tailnet".to_owned()]
                } else {
                    vec![]
                }
            }
            Requirement::Cron => missing.hooks.iter().map(seen::file_of).collect(),
        };
        checks.made(
            requirement.as_str(),
            match missing.is_empty() {
                true => Ok("as the profile says".to_owned()),
                false => Err(format!("missing: {}", missing.join(", "))),
            },
        );
    }
}

/// All but the agent, which was looked at before the steps.
fn later(agreed: &Agreed) -> impl Iterator<Item = Requirement> {
    agreed.profile.readiness.iter().copied().filter(|requirement| *requirement != Requirement::QemuAgent)
}
