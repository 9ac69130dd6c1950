//! Secrets that belong into a request's body.
//!
//! The guest writes a placeholder where the secret goes, so neither it nor plan and journal ever hold the value; the
//! egress writes the value in last. Checked here, in order: the secret's name, the rule that it belongs to, that such
//! a request has a body, the place, and that no other secret or condition of the rule claims the same place.

use serde::Deserialize;

use crate::body::{PLACEHOLDER, Pointer};
use crate::name;
use crate::rule::{Method, Rule};
use crate::yaml::{At, Wrong};

/// The most body secrets of one service.
const SECRETS: usize = 50;

/// A secret that is written into the body of one rule's requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BodySecret {
    /// The secret's name in `ops.yaml`.
    pub name: String,
    /// A JSON pointer without `*`: where the body holds the placeholder.
    pub at: String,
    /// The id of the rule whose requests it is for.
    pub rule: String,
}

/// A body secret as written.
#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a secret, such as {name: smtp-password, at: /auth/password, rule: login}"
)]
pub(super) struct Written {
    name: At<String>,
    at: At<String>,
    rule: At<String>,
}

pub(super) fn check(written: Vec<Written>, rules: &[Rule]) -> Result<Vec<BodySecret>, Wrong> {
    let mut secrets: Vec<BodySecret> = Vec::new();
    for written in written {
        if secrets.len() == SECRETS {
            return Err(Wrong::at(&written.name, format!("a service has at most {SECRETS} body secrets")));
        }
        let secret = one(&written, rules)?;
        let mut earlier = secrets.iter().filter(|earlier| earlier.rule == secret.rule);
        if let Some(earlier) = earlier.find(|earlier| inside(&earlier.at, &secret.at)) {
            return Err(Wrong::at(
                &written.at,
                format!("`{}` is where the secret `{}` goes already", secret.at, earlier.name),
            ));
        }
        secrets.push(secret);
    }
    Ok(secrets)
}

fn one(written: &Written, rules: &[Rule]) -> Result<BodySecret, Wrong> {
    let (name, at) = (written.name.value.clone(), written.at.value.clone());
    name::check_word(&name).map_err(|why| Wrong::at(&written.name, why))?;
    let Some(rule) = rules.iter().find(|rule| rule.id == written.rule.value) else {
        let hint = name::nearest(&written.rule.value, rules.iter().map(|rule| rule.id.as_str()));
        let wrong = Wrong::at(&written.rule, format!("this service has no rule `{}`", written.rule.value));
        return Err(match hint {
            Some(id) => wrong.hint(format!("did you mean `{id}`?")),
            None => wrong,
        });
    };
    if matches!(rule.method, Method::Get | Method::Head) {
        let text = format!("{} requests have no body that a secret could be in", rule.method);
        return Err(Wrong::at(&written.rule, text));
    }
    let place = Pointer::parse(&at).map_err(|why| Wrong::at(&written.at, why))?;
    if !place.is_single() {
        return Err(Wrong::at(&written.at, "a secret goes to one place; `*` is for conditions only"));
    }
    if rule.body.iter().any(|predicate| predicate.pointer() == at) {
        let text =
            format!("rule `{}` has a condition on `{at}`, where the body holds \"{PLACEHOLDER}\"", rule.id);
        return Err(Wrong::at(&written.at, text).hint("remove the condition"));
    }
    Ok(BodySecret { name, at, rule: rule.id.clone() })
}

/// Whether one place is the other or lies in it.
fn inside(one: &str, other: &str) -> bool {
    let within = |outer: &str, inner: &str| {
        inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    within(one, other) || within(other, one)
}
