//! May this request go out? The one place that says so.
//!
//! Checked in this order: the service, the method, the target, the form of the header fields, the size of the
//! body; then the operator's rules in the order of the file; then that the author said such requests are needed.
//!
//! A rule covers a request when its effect belongs to the door that the request came through, its method and path
//! match, it lists every query key and every header field, and its body conditions hold. The first rule that
//! covers the request decides what it is recorded as. Where none does, the answer says what was wrong for the first
//! rule whose door, method and path matched.
//!
//! What goes out is built from what was parsed here and never from the guest's own bytes.

use crate::body::{self, BodyError};
use crate::header;
use crate::manifest::RuleEffect;
use crate::message::{Header, Request, WireRequest};
use crate::path::{RequestTarget, TargetError};
use crate::rights::{GrantedService, Rights, effect_word, quoted};
use crate::rule::{Method, Rule};
use crate::visible;

/// The largest body of a request, in bytes.
const BODY_BYTES: usize = 8 * 1024 * 1024;

/// Through which import a request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// `fetch`: sees rules with `effect: read` only.
    Fetch,
    /// `perform`: sees rules with `effect: mutate` or `destroy` only.
    Perform,
}

/// A request that may go out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowed {
    /// The service.
    pub service: String,
    /// The id of the rule that covers it.
    pub rule: String,
    /// What the rule says such a request does.
    pub effect: RuleEffect,
    /// What is sent.
    pub request: WireRequest,
}

/// A request that may not go out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{} {} to service `{}` is denied: {reason}",
    visible::visible(method),
    visible::visible(path),
    visible::visible(service)
)]
pub struct Denial {
    /// The service that was asked for, shortened.
    pub service: String,
    /// The method, shortened.
    pub method: String,
    /// The path without the query, which may hold what is private, shortened.
    pub path: String,
    /// Which rule or right was missing.
    pub reason: DenyReason,
    suggestion: Option<String>,
}

/// Which rule or right was missing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DenyReason {
    /// The manifest does not name the service.
    #[error("the capability's manifest does not name this service")]
    ServiceUnknown,
    /// The manifest names the service as optional, and the binding does not grant it.
    #[error("the service is optional, and the binding does not grant it")]
    ServiceNotBound,
    /// No rule can grant this method.
    #[error("no rule can grant this method; it is one of GET, HEAD, POST, PUT, PATCH, DELETE")]
    Method,
    /// The path or the query is not in its plain spelling.
    #[error("the path is refused: {0}")]
    Target(TargetError),
    /// The header fields are malformed.
    #[error("the header fields are refused: {0}")]
    Headers(String),
    /// The body is larger than 8 MiB.
    #[error("the body is larger than 8 MiB")]
    BodySize,
    /// A GET or HEAD request with a body.
    #[error("a GET or HEAD request has no body")]
    BodyOnRead,
    /// No rule for that door has this method and path.
    #[error("no rule with {} has this method and path", door_words(*.0))]
    NoRule(Door),
    /// A rule matches and does not list a query key.
    #[error("rule `{rule}` does not list the query key `{}`", visible::visible(key))]
    QueryKey {
        /// The rule.
        rule: String,
        /// The key, shortened.
        key: String,
    },
    /// A rule matches and does not list a header field.
    #[error("rule `{rule}` does not list the header `{name}`")]
    Header {
        /// The rule.
        rule: String,
        /// The field's name, shortened.
        name: String,
    },
    /// A rule matches and its body conditions do not hold.
    #[error("rule `{rule}` does not allow this body: {}", visible::visible(&why.to_string()))]
    Body {
        /// The rule.
        rule: String,
        /// Which condition.
        why: BodyError,
    },
    /// The binding grants it and the manifest does not need it.
    #[error("the binding grants it, but the capability's manifest does not say that it needs such requests")]
    NotNeeded,
}

fn door_words(door: Door) -> &'static str {
    match door {
        Door::Fetch => "`effect: read`",
        Door::Perform => "`effect: mutate` or `destroy`",
    }
}

impl Door {
    fn admits(self, effect: RuleEffect) -> bool {
        match self {
            Self::Fetch => effect == RuleEffect::Read,
            Self::Perform => effect > RuleEffect::Read,
        }
    }
}

impl Denial {
    /// The YAML rule that would have allowed the request, for a person to review. `None` where no rule would.
    pub fn suggestion(&self) -> Option<String> {
        self.suggestion.clone()
    }
}

/// A request after parsing: one spelling, nothing hidden.
struct Parsed<'a> {
    door: Door,
    method: Method,
    target: RequestTarget,
    headers: Vec<Header>,
    body: Option<&'a [u8]>,
}

