//! Why a request is allowed or denied, on each side, without running anything.
//!
//! The decision is [`decide()`]'s own. Beside it, the two sides are asked one by one with the very functions that
//! `decide` calls, so that a person sees both gaps at once: in the author's needs and in the operator's grants. Before
//! that, the request is parsed; what is refused there is refused for both.

use crate::binding::Binding;
use crate::decide::{self, Allowed, Denial, DenyReason, Door, decide};
use crate::manifest::{Manifest, NeedKind};
use crate::message::{Header, Request};
use crate::name;
use crate::origin::{Origin, OriginError};
use crate::rights::{self, MissingGrant, NeededRule, Rights};
use crate::rule::Rule;
use crate::visible::{self, visible};
use serde_json::{Value, json};

/// Why a request is allowed or denied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The service, where the binding grants one of that name.
    pub service: Option<String>,
    /// The door through which the request was judged.
    pub door: Door,
    /// What would become of it.
    pub decision: Decision,
    /// The author's side: what the manifest says that the component needs.
    pub author: Side,
    /// The operator's side: what the binding grants.
    pub operator: Side,
}

/// What would become of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It would go out.
    Allowed(Box<Allowed>),
    /// It would not.
    Denied(Box<Denial>),
    /// There would be no run: the binding lacks something that the component cannot do without.
    NoRun(Vec<MissingGrant>),
}

/// What one side says to a request. The texts are single lines without hidden characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Side {
    /// It lets it pass.
    Covers {
        /// The rule or the need that does.
        what: String,
    },
    /// It does not.
    Refuses {
        /// The first thing that did not match.
        why: String,
    },
}

/// Why a text names no service of a binding.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Neither of the two forms.
    #[error("`{0}` is neither scheme://host/path nor SERVICE:/path; {1}")]
    Form(String, String),
    /// What stands before the path is not an origin.
    #[error("{0}; {1}")]
    Origin(OriginError, String),
    /// No service lives there.
    #[error("no service lives at {0}; {1}")]
    NoService(Origin, String),
    /// No service has that name.
    #[error("there is no service `{0}`; {1}")]
    NoName(String, String),
    /// Several services live there.
    #[error("the services {1} live at {0}; say which one, as SERVICE:/path")]
    Several(Origin, String),
}

/// The request that a guest would make for a URL: `scheme://host[:port]/path`, with the origin compared as a value, or
/// `SERVICE:/path`. A body without a `content-type` is taken for JSON.
///
/// # Errors
///
/// A URL that fits no service of the binding, or, by name, of the manifest either; the text lists those that exist.
pub fn request_for(
    manifest: &Manifest,
    binding: &Binding,
    method: &str,
    url: &str,
    mut headers: Vec<Header>,
    body: Option<Vec<u8>>,
) -> Result<Request, UrlError> {
    let (service, path) = locate(manifest, binding, url)?;
    if body.is_some() && !headers.iter().any(|header| header.name.eq_ignore_ascii_case("content-type")) {
        headers.push(Header { name: "content-type".to_owned(), value: "application/json".to_owned() });
    }
    Ok(Request { service, method: method.to_owned(), path, headers, body })
}

/// The service and the path of a URL.
fn locate(manifest: &Manifest, binding: &Binding, url: &str) -> Result<(String, String), UrlError> {
    if !url.contains("://") {
        let (service, path) = url
            .split_once(':')
            .filter(|(service, path)| name::check_word(service).is_ok() && path.starts_with('/'))
            .ok_or_else(|| UrlError::Form(visible::clip(&visible(url), 200), existing(binding)))?;
        let stated = needs_of(manifest, service).next().is_some();
        if !stated && !binding.services.contains_key(service) {
            return Err(UrlError::NoName(service.to_owned(), existing(binding)));
        }
        return Ok((service.to_owned(), path.to_owned()));
    }
    let (origin, path) = Origin::of_url(url).map_err(|error| UrlError::Origin(error, existing(binding)))?;
    let there = binding.services.iter().filter(|(_, service)| service.origin.as_ref() == Some(&origin));
    let names: Vec<String> = there.map(|(name, _)| name.clone()).collect();
    match names.as_slice() {
        [] => Err(UrlError::NoService(origin, existing(binding))),
        [name] => Ok((name.clone(), path.to_owned())),
        _ => Err(UrlError::Several(origin, names.join(", "))),
    }
}

fn existing(binding: &Binding) -> String {
    let services = binding.services.iter().map(|(name, service)| format!("{name} ({})", service.place()));
    let services: Vec<String> = services.collect();
    if services.is_empty() {
        return format!("the binding of {} grants no service", binding.capability);
    }
    format!("the binding of {} grants {}", binding.capability, services.join(", "))
}

/// Explains a request. Without a door, the import through which it would pass is taken, else the one that comes
/// nearest; what an undo may do is answered only where that door is asked for.
pub fn explain(manifest: &Manifest, binding: &Binding, request: &Request, door: Option<Door>) -> Explanation {
    if let Some(door) = door {
        return through(manifest, binding, request, door);
    }
    let [fetch, perform] = [Door::Fetch, Door::Perform].map(|door| through(manifest, binding, request, door));
    let reads = matches!(request.method.as_str(), "GET" | "HEAD");
    match (nearness(&fetch), nearness(&perform)) {
        (one, other) if one > other || (one == other && reads) => fetch,
        _ => perform,
    }
}

