//! The narrowest binding under which what was observed would still be allowed.
//!
//! It says what could go, and a person decides: runs that were not observed may need what went. In this order: each request
//! is given to the rule that allows it today; grants that neither a need nor a use covers go; what is left is narrowed, by
//! [`Generalisation`]s alone, each of which is told with its reason; and last the result is held against all that was
//! observed, by [`decide()`] itself. What was not recorded, the body of a request for one, stays as it is granted.

mod addresses;
mod bodies;
mod grants;
mod paths;
mod prove;
mod rules;
mod write;
mod write_whole;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::binding::Binding;
use crate::decide::{Allowed, Door, decide};
use crate::manifest::Manifest;
use crate::message::{Header, Request};
use crate::path::RequestTarget;
use crate::rights::{MissingGrant, Rights};
use crate::rule::Method;
pub use prove::{Denied, Proof, would_deny};
pub use write::{Rewritten, rewrite};

/// What runs were seen to do.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// Requests as they were recorded, and those that effects stated as their undo.
    pub requests: Vec<Asked>,
    /// Requests of which only a receipt tells.
    pub told: Vec<Told>,
    /// The addresses that were dialled, by service.
    pub dialled: BTreeMap<String, BTreeSet<IpAddr>>,
    /// The capabilities that were called.
    pub invoked: BTreeSet<String>,
    /// The capabilities that the host started on the runs' word.
    pub started: BTreeSet<String>,
    /// The most requests that one run made, where it is known.
    pub most_requests: Option<u64>,
}

/// A request and the door that it came through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The door.
    pub door: Door,
    /// The request.
    pub request: Request,
}

/// A request of which query keys, header fields and body are not known.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Told {
    /// The service.
    pub service: String,
    /// The rule that allowed it then.
    pub rule: String,
    /// The method.
    pub method: String,
    /// The path.
    pub path: String,
}

/// A rule by which the suggestion goes beyond, or keeps more than, what was seen one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Generalisation {
    /// A grant that no need names has no effect, and goes.
    NotNeeded,
    /// A grant that no run used goes.
    NotUsed,
    /// What no run used, and a need that is not optional names, stays.
    Required,
    /// A rule `for: undo` stays: it is for a day that has not come.
    ForUndo,
    /// A rule that no run used stays where it decides on requests of a later one.
    FirstMatch,
    /// What a capability does with its folders, contracts and settings is not recorded, so what a need names stays.
    NotRecorded,
    /// A directory is granted for what the needs do there.
    NeededAccess,
    /// A free segment that had one value becomes that value.
    OneValue,
    /// An open path becomes the few paths that were seen.
    ExactPaths,
    /// An open path becomes one pattern for each depth that was seen.
    ByDepth,
    /// Query keys that no request had go.
    QueryKeys,
    /// Header fields that no request had go.
    Headers,
    /// Values that no body had go.
    BodyValues,
    /// A rule for a protocol that says in its body what is asked for gets a condition on that.
    Multiplexed,
    /// A range becomes the few addresses that were dialled in it.
    Dialled,
    /// Twice the requests of the run that made the most.
    TwiceTheMost,
}

impl Generalisation {
    /// Its name, in words with hyphens.
    pub fn name(self) -> &'static str {
        match self {
            Self::NotNeeded => "not-needed",
            Self::NotUsed => "not-used",
            Self::Required => "required",
            Self::ForUndo => "for-undo",
            Self::FirstMatch => "first-match",
            Self::NotRecorded => "not-recorded",
            Self::NeededAccess => "needed-access",
            Self::OneValue => "one-value",
            Self::ExactPaths => "exact-paths",
            Self::ByDepth => "by-depth",
            Self::QueryKeys => "query-keys",
            Self::Headers => "headers",
            Self::BodyValues => "body-values",
            Self::Multiplexed => "multiplexed",
            Self::Dialled => "dialled",
            Self::TwiceTheMost => "twice-the-most",
        }
    }

    /// What it does, and why, in a sentence without a full stop.
    pub fn words(self) -> &'static str {
        match self {
            Self::NotNeeded => "a grant that no need names has no effect, and goes",
            Self::NotUsed => "a grant that none of the runs used goes",
            Self::Required => "what no run used stays where a need that is not optional names it",
            Self::ForUndo => "a rule `for: undo` stays: it is for a change that is still to be taken back",
            Self::FirstMatch => {
                "a rule that no run used stays where it decides on requests that a later rule would call or do otherwise"
            }
            Self::NotRecorded => {
                "what is read of folders, contracts and settings is on no record, so what a need names stays"
            }
            Self::NeededAccess => "a directory is granted for what the needs do there",
            Self::OneValue => {
                "a segment {x} that had one value becomes that value; with more than one it stays"
            }
            Self::ExactPaths => "a final /** becomes the paths that were seen, where they are at most 3",
            Self::ByDepth => {
                "a final /** becomes one pattern for each depth that was seen, where they are at most 3"
            }
            Self::QueryKeys => "query keys that no request had go",
            Self::Headers => "header fields that no request had go",
            Self::BodyValues => "values of a body condition that no body had go",
            Self::Multiplexed => {
                "where all bodies are of a protocol that names in the body what is asked for, those names become a condition"
            }
            Self::Dialled => {
                "a range becomes the addresses that were dialled in it, where they are at most 4"
            }
            Self::TwiceTheMost => "limits.requests is twice what the run with the most requests made",
        }
    }
}

