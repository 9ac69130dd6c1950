//! What a new version may do that the old one could not, and what it no longer may.
//!
//! Rights are compared as [`crate::right`] has them, and each difference is put into a sentence. More imports are
//! compatible for a linker; here they are what a reviewer looks for. The classes, gravest first:
//!
//! | class | what it says |
//! |---|---|
//! | widened | something is possible that was not |
//! | moved | the same under another name, or something else that is neither more nor less |
//! | narrowed | something is no longer possible |
//! | unchanged | the text differs, and no right |

mod component;
mod meaning;
mod order;
mod pairs;
mod settings;
#[cfg(test)]
mod tests;
mod workspace;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::binding::Binding;
use crate::right::{Held, Right, covers, granted};
use crate::visible::visible;

pub use component::{Shape, components};
pub use settings::{approvers, settings};
pub use workspace::{Bound, Snapshot, snapshots};

/// What a difference does to what is possible. The order is that of concern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// Nothing.
    Unchanged,
    /// Something is no longer possible.
    Narrowed,
    /// The same is called otherwise, or something is different and neither more nor less.
    Moved,
    /// Something is possible that was not.
    Widened,
}

impl Class {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unchanged => "unchanged",
            Self::Narrowed => "narrowed",
            Self::Moved => "moved",
            Self::Widened => "widened",
        }
    }
}

/// One difference. Its texts are single lines without hidden characters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// What it does to what is possible.
    pub class: Class,
    /// What it is about: a capability's name, or a file of the workspace; empty where two files alone are compared.
    pub subject: String,
    /// In what: `binding`, `component`, `settings`, `approvers`, `lock` or `file`.
    pub part: String,
    /// The place in the file, as [`crate::yaml::places`] has them; empty where there is none.
    pub at: String,
    /// What was.
    pub was: Option<String>,
    /// What is now.
    pub is: Option<String>,
    /// What that means.
    pub means: String,
}

impl Change {
    pub(crate) fn new(class: Class, part: &str, means: impl Into<String>) -> Self {
        Self {
            class,
            subject: String::new(),
            part: part.to_owned(),
            at: String::new(),
            was: None,
            is: None,
            means: visible(&means.into()),
        }
    }

    /// Two texts that grant the same.
    pub fn unchanged(part: &str) -> Self {
        Self::new(Class::Unchanged, part, "the text differs, and it grants the same")
    }

    fn at(mut self, at: &str) -> Self {
        self.at = visible(at);
        self
    }

    fn was(mut self, was: impl fmt::Display) -> Self {
        self.was = Some(visible(&was.to_string()));
        self
    }

    fn is(mut self, is: impl fmt::Display) -> Self {
        self.is = Some(visible(&is.to_string()));
        self
    }

    pub(crate) fn about(mut self, subject: &str) -> Self {
        self.subject = visible(subject);
        self
    }
}

/// The gravest class of some changes; unchanged where there are none.
pub fn gravest(changes: &[Change]) -> Class {
    changes.iter().map(|change| change.class).max().unwrap_or(Class::Unchanged)
}

/// The gravest first; otherwise in the order in which they were found.
pub fn sort(changes: &mut [Change]) {
    changes.sort_by(|one, other| other.class.cmp(&one.class).then(one.subject.cmp(&other.subject)));
}

/// What a binding grants that its predecessor did not, and the reverse. Two that grant the same have no differences.
pub fn bindings(old: &Binding, new: &Binding) -> Vec<Change> {
    let mut changes = Vec::new();
    let (mut before, after) = (granted(old), granted(new));
    if old.capability != new.capability {
        let means = "it binds another capability";
        let change = Change::new(Class::Widened, "binding", means).at("/capability");
        changes.push(change.was(&old.capability).is(&new.capability));
    }
    if old.component != new.component {
        let means = "it names another file for the component; the lock says what is in it";
        let change = Change::new(Class::Moved, "binding", means).at("/component");
        changes.push(change.was(&old.component).is(&new.component));
    }
    pairs::renamed(&mut before, &after, &mut changes);
    changes.extend(rights("binding", &before, &after));
    // Where a rule is said to be another one already, that is not said again of its order.
    let said: Vec<String> = changes.iter().map(|change| change.at.clone()).collect();
    let is_new = |change: &Change| !said.iter().any(|said| said.starts_with(&change.at));
    changes.extend(order::decided_otherwise(old, new).into_iter().filter(is_new));
    if old.approval.reason != new.approval.reason {
        let means = "why nobody is asked is said in other words";
        let change = Change::new(Class::Moved, "binding", means).at("/approval/reason");
        let text = |reason: &Option<String>| reason.clone().unwrap_or_else(|| "no reason".to_owned());
        changes.push(change.was(text(&old.approval.reason)).is(text(&new.approval.reason)));
    }
    changes
}

/// The differences between two lists of rights.
pub(crate) fn rights(part: &str, old: &[Held], new: &[Held]) -> Vec<Change> {
    let (old_rights, new_rights) = (only(old), only(new));
    let gained: Vec<&Held> = new.iter().filter(|held| !had(&old_rights, &held.right)).collect();
    let mut lost: Vec<&Held> =
        old.iter().filter(|held| !covers(new_rights.iter().copied(), &held.right)).collect();
    let mut changes = Vec::new();
    for held in &gained {
        if follows_from_safety(&held.right, &gained) {
            continue;
        }
        let same = pairs::partner(held, old);
        let change = match same {
            None => Change::new(meaning::alone(&held.right), part, meaning::gained(&held.right, new)),
            Some(same) => {
                let is_lost = lost.iter().any(|lost| std::ptr::eq(*lost, same));
                let class = if is_lost { meaning::other(&held.right) } else { Class::Widened };
                lost.retain(|lost| !std::ptr::eq(*lost, same));
                Change::new(class, part, meaning::changed(&same.right, &held.right, class, new))
                    .was(&same.right)
            }
        };
        changes.push(change.at(&held.at).is(&held.right));
    }
    for held in &lost {
        if follows_from_safety(&held.right, &lost) {
            continue;
        }
        let class =
            if meaning::alone(&held.right) == Class::Widened { Class::Narrowed } else { Class::Moved };
        changes.push(match pairs::partner(held, new) {
            Some(same) => Change::new(class, part, meaning::changed(&held.right, &same.right, class, new))
                .at(&same.at)
                .was(&held.right)
                .is(&same.right),
            None => Change::new(class, part, meaning::lost(&held.right)).at(&held.at).was(&held.right),
        });
    }
    pairs::relabelled(part, old, new, &mut changes);
    changes
}

/// Whether the old rights had this one. What is for taking a run back needs no need of the author's, so only another such
/// right has it.
fn had(old: &[&Right], right: &Right) -> bool {
    let for_undo = |right: &Right| matches!(right, Right::Requests(requests) if requests.only_undo);
    let undo = for_undo(right);
    covers(old.iter().copied().filter(|old| !undo || for_undo(old)), right)
}

fn only(held: &[Held]) -> Vec<&Right> {
    held.iter().map(|held| &held.right).collect()
}

/// Whether a binding has or lacks it only because its safety class has or lacks plans.
fn follows_from_safety(right: &Right, changed: &[&Held]) -> bool {
    matches!(right, Right::Approval(_)) && changed.iter().any(|held| matches!(held.right, Right::Safety(_)))
}
