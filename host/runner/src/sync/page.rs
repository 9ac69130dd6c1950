//! A page for each capability, and the index of them, as Markdown.
//!
//! Summaries and descriptions are written by authors, so nothing in them may be read as markup.

use std::fmt::Write;

use ops_policy::manifest::{Manifest, NeedKind, Safety};
use ops_policy::visible::visible;
use serde_json::Value;

use super::{Entry, MARK, domain};
use crate::arguments::{Takes, flag, is_nothing, is_positional, properties, required, takes};
use crate::rights_text::{grants_text, ways};

/// The index; `bindings` is their folder, as people see it.
pub(super) fn index(entries: &[Entry], bindings: &str) -> String {
    let mut text =
        format!("<!-- {MARK} from {bindings}/ and the components. Do not edit. -->\n# Capabilities\n\n");
    if entries.is_empty() {
        text.push_str("None is bound here.\n");
        return text;
    }
    text.push_str("| capability | safety | approval | what it does |\n|---|---|---|---|\n");
    for Entry { binding, manifest, .. } in entries {
        let name = &binding.capability;
        let _ = writeln!(
            text,
            "| [{name}]({name}.md) | {} | {} | {} |",
            binding.safety.as_str(),
            ways(binding),
            plain(&manifest.summary)
        );
    }
    text
}

/// The page of one capability; `file` is its binding, as people see it.
pub(super) fn page(entry: &Entry, file: &str) -> String {
    let Entry { binding, manifest, rights } = entry;
    let name = &binding.capability;
    let mut text = format!("<!-- {MARK} from {file} and its component. Do not edit. -->\n# {name}\n\n");
    let _ = writeln!(text, "{}\n", plain(&manifest.summary));
    text.push_str("| | |\n|---|---|\n");
    let _ = writeln!(text, "| safety | {} |", binding.safety.as_str());
    let _ = writeln!(text, "| approval | {} |", ways(binding));
    if let Some(reason) = binding.approval.reason.as_deref().filter(|_| binding.safety > Safety::ReadOnly) {
        let _ = writeln!(text, "| reason | {} |", plain(reason));
    }
    let _ = writeln!(text, "| domain | {} |", domain(name));
    let _ = writeln!(text, "| binding | `{file}` |");
    let _ =
        writeln!(text, "| component | {}, version {} |", plain(&binding.component), plain(&manifest.version));
    flags(&mut text, manifest);
    needs(&mut text, manifest);
    text.push_str("\n## What the binding grants\n\n```text\n");
    for line in grants_text(binding, rights).lines() {
        // A fence ends a block with up to three blanks before it.
        let blanks = if line.trim_start().starts_with("```") { "    " } else { "" };
        let _ = writeln!(text, "{blanks}{line}");
    }
    text.push_str("```\n");
    text
}

fn flags(text: &mut String, manifest: &Manifest) {
    let _ = writeln!(text, "\n## Flags\n\n    ops cap run {} [FLAGS]\n", manifest_name(manifest));
    if properties(manifest).next().is_none() {
        text.push_str("It takes none but those of ops: `--dry-run`, `--json`, `--trace-checks`.\n");
        return;
    }
    text.push_str("| flag | value | meaning |\n|---|---|---|\n");
    let required = required(manifest);
    for (name, schema) in properties(manifest) {
        let takes = takes(schema);
        let value = match &takes {
            Takes::Choice(words) => words.iter().map(|word| plain(word)).collect::<Vec<_>>().join(", "),
            other => plain(other.word()),
        };
        let mut meaning = schema.get("description").and_then(Value::as_str).map(plain).unwrap_or_default();
        let mut add = |what: &str| {
            meaning.push_str(if meaning.is_empty() { "" } else { " " });
            meaning.push_str(what);
        };
        if let Some(default) = schema.get("default").filter(|default| !is_nothing(default)) {
            let default = default.as_str().map_or_else(|| default.to_string(), str::to_owned);
            add(&format!("(default: {})", plain(&default)));
        }
        if matches!(takes, Takes::List(_)) {
            add("Again for each.");
        }
        if is_positional(schema) {
            add("Or by position.");
        }
        if required.contains(&name.as_str()) {
            add("Required.");
        }
        let flag = flag(name);
        let is_word = flag.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        // Code takes no escapes, so that only a plain word can be written as such.
        let flag = if is_word { format!("`--{flag}`") } else { plain(&format!("--{flag}")) };
        let _ = writeln!(text, "| {flag} | {value} | {meaning} |");
    }
}

/// The name that the component has for itself: letters, digits, dots and dashes, else none.
fn manifest_name(manifest: &Manifest) -> &str {
    if ops_policy::name::check(&manifest.name).is_ok() { &manifest.name } else { "NAME" }
}

fn needs(text: &mut String, manifest: &Manifest) {
    text.push_str("\n## What it needs\n\n");
    if manifest.needs.is_empty() {
        text.push_str("Nothing: it reaches no service, no folder and no setting.\n");
    }
    for need in &manifest.needs {
        let optional = if need.optional { " (optional)" } else { "" };
        match &need.need {
            NeedKind::Service { name, rules } => {
                let _ = writeln!(text, "- the service {}{optional}", plain(name));
                for rule in rules {
                    let (method, path) = (plain(&rule.method), plain(&rule.path));
                    let _ = writeln!(text, "  - {}: {method} {path}", rule.effect.as_str());
                }
            }
            NeedKind::Directory { name, access } => {
                let _ = writeln!(text, "- the directory {}, to {}{optional}", plain(name), access.as_str());
            }
            NeedKind::Contract { name } => {
                let _ = writeln!(text, "- the contract {}{optional}", plain(name));
            }
            NeedKind::Invoke { name } => {
                let _ = writeln!(text, "- to invoke {}{optional}", plain(name));
            }
            NeedKind::Config { key, meaning } => {
                let _ = writeln!(text, "- the setting {}{optional}: {}", plain(key), plain(meaning));
            }
        }
    }
}

/// A text in Markdown that is read as itself, wherever in a line it stands: no heading, list, quote, fence, table or link.
fn plain(text: &str) -> String {
    let text = visible(text.trim());
    // What ends a list's number: it must not follow digits that begin a line.
    let number = text.find(|character: char| !character.is_ascii_digit()).filter(|at| {
        let after = text.get(at + 1..).unwrap_or_default();
        *at > 0 && (after.is_empty() || after.starts_with(' '))
    });
    let mut out = String::new();
    for (at, character) in text.char_indices() {
        let begins = (at == 0 && matches!(character, '>' | '-' | '+' | '='))
            || (Some(at) == number && matches!(character, '.' | ')'));
        match character {
            '<' => out.push_str("&lt;"),
            '&' => out.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' | '~' => {
                out.push('\\');
                out.push(character);
            }
            other => {
                out.push_str(if begins { "\\" } else { "" });
                out.push(other);
            }
        }
    }
    out
}
