//! What the binding grants: against what is needed, and by itself.

use std::collections::BTreeSet;

use ops_policy::address;
use ops_policy::finding::Severity;
use ops_policy::limits::Limits;
use ops_policy::manifest::{Manifest, RuleEffect};
use ops_policy::right::{Requests, Right, needed};
use ops_policy::rule::{Method, Rule};
use ops_policy::service::Service;
use ops_policy::visible::visible;

use super::super::page::Case;
use super::super::{Coverage, Finding, RightKind, RightRow};
use super::by_effect;

/// What a binding can set at most; see `ops_policy::limits`.
const MOST: Limits = Limits {
    memory: 4 << 30,
    time: std::time::Duration::from_secs(3600),
    requests: 10_000,
    response: 64 << 20,
    output: 16 << 20,
    wait: std::time::Duration::from_secs(600),
};

/// The last parts of paths at which one method and path does many things: JMAP (RFC 8620, 3.1), GraphQL over HTTP,
/// JSON-RPC 2.0 and XML-RPC as they are usually served.
const MULTIPLEXED: [&str; 7] = ["jmap", "graphql", "rpc", "jsonrpc", "json-rpc", "xmlrpc", "xml-rpc"];

/// The paths under which they stand, where a server has them at the place that its documentation suggests.
const UNDER: [&str; 4] = ["", "/api", "/v1", "/api/v1"];

/// The fields of a body that say nothing of what happens: GraphQL runs what `query` says, and `operationName` only picks
/// one of the operations in there, by a name that the sender gives it (October 2021, 6.1); `variables` are its values;
/// `jsonrpc` is a version; JMAP's `using` lists what may occur.
const SAYS_NOTHING: [&str; 4] = ["operationName", "variables", "jsonrpc", "using"];

/// A finding about a row of the page.
fn about_row(case: &Case<'_>, row: &RightRow, id: &'static str, what: String, fix: String) -> Finding {
    let place = match (&row.of, &row.rule, &row.name) {
        (Some(service), Some(rule), _) => format!("services/{service}/rules/{rule}"),
        (_, _, Some(name)) => format!("{}/{name}", row.kind.as_str()),
        _ => row.right.clone(),
    };
    Finding { subject: place, line: row.line, ..case.finding(id, by_effect(row.effect), "", what, fix) }
}

/// `grant-not-needed`: no need has anything in common with it. A service of which nothing is needed is one finding.
/// Rules `for: undo` answer to what a run has stated, not to the manifest, and are left out.
pub(super) fn not_needed(case: &Case<'_>) -> Vec<Finding> {
    let rows = || case.page.rights.iter().filter(|row| row.granted);
    let mut found = Vec::new();
    let mut whole = BTreeSet::new();
    for service in case.page.services.iter().map(|service| &service.name) {
        let mut rules = rows().filter(|row| row.of.as_ref() == Some(service)).peekable();
        if rules.peek().is_some() && rules.all(|row| row.needed == Coverage::No) {
            whole.insert(service);
            let effect =
                rows().filter(|row| row.of.as_ref() == Some(service)).filter_map(|row| row.effect).max();
            let what = format!("the service {service} is granted, and the manifest needs nothing of it");
            let at = format!("/services/{service}");
            found.push(case.finding(
                "grant-not-needed",
                by_effect(effect),
                &at,
                what,
                "remove it from the binding",
            ));
        }
    }
    let single = rows().filter(|row| row.needed == Coverage::No);
    let single = single.filter(|row| !row.of.as_ref().is_some_and(|service| whole.contains(service)));
    found.extend(single.map(|row| {
        let what = format!("{} is granted, and the manifest does not need it", row_name(row));
        about_row(case, row, "grant-not-needed", what, "remove it from the binding".to_owned())
    }));
    found
}

/// `grant-wider-than-need`: some of it is needed, and some is not.
pub(super) fn wider_than_need(case: &Case<'_>) -> Vec<Finding> {
    let Some(manifest) = case.manifest else { return Vec::new() };
    let rows = case.page.rights.iter().filter(|row| row.granted && row.needed == Coverage::Part);
    rows.map(|row| {
        let what = match row.kind {
            RightKind::Request => {
                let asked = asked(case, row, manifest);
                format!("{} lets pass more than is needed, which is {asked}", row_name(row))
            }
            RightKind::Directory => format!("{} may be staged, and is only read by need", row_name(row)),
            _ => format!("{} is more than is needed", row_name(row)),
        };
        about_row(case, row, "grant-wider-than-need", what, "narrow it to what is needed".to_owned())
    })
    .collect()
}

