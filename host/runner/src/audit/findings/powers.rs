//! What the component itself asks for, and where it comes from.

use std::collections::BTreeMap;

use ops_policy::finding::Severity;
use ops_policy::interface::{Class, Interface, Power};
use ops_policy::manifest::{Manifest, NeedKind, RuleEffect};

use super::super::Finding;
use super::super::page::{Case, Rebuilt};

/// `import-refused`: nothing can grant it, so the component never runs here. Its author wanted it all the same.
pub(super) fn refused(case: &Case<'_>) -> Vec<Finding> {
    let never = case.page.imports.iter().filter(|import| import.class == Class::Never.as_str());
    never
        .map(|import| {
            let what = format!("the component imports {}: {}", import.name, import.words);
            let fix = "ask the author what it is for, and bind a component without it";
            Finding {
                subject: format!("component/{}", import.name),
                ..case.finding("import-refused", Severity::Medium, "/component", what, fix)
            }
        })
        .collect()
}

/// `import-not-needed`: a power that appears in no need. One for each power, however many interfaces it has.
/// Where needs are not known, the page says so.
pub(super) fn not_needed(case: &Case<'_>) -> Vec<Finding> {
    let Some(manifest) = case.manifest else { return Vec::new() };
    let mut powers: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for import in &case.page.imports {
        let needed = match Interface::parse(&import.name).power {
            None => continue,
            Some(Power::Fetch) => asks(manifest, |effect| effect == RuleEffect::Read).then_some("fetch"),
            Some(Power::Http) => asks(manifest, |effect| effect == RuleEffect::Read).then_some("http"),
            Some(Power::Effects) => asks(manifest, |effect| effect > RuleEffect::Read).then_some("effects"),
            Some(Power::Invoke) => invokes(manifest).then_some("invoke"),
        };
        if needed.is_none() {
            powers.entry(power(&import.name)).or_default().push(&import.name);
        }
    }
    powers
        .into_iter()
        .map(|(power, imports)| {
            let what = format!(
                "the component imports {}, and its manifest states no need that {}",
                imports.join(" and "),
                match power {
                    "effects" => "changes anything",
                    "invoke" => "calls a capability",
                    _ => "reads a service",
                }
            );
            let fix = "ask the author why it is there; do not pin this component before it is explained";
            Finding {
                subject: format!("component/{power}"),
                ..case.finding("import-not-needed", Severity::High, "/component", what, fix)
            }
        })
        .collect()
}

/// One word for all interfaces of a power.
fn power(import: &str) -> &'static str {
    match Interface::parse(import).power {
        Some(Power::Effects) => "effects",
        Some(Power::Invoke) => "invoke",
        Some(Power::Fetch) => "fetch",
        Some(Power::Http) | None => "http",
    }
}

fn asks(manifest: &Manifest, what: impl Fn(RuleEffect) -> bool) -> bool {
    manifest.needs.iter().any(|need| match &need.need {
        NeedKind::Service { rules, .. } => rules.iter().any(|rule| what(rule.effect)),
        _ => false,
    })
}

fn invokes(manifest: &Manifest) -> bool {
    manifest.needs.iter().any(|need| matches!(need.need, NeedKind::Invoke { .. }))
}

/// `not-reproducible`: it differs from one that was built again (high), or names no source, or no revision (low). Under a
/// lock for development the working tree is the source, so neither is asked for: that lock is the finding.
pub(super) fn not_reproducible(case: &Case<'_>, development: bool) -> Option<Finding> {
    case.digest?;
    let claims = &case.page.claims;
    let ask =
        "ask for a component that names both, build it again, and compare with `ops audit --rebuilt FOLDER`";
    let (severity, what, fix) = match case.rebuilt {
        Some(Rebuilt::Same) => return None,
        Some(Rebuilt::Differs(found)) => (
            Severity::High,
            format!("{} is not what was built again, which is {}", case.page.component, found.short()),
            "find out which of the two its source makes: another toolchain, another revision, or another program",
        ),
        Some(Rebuilt::Missing) => (
            Severity::Low,
            format!("{} was not built again", case.page.component),
            "build it into the folder too, under the same name",
        ),
        None if development => return None,
        None if claims.source.is_none() => {
            (Severity::Low, format!("{} does not name its source", case.page.component), ask)
        }
        None if claims.revision.is_none() => {
            (Severity::Low, format!("{} names its source and not the revision", case.page.component), ask)
        }
        None => return None,
    };
    Some(case.finding("not-reproducible", severity, "/component", what, fix))
}
