//! What is left of a service: its rules, one by one, then the secrets that go into bodies, then the ranges.

use std::collections::BTreeSet;

use super::{Generalisation, Notes, Observed, Seen, Uses, addresses, bodies, paths};
use crate::manifest::{Manifest, NeedKind};
use crate::right::Requests;
use crate::rights::Rights;
use crate::rule::Rule;
use crate::service::Service;
use crate::visible::{clip, visible};

/// The longest id of a rule, in bytes.
const LONGEST_ID: usize = 64;

/// What is left of a service, if anything is.
pub(super) fn service(
    name: &str,
    old: &Service,
    manifest: &Manifest,
    rights: &Rights,
    uses: &Uses<'_>,
    observed: &Observed,
    notes: &mut Notes,
) -> Option<Service> {
    let place = format!("services.{name}");
    if !rights.services.contains_key(name) {
        notes.step(Generalisation::NotNeeded, place, "the service goes");
        return None;
    }
    let used = |rule: &Rule| uses.get(&(name.to_owned(), rule.id.clone())).map_or(&[][..], Vec::as_slice);
    if old.rules.iter().all(|rule| used(rule).is_empty()) {
        if is_required(manifest, name) {
            notes.step(Generalisation::Required, place, "the service stays as it is, though no run used it");
            return Some(old.clone());
        }
        let undo = if old.rules.iter().any(|rule| rule.only_undo) {
            ", and with it its rules `for: undo`"
        } else {
            ""
        };
        let what = format!("the service goes{undo}; the capability can do without it");
        notes.step(Generalisation::NotUsed, place, what);
        return None;
    }
    let mut new = old.clone();
    new.rules.clear();
    for rule in &old.rules {
        let place = format!("{place}.rules.{}", rule.id);
        match used(rule) {
            // What an effect stated as its undo is one of those that may come.
            _ if rule.only_undo => {
                notes.step(Generalisation::ForUndo, place, "the rule stays as it is");
                new.rules.push(rule.clone());
            }
            [] if decides_for_others(name, old, rule) => {
                notes.step(Generalisation::FirstMatch, place, "the rule stays as it is");
                new.rules.push(rule.clone());
            }
            [] => notes.step(Generalisation::NotUsed, place, "the rule goes"),
            seen => new.rules.extend(narrowed(old, rule, seen, &place, notes)),
        }
    }
    new.secrets.retain(|secret| new.rules.iter().any(|rule| rule.id == secret.rule));
    ranges(&mut new, name, observed, notes);
    Some(new)
}

/// Whether a later rule has some of the same requests, and calls them otherwise or has other things go with them.
fn decides_for_others(name: &str, service: &Service, rule: &Rule) -> bool {
    let Some(requests) = Requests::of_rule(name, service, rule) else { return false };
    let with = |rule: &Rule| -> Vec<(String, String)> {
        service.secrets_of(&rule.id).map(|secret| (secret.name.clone(), secret.at.clone())).collect()
    };
    let later = service.rules.iter().skip_while(|other| other.id != rule.id).skip(1);
    later
        .filter(|other| {
            other.effect != rule.effect || other.idempotency != rule.idempotency || with(other) != with(rule)
        })
        .filter_map(|other| Requests::of_rule(name, service, other))
        .any(|other| other.intersect(&requests).is_some())
}

fn is_required(manifest: &Manifest, service: &str) -> bool {
    let names = |kind: &NeedKind| matches!(kind, NeedKind::Service { name, .. } if name == service);
    manifest.needs.iter().any(|need| !need.optional && names(&need.need))
}

