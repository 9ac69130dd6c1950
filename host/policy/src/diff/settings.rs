//! Two versions of `ops.yaml`, and of the list of approvers.

use super::{Change, Class};
use crate::approvers::{Approvers, Listed};
use crate::right::{Limit, milliseconds};
use crate::service::Tls;
use crate::settings::audit::{Suppression, WORKSPACE};
use crate::settings::{Infisical, Own, Require, Settings};

const PART: &str = "settings";

/// What the new `ops.yaml` lets happen that the old one did not, and the reverse.
pub fn settings(old: &Settings, new: &Settings) -> Vec<Change> {
    let mut changes = Vec::new();
    if old.workspace != new.workspace {
        let change = Change::new(Class::Moved, PART, "the workspace has another name").at("/workspace");
        changes.push(change.was(&old.workspace).is(&new.workspace));
    }
    secrets(old, new, &mut changes);
    infisical(old.infisical.as_ref(), new.infisical.as_ref(), &mut changes);
    approvals(old, new, &mut changes);
    for (name, role) in &new.agents {
        let before = old.agents.get(name);
        if before != Some(role) {
            let class = if before > Some(role) { Class::Narrowed } else { Class::Widened };
            let means = format!("the agent `{name}` comes in as {}", role.as_str());
            changes.push(Change::new(class, PART, means).at("/agents"));
        }
    }
    for name in old.agents.keys().filter(|name| !new.agents.contains_key(*name)) {
        changes.push(
            Change::new(Class::Narrowed, PART, format!("the agent `{name}` no longer comes in"))
                .at("/agents"),
        );
    }
    required(&old.require, &new.require, &mut changes);
    suppressed(old, new, &mut changes);
    if old.records != new.records {
        let means = "bodies of requests and answers are kept for another time, or up to another size";
        let text = |settings: &Settings| {
            let kept = milliseconds(settings.records.retention);
            format!("{}, {}", Limit::Time.amount(kept), Limit::Memory.amount(settings.records.store))
        };
        changes.push(Change::new(Class::Moved, PART, means).at("/records").was(text(old)).is(text(new)));
    }
    changes
}

fn secrets(old: &Settings, new: &Settings, changes: &mut Vec<Change>) {
    for (name, secret) in &new.secrets {
        let at = format!("/secrets/{name}");
        let before = old.secrets.get(name);
        for origin in &secret.origins {
            if !before.is_some_and(|before| before.origins.contains(origin)) {
                let means = format!("the secret `{name}` may be sent to {origin}");
                changes.push(Change::new(Class::Widened, PART, means).at(&at));
            }
        }
        let Some(before) = before else { continue };
        for origin in before.origins.iter().filter(|origin| !secret.origins.contains(origin)) {
            let means = format!("the secret `{name}` may no longer be sent to {origin}");
            changes.push(Change::new(Class::Narrowed, PART, means).at(&at));
        }
        if before.from != secret.from {
            let other =
                old.secrets.iter().find(|(other, secrets)| *other != name && secrets.from == secret.from);
            let sent = |origin| other.is_some_and(|(_, other)| other.origins.contains(origin));
            let (class, means) = match other {
                // What went under another name to other places now goes to this one's.
                Some((other, _)) if !secret.origins.iter().all(sent) => {
                    let means =
                        format!("the secret `{name}` is now what `{other}` was, and goes where that did not");
                    (Class::Widened, means)
                }
                _ => (Class::Moved, format!("the secret `{name}` is read from elsewhere")),
            };
            changes.push(Change::new(class, PART, means).at(&at).was(&before.from).is(&secret.from));
        }
    }
    for name in old.secrets.keys().filter(|name| !new.secrets.contains_key(*name)) {
        let means = format!("the secret `{name}` is no longer named, so it goes nowhere");
        changes.push(Change::new(Class::Narrowed, PART, means).at("/secrets"));
    }
}

fn infisical(old: Option<&Infisical>, new: Option<&Infisical>, changes: &mut Vec<Change>) {
    let (class, means) = match (old, new) {
        (old, new) if old == new => return,
        (_, None) => (Class::Narrowed, "secrets are no longer read from Infisical"),
        (None, Some(_)) => (Class::Widened, "secrets may be read from Infisical"),
        (Some(_), Some(_)) => (Class::Widened, "secrets are read from another Infisical, or otherwise"),
    };
    let text = |server: &Infisical| {
        let by = match &server.tls {
            None => "the system's certificates".to_owned(),
            Some(Tls::Authority { ca }) => ca.clone(),
            Some(Tls::Pinned { fingerprint }) => fingerprint.to_string(),
        };
        let ranges: Vec<_> = server.addresses.iter().map(ToString::to_string).collect();
        format!(
            "{} [{}] by {by}, as {} with `{}`",
            server.origin,
            ranges.join(" "),
            server.client_id,
            server.client_secret
        )
    };
    let mut change = Change::new(class, PART, means).at("/infisical");
    change = if let Some(old) = old { change.was(text(old)) } else { change };
    changes.push(if let Some(new) = new { change.is(text(new)) } else { change });
}

