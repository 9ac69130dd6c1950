//! May this request go out? The one place that says so.
//!
//! Checked in this order: the service, the method, the target, the form of the header fields, the size of the
//! body; then the operator's rules in the order of the file; then that the author said such requests are needed. A rule
//! `for: undo` needs no such word: the component has stated the very request as the undo of an effect.
//!
//! A rule covers a request when its effect belongs to the door that the request came through, its method and path
//! match, it lists every query key and every header field, and its body conditions hold. The first rule that
//! covers the request decides what it is recorded as. Where none does, the answer says what was wrong for the first
//! rule whose door, method and path matched.
//!
//! What goes out is built from what was parsed here and never from the guest's own bytes.

mod denial;

use crate::body::{self, BodyError};
pub use crate::decide::denial::{Denial, DenyReason};
use crate::header;
use crate::manifest::RuleEffect;
use crate::message::{Header, Request, WireRequest};
use crate::path::RequestTarget;
use crate::rights::{NeededRule, Rights};
use crate::rule::{Method, Rule};
use crate::service::Service;
use crate::visible;

/// The largest body of a request, in bytes.
const BODY_BYTES: usize = 8 * 1024 * 1024;

/// Through which import a request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// `fetch`: sees rules with `effect: read` only.
    Fetch,
    /// `perform`: sees rules with `effect: mutate` or `destroy` only, and none that is `for: undo`.
    Perform,
    /// No import: the host asks, for a plan that takes effects back, with the requests that were stated as their undo.
    /// Sees every rule with `effect: mutate` or `destroy`.
    Undo,
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

impl Door {
    fn admits(self, effect: RuleEffect) -> bool {
        match self {
            Self::Fetch => effect == RuleEffect::Read,
            Self::Perform | Self::Undo => effect > RuleEffect::Read,
        }
    }

    fn sees(self, rule: &Rule) -> bool {
        self.admits(rule.effect) && (self == Self::Undo || !rule.only_undo)
    }
}

/// What the author did not say that the component needs.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotNeeded {
    /// Such requests at all.
    #[error("the manifest states no need with {}, this method and this path", denial::door_words(*.0))]
    Request(Door),
    /// A query key.
    #[error("the manifest states a need with this method and path, and it does not list the query key `{0}`")]
    QueryKey(String),
    /// A header field.
    #[error("the manifest states a need with this method and path, and it does not list the header `{0}`")]
    Header(String),
}

/// A request after parsing: one spelling, nothing hidden.
pub(crate) struct Parsed<'a> {
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
        if !rights.is_optional_unbound(&request.service) {
            return Err(deny(DenyReason::ServiceUnknown, None));
        }
        let parsed = parse(door, request).ok();
        let reason = DenyReason::ServiceNotBound;
        let suggestion =
            parsed.and_then(|parsed| denial::suggest(rights.safety, &request.service, &parsed, &reason));
        return Err(deny(reason, suggestion));
    };
    let parsed = parse(door, request).map_err(|reason| deny(reason, None))?;
    let (rule, body) = granted(&service.grant, &parsed).map_err(|reason| {
        let suggestion = denial::suggest(rights.safety, &request.service, &parsed, &reason);
        deny(reason, suggestion)
    })?;
    if !rule.only_undo {
        needed(&service.needs, &parsed).map_err(|_| deny(DenyReason::NotNeeded, None))?;
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

pub(crate) fn parse(door: Door, request: &Request) -> Result<Parsed<'_>, DenyReason> {
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

/// The operator's side: the first rule that covers the request, with the body to send; or what was wrong for the first
/// that might have.
pub(crate) fn granted<'a>(
    service: &'a Service,
    request: &Parsed<'_>,
) -> Result<(&'a Rule, Option<Vec<u8>>), DenyReason> {
    if let Some(name) = credential_header(service, request) {
        return Err(DenyReason::HostHeader(visible::clip(name, 64)));
    }
    let mut first = None;
    let named = || {
        let covers = |rule: &&Rule| rule.method == request.method && rule.path.matches(request.target.path());
        service.rules.iter().filter(covers)
    };
    for rule in named().filter(|rule| request.door.sees(rule)) {
        match conditions(service, rule, request) {
            Ok(body) => return Ok((rule, body)),
            Err(reason) => first = first.or(Some(reason)),
        }
    }
    // Only a change could be meant by a rule that takes changes back.
    let undo = named().find(|rule| rule.only_undo && request.door == Door::Perform);
    Err(first.unwrap_or_else(|| match undo {
        Some(rule) => DenyReason::OnlyUndo { rule: rule.id.clone() },
        None => DenyReason::NoRule(request.door),
    }))
}

/// The author's side: the first need that covers the request, or, in words, what the first that might have leaves out.
pub(crate) fn needed<'a>(needs: &'a [NeededRule], request: &Parsed<'_>) -> Result<&'a NeededRule, NotNeeded> {
    let mut first = None;
    let candidates = needs.iter().filter(|need| {
        request.door.admits(need.effect)
            && need.method == request.method
            && need.path.matches(request.target.path())
    });
    for need in candidates {
        let key = request.target.keys().find(|key| !need.query.iter().any(|listed| listed == key));
        let gap = match (key, unlisted_header(&request.headers, &need.headers)) {
            (None, None) => return Ok(need),
            (Some(key), _) => NotNeeded::QueryKey(visible::clip(key, 64)),
            (None, Some(name)) => NotNeeded::Header(visible::clip(name, 64)),
        };
        first = first.or(Some(gap));
    }
    Err(first.unwrap_or(NotNeeded::Request(request.door)))
}

/// The conditions of a rule beyond method and path, and the body to send.
fn conditions(service: &Service, rule: &Rule, request: &Parsed<'_>) -> Result<Option<Vec<u8>>, DenyReason> {
    if let Some(key) = request.target.keys().find(|key| !rule.query.iter().any(|listed| listed == key)) {
        return Err(DenyReason::QueryKey { rule: rule.id.clone(), key: visible::clip(key, 64) });
    }
    if let Some(name) = &rule.idempotency
        && request.headers.iter().any(|header| header::is_same(&header.name, name))
    {
        return Err(DenyReason::HostHeader(name.clone()));
    }
    if let Some(name) = unlisted_header(&request.headers, &rule.headers) {
        return Err(DenyReason::Header { rule: rule.id.clone(), name: visible::clip(name, 64) });
    }
    let places: Vec<&str> = service.secrets_of(&rule.id).map(|secret| secret.at.as_str()).collect();
    if rule.body.is_empty() && places.is_empty() {
        return Ok(request.body.map(<[u8]>::to_vec));
    }
    let body = body::check(&rule.body, &places, &request.headers, request.body);
    body.map(Some).map_err(|why| match why {
        BodyError::Placeholder(at) => DenyReason::Placeholder { rule: rule.id.clone(), at },
        why => DenyReason::Body { rule: rule.id.clone(), why },
    })
}

/// A field of the request that a server could take for the credential's.
fn credential_header<'a>(service: &Service, request: &'a Parsed<'_>) -> Option<&'a str> {
    let credential = &service.credential.as_ref()?.header;
    let mut names = request.headers.iter().map(|header| header.name.as_str());
    names.find(|name| header::is_same(name, credential))
}

fn unlisted_header<'a>(headers: &'a [Header], listed: &[String]) -> Option<&'a str> {
    let allowed = |name: &str| header::ALWAYS.contains(&name) || listed.iter().any(|listed| listed == name);
    headers.iter().map(|header| header.name.as_str()).find(|name| !allowed(name))
}

#[cfg(test)]
mod tests;
