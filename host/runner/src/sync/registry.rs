//! The registry, the capability map and the domain catalog, as YAML.
//!
//! Words of ours are written plainly; everything that an author or operator wrote freely is written as a JSON string,
//! which YAML reads as that same text whatever is in it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use ops_policy::approval::Mode;
use ops_policy::manifest::Safety;

use super::{Entry, MARK, domain};
use crate::rights_text::way;
use crate::workspace::BINDINGS;

/// The registry: every capability, in its place.
const REGISTRY: &str = "capabilities.yaml";
/// Which component and which binding each capability is.
const MAP: &str = "bindings/capability_map.yaml";
/// Which capabilities each domain has.
const CATALOG: &str = "bindings/capability.domain.catalog.yaml";
/// All three.
pub(super) const FILES: [&str; 3] = [REGISTRY, MAP, CATALOG];

/// Their texts, by path.
pub(super) fn files(entries: &[Entry]) -> BTreeMap<String, String> {
    [(REGISTRY, registry(entries)), (MAP, map(entries)), (CATALOG, catalog(entries))]
        .map(|(path, text)| (path.to_owned(), text))
        .into()
}

fn head(what: &str) -> String {
    format!(
        "# {MARK} from {BINDINGS}/ and what the components say of themselves. Do not edit.\n# {what}\nversion: 1\n"
    )
}

fn registry(entries: &[Entry]) -> String {
    let mut text = head("Every capability that is bound here.");
    open(&mut text, "capabilities", entries.is_empty());
    for Entry { binding, manifest, .. } in entries {
        let name = &binding.capability;
        let _ = writeln!(text, "  {name}:");
        let _ = writeln!(text, "    summary: {}", quoted(&manifest.summary));
        let _ = writeln!(text, "    domain: {}", domain(name));
        let _ = writeln!(text, "    safety: {}", binding.safety.as_str());
        let _ = writeln!(text, "    approval: {}", approval(binding.safety, binding.approval.mode));
        if binding.safety > Safety::ReadOnly {
            let ways: Vec<_> = binding.approval.accept.iter().map(|accept| way(*accept)).collect();
            let _ = writeln!(text, "    accept: [{}]", ways.join(", "));
            if let Some(reason) = &binding.approval.reason {
                let _ = writeln!(text, "    reason: {}", quoted(reason));
            }
        }
        let _ = writeln!(text, "    version: {}", quoted(&manifest.version));
        let _ = writeln!(text, "    component: {}", quoted(&binding.component));
    }
    text
}

fn map(entries: &[Entry]) -> String {
    let mut text = head("Which binding and which component each capability is.");
    open(&mut text, "capabilities", entries.is_empty());
    for Entry { binding, .. } in entries {
        let _ = writeln!(
            text,
            "  {}: {{binding: {}, component: {}, safety: {}}}",
            binding.capability,
            crate::pinned::binding_file(&binding.capability),
            quoted(&binding.component),
            binding.safety.as_str()
        );
    }
    text
}

fn catalog(entries: &[Entry]) -> String {
    let mut domains: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for entry in entries {
        let name = &entry.binding.capability;
        domains.entry(domain(name)).or_default().insert(name);
    }
    let mut text = head("Which capabilities each domain has: a domain is the first word of a name.");
    open(&mut text, "domains", domains.is_empty());
    for (domain, names) in domains {
        let _ = writeln!(text, "  {domain}:\n    prefix: {domain}.\n    capabilities:");
        for name in names {
            let _ = writeln!(text, "      - {name}");
        }
    }
    text
}

/// A key with entries below it, or with none: a key with nothing at all would be null.
fn open(text: &mut String, key: &str, empty: bool) {
    let _ = writeln!(text, "{key}:{}", if empty { " {}" } else { "" });
}

/// Nothing of a read-only capability is approved.
fn approval(safety: Safety, mode: Mode) -> &'static str {
    match (safety, mode) {
        (Safety::ReadOnly, _) | (_, Mode::Auto) => "auto",
        (_, Mode::Manual) => "manual",
    }
}

/// A text as a JSON string, with nothing hidden in it.
fn quoted(text: &str) -> String {
    ops_policy::visible::json(&serde_json::Value::from(text).to_string())
}
