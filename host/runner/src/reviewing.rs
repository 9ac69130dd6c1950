//! Reviews: what is said of them, what is refused without one, and how one gets into the lock.
//!
//! A review is about what the lock covers, so one is signed only where the workspace is what the lock covers. The lock
//! that holds it differs from the one in force in the review and the number alone; it is a new lock all the same, with
//! what that means for plans that were made under the one before (`ops_policy::plan`: their hash covers the lock).
//!
//! Order of checks where one is put into the lock: the lock in force holds; every file and component is what it
//! covers; the review is signed by somebody who counts, is about what is pinned, is good, and is no older than the one
//! it replaces; the new lock's signature.

mod signing;

use std::collections::BTreeMap;

use jiff::Timestamp;
use ops_policy::lock::{Component, Lock};
use ops_policy::manifest::Safety;
use ops_policy::review::{SignedReview, State, differences};
use ops_policy::visible::visible;
use serde::Serialize;

use crate::pinned::{Bound, Pinned, Refusal, binding_file};
use crate::runner::Runner;

pub use signing::{Adding, Reviewing};

/// What became of a review.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct View {
    /// `valid`, `outdated`, `expired` or `unsigned`.
    pub state: &'static str,
    /// Who reviewed, as the approvers file names them; none where nobody who counts now has signed it.
    pub reviewer: Option<String>,
    /// When, RFC 3339.
    pub at: String,
    /// Until when it is good, RFC 3339.
    pub expires: String,
    /// Why it does not count, one line each, for people; empty where it does.
    pub why: Vec<String>,
}

/// One capability's line in the list of reviews.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// The capability's name.
    pub capability: String,
    /// Its safety class, by the binding; none where that cannot be used.
    pub safety: Option<&'static str>,
    /// Whether it runs only with a valid review.
    pub required: bool,
    /// Its newest review; none where nobody ever reviewed it.
    pub review: Option<View>,
    /// Why its binding cannot be used, where it cannot.
    pub fault: Option<String>,
}

impl Pinned {
    /// What became of the review of a capability, given its binding and component as they are pinned. None where nobody ever
    /// reviewed it.
    pub(crate) fn review(&self, name: &str, component: &Component, now: Timestamp) -> Option<View> {
        let lock = &self.lock.lock;
        let signed = lock.reviews.get(name)?;
        let state = lock
            .subject_of(name, component, &binding_file(name))
            .map(|pinned| signed.state(&pinned, &self.approvers, now));
        let review = &signed.review;
        let (at, expires) = (review.at.to_string(), review.expires.to_string());
        let why = match &state {
            Some(State::Valid(_)) => Vec::new(),
            Some(State::Outdated(_, differs)) => differs.iter().map(ToString::to_string).collect(),
            Some(State::Expired(_)) => vec![format!("it is good from {at} until {expires}")],
            Some(State::Unsigned(error)) => vec![error.to_string()],
            None => vec!["the lock does not have what it is of".to_owned()],
        };
        let reviewer = state.as_ref().and_then(State::reviewer);
        Some(View {
            state: state.as_ref().map_or("outdated", State::word),
            reviewer: reviewer.map(|approver| visible(&approver.principal)),
            at,
            expires,
            why,
        })
    }

    /// Whether a capability may run without a review, or has one that counts.
    ///
    /// # Errors
    ///
    /// `ops.yaml` requires one, and there is none, or it does not count, and why.
    pub(crate) fn admit_review(
        &self,
        safety: Safety,
        name: &str,
        component: &Component,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let require = &self.settings.require;
        let Some(least) = require.review.filter(|_| require.needs_review(safety)) else { return Ok(()) };
        let why = match self.review(name, component, now) {
            Some(view) if view.state == "valid" => return Ok(()),
            Some(view) => format!("its review is {}: {}", view.state, view.why.join("; ")),
            None => "nobody has reviewed it".to_owned(),
        };
        Err(Refusal::new(
            "review",
            format!(
                "{name} needs a review that is valid, as ops.yaml requires one from {} on; {why}\n  \
                 what to do:  look at it, then `ops review sign {name} --key KEY`",
                least.as_str()
            ),
        ))
    }
}

impl Runner {
    /// The reviews of all capabilities that the lock has, by name.
    ///
    /// # Errors
    ///
    /// The lock does not hold.
    pub fn reviews(&self) -> Result<Vec<Row>, Refusal> {
        let now = Timestamp::now();
        let pinned = self.pinned(now)?;
        let row = |name: &String| match pinned.bound(self.workspace(), name) {
            Ok(Bound { binding, component, .. }) => Row {
                capability: name.clone(),
                safety: Some(binding.safety.as_str()),
                required: pinned.settings.require.needs_review(binding.safety),
                review: pinned.review(name, component, now),
                fault: None,
            },
            Err(refusal) => Row {
                capability: name.clone(),
                safety: None,
                required: pinned.settings.require.review.is_some(),
                review: None,
                fault: Some(refusal.message),
            },
        };
        Ok(pinned.names()?.into_iter().map(row).collect())
    }
}

impl View {
    /// In a line, for people.
    pub fn text(&self) -> String {
        let by = self.reviewer.as_deref().map(|name| format!(" by {name}")).unwrap_or_default();
        let why = if self.why.is_empty() { String::new() } else { format!(": {}", self.why.join("; ")) };
        format!("{}, signed{by} at {}, good until {}{why}", self.state, self.at, self.expires)
    }
}

/// The reviews that a new lock takes over, as they are. Where a capability is gone, there is nothing that was looked at.
pub(crate) fn carried(old: Option<&Lock>, new: &Lock) -> BTreeMap<String, SignedReview> {
    let reviews = old.into_iter().flat_map(|old| &old.reviews);
    let kept = reviews.filter(|(name, _)| new.component_of(name).is_some());
    kept.map(|(name, signed)| (name.clone(), signed.clone())).collect()
}

/// The reviews that fit the old lock and do not fit the new one, a line each, for the person who is about to sign it.
pub(crate) fn outdated(old: Option<&Lock>, new: &Lock) -> String {
    let Some(old) = old else { return String::new() };
    let line = |(name, signed): (&String, &SignedReview)| {
        let file = binding_file(name);
        let (before, after) = (old.subject(name, &file)?, new.subject(name, &file)?);
        let differs = differences(&signed.review.subject, &after);
        if differs.is_empty() || !differences(&signed.review.subject, &before).is_empty() {
            return None;
        }
        let differs: Vec<_> = differs.iter().map(ToString::to_string).collect();
        Some(format!("\nthe review of {name} is outdated by this: {}\n", differs.join("; ")))
    };
    new.reviews.iter().filter_map(line).collect()
}
