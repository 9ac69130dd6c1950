//! `D401`: each binding can run, and grants nothing that its component has no need of.

use gates_common::workspace::Capabilities;
use gates_common::{Finding, Look, Report};
use ops_guest::{Ctx, Failure};

pub(crate) fn check(ctx: &Ctx, mut look: Look) -> Result<Report, Failure> {
    let registry = Capabilities::of(ctx)?;
    let grants: usize = registry
        .capabilities
        .iter()
        .map(|bound| {
            let rules: usize = bound.services.iter().map(|service| service.rules.len()).sum();
            rules + bound.directories.len() + bound.invoke.len() + bound.starts.len()
        })
        .sum();
    if !registry.capabilities.is_empty() {
        look.saw(format!(
            "{} bindings with {grants} rules, directories and calls",
            registry.capabilities.len()
        ));
    }
    for bound in &registry.capabilities {
        if let Some(fault) = &bound.fault {
            let fix = "correct the binding or build the component, then `ops pin`";
            look.found(Finding::new(&bound.binding, 0, fault, fix));
        }
        for grant in &bound.unneeded {
            let what = format!("{}: no need of the component covers it", grant.what);
            look.found(Finding::new(&bound.binding, grant.line, what, "remove the grant, then `ops pin`"));
        }
    }
    Ok(look.report())
}
