//! What a run may do: what its author says it needs, and its operator grants.
//!
//! Neither side widens the other. A need without a grant stops the run here, before a guest exists, unless the
//! author marked it optional; a grant without a need has no effect and is shown when the binding is pinned.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::{Map, Value};

use crate::binding::{Binding, Directory};
use crate::manifest::{Access, Manifest, NeedKind, RuleEffect, RuleNeed, Safety};
use crate::rule::{Method, PathPattern};
use crate::service::{self, Service};
use crate::visible;

/// What a run may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rights {
    /// The capability.
    pub capability: String,
    /// The binding's safety class.
    pub safety: Safety,
    /// Services that are needed and granted, by name.
    pub services: BTreeMap<String, GrantedService>,
    /// Directories that are needed and granted, by name, with the access that is needed.
    pub directories: BTreeMap<String, Directory>,
    /// Contract files that are needed and granted, sorted.
    pub contracts: BTreeSet<String>,
    /// Capabilities that it may call: named by a need and by the binding.
    pub invoke: BTreeSet<String>,
    /// Capabilities that the host starts on its word: named by the binding, where the output can say so.
    pub starts: BTreeSet<String>,
    /// Settings that are needed and given, a JSON object.
    pub config: Map<String, Value>,
    optional_unbound: BTreeSet<String>,
    unneeded: Vec<String>,
}

/// A service that is needed and granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantedService {
    /// The operator's side: origin, addresses, TLS, credential and rules.
    pub grant: Service,
    /// The author's side: what requests may look like.
    pub needs: Vec<NeededRule>,
}

/// What the author says a request looks like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NeededRule {
    /// The method.
    pub method: Method,
    /// The paths.
    pub path: PathPattern,
    /// What such a request does.
    pub effect: RuleEffect,
    /// Query keys that it uses.
    pub query: Vec<String>,
    /// Header fields that it sets, in lower case.
    pub headers: Vec<String>,
}

/// Something that stands between a manifest and its binding.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct MissingGrant {
    /// The binding's capability.
    pub capability: String,
    /// What is missing or wrong, in a sentence without a full stop.
    pub what: String,
    /// The YAML lines in the binding that would mend it, where lines can.
    pub lines: Option<String>,
}

impl fmt::Display for MissingGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Names, patterns and meanings come from the component.
        f.write_str(&visible::visible(&self.what))?;
        match &self.lines {
            Some(lines) => {
                let lines = visible::lines(lines);
                write!(f, "; in the binding of {}, this would grant it:\n{lines}", self.capability)
            }
            None => Ok(()),
        }
    }
}

impl Rights {
    /// Intersects what a component says it needs with what its binding grants.
    ///
    /// # Errors
    ///
    /// Everything that is missing: another name, too low a safety class, a lock that names what is no argument, and
    /// each need that is not optional and not granted.
    pub fn intersect(manifest: &Manifest, binding: &Binding) -> Result<Self, Vec<MissingGrant>> {
        let mut join = Join {
            binding,
            missing: Vec::new(),
            rights: Self {
                capability: binding.capability.clone(),
                safety: binding.safety,
                services: BTreeMap::new(),
                directories: BTreeMap::new(),
                contracts: BTreeSet::new(),
                invoke: BTreeSet::new(),
                starts: starts(manifest, binding),
                config: Map::new(),
                optional_unbound: BTreeSet::new(),
                unneeded: Vec::new(),
            },
        };
        join.identity(manifest);
        for need in &manifest.needs {
            join.need(&need.need, need.optional);
        }
        if !join.missing.is_empty() {
            return Err(join.missing);
        }
        let mut rights = join.rights;
        rights.unneeded = unneeded(&rights, binding);
        Ok(rights)
    }

    /// Whether a service is needed, optional, and not granted.
    pub fn is_optional_unbound(&self, service: &str) -> bool {
        self.optional_unbound.contains(service)
    }

    /// Grants that nothing needs, for people, such as `service mail`. They have no effect.
    pub fn unneeded(&self) -> &[String] {
        &self.unneeded
    }
}

struct Join<'a> {
    binding: &'a Binding,
    missing: Vec<MissingGrant>,
    rights: Rights,
}

