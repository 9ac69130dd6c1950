//! The rights that a binding grants, that a manifest asks for, and that a component imports.

use std::collections::{BTreeMap, BTreeSet};

use super::{Limit, Place, Requests, Right, milliseconds};
use crate::approval::Approval;
use crate::binding::Binding;
use crate::manifest::{Manifest, NeedKind, Safety};
use crate::rights::needed as needed_rule;
use crate::service::Service;

/// A right and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The right.
    pub right: Right,
    /// Its place in the binding, as a JSON pointer in which a rule stands by its id (`/services/mail/rules/id=send`);
    /// empty in a manifest.
    pub at: String,
    /// The id of its rule, where it is one.
    pub rule: Option<String>,
    /// Whether it can be done without; never so in a binding.
    pub optional: bool,
}

impl Held {
    fn granted(at: impl Into<String>, right: Right) -> Self {
        Self { right, at: at.into(), rule: None, optional: false }
    }
}

/// Everything that a binding grants, in the order of its fields. Rules that an earlier one leaves nothing to are left
/// out, as are conditions that no body could meet: they grant nothing.
pub fn granted(binding: &Binding) -> Vec<Held> {
    let mut all = vec![Held::granted("/safety", Right::Safety(binding.safety))];
    // A read-only capability has no plans.
    if binding.safety > Safety::ReadOnly {
        // Why nobody is asked is no right.
        let approval = Approval { reason: None, ..binding.approval.clone() };
        all.push(Held::granted("/approval", Right::Approval(approval)));
    }
    for (name, service) in &binding.services {
        of_service(name, service, &mut all);
    }
    for (name, directory) in &binding.directories {
        let (name, path) = (name.clone(), Some(directory.path.clone()));
        let at = format!("/directories/{name}");
        all.push(Held::granted(at, Right::Directory { name, path, access: directory.access }));
    }
    for (index, name) in binding.contracts.iter().enumerate() {
        all.push(Held::granted(format!("/contracts/{index}"), Right::Contract(name.clone())));
    }
    for (key, value) in &binding.config {
        let right = Right::Config { key: key.clone(), value: Some(value.clone()) };
        all.push(Held::granted(format!("/config/{key}"), right));
    }
    for (index, name) in binding.invoke.iter().enumerate() {
        all.push(Held::granted(format!("/invoke/{index}"), Right::Invoke(name.clone())));
    }
    for (index, name) in binding.starts.iter().enumerate() {
        all.push(Held::granted(format!("/starts/{index}"), Right::Starts(name.clone())));
    }
    let target = binding.lock.as_ref().map(ToString::to_string);
    all.push(Held::granted("/lock", Right::Beside(target)));
    let limits = &binding.limits;
    for (of, most) in [
        (Limit::Memory, limits.memory),
        (Limit::Time, milliseconds(limits.time)),
        (Limit::Requests, limits.requests),
        (Limit::Response, limits.response),
        (Limit::Output, limits.output),
        (Limit::Wait, milliseconds(limits.wait)),
    ] {
        all.push(Held::granted(format!("/limits/{}", of.as_str()), Right::Limit { of, most }));
    }
    all.push(Held::granted("/record", Right::Kept(binding.record)));
    all
}

fn of_service(name: &str, service: &Service, all: &mut Vec<Held>) {
    let at = |field: &str| format!("/services/{name}/{field}");
    let named = || name.to_owned();
    all.push(Held::granted(at("origin"), Right::Origin { service: named(), origin: service.origin.clone() }));
    // The host itself is not dialled.
    if service.origin.is_some() {
        all.push(Held::granted(at("tls"), Right::Trust { service: named(), tls: service.tls.clone() }));
    }
    for (index, range) in service.addresses.iter().enumerate() {
        let right = Right::Address { service: named(), range: range.trunc() };
        all.push(Held::granted(format!("{}/{index}", at("addresses")), right));
    }
    if let Some(credential) = &service.credential {
        let form = format!("{}{{}}{}", credential.before, credential.after);
        let place = Place::Header { name: credential.header.clone(), form };
        let right = Right::Secret { service: named(), secret: credential.secret.clone(), place };
        all.push(Held::granted(at("credential"), right));
    }
    let mut earlier: Vec<Requests> = Vec::new();
    for rule in &service.rules {
        let Some(requests) = Requests::of_rule(name, service, rule) else { continue };
        if earlier.iter().any(|earlier| earlier.shadows(&requests)) {
            continue;
        }
        earlier.push(requests.clone());
        let place = at(&format!("rules/id={}", rule.id));
        if let Some(header) = &rule.idempotency {
            let right = Right::Repeat { requests: requests.clone(), header: header.clone() };
            all.push(Held::granted(format!("{place}/idempotency"), right));
        }
        for secret in service.secrets_of(&rule.id) {
            let into = Place::Body { at: secret.at.clone(), requests: requests.clone() };
            let right = Right::Secret { service: named(), secret: secret.name.clone(), place: into };
            all.push(Held::granted(place.clone(), right));
        }
        let (right, rule) = (Right::Requests(requests), Some(rule.id.clone()));
        all.push(Held { right, at: place, rule, optional: false });
    }
}

/// Everything that an author says a component needs. A rule that is none is left out: such a component does not run.
pub fn needed(manifest: &Manifest) -> Vec<Held> {
    let mut all = vec![Held::granted("", Right::Safety(manifest.safety))];
    for need in &manifest.needs {
        let rights = match &need.need {
            NeedKind::Service { name, rules } => {
                let rules = rules.iter().filter_map(|rule| needed_rule(rule).ok());
                rules.map(|rule| Right::Requests(Requests::of_need(name, &rule))).collect()
            }
            NeedKind::Directory { name, access } => {
                vec![Right::Directory { name: name.clone(), path: None, access: *access }]
            }
            NeedKind::Contract { name } => vec![Right::Contract(name.clone())],
            NeedKind::Invoke { name } => vec![Right::Invoke(name.clone())],
            NeedKind::Config { key, .. } => vec![Right::Config { key: key.clone(), value: None }],
        };
        let held = |right| Held { optional: need.optional, ..Held::granted("", right) };
        all.extend(rights.into_iter().map(held));
    }
    all
}

/// What a component's imports let it ask for.
pub fn imported(imports: &BTreeSet<String>) -> Vec<Held> {
    // Two versions of one track are one right.
    let mut tracks = BTreeMap::new();
    for import in imports {
        let (name, version) = import.split_once('@').unwrap_or((import, ""));
        tracks.insert((name.to_owned(), track(version)), ());
    }
    let right = |((name, track), ())| Held::granted("", Right::Interface { name, track });
    tracks.into_iter().map(right).collect()
}

/// The part of a version that compatible versions share: the major number, and the minor one below 1.0.
fn track(version: &str) -> String {
    let mut numbers = version.split('.');
    match (numbers.next(), numbers.next()) {
        (Some("0"), Some(minor)) => format!("0.{minor}"),
        (Some(major), _) => major.to_owned(),
        (None, _) => String::new(),
    }
}