/// The rules that stand for one that was used.
fn narrowed(service: &Service, old: &Rule, seen: &[Seen<'_>], place: &str, notes: &mut Notes) -> Vec<Rule> {
    let known: BTreeSet<_> = seen.iter().map(|seen| seen.path.as_str()).collect();
    let places: Vec<&str> = service.secrets_of(&old.id).map(|secret| secret.at.as_str()).collect();
    // A secret's place names one rule, so what it belongs to stays one.
    let patterns = paths::narrow(&old.path, &known).filter(|(new, _)| new.len() == 1 || places.is_empty());
    let patterns = match patterns {
        Some((patterns, by)) => {
            let listed: Vec<_> = patterns.iter().map(|pattern| shown(&pattern.to_string())).collect();
            notes.step(by, place, format!("{} becomes {}", old.path, listed.join(", ")));
            patterns
        }
        None => {
            if old.path.to_string().contains('{') {
                notes.step(Generalisation::OneValue, place, format!("{} stays as it is", old.path));
            } else if old.path.to_string().ends_with("/**") {
                notes.step(Generalisation::ByDepth, place, format!("{} stays as it is", old.path));
            }
            vec![old.path.clone()]
        }
    };
    if seen.iter().any(|seen| !seen.is_whole) {
        notes.unknown.push(format!(
            "{place}: of some requests only the path is on record, so query keys, header fields and bodies stay as granted"
        ));
    }
    let rules = patterns.into_iter().zip(ids(service, &old.id)).map(|(path, id)| {
        let under: Vec<_> = seen.iter().filter(|seen| path.matches(&seen.path)).collect();
        let mut rule = Rule { id, path, ..old.clone() };
        narrow_lists(&mut rule, &under, place, notes);
        narrow_bodies(&mut rule, &under, &places, place, notes);
        rule
    });
    rules.collect()
}

/// The ids of the rules that stand for one: its own, and others that no rule has.
fn ids(service: &Service, id: &str) -> impl Iterator<Item = String> {
    let more = (2..).map(move |number| {
        let end = format!("-{number}");
        format!("{}{end}", clip_bytes(id, LONGEST_ID - end.len()))
    });
    std::iter::once(id.to_owned()).chain(more.filter(|id| service.rule(id).is_none()))
}

/// An id is ASCII, so every byte of it is a character.
fn clip_bytes(id: &str, bytes: usize) -> &str {
    id.get(..bytes).unwrap_or(id)
}

fn narrow_lists(rule: &mut Rule, seen: &[&Seen<'_>], place: &str, notes: &mut Notes) {
    if !seen.iter().all(|seen| seen.is_whole) {
        return;
    }
    let mut keep = |by, what: &str, listed: &mut Vec<String>, is_used: &dyn Fn(&str) -> bool| {
        let (kept, gone): (Vec<_>, Vec<_>) = listed.drain(..).partition(|name| is_used(name));
        if !gone.is_empty() {
            notes.step(by, place, format!("{what} {}", gone.join(", ")));
        }
        *listed = kept;
    };
    let has_key = |key: &str| seen.iter().any(|seen| seen.keys.iter().any(|used| used == key));
    keep(Generalisation::QueryKeys, "without the query keys", &mut rule.query, &has_key);
    let has_field = |name: &str| seen.iter().any(|seen| seen.headers.iter().any(|used| used.name == name));
    keep(Generalisation::Headers, "without the header fields", &mut rule.headers, &has_field);
}

fn narrow_bodies(rule: &mut Rule, seen: &[&Seen<'_>], places: &[&str], place: &str, notes: &mut Notes) {
    let words = |rule: &Rule| {
        let listed: Vec<_> = rule.body.iter().map(ToString::to_string).collect();
        shown(&listed.join("; "))
    };
    if rule.body.is_empty() {
        if let Some((protocol, predicate)) = bodies::multiplexed(seen, places) {
            rule.body = vec![predicate];
            notes.step(Generalisation::Multiplexed, place, format!("{}: {}", protocol.name, words(rule)));
        }
    } else if let Some(narrowed) = bodies::seen_values(&rule.body, seen) {
        rule.body = narrowed;
        notes.step(Generalisation::BodyValues, place, words(rule));
    }
}

fn ranges(service: &mut Service, name: &str, observed: &Observed, notes: &mut Notes) {
    let place = format!("services.{name}.addresses");
    if service.addresses.is_empty() {
        return;
    }
    let Some(dialled) = observed.dialled.get(name).filter(|dialled| !dialled.is_empty()) else {
        notes.unknown.push(format!("{place}: no address was dialled in these runs, so the ranges stay"));
        return;
    };
    let Some(narrowed) = addresses::narrow(&service.addresses, dialled) else { return };
    // Plain HTTP is for loopback that is listed.
    if narrowed.is_empty()
        && service.origin.as_ref().is_some_and(|origin| origin.to_string().starts_with("http:"))
    {
        return;
    }
    let listed: Vec<_> = narrowed.iter().map(ToString::to_string).collect();
    let what = if listed.is_empty() { "all of them go".to_owned() } else { listed.join(", ") };
    notes.step(Generalisation::Dialled, place, what);
    service.addresses = narrowed;
}

/// What guests had a hand in, for people.
fn shown(text: &str) -> String {
    clip(&visible(text), 500)
}
