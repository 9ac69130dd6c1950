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
        let rules = bound.services.iter().flat_map(|service| {
            let wide = service.rules.iter().filter(|rule| !rule.needed);
            wide.map(move |rule| format!("rule {} {}", service.name, rule.id))
        });
        for grant in bound.unneeded.iter().cloned().chain(rules) {
            let line = bound.lines.get(&grant).copied().unwrap_or(0);
            let what = format!("`{grant}` is granted, and no need of the component covers it");
            look.found(Finding::new(&bound.binding, line, what, "remove the grant, then `ops pin`"));
        }
    }
    Ok(look.report())
}
