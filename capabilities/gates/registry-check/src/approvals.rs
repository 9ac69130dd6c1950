//! `D405`: approvals are what was agreed. What was agreed stands in the config of this gate's own binding, so that a
//! binding that goes soft and the list that allows it are two changes, which somebody signs.

use std::collections::BTreeSet;

use gates_common::{Finding, Look, Report};
use ops_guest::records::{self, Bound};
use ops_guest::{Ctx, Failure};
use serde::Deserialize;

/// The folders of small local records, in which a capability may stage files without an approval.
const RECORDS: [&str; 4] = ["gaps", "loops", "handoffs", "state"];

/// What was agreed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Agreed {
    #[serde(default)]
    auto: BTreeSet<String>,
    #[serde(default)]
    own: Own,
    #[serde(default = "one")]
    destructive: u64,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Own {
    #[default]
    Refused,
    Allowed,
}

fn one() -> u64 {
    1
}

/// The part of `/settings` that is about approvals.
#[derive(Deserialize)]
struct Settings {
    approvals: Approvals,
}

#[derive(Deserialize)]
struct Approvals {
    #[serde(rename = "self")]
    own: Own,
    destructive: u64,
}

pub(crate) fn check(ctx: &Ctx, mut look: Look) -> Result<Report, Failure> {
    let agreed: Agreed = ctx.config()?;
    let Settings { approvals } = serde_json::from_value(records::settings(ctx)?)?;
    let registry = records::registry(ctx)?;
    look.saw("`approvals:` of ops.yaml");
    if approvals.own == Own::Allowed && agreed.own == Own::Refused {
        let what = "people may approve plans of their own, and that was not agreed";
        look.found(Finding::new("ops.yaml", 0, what, "write `approvals: {self: refused}`, then `ops pin`"));
    }
    if approvals.destructive < agreed.destructive {
        let what = format!(
            "a destructive plan needs {} approvals, and {} were agreed",
            approvals.destructive, agreed.destructive
        );
        let fix = format!("write `approvals: {{destructive: {}}}`, then `ops pin`", agreed.destructive);
        look.found(Finding::new("ops.yaml", 0, what, fix));
    }
    let changing = || registry.iter().filter(|bound| bound.safety != "read-only");
    look.saw(format!("{} bindings above read-only", changing().count()));
    for bound in changing() {
        for (what, fix) in soft(bound, &agreed.auto) {
            let line = bound.lines.get("approval").copied().unwrap_or(0);
            look.found(Finding::new(&bound.binding, line, what, fix));
        }
    }
    Ok(look.report())
}

/// What is softer in a binding than was agreed, with what to do.
fn soft(bound: &Bound, agreed: &BTreeSet<String>) -> Vec<(String, &'static str)> {
    let mut soft = vec![];
    let more_than_records = reaches_further(bound);
    if bound.approval == "auto" {
        if !agreed.contains(&bound.name) {
            let fix = "write `approval: {mode: manual}`, or list it under `auto` in this gate's binding; then `ops pin`";
            soft.push((
                format!("`{}` changes things without an approval, and that was not agreed", bound.name),
                fix,
            ));
        }
        if bound.safety == "destructive" {
            let what = format!("`{}` is destructive and runs without an approval", bound.name);
            soft.push((what, "write `approval: {mode: manual}`, then `ops pin`"));
        }
        if let Some(right) = &more_than_records {
            let what = format!("`{}` runs without an approval and may {right}", bound.name);
            soft.push((what, "write `approval: {mode: manual}`, or take the right away; then `ops pin`"));
        }
    }
    let takes = |way: &str| bound.accept.iter().any(|accepted| accepted == way);
    if bound.safety == "destructive" && takes("confirmed") {
        let what = format!("`{}` is destructive, and a typed word approves it", bound.name);
        soft.push((what, "write `accept: [signed]`, then `ops pin`"));
    }
    soft
}

/// What a binding may do besides staging small local records, in words.
fn reaches_further(bound: &Bound) -> Option<String> {
    let is_record = |path: &str| {
        let first = path.split('/').next().unwrap_or_default();
        RECORDS.contains(&first)
    };
    let staged =
        bound.directories.iter().find(|granted| granted.access == "stage" && !is_record(&granted.path));
    if let Some(granted) = staged {
        return Some(format!("change files in {}", granted.path));
    }
    let rules =
        bound.services.iter().flat_map(|service| service.rules.iter().map(move |rule| (service, rule)));
    let (service, rule) = rules.into_iter().find(|(_, rule)| rule.effect != "read")?;
    Some(format!("send `{}` to {}", rule.id, service.name))
}
