//! The last check: the suggestion allows what was observed, and nothing that today's binding does not.

use std::collections::BTreeMap;

use super::{Asked, Observed, SuggestError, Told, rule_of};
use crate::binding::Binding;
use crate::decide::{Allowed, Door, decide};
use crate::diff;
use crate::manifest::Manifest;
use crate::right;
use crate::rights::Rights;
use crate::visible::{clip, visible};

/// What a suggestion was held against.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Proof {
    /// Requests that were decided again, whole, and are allowed.
    pub decided: u64,
    /// Requests of which only method and path are known, and that a rule still covers by those.
    pub by_path: u64,
    /// Rights of the suggestion, each of which today's binding has or has more of.
    pub rights: u64,
}

/// Something that today's binding allows and the suggestion does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denied {
    /// What was done, such as `mail POST /jmap/`, without a query, made visible.
    pub what: String,
    /// Why it would be denied.
    pub why: String,
    /// How often it was done; 1 where that was not counted.
    pub count: u64,
}

/// Compares the rights, then decides everything again.
pub(super) fn prove(
    old: &Binding,
    new: &Binding,
    manifest: &Manifest,
    allowed: &[(&Asked, Allowed)],
    told: &[Told],
) -> Result<Proof, SuggestError> {
    let rights = Rights::intersect(manifest, new)
        .map_err(|missing| SuggestError::Missing { which: "the suggested binding", missing })?;
    let withdrawn = |why: String| Err(SuggestError::Withdrawn(why));
    let mut proof = Proof { rights: covered(old, new)?, ..Proof::default() };
    for (asked, before) in allowed {
        match decide(&rights, asked.door, &asked.request) {
            Ok(after) if after.effect == before.effect => proof.decided += 1,
            Ok(after) => {
                return withdrawn(format!("rule `{}` would give a request another effect", after.rule));
            }
            Err(denial) => return withdrawn(format!("it would deny what was observed: {denial}")),
        }
    }
    for told in told.iter().filter(|told| rule_of(old, told).is_some()) {
        if rule_of(new, told).is_none() {
            return withdrawn(format!("no rule is left for {} {}", told.method, visible(&told.path)));
        }
        proof.by_path += 1;
    }
    Ok(proof)
}

/// How many rights the new binding grants, all of which the old one covers.
fn covered(old: &Binding, new: &Binding) -> Result<u64, SuggestError> {
    let ours: Vec<_> = right::granted(old).into_iter().map(|held| held.right).collect();
    let theirs = right::granted(new);
    for held in &theirs {
        if !right::covers(&ours, &held.right) {
            return Err(SuggestError::Withdrawn(format!(
                "it would grant what is not granted today: {}",
                held.right
            )));
        }
    }
    let wider = diff::bindings(old, new).into_iter().find(|change| change.class == diff::Class::Widened);
    match wider {
        Some(change) => Err(SuggestError::Withdrawn(format!(
            "it would let more happen than today: {}",
            change.is.unwrap_or(change.means)
        ))),
        None => Ok(theirs.len() as u64),
    }
}

/// What of the observed today's binding allows and another would deny.
pub fn would_deny(old: &Binding, new: &Binding, manifest: &Manifest, observed: &Observed) -> Vec<Denied> {
    let mut denied: BTreeMap<(String, String), u64> = BTreeMap::new();
    let mut note = |what: String, why: String| {
        *denied.entry((clip(&visible(&what), 300), clip(&visible(&why), 300))).or_default() += 1;
    };
    let request = |service: &str, method: &str, path: &str| {
        format!("{service} {method} {}", path.split(['?', '#']).next().unwrap_or_default())
    };
    if let (Ok(before), Ok(after)) = (Rights::intersect(manifest, old), Rights::intersect(manifest, new)) {
        let were =
            observed.requests.iter().filter(|asked| decide(&before, asked.door, &asked.request).is_ok());
        for Asked { door, request: asked } in were {
            if let Err(denial) = decide(&after, *door, asked) {
                let undo = if *door == Door::Undo { ", as the undo of an effect" } else { "" };
                note(request(&asked.service, &asked.method, &asked.path) + undo, denial.reason.to_string());
            }
        }
        for name in before.invoke.difference(&after.invoke).filter(|name| observed.invoked.contains(*name)) {
            note(format!("a call of {name}"), "`invoke` does not list it".to_owned());
        }
    }
    for told in observed.told.iter().filter(|told| rule_of(old, told).is_some()) {
        if rule_of(new, told).is_none() {
            note(
                request(&told.service, &told.method, &told.path),
                "no rule has this method and path".to_owned(),
            );
        }
    }
    for (service, address) in
        observed.dialled.iter().flat_map(|(name, all)| all.iter().map(move |one| (name, one)))
    {
        let listed = |binding: &Binding| {
            let service = binding.services.get(service)?;
            Some(service.addresses.iter().any(|range| range.contains(address)))
        };
        if listed(old) == Some(true) && listed(new) == Some(false) {
            note(format!("{service} at {address}"), "`addresses` does not list it".to_owned());
        }
    }
    if let Some(most) =
        observed.most_requests.filter(|most| *most > new.limits.requests && *most <= old.limits.requests)
    {
        note(format!("a run with {most} requests"), format!("limits.requests is {}", new.limits.requests));
    }
    denied.into_iter().map(|((what, why), count)| Denied { what, why, count }).collect()
}