/// How far a request gets: allowed, covered by one side, or up to a rule's conditions.
fn nearness(explanation: &Explanation) -> u8 {
    let covered = |side: &Side| u8::from(matches!(side, Side::Covers { .. }));
    let conditions = match &explanation.decision {
        Decision::Allowed(_) => 1,
        Decision::Denied(denial) => u8::from(!matches!(denial.reason, DenyReason::NoRule(_))),
        Decision::NoRun(_) => 0,
    };
    4 * covered(&explanation.operator) + 2 * covered(&explanation.author) + conditions
}

fn through(manifest: &Manifest, binding: &Binding, request: &Request, door: Door) -> Explanation {
    let decision = match Rights::intersect(manifest, binding) {
        Err(missing) => Decision::NoRun(missing),
        Ok(rights) => match decide(&rights, door, request) {
            Ok(allowed) => Decision::Allowed(Box::new(allowed)),
            Err(denial) => Decision::Denied(denial),
        },
    };
    let granted = binding.services.get_key_value(&request.service);
    let (author, operator) = match decide::parse(door, request) {
        Ok(parsed) => {
            let rule = granted.map(|(_, service)| decide::granted(service, &parsed).map(|(rule, _)| rule));
            let undone = matches!(rule, Some(Ok(rule)) if rule.only_undo);
            (author(manifest, &request.service, &parsed, undone), operator(binding, rule))
        }
        Err(reason) => {
            let refused = refuses(format!("no need can state such a request: {reason}"));
            (refused, refuses(format!("no rule can grant such a request: {reason}")))
        }
    };
    Explanation { service: granted.map(|(name, _)| name.clone()), door, decision, author, operator }
}

/// `undone` says that a rule `for: undo` covers the request.
fn author(manifest: &Manifest, service: &str, request: &decide::Parsed<'_>, undone: bool) -> Side {
    let mut stated = needs_of(manifest, service).peekable();
    if stated.peek().is_none() {
        return refuses("the manifest does not name this service".to_owned());
    }
    if undone {
        return covers("an undo that the component states with an effect".to_owned());
    }
    match stated.flatten().map(rights::needed).collect::<Result<Vec<NeededRule>, String>>() {
        Err(why) => refuses(format!("the manifest is wrong about this service: {why}")),
        Ok(needs) => match decide::needed(&needs, request) {
            Ok(need) => covers(format!("{} {} ({})", need.method, need.path, need.effect.as_str())),
            Err(why) => refuses(why.to_string()),
        },
    }
}

/// `rule` is what the service's rules say, where the binding grants the service.
fn operator(binding: &Binding, rule: Option<Result<&Rule, DenyReason>>) -> Side {
    match rule {
        Some(Ok(rule)) => covers(rule_words(rule)),
        Some(Err(reason)) => refuses(reason.to_string()),
        None => refuses(format!("the binding does not grant this service; {}", existing(binding))),
    }
}

fn rule_words(rule: &Rule) -> String {
    let only = if rule.only_undo { ", for undo only" } else { "" };
    format!("rule `{}`: {} {} ({}{only})", rule.id, rule.method, rule.path, rule.effect.as_str())
}

/// What the manifest states of a service, need by need.
fn needs_of<'a>(
    manifest: &'a Manifest,
    service: &str,
) -> impl Iterator<Item = &'a [crate::manifest::RuleNeed]> {
    manifest.needs.iter().filter_map(move |need| match &need.need {
        NeedKind::Service { name, rules } if name == service => Some(rules.as_slice()),
        _ => None,
    })
}

fn covers(what: String) -> Side {
    Side::Covers { what: visible(&what) }
}

fn refuses(why: String) -> Side {
    Side::Refuses { why: visible(&why) }
}

impl Explanation {
    /// For programs: `decision` (`allowed` or `denied`), `service`, `rule`, `door` (`fetch`, `perform` or `undo`),
    /// `missing`, what each side says, and the lines that would grant it.
    pub fn json(&self) -> Value {
        let side = |side: &Side| match side {
            Side::Covers { what } => json!({"covers": true, "what": what}),
            Side::Refuses { why } => json!({"covers": false, "why": why}),
        };
        let (decision, rule, missing) = match &self.decision {
            Decision::Allowed(allowed) => ("allowed", Some(allowed.rule.clone()), Vec::new()),
            Decision::Denied(denial) => ("denied", None, vec![denial.reason.to_string()]),
            Decision::NoRun(missing) => {
                ("denied", None, missing.iter().map(|missing| missing.what.clone()).collect())
            }
        };
        json!({
            "decision": decision,
            "service": self.service,
            "rule": rule,
            "door": match self.door {
                Door::Fetch => "fetch",
                Door::Perform => "perform",
                Door::Undo => "undo",
            },
            "missing": missing,
            "author": side(&self.author),
            "operator": side(&self.operator),
            "suggestion": self.suggestion(),
        })
    }

    /// The lines of the binding that would allow it, ready for a person to review, where lines would.
    pub fn suggestion(&self) -> Option<String> {
        match &self.decision {
            Decision::Denied(denial) => denial.suggestion(),
            Decision::Allowed(_) => None,
            Decision::NoRun(missing) => {
                let lines: Vec<&str> =
                    missing.iter().filter_map(|missing| missing.lines.as_deref()).collect();
                (!lines.is_empty()).then(|| visible::lines(&lines.join("\n")))
            }
        }
    }
}

#[cfg(test)]
mod tests;
