//! Two versions of a component: what it can ask for, what its author says that it needs, what it takes and gives.

use std::collections::BTreeSet;

use super::meaning::{is_stated, looked_up};
use super::{Change, Class, rights};
use crate::digest::Digest;
use crate::interface::Class as Kind;
use crate::manifest::Manifest;
use crate::right::{Held, imported, needed};

const PART: &str = "component";

/// What is known of a component from its bytes, or from the lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Digest of its bytes.
    pub digest: Digest,
    /// What it says of itself; none where it is no capability, or was not asked.
    pub manifest: Option<Manifest>,
    /// Its imports, with their versions.
    pub imports: BTreeSet<String>,
    /// Digest of imports and exports with their functions.
    pub interface: Digest,
}

/// What the new version asks for that the old one did not, and the reverse. Where only bytes differ, that is said.
pub fn components(old: &Shape, new: &Shape) -> Vec<Change> {
    if old.digest == new.digest {
        return Vec::new();
    }
    let needs = new.manifest.as_ref().map(needed).unwrap_or_default();
    let mut changes = rights(PART, &imported(&old.imports), &imported(&new.imports));
    for change in &mut changes {
        unstated(change, new, &needs);
    }
    let asks_for_others = !changes.is_empty();
    match (&old.manifest, &new.manifest) {
        (Some(old), Some(new)) => {
            changes.extend(rights(PART, &needed(old), &needs));
            changes.extend(said(old, new));
        }
        (None, Some(_)) => changes.push(Change::new(Class::Moved, PART, "it now says what it is and needs")),
        (Some(_), None) => {
            changes.push(Change::new(Class::Moved, PART, "it no longer says what it is and needs"))
        }
        (None, None) => {}
    }
    if old.interface != new.interface && !asks_for_others {
        let means =
            "it uses other functions of the interfaces that it had, or offers others; no interface is new";
        changes.push(Change::new(Class::Moved, PART, means));
    }
    if changes.iter().all(|change| change.class == Class::Unchanged) {
        let means = "its bytes differ and it asks for the same; what it does with that may be different";
        let short = |shape: &Shape| shape.digest.short();
        changes.push(Change::new(Class::Unchanged, PART, means).was(short(old)).is(short(new)));
    }
    changes
}

/// Says of a new power that no need of the author's is for it: the label is as it was, and the bytes are not.
fn unstated(change: &mut Change, new: &Shape, needs: &[Held]) {
    if change.class != Class::Widened || new.manifest.is_none() {
        return;
    }
    let imports = imported(&new.imports);
    let held = imports.iter().find(|held| Some(held.right.to_string()) == change.is);
    let power = held.and_then(|held| looked_up(&held.right)).filter(|found| found.class == Kind::Power);
    if power.and_then(|found| found.power).is_some_and(|power| !is_stated(power, needs)) {
        change.means.push_str("; no need of its author's says what for");
    }
}

/// What it says of itself besides needs.
fn said(old: &Manifest, new: &Manifest) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut text = |class, what: &str, was: &str, is: &str| {
        if was != is {
            changes.push(Change::new(class, PART, what).was(was).is(is));
        }
    };
    text(Class::Moved, "it is another capability", &old.name, &new.name);
    text(Class::Unchanged, "it says another version of itself", &old.version, &new.version);
    text(Class::Unchanged, "it describes itself in other words", &old.summary, &new.summary);
    for (means, was, is) in [
        ("it takes other arguments", &old.input, &new.input),
        ("its output has another form", &old.output, &new.output),
    ] {
        if was != is {
            changes.push(Change::new(Class::Moved, PART, means));
        }
    }
    changes
}
