//! What is left of the grants that are no services, and of the limit on requests.

use super::{Generalisation, Notes, Observed};
use crate::binding::Binding;
use crate::manifest::{Manifest, NeedKind};
use crate::rights::{Rights, invokes};

/// Narrows everything but the services, which are done.
pub(super) fn narrow(
    binding: &mut Binding,
    manifest: &Manifest,
    rights: &Rights,
    observed: &Observed,
    notes: &mut Notes,
) {
    directories(binding, rights, notes);
    contracts_and_config(binding, rights, notes);
    invoke(binding, manifest, rights, observed, notes);
    starts(binding, rights, observed, notes);
    requests(binding, observed, notes);
}

fn directories(binding: &mut Binding, rights: &Rights, notes: &mut Notes) {
    binding.directories.retain(|name, directory| {
        let place = format!("directories.{name}");
        let Some(needed) = rights.directories.get(name) else {
            notes.step(Generalisation::NotNeeded, place, "the directory goes");
            return false;
        };
        if needed.access < directory.access {
            directory.access = needed.access;
            notes.step(Generalisation::NeededAccess, place, format!("access: {}", needed.access.as_str()));
        } else {
            notes.step(Generalisation::NotRecorded, place, "the directory stays");
        }
        true
    });
}

fn contracts_and_config(binding: &mut Binding, rights: &Rights, notes: &mut Notes) {
    binding.contracts.retain(|name| {
        let is_needed = rights.contracts.contains(name);
        let (by, what) = judged(is_needed, "the contract");
        notes.step(by, format!("contracts.{name}"), what);
        is_needed
    });
    binding.config.retain(|key, _| {
        let is_needed = rights.config.contains_key(key);
        let (by, what) = judged(is_needed, "the setting");
        notes.step(by, format!("config.{key}"), what);
        is_needed
    });
}

fn judged(is_needed: bool, what: &str) -> (Generalisation, String) {
    match is_needed {
        true => (Generalisation::NotRecorded, format!("{what} stays")),
        false => (Generalisation::NotNeeded, format!("{what} goes")),
    }
}

fn invoke(
    binding: &mut Binding,
    manifest: &Manifest,
    rights: &Rights,
    observed: &Observed,
    notes: &mut Notes,
) {
    // Of what a need that is not optional names, something must stay.
    let required = manifest.needs.iter().filter(|need| !need.optional).filter_map(|need| match &need.need {
        NeedKind::Invoke { name } => Some(name),
        _ => None,
    });
    let unused: Vec<_> = required
        .filter(|need| {
            !observed.invoked.iter().any(|called| rights.invoke.contains(called) && invokes(need, called))
        })
        .collect();
    binding.invoke.retain(|name| {
        let place = format!("invoke.{name}");
        if !rights.invoke.contains(name) {
            notes.step(Generalisation::NotNeeded, place, "it goes");
            return false;
        }
        if observed.invoked.contains(name) {
            return true;
        }
        if unused.iter().any(|need| invokes(need, name)) {
            notes.step(Generalisation::Required, place, "it stays, though no run called it");
            return true;
        }
        notes.step(Generalisation::NotUsed, place, "it goes");
        false
    });
}

fn starts(binding: &mut Binding, rights: &Rights, observed: &Observed, notes: &mut Notes) {
    binding.starts.retain(|name| {
        let place = format!("starts.{name}");
        if !rights.starts.contains(name) {
            notes.step(Generalisation::NotNeeded, place, "it goes");
            return false;
        }
        let was_started = observed.started.contains(name);
        if !was_started {
            notes.step(Generalisation::NotUsed, place, "it goes");
        }
        was_started
    });
}

/// A run that has nobody to ask needs no limit on asking.
fn requests(binding: &mut Binding, observed: &Observed, notes: &mut Notes) {
    let most = observed.most_requests.unwrap_or_default();
    let twice = most.saturating_mul(2);
    if most == 0 || binding.services.is_empty() || twice >= binding.limits.requests {
        return;
    }
    let what = format!("{} becomes {twice}; the most was {most}", binding.limits.requests);
    binding.limits.requests = twice;
    notes.step(Generalisation::TwiceTheMost, "limits.requests", what);
}