/// What the manifest needs of what a rule grants.
fn asked(case: &Case<'_>, row: &RightRow, manifest: &Manifest) -> String {
    let granted = row.of.as_ref().zip(row.rule.as_ref()).and_then(|(name, id)| {
        let service = case.binding.as_ref()?.services.get(name)?;
        Requests::of_rule(name, service, service.rule(id)?)
    });
    let asked: Vec<_> = needed(manifest)
        .into_iter()
        .filter_map(|need| match need.right {
            Right::Requests(asked) => Some(asked),
            _ => None,
        })
        .filter(|asked| granted.as_ref().is_some_and(|granted| granted.intersect(asked).is_some()))
        .map(|asked| asked.to_string())
        .collect();
    visible(&asked.join("; or "))
}

/// What a row is called in a sentence.
pub(super) fn row_name(row: &RightRow) -> String {
    match (&row.rule, &row.name) {
        (Some(rule), _) => format!("the rule {rule} ({})", row.right),
        (None, Some(name)) => match row.kind {
            RightKind::Invoke => format!("the call of {name}"),
            RightKind::Starts => format!("the start of {name}"),
            RightKind::Config => format!("the setting {name}"),
            kind => format!("the {} {name}", kind.as_str()),
        },
        (None, None) => row.right.clone(),
    }
}

/// `private-range`: one address, or loopback, is what a service of one's own looks like (low); a range is wherever its
/// name resolves to in there (medium).
pub(super) fn private_range(case: &Case<'_>) -> Vec<Finding> {
    let Some(binding) = &case.binding else { return Vec::new() };
    let ranges = binding.services.iter().flat_map(|(name, service)| {
        service.addresses.iter().enumerate().map(move |(index, range)| (name, service, index, range))
    });
    ranges
        .map(|(name, service, index, range)| {
            let at = format!("/services/{name}/addresses/{index}");
            let (severity, what, fix) = if address::is_loopback(range) {
                (
                    Severity::Low,
                    "loopback, where this host's own servers listen",
                    "make sure that no other server listens there",
                )
            } else if range.prefix_len() == range.max_prefix_len() {
                (Severity::Low, "a private address", "make sure that it is the service's")
            } else {
                (Severity::Medium, "a private range", "list the service's own addresses")
            };
            let what = format!("the service {name} at {} may be dialled in {range}, {what}", service.place());
            let finding = case.finding("private-range", severity, &at, what, fix);
            Finding { subject: format!("services/{name}/addresses/{range}"), ..finding }
        })
        .collect()
}

/// `limit-missing`: of a capability that talks to a service over the network, the limits that its binding leaves to the
/// default; of any capability, those that it sets to the most there is, which bounds nothing.
pub(super) fn limit_missing(case: &Case<'_>) -> Option<Finding> {
    let binding = case.binding.as_ref()?;
    let dials = binding.services.values().any(|service| service.origin.is_some());
    let unset: Vec<_> = ["time", "requests", "response"]
        .into_iter()
        .filter(|limit| dials && !case.lines.has(&format!("/limits/{limit}")))
        .collect();
    let limits = &binding.limits;
    let unbounded = [
        ("memory", limits.memory >= MOST.memory),
        ("time", limits.time >= MOST.time),
        ("requests", limits.requests >= MOST.requests),
        ("response", limits.response >= MOST.response),
        ("output", limits.output >= MOST.output),
    ];
    let unbounded: Vec<_> = unbounded.into_iter().filter(|(_, most)| *most).map(|(limit, _)| limit).collect();
    let mut parts = Vec::new();
    if !unset.is_empty() {
        parts.push(format!("it talks to a service, and leaves to the default: {}", unset.join(", ")));
    }
    if !unbounded.is_empty() {
        parts.push(format!("as much as can be written is allowed of: {}", unbounded.join(", ")));
    }
    let fix = "write under `limits:` what its runs need; the page shows what holds now";
    (!parts.is_empty())
        .then(|| case.finding("limit-missing", Severity::Low, "/limits", parts.join("; "), fix))
}

