//! Two states of a whole workspace: everything that a lock covers.

use std::collections::{BTreeMap, BTreeSet};

use super::{Change, Class, Shape, approvers, bindings, components, settings};
use crate::approvers::Approvers;
use crate::binding::Binding;
use crate::digest::Digest;
use crate::right::{Held, Right, granted, imported};
use crate::settings::Settings;

/// The settings' path in a workspace.
const SETTINGS: &str = "ops.yaml";
/// The approvers' path.
const APPROVERS: &str = "approvers";

/// A state of a workspace, as far as it is known.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Whether its lock is marked for development; none where there is no lock.
    pub development: Option<bool>,
    /// `ops.yaml`.
    pub settings: Option<Settings>,
    /// Who may sign.
    pub approvers: Option<Approvers>,
    /// The bindings by capability.
    pub bindings: BTreeMap<String, Bound>,
    /// Contracts, certificates and whatever else the lock covers: path and digest.
    pub files: BTreeMap<String, Digest>,
    /// Those among them that bindings or `ops.yaml` name as certificate authorities.
    pub authorities: BTreeSet<String>,
    /// The components by path.
    pub components: BTreeMap<String, Shape>,
}

/// A binding, of which at times only the digest is known.
#[derive(Clone, Debug)]
pub struct Bound {
    /// The file, relative to the workspace.
    pub file: String,
    /// Digest of its bytes.
    pub digest: Digest,
    /// What it says; none where its text is not to be had.
    pub binding: Option<Binding>,
}

/// Everything that differs, the gravest first.
pub fn snapshots(old: &Snapshot, new: &Snapshot) -> Vec<Change> {
    let mut changes = Vec::new();
    if let Some(after) = &new.settings {
        // Where there was no file, there was nothing in it; where its text is not to be had, all that is there now is shown.
        let empty = Settings::empty(&after.workspace);
        let found = match &old.settings {
            Some(before) => settings(before, after),
            None if same(SETTINGS, old, new) => Vec::new(),
            None => settings(&empty, after),
        };
        changes.extend(found.into_iter().map(|change| change.about(SETTINGS)));
    }
    if let Some(after) = &new.approvers {
        let found = match &old.approvers {
            Some(before) => approvers(before, after),
            None if same(APPROVERS, old, new) => Vec::new(),
            None => approvers(&Approvers::default(), after),
        };
        changes.extend(found.into_iter().map(|change| change.about(APPROVERS)));
    }
    if let (Some(old), Some(new)) = (old.development, new.development)
        && old != new
    {
        let means = match new {
            true => "the lock is marked for development, and receipts say so",
            false => "the lock is no longer marked for development",
        };
        changes.push(Change::new(Class::Moved, "lock", means).about("ops.lock"));
    }
    for name in old.bindings.keys().chain(new.bindings.keys()).collect::<BTreeSet<_>>() {
        let found = capability(name, old, new);
        changes.extend(found.into_iter().map(|change| change.about(name)));
    }
    unbound(old, new, &mut changes);
    files(old, new, &mut changes);
    super::sort(&mut changes);
    changes
}

/// Whether a file is there in both, and is the same.
fn same(path: &str, old: &Snapshot, new: &Snapshot) -> bool {
    old.files.get(path).is_some_and(|digest| new.files.get(path) == Some(digest))
}

fn capability(name: &str, old: &Snapshot, new: &Snapshot) -> Vec<Change> {
    match (old.bindings.get(name), new.bindings.get(name)) {
        (Some(before), Some(after)) => {
            let mut changes = binding(before, after);
            if before.digest != after.digest && before.binding.is_none() {
                changes.extend(grants(after));
            }
            match (shape(before, old), shape(after, new)) {
                (Some(old), Some(new)) => changes.extend(components(old, new)),
                // What cannot be compared may be anything.
                (Some(_), None) => changes.push(Change::new(
                    Class::Widened,
                    "component",
                    "the component is not there, so what it asks for now cannot be compared",
                )),
                (None, _) => {}
            }
            changes
        }
        (None, Some(after)) => {
            let mut changes = vec![Change::new(Class::Widened, "binding", "the capability is new")];
            changes.extend(grants(after));
            changes.extend(imports(shape(after, new)));
            changes
        }
        (Some(_), None) => vec![Change::new(Class::Narrowed, "binding", "the capability is no longer bound")],
        (None, None) => Vec::new(),
    }
}

