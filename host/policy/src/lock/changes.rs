//! What a new lock changes in rights, one line each, for the person who is about to sign it.
//!
//! A new component is compared with nothing: all that it imports and needs is listed as added.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::{Component, Lock};
use crate::digest::Digest;
use crate::manifest::{Access, Manifest, NeedKind, RuleEffect, RuleNeed, Safety};
use crate::visible::visible;

/// One difference between two locks. Its text is one line without hidden characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The workspace has another name.
    Workspace {
        /// The old name.
        from: String,
        /// The new name.
        to: String,
    },
    /// The lock is now one for development, or no longer.
    Development {
        /// Whether it is now.
        now: bool,
    },
    /// A file is new, changed or gone.
    File {
        /// The path, relative to the workspace.
        path: String,
        /// Its digest in the old lock.
        from: Option<Digest>,
        /// Its digest in the new lock.
        to: Option<Digest>,
    },
    /// A component's bytes are new, changed or gone.
    Component {
        /// The path, relative to the workspace.
        path: String,
        /// Its digest in the old lock.
        from: Option<Digest>,
        /// Its digest in the new lock.
        to: Option<Digest>,
    },
    /// A component says another safety of itself, or says it for the first time.
    Safety {
        /// The component's path.
        path: String,
        /// What it said in the old lock.
        from: Option<Safety>,
        /// What it says now.
        to: Safety,
    },
    /// A component got or lost something.
    Part {
        /// The component's path.
        path: String,
        /// What sort of thing.
        kind: Part,
        /// The thing itself.
        name: String,
        /// Whether it is new; else it is gone.
        added: bool,
    },
}

/// What a component can get or lose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// A capability whose binding names the component.
    Capability,
    /// An imported interface: what it can ask for.
    Import,
    /// A need: what its author says it must have.
    Need,
}

/// Every change from `old` to `new`, in the order of the paths; without an old lock everything is new.
pub fn changes(old: Option<&Lock>, new: &Lock) -> Vec<Change> {
    let mut found = Vec::new();
    if let Some(old) = old
        && old.workspace != new.workspace
    {
        found.push(Change::Workspace { from: old.workspace.clone(), to: new.workspace.clone() });
    }
    if old.is_some_and(|old| old.development) != new.development {
        found.push(Change::Development { now: new.development });
    }
    let (no_files, no_components) = (BTreeMap::new(), BTreeMap::new());
    let old_files = old.map_or(&no_files, |old| &old.files);
    for path in union(old_files, &new.files) {
        let (from, to) = (old_files.get(path).copied(), new.files.get(path).copied());
        if from != to {
            found.push(Change::File { path: path.clone(), from, to });
        }
    }
    let old_components = old.map_or(&no_components, |old| &old.components);
    for path in union(old_components, &new.components) {
        component_changes(path, old_components.get(path), new.components.get(path), &mut found);
    }
    found
}

fn union<'a, T>(old: &'a BTreeMap<String, T>, new: &'a BTreeMap<String, T>) -> BTreeSet<&'a String> {
    old.keys().chain(new.keys()).collect()
}

fn component_changes(path: &str, old: Option<&Component>, new: Option<&Component>, found: &mut Vec<Change>) {
    let (from, to) = (old.map(|old| old.digest), new.map(|new| new.digest));
    if from != to {
        found.push(Change::Component { path: path.to_owned(), from, to });
    }
    // What a component that is gone could do no longer matters.
    let Some(new) = new else { return };
    let (from, to) = (old.map(|old| old.manifest.safety), new.manifest.safety);
    if from != Some(to) {
        found.push(Change::Safety { path: path.to_owned(), from, to });
    }
    for kind in [Part::Capability, Part::Import, Part::Need] {
        let (old, new) = (old.map(|old| parts(kind, old)).unwrap_or_default(), parts(kind, new));
        for name in old.symmetric_difference(&new) {
            let added = new.contains(name);
            found.push(Change::Part { path: path.to_owned(), kind, name: name.clone(), added });
        }
    }
}

fn parts(kind: Part, component: &Component) -> BTreeSet<String> {
    match kind {
        Part::Capability => component.capabilities.clone(),
        Part::Import => component.imports.clone(),
        Part::Need => needs(&component.manifest),
    }
}

/// The needs as texts, a service's rules one by one, so that one new rule shows as one line.
fn needs(manifest: &Manifest) -> BTreeSet<String> {
    let mut texts = BTreeSet::new();
    for need in &manifest.needs {
        let optional = if need.optional { ", optional" } else { "" };
        match &need.need {
            NeedKind::Service { name, rules } if rules.is_empty() => {
                texts.insert(format!("service {name}{optional}"));
            }
            NeedKind::Service { name, rules } => {
                texts.extend(
                    rules.iter().map(|rule| format!("service {name}: {}{optional}", rule_text(rule))),
                );
            }
            NeedKind::Directory { name, access } => {
                let access = match access {
                    Access::Read => "read",
                    Access::Stage => "stage",
                };
                texts.insert(format!("directory {name} ({access}{optional})"));
            }
            NeedKind::Contract { name } => {
                texts.insert(format!("contract {name}{optional}"));
            }
            NeedKind::Invoke { name } => {
                texts.insert(format!("capability {name}{optional}"));
            }
            NeedKind::Config { key, .. } => {
                texts.insert(format!("setting {key}{optional}"));
            }
        }
    }
    texts
}

fn rule_text(rule: &RuleNeed) -> String {
    let effect = match rule.effect {
        RuleEffect::Read => "read",
        RuleEffect::Mutate => "mutate",
        RuleEffect::Destroy => "destroy",
    };
    let mut text = format!("{} {} ({effect})", rule.method, rule.path);
    for (what, names) in [("query", &rule.query), ("headers", &rule.headers)] {
        if !names.is_empty() {
            text.push_str(&format!(", {what} {}", names.join(" ")));
        }
    }
    text
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Workspace { from, to } => format!("workspace: {from} is now {to}"),
            Self::Development { now: true } => "development: this lock is for development only".to_owned(),
            Self::Development { now: false } => "development: no longer".to_owned(),
            Self::File { path, from, to } => format!("file {path}: {}", digests(*from, *to)),
            Self::Component { path, from, to } => format!("component {path}: {}", digests(*from, *to)),
            Self::Safety { path, from: None, to } => format!("component {path}: safety is {}", safety(*to)),
            Self::Safety { path, from: Some(from), to } => {
                let direction = if to > from { "rises" } else { "falls" };
                format!("component {path}: safety {direction} from {} to {}", safety(*from), safety(*to))
            }
            Self::Part { path, kind, name, added } => {
                let kind = match kind {
                    Part::Capability => "capability",
                    Part::Import => "import",
                    Part::Need => "need",
                };
                let change = if *added { "adds" } else { "drops" };
                format!("component {path}: {change} {kind} {name}")
            }
        };
        f.write_str(&visible(&text))
    }
}

fn digests(from: Option<Digest>, to: Option<Digest>) -> String {
    match (from, to) {
        (None, Some(to)) => format!("added ({})", to.short()),
        (Some(from), None) => format!("removed ({})", from.short()),
        (Some(from), Some(to)) => format!("changed ({} is now {})", from.short(), to.short()),
        (None, None) => "unchanged".to_owned(),
    }
}

fn safety(safety: Safety) -> &'static str {
    match safety {
        Safety::ReadOnly => "read-only",
        Safety::Mutating => "mutating",
        Safety::Destructive => "destructive",
    }
}