/// Decides on a request.
///
/// # Errors
///
/// A denial with the first thing that is wrong, in the order of this module.
pub fn decide(rights: &Rights, door: Door, request: &Request) -> Result<Allowed, Box<Denial>> {
    let deny = |reason, suggestion| {
        Box::new(Denial {
            service: visible::clip(&request.service, 64),
            method: visible::clip(&request.method, 16),
            path: visible::clip(request.path.split(['?', '#']).next().unwrap_or_default(), 512),
            reason,
            suggestion,
        })
    };
    let Some(service) = rights.services.get(&request.service) else {
        let bound = !rights.is_optional_unbound(&request.service);
        return Err(deny(if bound { DenyReason::ServiceUnknown } else { DenyReason::ServiceNotBound }, None));
    };
    let parsed = parse(door, request).map_err(|reason| deny(reason, None))?;
    let (rule, body) = covering_rule(service, &parsed).map_err(|reason| {
        let suggestion = suggest(&parsed, &reason);
        deny(reason, suggestion)
    })?;
    if !is_needed(service, &parsed) {
        return Err(deny(DenyReason::NotNeeded, None));
    }
    Ok(Allowed {
        service: request.service.clone(),
        rule: rule.id.clone(),
        effect: rule.effect,
        request: WireRequest {
            method: parsed.method.as_str().to_owned(),
            target: parsed.target.to_wire(),
            headers: parsed.headers,
            body,
        },
    })
}

fn parse(door: Door, request: &Request) -> Result<Parsed<'_>, DenyReason> {
    let method = Method::parse(&request.method).ok_or(DenyReason::Method)?;
    let target = RequestTarget::parse(&request.path).map_err(DenyReason::Target)?;
    let headers = header::canonical(&request.headers).map_err(DenyReason::Headers)?;
    let body = request.body.as_deref();
    if body.is_some_and(|body| body.len() > BODY_BYTES) {
        return Err(DenyReason::BodySize);
    }
    // No rule could judge it, and servers differ in what they make of it.
    if body.is_some() && matches!(method, Method::Get | Method::Head) {
        return Err(DenyReason::BodyOnRead);
    }
    Ok(Parsed { door, method, target, headers, body })
}

/// The first rule that covers the request, with the body to send; or what was wrong for the first that might have.
fn covering_rule<'a>(
    service: &'a GrantedService,
    request: &Parsed<'_>,
) -> Result<(&'a Rule, Option<Vec<u8>>), DenyReason> {
    let mut first = None;
    let candidates = service.grant.rules.iter().filter(|rule| {
        request.door.admits(rule.effect)
            && rule.method == request.method
            && rule.path.matches(request.target.path())
    });
    for rule in candidates {
        match conditions(rule, request) {
            Ok(body) => return Ok((rule, body)),
            Err(reason) => first = first.or(Some(reason)),
        }
    }
    Err(first.unwrap_or(DenyReason::NoRule(request.door)))
}

/// The conditions of a rule beyond method and path, and the body to send.
fn conditions(rule: &Rule, request: &Parsed<'_>) -> Result<Option<Vec<u8>>, DenyReason> {
    if let Some(key) = request.target.keys().find(|key| !rule.query.iter().any(|listed| listed == key)) {
        return Err(DenyReason::QueryKey { rule: rule.id.clone(), key: visible::clip(key, 64) });
    }
    if let Some(name) = unlisted_header(&request.headers, &rule.headers) {
        return Err(DenyReason::Header { rule: rule.id.clone(), name: visible::clip(name, 64) });
    }
    if rule.body.is_empty() {
        return Ok(request.body.map(<[u8]>::to_vec));
    }
    let body = body::check(&rule.body, &request.headers, request.body);
    body.map(Some).map_err(|why| DenyReason::Body { rule: rule.id.clone(), why })
}

fn unlisted_header<'a>(headers: &'a [Header], listed: &[String]) -> Option<&'a str> {
    let allowed = |name: &str| header::ALWAYS.contains(&name) || listed.iter().any(|listed| listed == name);
    headers.iter().map(|header| header.name.as_str()).find(|name| !allowed(name))
}

/// Whether the author said that such requests are needed.
fn is_needed(service: &GrantedService, request: &Parsed<'_>) -> bool {
    service.needs.iter().any(|need| {
        request.door.admits(need.effect)
            && need.method == request.method
            && need.path.matches(request.target.path())
            && request.target.keys().all(|key| need.query.iter().any(|listed| listed == key))
            && unlisted_header(&request.headers, &need.headers).is_none()
    })
}

/// A rule for exactly this method, path, query and these headers. Body conditions are for a person to write.
fn suggest(request: &Parsed<'_>, reason: &DenyReason) -> Option<String> {
    if !matches!(reason, DenyReason::NoRule(_) | DenyReason::QueryKey { .. } | DenyReason::Header { .. }) {
        return None;
    }
    let effect = match (request.door, request.method) {
        (Door::Fetch, _) => RuleEffect::Read,
        (Door::Perform, Method::Delete) => RuleEffect::Destroy,
        (Door::Perform, _) => RuleEffect::Mutate,
    };
    let path = quoted(request.target.path());
    let mut rule =
        format!("- {{id: NAME, method: {}, path: {path}, effect: {}", request.method, effect_word(effect));
    let mut keys: Vec<String> = request.target.keys().map(quoted).collect();
    keys.sort();
    keys.dedup();
    let beyond = request.headers.iter().map(|header| header.name.as_str());
    let beyond: Vec<String> = beyond.filter(|name| !header::ALWAYS.contains(name)).map(quoted).collect();
    for (field, list) in [("query", keys), ("headers", beyond)] {
        if !list.is_empty() {
            rule.push_str(&format!(", {field}: [{}]", list.join(", ")));
        }
    }
    rule.push('}');
    Some(rule)
}

#[cfg(test)]
mod tests;
