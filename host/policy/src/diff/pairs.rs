//! Which right of the new version stands for which of the old one, so that a difference can be shown as what was and
//! what is.

use std::mem::discriminant;

use super::{Change, Class};
use crate::right::{Held, Place, Right};

/// The right that has the place of this one in the other list: the rule with its id, the limit of the same thing.
pub(super) fn partner<'a>(held: &Held, others: &'a [Held]) -> Option<&'a Held> {
    let kin = || others.iter().filter(|other| discriminant(&other.right) == discriminant(&held.right));
    let by_name = kin().find(|other| same_place(held, other));
    // A rule under another id, or a need, which has none: one that is wider or narrower for sure.
    by_name.or_else(|| {
        let related = |other: &&Held| {
            let is_free = other.rule.is_none()
                || !others.iter().any(|twin| twin.rule == held.rule && held.rule.is_some());
            is_free && (held.right.subsumes(&other.right) || other.right.subsumes(&held.right))
        };
        kin().find(related)
    })
}

fn same_place(one: &Held, other: &Held) -> bool {
    match (&one.right, &other.right) {
        (Right::Safety(_), Right::Safety(_))
        | (Right::Approval(_), Right::Approval(_))
        | (Right::Beside(_), Right::Beside(_))
        | (Right::Kept(_), Right::Kept(_)) => true,
        (Right::Interface { name, .. }, Right::Interface { name: other, .. }) => name == other,
        (Right::Requests(ours), Right::Requests(theirs)) => {
            ours.service == theirs.service && one.rule.is_some() && one.rule == other.rule
        }
        (Right::Origin { service, .. }, Right::Origin { service: other, .. })
        | (Right::Trust { service, .. }, Right::Trust { service: other, .. }) => service == other,
        (
            Right::Secret { service, secret, place: Place::Header { .. } },
            Right::Secret { service: other, secret: theirs, place: Place::Header { .. } },
        ) => (service, secret) == (other, theirs),
        (Right::Directory { name, .. }, Right::Directory { name: other, .. }) => name == other,
        (Right::Config { key, .. }, Right::Config { key: other, .. }) => key == other,
        (Right::Limit { of, .. }, Right::Limit { of: other, .. }) => of == other,
        _ => false,
    }
}

/// Services and directories under another name: where exactly one went and one came with the same origin or folder,
/// the old rights are put under the new name, and the change of the name is said once.
pub(super) fn renamed(old: &mut [Held], new: &[Held], changes: &mut Vec<Change>) {
    let gone: Vec<Held> =
        old.iter().filter(|held| !new.iter().any(|new| same_place(held, new))).cloned().collect();
    let came: Vec<&Held> = new.iter().filter(|held| !old.iter().any(|old| same_place(held, old))).collect();
    for before in &gone {
        let twins = |one: &Held, other: &Held| match (&one.right, &other.right) {
            (Right::Origin { origin, .. }, Right::Origin { origin: other, .. }) => origin == other,
            (Right::Directory { path, .. }, Right::Directory { path: other, .. }) => path == other,
            _ => false,
        };
        let mut after = came.iter().filter(|held| twins(before, held));
        let (Some(after), None) = (after.next(), after.next()) else { continue };
        if gone.iter().filter(|held| twins(held, before)).count() > 1 {
            continue;
        }
        let (what, from, to) = match (&before.right, &after.right) {
            (Right::Origin { service, .. }, Right::Origin { service: to, .. }) => ("service", service, to),
            (Right::Directory { name, .. }, Right::Directory { name: to, .. }) => ("directory", name, to),
            _ => continue,
        };
        let means = format!(
            "the {what} `{from}` is now called `{to}`; the component must ask for it by that name, and reaches the same place"
        );
        let change = Change::new(Class::Moved, "binding", means).at(&after.at);
        changes.push(change.was(&before.right).is(&after.right));
        for held in old.iter_mut() {
            rename(&mut held.right, what, from, to);
        }
    }
}

fn rename(right: &mut Right, what: &str, from: &str, to: &str) {
    // What goes with requests names the service in them, too.
    if let ("service", Right::Secret { place: Place::Body { requests, .. }, .. }) = (what, &mut *right)
        && requests.service == from
    {
        to.clone_into(&mut requests.service);
    }
    let name = match (what, right) {
        ("directory", Right::Directory { name, .. }) => name,
        ("service", Right::Requests(requests) | Right::Repeat { requests, .. }) => &mut requests.service,
        (
            "service",
            Right::Origin { service, .. }
            | Right::Trust { service, .. }
            | Right::Address { service, .. }
            | Right::Secret { service, .. },
        ) => service,
        _ => return,
    };
    if name == from {
        to.clone_into(name);
    }
}

/// Rules under another id, and needs that became or ceased to be optional.
pub(super) fn relabelled(part: &str, old: &[Held], new: &[Held], changes: &mut Vec<Change>) {
    for after in new {
        let equal = || old.iter().filter(|before| before.right == after.right);
        if after.rule.is_some()
            && !old.iter().any(|before| before.rule == after.rule)
            && let Some(before) = equal().find(|before| !new.iter().any(|after| after.rule == before.rule))
            && let (Some(from), Some(to)) = (&before.rule, &after.rule)
        {
            let means = format!(
                "the rule `{from}` is now called `{to}`, in receipts too; it lets the same requests pass"
            );
            changes.push(Change::new(Class::Moved, part, means).at(&after.at).is(&after.right));
        }
        let Some(before) = equal().next() else { continue };
        if before.optional != after.optional {
            let means = match after.optional {
                true => "it can now do without",
                false => "it no longer runs without",
            };
            changes.push(Change::new(Class::Moved, part, means).at(&after.at).is(&after.right));
        }
    }
}