/// One use of a generalisation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Which one.
    pub by: Generalisation,
    /// Where in the binding, such as `services.mail.rules.query`.
    pub place: String,
    /// What became of it, for people.
    pub what: String,
}

/// A narrower binding, and how it came about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suggestion {
    /// The binding.
    pub binding: Binding,
    /// Each generalisation that was used.
    pub steps: Vec<Step>,
    /// What could not be known, for people.
    pub unknown: Vec<String>,
    /// What it was held against.
    pub proof: Proof,
}

/// Why there is no suggestion.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SuggestError {
    /// Today's binding, or the suggested one, lacks something that the component cannot do without.
    #[error("{which} does not grant what the component needs: {}", list(missing))]
    Missing {
        /// Which binding.
        which: &'static str,
        /// What is missing.
        missing: Vec<MissingGrant>,
    },
    /// A fault of ours: the suggestion would deny what was observed, or allow what is denied today.
    #[error("the suggestion was withdrawn, because {0}; please report it")]
    Withdrawn(String),
}

fn list(missing: &[MissingGrant]) -> String {
    missing.iter().map(|missing| missing.what.clone()).collect::<Vec<_>>().join("; ")
}

/// A request as a rule saw it.
pub(crate) struct Seen<'a> {
    pub(crate) path: String,
    pub(crate) keys: Vec<String>,
    pub(crate) headers: &'a [Header],
    pub(crate) body: Option<&'a [u8]>,
    /// Whether more is known than the path.
    pub(crate) is_whole: bool,
}

/// The requests that each rule allows today: by service and rule.
pub(crate) type Uses<'a> = BTreeMap<(String, String), Vec<Seen<'a>>>;

/// What becomes of a binding, while it is narrowed.
pub(crate) struct Notes {
    pub(crate) steps: Vec<Step>,
    pub(crate) unknown: Vec<String>,
}

impl Notes {
    pub(crate) fn step(&mut self, by: Generalisation, place: impl Into<String>, what: impl Into<String>) {
        self.steps.push(Step { by, place: place.into(), what: what.into() });
    }
}

/// The narrowest binding under which what was observed would still be allowed. Requests that today's binding denies are
/// not looked at.
///
/// # Errors
///
/// Today's binding does not let the component run; or the suggestion did not stand the last check.
pub fn suggest(
    binding: &Binding,
    manifest: &Manifest,
    observed: &Observed,
) -> Result<Suggestion, SuggestError> {
    let rights = Rights::intersect(manifest, binding)
        .map_err(|missing| SuggestError::Missing { which: "today's binding", missing })?;
    let allowed: Vec<_> =
        observed.requests.iter().filter_map(|asked| Some((asked, allowed_today(&rights, asked)?))).collect();
    let uses = uses(binding, observed, &allowed);
    let mut notes = Notes { steps: Vec::new(), unknown: Vec::new() };
    let denied = observed.requests.len().saturating_sub(allowed.len())
        + observed.told.iter().filter(|told| rule_of(binding, told).is_none()).count();
    if denied > 0 {
        notes.unknown.push(format!(
            "today's binding does not allow {denied} of the requests, or their paths are not on record in full; they were not \
             looked at"
        ));
    }
    let mut narrowed = binding.clone();
    narrowed.services.clear();
    for (name, service) in &binding.services {
        let kept = rules::service(name, service, manifest, &rights, &uses, observed, &mut notes);
        narrowed.services.extend(kept.map(|service| (name.clone(), service)));
    }
    grants::narrow(&mut narrowed, manifest, &rights, observed, &mut notes);
    let proof = prove::prove(binding, &narrowed, manifest, &allowed, &observed.told)?;
    Ok(Suggestion { binding: narrowed, steps: notes.steps, unknown: notes.unknown, proof })
}

fn allowed_today(rights: &Rights, asked: &Asked) -> Option<Allowed> {
    decide(rights, asked.door, &asked.request).ok()
}

/// Gives each request to the rule that allows it today.
fn uses<'a>(binding: &Binding, observed: &'a Observed, allowed: &'a [(&'a Asked, Allowed)]) -> Uses<'a> {
    let mut uses = Uses::new();
    for (_, allowed) in allowed {
        let Ok(target) = RequestTarget::parse(&allowed.request.target) else { continue };
        let seen = Seen {
            path: target.path().to_owned(),
            keys: target.keys().map(str::to_owned).collect(),
            headers: &allowed.request.headers,
            body: allowed.request.body.as_deref(),
            is_whole: true,
        };
        uses.entry((allowed.service.clone(), allowed.rule.clone())).or_default().push(seen);
    }
    for told in &observed.told {
        let Some(rule) = rule_of(binding, told) else { continue };
        let seen =
            Seen { path: told.path.clone(), keys: Vec::new(), headers: &[], body: None, is_whole: false };
        uses.entry((told.service.clone(), rule)).or_default().push(seen);
    }
    uses
}

/// The rule of today that such a request would come under: the one that had its id then, else the first with its method
/// and path.
pub(crate) fn rule_of(binding: &Binding, told: &Told) -> Option<String> {
    let service = binding.services.get(&told.service)?;
    let method = Method::parse(&told.method)?;
    let mut covering =
        service.rules.iter().filter(|rule| rule.method == method && rule.path.matches(&told.path));
    let same = covering.clone().find(|rule| rule.id == told.rule);
    same.or_else(|| covering.next()).map(|rule| rule.id.clone())
}

#[cfg(test)]
mod tests;
