//! Rules that cover the same requests: the first in the file decides what such a request is called, which secrets go with
//! it and whether it is repeated. So an order that changes, or an earlier rule that goes, can change that without any
//! rule becoming wider.

use super::{Change, Class};
use crate::binding::Binding;
use crate::right::Requests;
use crate::service::Service;

/// A rule, with what it says of the requests that it decides on.
struct Decides<'a> {
    id: &'a str,
    requests: Requests,
    /// Secrets in bodies: their names and places, sorted.
    secrets: Vec<(&'a str, &'a str)>,
    repeated: Option<&'a str>,
}

/// What is now decided by another rule, and called or done otherwise for that.
pub(crate) fn decided_otherwise(old: &Binding, new: &Binding) -> Vec<Change> {
    let mut changes = Vec::new();
    for (name, after) in &new.services {
        let Some(before) = old.services.get(name) else { continue };
        let (before, after) = (rules(name, before), rules(name, after));
        for then in &before {
            for now in &after {
                let Some(both) = then.requests.intersect(&now.requests) else { continue };
                if is_first(then, &both, &before) && is_first(now, &both, &after) {
                    changes.extend(difference(name, then, now, &both));
                }
            }
        }
    }
    changes
}

fn rules<'a>(name: &str, service: &'a Service) -> Vec<Decides<'a>> {
    let of = |rule: &'a crate::rule::Rule| {
        let mut secrets: Vec<_> =
            service.secrets_of(&rule.id).map(|secret| (secret.name.as_str(), secret.at.as_str())).collect();
        secrets.sort_unstable();
        let requests = Requests::of_rule(name, service, rule)?;
        Some(Decides { id: &rule.id, requests, secrets, repeated: rule.idempotency.as_deref() })
    };
    service.rules.iter().filter_map(of).collect()
}

/// Whether some of these requests, which the rule covers, come as far as the rule. A part of them that earlier rules have
/// among themselves counts as coming: that shows a change too many and hides none.
fn is_first(rule: &Decides<'_>, both: &Requests, all: &[Decides<'_>]) -> bool {
    let mut earlier = all.iter().take_while(|other| other.id != rule.id);
    !earlier.any(|earlier| earlier.requests.shadows(both))
}

fn difference(name: &str, then: &Decides<'_>, now: &Decides<'_>, both: &Requests) -> Option<Change> {
    let (was, is) = (then.requests.effect, now.requests.effect);
    let new_secret = now.secrets.iter().find(|secret| !then.secrets.contains(secret));
    let (class, means) = if is < was {
        let means = format!("requests that counted as `{}` now count as `{}`", was.as_str(), is.as_str());
        (Class::Widened, means)
    } else if let Some((secret, at)) = new_secret {
        (Class::Widened, format!("the secret `{secret}` goes out in {at} of requests that had none there"))
    } else if now.repeated.is_some() && now.repeated != then.repeated {
        (Class::Widened, "the host may send these requests again where no answer came".to_owned())
    } else if is > was {
        let means = format!("requests that counted as `{}` now count as `{}`", was.as_str(), is.as_str());
        (Class::Narrowed, means)
    } else if then.secrets != now.secrets || then.repeated != now.repeated {
        (Class::Narrowed, "less goes with these requests".to_owned())
    } else {
        return None;
    };
    let requests = |rule: &Decides<'_>| {
        let Requests { method, path, .. } = both;
        format!("{method} {path} of {name}, decided by the rule `{}`", rule.id)
    };
    let change = Change::new(class, "binding", means).at(&format!("/services/{name}/rules/id={}", now.id));
    Some(change.was(requests(then)).is(requests(now)))
}
