//! The registry, as the service `ops` answers it: every capability that the lock holds, with what its binding grants.

use jiff::Timestamp;
use ops_policy::approval::{Accept, Mode};
use ops_policy::binding::Binding;
use ops_policy::manifest::{Manifest, NeedKind, RuleNeed};
use ops_policy::rights::Rights;
use ops_policy::rule::{PathPattern, Rule};
use serde_json::{Value, json};

use super::Missing;
use super::lines::lines;
use crate::pinned::{Capability, binding_file};
use crate::runner::Runner;

impl Runner {
    pub(super) fn registry(&self) -> Result<Value, Missing> {
        let pinned = self.pinned(Timestamp::now()).map_err(|refusal| Missing::Failed(refusal.message))?;
        let names = pinned.names().map_err(|refusal| Missing::Failed(refusal.message))?;
        let rows = names.into_iter().map(|name| match pinned.capability(self.workspace(), name) {
            Ok(capability) => {
                let fault = self.vouched(&pinned, name).err().map(|refusal| refusal.message);
                let text = self.workspace().read(&capability.binding_file).unwrap_or_default();
                row(&capability, &String::from_utf8_lossy(&text), fault)
            }
            Err(refusal) => faulty(name, &refusal.message),
        });
        Ok(json!({"capabilities": rows.collect::<Vec<_>>()}))
    }
}

fn domain(name: &str) -> &str {
    name.split('.').next().unwrap_or_default()
}

fn row(capability: &Capability, text: &str, fault: Option<String>) -> Value {
    let Capability { name, binding, manifest, .. } = capability;
    let rights = Rights::intersect(manifest, binding);
    let missing = || {
        let missing = rights.as_ref().err()?;
        Some(missing.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
    };
    let unneeded = rights.as_ref().map(|rights| rights.unneeded().to_vec()).unwrap_or_default();
    let arguments = manifest.input.get("properties").and_then(Value::as_object);
    json!({
        "name": name, "domain": domain(name), "summary": manifest.summary, "safety": binding.safety.as_str(),
        "approval": match binding.approval.mode { Mode::Auto => "auto", Mode::Manual => "manual" },
        "reason": binding.approval.reason,
        "accept": binding.approval.accept.iter().map(accept).collect::<Vec<_>>(),
        "binding": capability.binding_file, "component": binding.component,
        "services": services(manifest, binding),
        "directories": binding.directories.iter().map(|(name, directory)| {
            json!({"name": name, "path": directory.path, "access": directory.access.as_str()})
        }).collect::<Vec<_>>(),
        "contracts": binding.contracts, "invoke": binding.invoke, "starts": binding.starts,
        "unneeded": unneeded, "fault": fault.or_else(missing),
        "arguments": arguments.map(|arguments| arguments.keys().collect::<Vec<_>>()).unwrap_or_default(),
        "lines": lines(text, binding),
    })
}

/// A capability that cannot run says so, and hides no other.
fn faulty(name: &str, why: &str) -> Value {
    json!({
        "name": name, "domain": domain(name), "summary": "", "safety": "", "approval": "", "reason": null,
        "accept": [], "binding": binding_file(name), "component": "", "services": [], "directories": [],
        "contracts": [], "invoke": [], "starts": [], "unneeded": [], "fault": why, "arguments": [], "lines": {},
    })
}

fn accept(way: &Accept) -> &'static str {
    match way {
        Accept::Signed => "signed",
        Accept::Confirmed => "confirmed",
        Accept::Piped => "piped",
    }
}

fn services(manifest: &Manifest, binding: &Binding) -> Vec<Value> {
    let rules = |name: &str, rules: &[Rule]| -> Vec<Value> {
        let rule = |rule: &Rule| {
            json!({
                "id": rule.id, "method": rule.method.as_str(), "path": rule.path.to_string(),
                "effect": rule.effect.as_str(), "needed": rule.only_undo || is_needed(manifest, name, rule),
            })
        };
        rules.iter().map(rule).collect()
    };
    let service = |(name, service): (&String, &ops_policy::service::Service)| {
        let addresses: Vec<_> = service.addresses.iter().map(ToString::to_string).collect();
        let origin = service.origin.as_ref().map(ToString::to_string);
        json!({"name": name, "origin": origin, "addresses": addresses, "rules": rules(name, &service.rules)})
    };
    binding.services.iter().map(service).collect()
}

/// Whether the author states a need that is as wide as the rule.
fn is_needed(manifest: &Manifest, service: &str, rule: &Rule) -> bool {
    let needs = manifest.needs.iter().filter_map(|need| match &need.need {
        NeedKind::Service { name, rules } if name == service => Some(rules),
        _ => None,
    });
    needs.flatten().any(|need| is_as_wide(need, rule))
}

fn is_as_wide(need: &RuleNeed, rule: &Rule) -> bool {
    let granted = rule.path.to_string();
    let Ok(needed) = PathPattern::parse(&need.path) else { return false };
    // A pattern covers another one if it covers what stands for it: no literal segment is such a word.
    let sample: Vec<_> = granted
        .split('/')
        .map(|segment| match segment {
            "**" => "any-segment/and-more",
            segment if segment.starts_with('{') => "any-segment",
            literal => literal,
        })
        .collect();
    let same = need.path == granted || needed.matches(&sample.join("/"));
    let within = |granted: &[String], needed: &[String]| {
        granted.iter().all(|name| needed.iter().any(|other| other.eq_ignore_ascii_case(name)))
    };
    let fields = within(&rule.query, &need.query) && within(&rule.headers, &need.headers);
    need.method == rule.method.as_str() && need.effect == rule.effect && same && fields
}