fn shape<'a>(bound: &Bound, snapshot: &'a Snapshot) -> Option<&'a Shape> {
    let binding = bound.binding.as_ref()?;
    snapshot.components.get(&binding.component)
}

fn binding(before: &Bound, after: &Bound) -> Vec<Change> {
    if before.digest == after.digest {
        return Vec::new();
    }
    let short = |change: Change| change.was(before.digest.short()).is(after.digest.short());
    let (Some(old), Some(new)) = (&before.binding, &after.binding) else {
        // What cannot be compared may be anything.
        let means = "the binding is another one, and its text is not kept here: look at both";
        return vec![short(Change::new(Class::Widened, "binding", means))];
    };
    let changes = bindings(old, new);
    if changes.is_empty() {
        return vec![short(Change::unchanged("binding"))];
    }
    changes
}

/// Each right that a binding grants, as if there had been none.
fn grants(after: &Bound) -> Vec<Change> {
    let granted = after.binding.as_ref().map(granted).unwrap_or_default();
    let tells = |held: &Held| {
        // Limits have defaults, and the others say how a right is used.
        !matches!(
            held.right,
            Right::Limit { .. } | Right::Kept(_) | Right::Beside(_) | Right::Trust { tls: None, .. }
        )
    };
    let rights: Vec<Held> = granted.into_iter().filter(tells).collect();
    super::rights("binding", &[], &rights)
}

/// Each power that a component imports, as if there had been none.
fn imports(shape: Option<&Shape>) -> impl Iterator<Item = Change> {
    let imports = shape.map(|shape| super::rights("component", &[], &imported(&shape.imports)));
    imports.into_iter().flatten().filter(|change| change.class != Class::Unchanged)
}

/// Components that no binding of both states leads to.
fn unbound(old: &Snapshot, new: &Snapshot, changes: &mut Vec<Change>) {
    let bound = |snapshot: &Snapshot| -> BTreeSet<String> {
        let bindings = snapshot.bindings.values().filter_map(|bound| bound.binding.as_ref());
        bindings.map(|binding| binding.component.clone()).collect()
    };
    let (old_bound, new_bound) = (bound(old), bound(new));
    for (path, after) in &new.components {
        let Some(before) = old.components.get(path) else { continue };
        if !(old_bound.contains(path) && new_bound.contains(path)) {
            changes.extend(components(before, after).into_iter().map(|change| change.about(path)));
        }
    }
}

fn files(old: &Snapshot, new: &Snapshot, changes: &mut Vec<Change>) {
    for path in old.files.keys().chain(new.files.keys()).collect::<BTreeSet<_>>() {
        let (before, after) = (old.files.get(path), new.files.get(path));
        if before == after {
            continue;
        }
        if changes.iter().any(|change| change.subject == *path) {
            continue;
        }
        let known = match path.as_str() {
            SETTINGS => old.settings.is_some() && new.settings.is_some(),
            APPROVERS => old.approvers.is_some() && new.approvers.is_some(),
            _ => true,
        };
        let is_trust = old.authorities.contains(path) || new.authorities.contains(path);
        let (class, means) = match (before, after) {
            // What cannot be compared may be anything.
            (Some(_), Some(_)) if !known => {
                (Class::Widened, "it is another one, and the old text is not kept here: look at both")
            }
            (Some(_), Some(_)) if matches!(path.as_str(), SETTINGS | APPROVERS) => {
                (Class::Unchanged, "the text differs, and it grants the same")
            }
            (Some(_), Some(_)) if is_trust => {
                (Class::Widened, "a certificate authority is another one: whoever holds its key can answer")
            }
            (Some(_), Some(_)) => {
                (Class::Moved, "capabilities that read it see other data; it grants nothing")
            }
            (None, _) if is_trust => (
                Class::Widened,
                "a certificate authority more: whoever holds its key can answer where it is named",
            ),
            (None, _) if path == SETTINGS => (Class::Unchanged, "it lets nothing pass by itself"),
            (None, _) => (Class::Moved, "the lock covers one more file; it grants nothing by itself"),
            (Some(_), None) => (Class::Moved, "the lock no longer covers that file"),
        };
        let mut change = Change::new(class, "file", means).about(path);
        change = before.map_or(change.clone(), |digest| change.was(digest.short()));
        changes.push(after.map_or(change.clone(), |digest| change.is(digest.short())));
    }
}
