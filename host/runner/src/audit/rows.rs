//! The rights of a capability in rows: what the binding grants, how far the manifest needs it, and what is needed and not
//! granted.
//!
//! How far a grant is needed is the algebra's word ([`ops_policy::right`]): whole where the needs cover it, part where
//! one of them has something in common with it, else no.

use ops_policy::binding::Binding;
use ops_policy::manifest::{Access, Manifest, RuleEffect};
use ops_policy::right::{Held, Requests, Right, granted, needed};
use ops_policy::rights::STARTS;
use ops_policy::visible::{clip, visible};
use serde_json::Value;

use super::basis::Lines;
use super::{Coverage, RightKind, RightRow};

/// The longest right, in bytes of text.
const RIGHT: usize = 2000;

/// The rows of one capability. Where the manifest is not known, nobody knows what is needed.
pub(super) fn rows(binding: &Binding, manifest: Option<&Manifest>, lines: &Lines) -> Vec<RightRow> {
    let needs = manifest.map(needed);
    let mut rows = Vec::new();
    for (name, service) in &binding.services {
        for rule in &service.rules {
            let at = format!("/services/{name}/rules/id={}", rule.id);
            let requests = Requests::of_rule(name, service, rule);
            let needed = match (&requests, &needs) {
                _ if rule.only_undo => Coverage::Unknown,
                (_, None) => Coverage::Unknown,
                // Its conditions can never be met.
                (None, _) => Coverage::No,
                (Some(requests), Some(needs)) => requested(requests, needs),
            };
            let right = requests
                .map_or_else(|| format!("{} {}", rule.method, rule.path), |requests| requests.to_string());
            rows.push(RightRow {
                kind: RightKind::Request,
                of: Some(name.clone()),
                name: None,
                right: shown(&right),
                rule: Some(rule.id.clone()),
                effect: Some(rule.effect),
                needed,
                optional: false,
                granted: true,
                used: None,
                line: lines.at(&at),
            });
        }
    }
    for held in granted(binding) {
        if let Some(kind) = kind(&held.right).filter(|kind| *kind != RightKind::Request) {
            let needed = manifest
                .zip(needs.as_deref())
                .map_or(Coverage::Unknown, |(manifest, needs)| coverage(&held.right, manifest, needs));
            rows.push(RightRow { needed, granted: true, line: lines.at(&held.at), ..row(kind, &held.right) });
        }
    }
    let all = granted(binding);
    let missing = needs.iter().flatten().filter(|need| {
        kind(&need.right).is_some() && !all.iter().any(|held| held.right.intersect(&need.right).is_some())
    });
    let missing = missing.filter_map(|need| Some((kind(&need.right)?, need)));
    rows.extend(missing.map(|(kind, need)| RightRow {
        needed: Coverage::Whole,
        optional: need.optional,
        ..row(kind, &need.right)
    }));
    rows
}

fn row(kind: RightKind, right: &Right) -> RightRow {
    let (of, effect) = match right {
        Right::Requests(requests) => (Some(requests.service.clone()), Some(requests.effect)),
        Right::Directory { access: Access::Stage, .. } => (None, Some(RuleEffect::Mutate)),
        Right::Directory { access: Access::Read, .. } => (None, Some(RuleEffect::Read)),
        _ => (None, None),
    };
    let name = match right {
        Right::Directory { name, .. } | Right::Contract(name) | Right::Invoke(name) | Right::Starts(name) => {
            Some(visible(name))
        }
        Right::Config { key, .. } => Some(visible(key)),
        _ => None,
    };
    RightRow {
        kind,
        of,
        name,
        right: shown(&right.to_string()),
        rule: None,
        effect,
        needed: Coverage::No,
        optional: false,
        granted: false,
        used: None,
        line: None,
    }
}

fn shown(text: &str) -> String {
    clip(&visible(text), RIGHT)
}

/// The kinds that have rows; the others have places of their own on the page.
fn kind(right: &Right) -> Option<RightKind> {
    Some(match right {
        Right::Requests(_) => RightKind::Request,
        Right::Directory { .. } => RightKind::Directory,
        Right::Contract(_) => RightKind::Contract,
        Right::Config { .. } => RightKind::Config,
        Right::Invoke(_) => RightKind::Invoke,
        Right::Starts(_) => RightKind::Starts,
        _ => return None,
    })
}

/// How far the needs ask for these requests.
pub(super) fn requested(requests: &Requests, needs: &[Held]) -> Coverage {
    let asked = || {
        needs.iter().filter_map(|need| match &need.right {
            Right::Requests(asked) => Some(asked),
            _ => None,
        })
    };
    // Which effect the rule calls them is the operator's word: one that is graver than the author's is no wider grant.
    if asked().any(|asked| asked.passes(requests)) {
        return Coverage::Whole;
    }
    if asked().any(|asked| asked.intersect(requests).is_some()) { Coverage::Part } else { Coverage::No }
}

fn coverage(right: &Right, manifest: &Manifest, needs: &[Held]) -> Coverage {
    if let Right::Starts(_) = right {
        return if says_what_to_start(manifest) { Coverage::Whole } else { Coverage::No };
    }
    if needs.iter().any(|need| need.right.subsumes(right)) {
        return Coverage::Whole;
    }
    let overlaps = needs.iter().any(|need| need.right.intersect(right).is_some());
    if overlaps { Coverage::Part } else { Coverage::No }
}

/// Whether its output has a place for the name of a capability that the host is to start.
fn says_what_to_start(manifest: &Manifest) -> bool {
    let properties = manifest.output.get("properties").and_then(Value::as_object);
    properties.into_iter().flatten().any(|(_, property)| property.get(STARTS) == Some(&Value::Bool(true)))
}