fn approvals(old: &Settings, new: &Settings, changes: &mut Vec<Change>) {
    let (before, after) = (&old.approvals, &new.approvals);
    for (what, at, was, is) in [
        ("a plan", "/approvals/plan", before.plan, after.plan),
        ("an approval", "/approvals/approval", before.approval, after.approval),
    ] {
        if was != is {
            let class = if is > was { Class::Widened } else { Class::Narrowed };
            let means = format!("{what} is good for {}", if is > was { "longer" } else { "less long" });
            let text = |time| Limit::Time.amount(milliseconds(time));
            changes.push(Change::new(class, PART, means).at(at).was(text(was)).is(text(is)));
        }
    }
    if before.own != after.own {
        let (class, means) = match after.own {
            Own::Allowed => (Class::Widened, "whoever asked for a plan may approve it"),
            Own::Refused => (Class::Narrowed, "whoever asked for a plan may no longer approve it"),
        };
        changes.push(Change::new(class, PART, means).at("/approvals/self"));
    }
    if before.destructive != after.destructive {
        let fewer = after.destructive < before.destructive;
        let class = if fewer { Class::Widened } else { Class::Narrowed };
        let means = format!("{} people approve a destructive plan", if fewer { "fewer" } else { "more" });
        let change = Change::new(class, PART, means).at("/approvals/destructive");
        changes.push(change.was(before.destructive).is(after.destructive));
    }
}

fn required(old: &Require, new: &Require, changes: &mut Vec<Change>) {
    if old.landlock != new.landlock {
        let (class, means) = match new.landlock {
            true => (Class::Narrowed, "guests run only where the kernel confines them with Landlock"),
            false => (Class::Widened, "guests run without Landlock where the kernel has none"),
        };
        changes.push(Change::new(class, PART, means).at("/require/landlock"));
    }
    if old.user != new.user {
        let (class, means) = match (&old.user, &new.user) {
            (None, _) => (Class::Narrowed, "everything here must belong to one user"),
            (_, None) => (Class::Widened, "nothing here must belong to one user any longer"),
            _ => (Class::Moved, "everything here must belong to another user"),
        };
        changes.push(Change::new(class, PART, means).at("/require/user"));
    }
    if old.review != new.review {
        // No review asked for is more than one asked for from any class on; a graver class leaves more without.
        let laxer =
            new.review.is_none() || old.review.is_some_and(|old| new.review.is_some_and(|new| new > old));
        let class = if laxer { Class::Widened } else { Class::Narrowed };
        let means = match laxer {
            true => "fewer capabilities need a review to run",
            false => "more capabilities need a review to run",
        };
        let text = |require: &Require| {
            require.review.map_or_else(|| "none".to_owned(), |least| format!("{} and above", least.as_str()))
        };
        changes.push(Change::new(class, PART, means).at("/require/review").was(text(old)).is(text(new)));
    }
}

/// What an audit no longer shows, which is less for whoever relies on it, and the reverse.
fn suppressed(old: &Settings, new: &Settings, changes: &mut Vec<Change>) {
    let of = |one: &Suppression| {
        let name = one.capability.clone().unwrap_or_else(|| WORKSPACE.to_owned());
        one.subject.as_ref().map_or(name.clone(), |subject| format!("{name} ({subject})"))
    };
    let same = |one: &Suppression, other: &Suppression| {
        (one.finding, &one.capability, &one.subject) == (other.finding, &other.capability, &other.subject)
    };
    let (before, after) = (&old.audit.suppress, &new.audit.suppress);
    for (index, now) in after.iter().enumerate() {
        let at = format!("/audit/suppress/{index}");
        let (finding, of) = (now.finding, of(now));
        let Some(then) = before.iter().find(|then| same(then, now)) else {
            let means = format!("audits no longer show `{finding}` of {of}, until {}", now.expires);
            changes.push(Change::new(Class::Widened, PART, means).at(&at));
            continue;
        };
        if then.expires != now.expires {
            let (class, how) = if now.expires > then.expires {
                (Class::Widened, "longer")
            } else {
                (Class::Narrowed, "shorter")
            };
            let means = format!("audits do not show `{finding}` of {of} for {how}");
            changes.push(Change::new(class, PART, means).at(&at).was(then.expires).is(now.expires));
        }
        if then.reason != now.reason {
            let means = format!("another reason why audits do not show `{finding}` of {of}");
            changes.push(Change::new(Class::Moved, PART, means).at(&at).was(&then.reason).is(&now.reason));
        }
    }
    for gone in before.iter().filter(|then| !after.iter().any(|now| same(then, now))) {
        let means = format!("audits show `{}` of {} again", gone.finding, of(gone));
        changes.push(Change::new(Class::Narrowed, PART, means).at("/audit"));
    }
}

/// Who may sign that could not, and the reverse.
pub fn approvers(old: &Approvers, new: &Approvers) -> Vec<Change> {
    let (before, after): (Vec<Listed>, Vec<Listed>) = (old.listed().collect(), new.listed().collect());
    let covered = |lines: &[Listed], line: &Listed| lines.iter().any(|one| one.subsumes(line));
    let same_key = |lines: &[Listed], line: &Listed| {
        lines.iter().find(|one| one.fingerprint == line.fingerprint).map(ToString::to_string)
    };
    let mut changes = Vec::new();
    for line in after.iter().filter(|line| !covered(&before, line)) {
        let mut change = Change::new(
            Class::Widened,
            "approvers",
            "whoever holds this key may sign, as far as the line says",
        )
        .is(line);
        change.was = same_key(&before, line);
        changes.push(change);
    }
    for line in before.iter().filter(|line| !covered(&after, line)) {
        let now = same_key(&after, line);
        // Where the line grew and shrank at once, it is named above already.
        if now.is_some() && changes.iter().any(|change: &Change| change.is == now) {
            continue;
        }
        let mut change = Change::new(Class::Narrowed, "approvers", "that no longer counts").was(line);
        change.is = now;
        changes.push(change);
    }
    changes
}
