//! `D401`: each binding can run, and grants nothing that its component has no need of.

use gates_common::{Finding, Look, Report};
use ops_guest::{Ctx, Failure, records};

pub(crate) fn check(ctx: &Ctx, mut look: Look) -> Result<Report, Failure> {
    let registry = records::registry(ctx)?;
    let grants: usize = registry
        .iter()
        .map(|bound| {
            let rules: usize = bound.services.iter().map(|service| service.rules.len()).sum();
            rules + bound.directories.len() + bound.invoke.len() + bound.starts.len()
        })
        .sum();
    if !registry.is_empty() {
        look.saw(format!("{} bindings with {grants} rules, directories and calls", registry.len()));
    }
    for bound in &registry {
        if let Some(fault) = &bound.fault {
            let fix = "correct the binding or build the component, then `ops pin`";
            look.found(Finding::new(&bound.binding, 0, fault, fix));
        }
        for grant in &bound.unneeded {
            let what = format!("{}: no need of the component covers it", grant);
            look.found(Finding::new(&bound.binding, 0, what, "remove the grant, then `ops pin`"));
        }
    }
    Ok(look.report())
}
