//! A request that may not go out: which rule or right was missing, and the lines that would grant it.

use crate::body::{self, BodyError};
use crate::decide::{Door, Parsed};
use crate::header;
use crate::manifest::{RuleEffect, Safety};
use crate::path::TargetError;
use crate::rights::{effect_word, quoted};
use crate::rule::{Method, ceiling};
use crate::visible;

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
    pub(super) suggestion: Option<String>,
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
    /// A header field that the host fills.
    #[error("the header `{0}` is filled by the host; a capability leaves it out")]
    HostHeader(String),
    /// The body is larger than 8 MiB.
    #[error("the body is larger than 8 MiB")]
    BodySize,
    /// A GET or HEAD request with a body.
    #[error("a GET or HEAD request has no body")]
    BodyOnRead,
    /// No rule for that door has this method and path.
    #[error("no rule with {} has this method and path", door_words(*.0))]
    NoRule(Door),
    /// The one rule with this method and path is `for: undo`, and nothing is being undone.
    #[error(
        "rule `{rule}` has this method and path, and it is `for: undo`: only a plan that takes a run back may use it"
    )]
    OnlyUndo {
        /// The rule.
        rule: String,
    },
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
    /// A rule matches, and where the host will write a secret the body does not hold the placeholder.
    #[error(
        "under rule `{rule}` the host writes a secret at `{at}`, and the body does not hold \"{}\" there",
        body::PLACEHOLDER
    )]
    Placeholder {
        /// The rule.
        rule: String,
        /// The place, a JSON pointer.
        at: String,
    },
    /// The binding grants it and the manifest does not need it.
    #[error(
        "the binding grants it, but the capability's manifest does not say that it needs such requests; its author has \
         to add that"
    )]
    NotNeeded,
}

impl DenyReason {
    /// The reason in words for a log that is kept and shared: as it is displayed, without what only the guest knows,
    /// which are the values in its body and the keys of its query. Names of header fields stay.
    pub fn audited(&self) -> String {
        match self {
            Self::QueryKey { rule, .. } => format!("rule `{rule}` does not list a query key of the request"),
            Self::Body { rule, why: BodyError::Value { pointer, .. } } => {
                let pointer = visible::visible(pointer);
                format!(
                    "rule `{rule}` does not allow this body: `{pointer}` finds a value that the rule does not allow"
                )
            }
            Self::ServiceUnknown
            | Self::ServiceNotBound
            | Self::Method
            | Self::Target(_)
            | Self::Headers(_)
            | Self::HostHeader(_)
            | Self::BodySize
            | Self::BodyOnRead
            | Self::NoRule(_)
            | Self::OnlyUndo { .. }
            | Self::Header { .. }
            | Self::Body { .. }
            | Self::Placeholder { .. }
            | Self::NotNeeded => self.to_string(),
        }
    }
}

impl Denial {
    /// The lines of the binding that would allow the request, ready for a person to review, with `NAME` where a name is
    /// to be chosen. `None` where no line of a binding would, or where conditions on the body are for a person to write.
    pub fn suggestion(&self) -> Option<String> {
        self.suggestion.clone()
    }
}

pub(super) fn door_words(door: Door) -> &'static str {
    match door {
        Door::Fetch => "`effect: read`",
        Door::Perform | Door::Undo => "`effect: mutate` or `destroy`",
    }
}

/// A rule for exactly this method, path, query and these headers, with the lines that it stands under.
/// Where it does more than the binding's safety class allows, the class that it takes comes first.
pub(super) fn suggest(
    safety: Safety,
    service: &str,
    request: &Parsed<'_>,
    reason: &DenyReason,
) -> Option<String> {
    let origin = match reason {
        DenyReason::NoRule(_) | DenyReason::QueryKey { .. } | DenyReason::Header { .. } => "",
        DenyReason::ServiceNotBound => "\n    origin: https://…",
        _ => return None,
    };
    let name = quoted(service);
    let effect = effect(request);
    let class = match effect {
        _ if effect <= ceiling(safety) || is_for_undo(request, safety) => "",
        RuleEffect::Destroy => "safety: destructive\n",
        RuleEffect::Read | RuleEffect::Mutate => "safety: mutating\n",
    };
    let rule = rule(request, is_for_undo(request, safety));
    Some(format!("{class}services:\n  {name}:{origin}\n    rules:\n      - {rule}"))
}

/// Whether a rule for this request would be `for: undo`, which needs no higher safety class.
fn is_for_undo(request: &Parsed<'_>, safety: Safety) -> bool {
    request.door == Door::Undo && safety > Safety::ReadOnly
}

fn effect(request: &Parsed<'_>) -> RuleEffect {
    match (request.door, request.method) {
        (Door::Fetch, _) => RuleEffect::Read,
        (Door::Perform | Door::Undo, Method::Delete) => RuleEffect::Destroy,
        (Door::Perform | Door::Undo, _) => RuleEffect::Mutate,
    }
}

fn rule(request: &Parsed<'_>, for_undo: bool) -> String {
    let effect = effect(request);
    let path = quoted(request.target.path());
    let mut rule =
        format!("{{id: NAME, method: {}, path: {path}, effect: {}", request.method, effect_word(effect));
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
    rule.push_str(if for_undo { ", for: undo}" } else { "}" });
    rule
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_learns_why_and_nothing_of_the_guests_values() {
        let rule = || "send".to_owned();
        let body = |why| DenyReason::Body { rule: rule(), why };
        for (reason, log) in [
            (
                DenyReason::QueryKey { rule: rule(), key: "hunter2".into() },
                "rule `send` does not list a query key of the request",
            ),
            (
                body(BodyError::Value { pointer: "/to".into(), found: "\"hunter2\"".into() }),
                "rule `send` does not allow this body: `/to` finds a value that the rule does not allow",
            ),
        ] {
            assert!(reason.to_string().contains("hunter2"), "{reason}");
            assert_eq!(reason.audited(), log);
        }
        for reason in [
            DenyReason::Header { rule: rule(), name: "x-other".into() },
            DenyReason::HostHeader("x-other".into()),
            DenyReason::Target(TargetError::Escape),
            DenyReason::NoRule(Door::Fetch),
            DenyReason::OnlyUndo { rule: rule() },
            body(BodyError::Kind("/to".into())),
            body(BodyError::Json("expected value at line 1 column 2".into())),
        ] {
            assert_eq!(reason.audited(), reason.to_string());
        }
    }
}
