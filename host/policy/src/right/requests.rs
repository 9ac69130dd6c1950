//! A set of requests to one service: what one rule lets pass, or what one need asks for.
//!
//! A set is the larger, the more methods' paths, query keys and headers it has, and the fewer conditions on the body.
//! Of two sets with the same requests that change something, the one that calls them the lesser effect counts as the
//! larger: they are shown, counted and approved as less.

use std::collections::BTreeSet;
use std::fmt;

use crate::body::Predicate;
use crate::header;
use crate::manifest::RuleEffect;
use crate::rights::NeededRule;
use crate::rule::{Method, PathPattern, Rule};
use crate::service::Service;

/// A set of requests, in canonical form: two sets with the same requests, effect and purpose are equal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requests {
    /// The service's name.
    pub service: String,
    /// The method.
    pub method: Method,
    /// The paths.
    pub path: PathPattern,
    /// What such a request does.
    pub effect: RuleEffect,
    /// The query keys that may be used.
    pub query: BTreeSet<String>,
    /// The header fields that may be set besides those that always may, in lower case.
    pub headers: BTreeSet<String>,
    /// The conditions on the body, one for a place, in the order of the places.
    pub body: Vec<Predicate>,
    /// Where the body must hold the placeholder of a secret.
    pub places: BTreeSet<String>,
    /// Whether they pass only to take a run back.
    pub only_undo: bool,
}

impl Requests {
    /// What a rule of a service lets pass; `None` where no body could meet its conditions.
    pub fn of_rule(name: &str, service: &Service, rule: &Rule) -> Option<Self> {
        Some(Self {
            service: name.to_owned(),
            method: rule.method,
            path: rule.path.canonical(),
            effect: rule.effect,
            query: rule.query.iter().cloned().collect(),
            headers: listed(&rule.headers),
            body: conditions(&rule.body)?,
            places: service.secrets_of(&rule.id).map(|secret| secret.at.clone()).collect(),
            only_undo: rule.only_undo,
        })
    }

    /// What a need asks for.
    pub fn of_need(name: &str, need: &NeededRule) -> Self {
        Self {
            service: name.to_owned(),
            method: need.method,
            path: need.path.canonical(),
            effect: need.effect,
            query: need.query.iter().cloned().collect(),
            headers: listed(&need.headers),
            body: Vec::new(),
            places: BTreeSet::new(),
            only_undo: false,
        }
    }

    /// Whether every request of `other` is one of these, and called no lesser effect there.
    pub fn subsumes(&self, other: &Self) -> bool {
        self.passes(other) && self.effect <= other.effect
    }

    /// Whether every request of `other` is one of these, whatever effect each calls it, through every door that
    /// `other` is open to.
    pub fn passes(&self, other: &Self) -> bool {
        self.service == other.service
            && self.method == other.method
            && self.path.subsumes(&other.path)
            && self.changes() == other.changes()
            && (!self.only_undo || other.only_undo)
            && self.query.is_superset(&other.query)
            && self.headers.is_superset(&other.headers)
            && self.body.iter().all(|ours| other.body.iter().any(|theirs| theirs.implies(ours)))
            && self.places.is_subset(&other.places)
    }

    /// Whether a rule with these requests leaves nothing to a later one with those. What an earlier rule lets pass, a later
    /// one `for: undo` never sees, though it could be used without a need of the author's.
    pub(crate) fn shadows(&self, other: &Self) -> bool {
        self.passes(other)
    }

    /// The requests that are in both sets, with the graver effect; `None` where there surely are none.
    pub fn intersect(&self, other: &Self) -> Option<Self> {
        if self.service != other.service || self.method != other.method || self.changes() != other.changes() {
            return None;
        }
        let both = self.body.iter().chain(&other.body).cloned().collect::<Vec<_>>();
        Some(Self {
            service: self.service.clone(),
            method: self.method,
            path: self.path.intersect(&other.path)?,
            effect: self.effect.max(other.effect),
            query: self.query.intersection(&other.query).cloned().collect(),
            headers: self.headers.intersection(&other.headers).cloned().collect(),
            body: conditions(&both)?,
            places: self.places.union(&other.places).cloned().collect(),
            only_undo: self.only_undo || other.only_undo,
        })
    }

    /// The set in parts that together are the whole: one for each value of the first condition on one value. `None`
    /// where there is none to part by.
    pub(super) fn parts(&self) -> Option<Vec<Self>> {
        let (at, values) = self
            .body
            .iter()
            .enumerate()
            .find_map(|(at, condition)| condition.single().map(|all| (at, all)))?;
        let part = |value: Predicate| {
            let mut part = self.clone();
            if let Some(condition) = part.body.get_mut(at) {
                *condition = value;
            }
            part
        };
        Some(values.into_iter().map(part).collect())
    }

    /// Whether they go through the door of effects.
    fn changes(&self) -> bool {
        self.effect > RuleEffect::Read
    }
}

/// Header names that say something: those that may always be set need no listing.
fn listed(names: &[String]) -> BTreeSet<String> {
    names.iter().filter(|name| !header::ALWAYS.contains(&name.as_str())).cloned().collect()
}

/// One condition for a place, sorted by place; `None` where two allow no value in common.
fn conditions(written: &[Predicate]) -> Option<Vec<Predicate>> {
    let mut conditions: Vec<Predicate> = Vec::new();
    for condition in written {
        let same = conditions.iter_mut().find_map(|earlier| {
            let both = earlier.meet(condition)?;
            Some((earlier, both))
        });
        match same {
            None => conditions.push(condition.clone()),
            Some((earlier, Some(both))) => *earlier = both,
            Some((_, None)) => return None,
        }
    }
    let mut conditions: Vec<_> = conditions.iter().map(Predicate::canonical).collect();
    conditions.sort_by(|one, other| one.pointer().cmp(other.pointer()));
    Some(conditions)
}

impl fmt::Display for Requests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} of {} ({}", self.method, self.path, self.service, self.effect.as_str())?;
        f.write_str(if self.only_undo { ", to take a run back only)" } else { ")" })?;
        for (what, names) in [("query", &self.query), ("headers", &self.headers)] {
            if !names.is_empty() {
                write!(f, ", {what} {}", names.iter().cloned().collect::<Vec<_>>().join(" "))?;
            }
        }
        for condition in &self.body {
            write!(f, ", where {condition}")?;
        }
        for place in &self.places {
            write!(f, ", with a secret at {place}")?;
        }
        Ok(())
    }
}