/// `body-unconditioned`: a rule without a condition on the body, where the body says what happens. High where it is to
/// read: it lets a change pass as a read, without a plan. PUT, PATCH and DELETE are for changing things (RFC 9110, 9.3),
/// so one that is to read is a finding whatever its conditions: medium, and high for DELETE, which does not need its body.
pub(super) fn body_unconditioned(case: &Case<'_>) -> Vec<Finding> {
    let Some(binding) = &case.binding else { return Vec::new() };
    let dialled = binding.services.iter().filter(|(_, service)| service.origin.is_some());
    let rules =
        dialled.flat_map(|(name, service)| service.rules.iter().map(move |rule| (name, service, rule)));
    rules
        .filter_map(|(name, service, rule)| {
            let (severity, why) = multiplexed(service, rule)?;
            let at = format!("/services/{name}/rules/id={}", rule.id);
            let what = format!("the rule {} ({} {}) {why}", rule.id, rule.method, rule.path);
            let fix = match rule.method {
                Method::Put | Method::Patch | Method::Delete if rule.effect == RuleEffect::Read => {
                    "call the effect what the method does: mutate or destroy"
                }
                _ => "add a condition under `body:` that lists what the request may ask for",
            };
            let finding = case.finding("body-unconditioned", severity, &at, what, fix);
            Some(Finding { subject: format!("services/{name}/rules/{}", rule.id), ..finding })
        })
        .collect()
}

fn multiplexed(service: &Service, rule: &Rule) -> Option<(Severity, String)> {
    if matches!(rule.method, Method::Get | Method::Head) || rule.only_undo {
        return None;
    }
    if rule.effect == RuleEffect::Read {
        let why = format!("nothing keeps a {} that is to read from changing something", rule.method);
        return match (rule.method, conditioned(rule)) {
            (Method::Post, true) => None,
            (_, false) => Some((Severity::High, format!("takes any body: {why}"))),
            (Method::Delete, true) => Some((Severity::High, format!("is to read: {why}"))),
            (_, true) => Some((Severity::Medium, format!("is to read: {why}"))),
        };
    }
    // What a DELETE takes away is in its path.
    if rule.method == Method::Delete || conditioned(rule) {
        return None;
    }
    let beside = service.rules.iter().find(|other| {
        other.id != rule.id
            && other.method == rule.method
            && (other.effect != rule.effect || conditioned(other))
            && other.path.intersect(&rule.path).is_some()
    });
    if let Some(other) = beside {
        let why = format!(
            "takes any body: the rule {} is for the same endpoint, which does more than one thing",
            other.id
        );
        return Some((Severity::Medium, why));
    }
    let why = || "takes any body: at such an endpoint the body alone says what happens".to_owned();
    covers_multiplexed(rule).then(|| (Severity::Medium, why()))
}

/// Whether a condition of the rule bounds what happens.
fn conditioned(rule: &Rule) -> bool {
    rule.body.iter().any(|condition| {
        // A list of requests is GraphQL's and JSON-RPC's way of sending several at once.
        let mut steps = condition.pointer().split('/').skip(1);
        let first = steps.find(|step| *step != "*" && step.parse::<u64>().is_err());
        first.is_none_or(|field| !SAYS_NOTHING.contains(&field))
    })
}

/// Whether its path is, or has among those that it leaves open, an endpoint at which one path does many things. All of
/// them are asked by POST.
fn covers_multiplexed(rule: &Rule) -> bool {
    let path = rule.path.to_string().to_ascii_lowercase();
    let last = path.split('/').rev().find(|part| !part.is_empty()).unwrap_or_default();
    if MULTIPLEXED.contains(&last) {
        return true;
    }
    let usual = || UNDER.iter().flat_map(|under| MULTIPLEXED.map(|name| format!("{under}/{name}")));
    rule.method == Method::Post && (last == "**" || usual().any(|path| rule.path.matches(&path)))
}

/// `safety-above-manifest`: the author says that it does less.
pub(super) fn safety_above_manifest(case: &Case<'_>) -> Option<Finding> {
    let (binding, manifest) = (case.binding.as_ref()?, case.manifest?);
    let (allowed, said) = (binding.safety, manifest.safety);
    (allowed > said).then(|| {
        let what =
            format!("the binding allows {}, and the manifest says {}", allowed.as_str(), said.as_str());
        let fix = format!("write `safety: {}`", said.as_str());
        case.finding("safety-above-manifest", Severity::Low, "/safety", what, fix)
    })
}