impl Join<'_> {
    fn miss(&mut self, what: String, lines: Option<String>) {
        self.missing.push(MissingGrant { capability: self.binding.capability.clone(), what, lines });
    }

    fn identity(&mut self, manifest: &Manifest) {
        let binding = self.binding;
        if manifest.name != binding.capability {
            let text =
                format!("the component is {}, and the binding is for {}", manifest.name, binding.capability);
            self.miss(text, None);
        }
        if manifest.safety > binding.safety {
            let word = safety_word(manifest.safety);
            self.miss(
                format!("the component is {word}, and the binding allows less"),
                Some(format!("safety: {word}")),
            );
        }
        if let Some(Err(why)) = binding.lock.as_ref().map(|lock| lock.check_against(&manifest.input)) {
            self.miss(why, None);
        }
    }

    fn need(&mut self, need: &NeedKind, optional: bool) {
        match need {
            NeedKind::Service { name, rules } => self.service(name, rules, optional),
            NeedKind::Directory { name, access } => self.directory(name, *access, optional),
            NeedKind::Contract { name } => {
                if self.binding.contracts.contains(name) {
                    self.rights.contracts.insert(name.clone());
                } else if !optional {
                    let lines = format!("contracts: [{}]", quoted(name));
                    self.miss(format!("it needs the contract `{name}`, which is not granted"), Some(lines));
                }
            }
            NeedKind::Config { key, meaning } => {
                if let Some(setting) = self.binding.config.get(key) {
                    self.rights.config.insert(key.clone(), setting.to_json());
                } else if !optional {
                    let lines = format!("config:\n  {}: …", quoted(key));
                    self.miss(
                        format!("it needs the setting `{key}` ({meaning}), which is not given"),
                        Some(lines),
                    );
                }
            }
            NeedKind::Invoke { name } => {
                let before = self.rights.invoke.len();
                let granted = self.binding.invoke.iter().filter(|granted| invokes(name, granted));
                self.rights.invoke.extend(granted.cloned());
                if self.rights.invoke.len() == before && !optional {
                    let one = if name.ends_with(FAMILY) { "…".to_owned() } else { quoted(name) };
                    let what = format!("it needs to call the capability `{name}`, which is not granted");
                    self.miss(what, Some(format!("invoke: [{one}]")));
                }
            }
        }
    }

    fn service(&mut self, name: &str, rules: &[RuleNeed], optional: bool) {
        let mut needs = Vec::new();
        for rule in rules {
            match needed(rule) {
                Ok(rule) => needs.push(rule),
                Err(why) => {
                    return self
                        .miss(format!("its manifest is wrong about the service `{name}`: {why}"), None);
                }
            }
        }
        match self.binding.services.get(name) {
            // A manifest may state one service in several needs.
            Some(grant) => {
                let empty = || GrantedService { grant: grant.clone(), needs: Vec::new() };
                self.rights.services.entry(name.to_owned()).or_insert_with(empty).needs.extend(needs);
            }
            None if optional => {
                self.rights.optional_unbound.insert(name.to_owned());
            }
            None => {
                let lines = service_lines(name, rules);
                self.miss(format!("it needs the service `{name}`, which is not granted"), Some(lines));
            }
        }
    }

    fn directory(&mut self, name: &str, access: Access, optional: bool) {
        let lines = || {
            let word = if access == Access::Stage { "stage" } else { "read" };
            Some(format!(
                "directories:\n  {}: {{path: state/{}, access: {word}}}",
                quoted(name),
                quoted(name)
            ))
        };
        match self.binding.directories.get(name) {
            // Less than is needed would be found out in the middle of the work, so it is said even where optional.
            Some(grant) if grant.access < access => {
                self.miss(
                    format!(
                        "it needs to stage files in the directory `{name}`, which is granted for reading"
                    ),
                    lines(),
                );
            }
            Some(grant) => {
                let granted = Directory { path: grant.path.clone(), access };
                let kept = self.rights.directories.entry(name.to_owned()).or_insert_with(|| granted.clone());
                kept.access = kept.access.max(access);
            }
            None if optional => {}
            None => self.miss(format!("it needs the directory `{name}`, which is not granted"), lines()),
        }
    }
}

pub(crate) fn needed(rule: &RuleNeed) -> Result<NeededRule, String> {
    let method = Method::parse(&rule.method).ok_or_else(|| format!("`{}` is not a method", rule.method))?;
    let path = PathPattern::parse(&rule.path)
        .map_err(|why| format!("`{}` is not a path pattern: {why}", rule.path))?;
    let headers = rule.headers.iter().map(|name| name.to_ascii_lowercase()).collect();
    Ok(NeededRule { method, path, effect: rule.effect, query: rule.query.clone(), headers })
}

fn service_lines(name: &str, rules: &[RuleNeed]) -> String {
    // The host itself has none.
    let origin = if name == service::OWN { "" } else { "\n    origin: https://…" };
    let mut lines = format!("services:\n  {}:{origin}\n    rules:", quoted(name));
    for (index, rule) in rules.iter().enumerate() {
        let mut fields = format!(
            "id: rule-{}, method: {}, path: {}, effect: {}",
            index + 1,
            quoted(&rule.method),
            quoted(&rule.path),
            effect_word(rule.effect)
        );
        for (key, list) in [("query", &rule.query), ("headers", &rule.headers)] {
            if !list.is_empty() {
                let list: Vec<String> = list.iter().map(|word| quoted(word)).collect();
                fields.push_str(&format!(", {key}: [{}]", list.join(", ")));
            }
        }
        lines.push_str(&format!("\n      - {{{fields}}}"));
    }
    lines
}

/// What stands at the end of a need that names every capability of a family.
const FAMILY: &str = ".**";

/// Whether a need names this capability.
pub(crate) fn invokes(need: &str, capability: &str) -> bool {
    match need.strip_suffix(FAMILY) {
        Some(family) => capability.strip_prefix(family).is_some_and(|rest| rest.starts_with('.')),
        None => need == capability,
    }
}

/// The property of an output schema that says which capability the host is to start.
pub const STARTS: &str = "x-ops-starts";

/// What the host may start on the capability's word: nothing where its output has no place for such a word.
fn starts(manifest: &Manifest, binding: &Binding) -> BTreeSet<String> {
    let properties = manifest.output.get("properties").and_then(Value::as_object);
    let says = properties
        .into_iter()
        .flatten()
        .any(|(_, property)| property.get(STARTS) == Some(&Value::Bool(true)));
    if says { binding.starts.iter().cloned().collect() } else { BTreeSet::new() }
}

fn unneeded(rights: &Rights, binding: &Binding) -> Vec<String> {
    let mut unneeded = Vec::new();
    let services = binding.services.keys().filter(|name| !rights.services.contains_key(*name));
    unneeded.extend(services.map(|name| format!("service {name}")));
    let directories = binding.directories.keys().filter(|name| !rights.directories.contains_key(*name));
    unneeded.extend(directories.map(|name| format!("directory {name}")));
    let contracts = binding.contracts.iter().filter(|name| !rights.contracts.contains(*name));
    unneeded.extend(contracts.map(|name| format!("contract {name}")));
    let invoke = binding.invoke.iter().filter(|name| !rights.invoke.contains(*name));
    unneeded.extend(invoke.map(|name| format!("invoke {name}")));
    let starts = binding.starts.iter().filter(|name| !rights.starts.contains(*name));
    unneeded.extend(starts.map(|name| format!("starts {name}")));
    let config = binding.config.keys().filter(|key| !rights.config.contains_key(*key));
    unneeded.extend(config.map(|key| format!("config {key}")));
    unneeded
}

/// Words that some readers of YAML take for something else than a text.
const NOT_TEXTS: [&str; 9] = ["null", "true", "false", "yes", "no", "on", "off", "y", "n"];

/// A word as YAML reads it back, whatever is in it: what a guest wrote must not become structure.
pub(crate) fn quoted(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'.' | b'-' | b'_');
    let begins_plain = word.starts_with(|first: char| first.is_ascii_alphabetic() || first == '/');
    if begins_plain
        && word.bytes().all(plain)
        && !NOT_TEXTS.iter().any(|other| other.eq_ignore_ascii_case(word))
    {
        word.to_owned()
    } else {
        Value::from(word).to_string()
    }
}

pub(crate) fn effect_word(effect: RuleEffect) -> &'static str {
    match effect {
        RuleEffect::Read => "read",
        RuleEffect::Mutate => "mutate",
        RuleEffect::Destroy => "destroy",
    }
}

fn safety_word(safety: Safety) -> &'static str {
    match safety {
        Safety::ReadOnly => "read-only",
        Safety::Mutating => "mutating",
        Safety::Destructive => "destructive",
    }
}

#[cfg(test)]
mod tests;
