//! A first binding for a component: it grants nothing. What the author says it needs stands there as comments.

use std::fmt::Write;

use ops_policy::manifest::{Manifest, NeedKind, RuleEffect, RuleNeed, Safety};
use ops_policy::rule::ceiling;
use ops_policy::service::OWN;
use ops_policy::visible::visible;

use crate::workspace::{Workspace, WorkspaceError};

/// Writes the binding of `name` and puts the component into the workspace. Returns the binding's path.
///
/// # Errors
///
/// The component calls itself something else, there is a binding already, or something cannot be written.
pub fn bind(
    workspace: &Workspace,
    name: &str,
    component: &str,
    bytes: &[u8],
    manifest: &Manifest,
) -> Result<String, WorkspaceError> {
    ops_policy::name::check(name).map_err(|error| WorkspaceError(error.to_string()))?;
    if manifest.name != name {
        return Err(WorkspaceError(format!(
            "{component} is `{}`, not `{name}`; a binding's name is the capability's",
            visible(&manifest.name)
        )));
    }
    let file = crate::pinned::binding_file(name);
    if workspace.has(&file) {
        return Err(WorkspaceError(format!(
            "{} is there already; edit it, then `ops pin`",
            workspace.shown(&file)
        )));
    }
    let path = format!("components/{component}");
    workspace.write(&path, bytes)?;
    workspace.write(&file, binding_text(&path, manifest).as_bytes())?;
    Ok(file)
}

/// The text of a binding that grants nothing.
fn binding_text(component: &str, manifest: &Manifest) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "# {}", visible(&manifest.summary));
    let _ = writeln!(text, "capability: {}", manifest.name);
    let _ = writeln!(text, "component: {component}");
    let _ = writeln!(text, "safety: {}", manifest.safety.as_str());
    if manifest.safety != Safety::ReadOnly {
        let _ = writeln!(text, "approval: {{mode: manual}}");
    }
    let needs = needs(manifest);
    if !needs.is_empty() {
        let _ =
            writeln!(text, "\n# What the author says it needs. Uncomment what you grant, then `ops pin`.");
        for line in needs.lines() {
            let _ = writeln!(text, "{}", format!("# {line}").trim_end());
        }
    }
    text
}

/// The needs as the YAML that would grant them.
pub(crate) fn needs(manifest: &Manifest) -> String {
    let (mut services, mut directories, mut contracts, mut invoke, mut config) =
        (String::new(), String::new(), String::new(), String::new(), String::new());
    for need in &manifest.needs {
        let optional = if need.optional { "   # optional" } else { "" };
        match &need.need {
            NeedKind::Service { name, rules } => {
                let _ = writeln!(services, "  {}:{optional}", visible(name));
                // The host itself has none.
                if name != OWN {
                    let _ = writeln!(services, "    origin: https://HOST:443");
                }
                let _ = writeln!(services, "    rules:");
                for (number, rule) in rules.iter().enumerate() {
                    let _ = writeln!(services, "      - {}", rule_text(number + 1, rule, manifest.safety));
                }
            }
            NeedKind::Directory { name, access } => {
                let name = visible(name);
                let access = access.as_str();
                let _ = writeln!(directories, "  {name}: {{path: state/{name}, access: {access}}}{optional}");
            }
            NeedKind::Contract { name } => {
                let _ = writeln!(contracts, "  - {}{optional}", visible(name));
            }
            NeedKind::Config { key, meaning } => {
                let _ = writeln!(config, "  {}: VALUE   # {}", visible(key), visible(meaning));
            }
            NeedKind::Invoke { name } => {
                let one = match name.strip_suffix("**") {
                    Some(family) => format!("{}NAME   # each of them in full", visible(family)),
                    None => format!("{}{optional}", visible(name)),
                };
                let _ = writeln!(invoke, "  - {one}");
            }
        }
    }
    [
        ("services", services),
        ("directories", directories),
        ("contracts", contracts),
        ("invoke", invoke),
        ("config", config),
    ]
    .iter()
    .filter(|(_, lines)| !lines.is_empty())
    .map(|(key, lines)| format!("{key}:\n{lines}"))
    .collect()
}

fn rule_text(number: usize, rule: &RuleNeed, safety: Safety) -> String {
    let list = |key: &str, words: &[String]| {
        if words.is_empty() {
            return String::new();
        }
        let words: Vec<_> = words.iter().map(|word| visible(word)).collect();
        format!(", {key}: [{}]", words.join(", "))
    };
    // Many services do everything at one path; only the body says what.
    let open = match rule.effect {
        RuleEffect::Read if !matches!(rule.method.as_str(), "GET" | "HEAD") => {
            "   # without `body:` this allows everything at that path"
        }
        _ => "",
    };
    // More than the capability may do at most: its author needs it to take something back.
    let undo = if rule.effect > ceiling(safety) { ", for: undo" } else { "" };
    format!(
        "{{id: rule-{number}, method: {}, path: \"{}\", effect: {}{undo}{}{}}}{open}",
        visible(&rule.method),
        visible(&rule.path),
        rule.effect.as_str(),
        list("query", &rule.query),
        list("headers", &rule.headers)
    )
}

#[cfg(test)]
mod tests {
    use ops_policy::binding::Binding;
    use ops_policy::manifest::{Access, Need};
    use serde_json::json;

    use super::*;

    fn manifest() -> Manifest {
        let rule = RuleNeed {
            method: "GET".into(),
            path: "/a/{x}".into(),
            effect: RuleEffect::Read,
            query: vec!["since".into()],
            headers: vec![],
        };
        let undo = RuleNeed {
            method: "DELETE".into(),
            path: "/a/{x}".into(),
            effect: RuleEffect::Destroy,
            query: vec![],
            headers: vec![],
        };
        let needs = vec![
            Need { need: NeedKind::Service { name: "mail".into(), rules: vec![rule, undo] }, optional: true },
            Need {
                need: NeedKind::Directory { name: "outbox".into(), access: Access::Stage },
                optional: false,
            },
            Need {
                need: NeedKind::Config { key: "from".into(), meaning: "The sender.".into() },
                optional: false,
            },
        ];
        Manifest {
            name: "a.b".into(),
            summary: "Does it.".into(),
            version: "0.1.0".into(),
            safety: Safety::Mutating,
            input: json!({}),
            output: json!({}),
            needs,
        }
    }

    #[test]
    fn grants_nothing_as_it_is() {
        let text = binding_text("components/a.wasm", &manifest());
        let binding = Binding::parse("x", text.as_bytes()).unwrap();
        assert!(binding.services.is_empty() && binding.directories.is_empty() && binding.config.is_empty());
    }

    #[test]
    fn grants_what_is_needed_once_it_is_uncommented() {
        let text = binding_text("components/a.wasm", &manifest());
        let text = text
            .replace("# ", "")
            .replace("Does it.", "")
            .replace("What the author says it needs. Uncomment what you grant, then `ops pin`.", "");
        let text = text.replace("   optional", "").replace("   The sender.", "");
        let binding = Binding::parse("x", text.as_bytes()).unwrap();
        assert!(ops_policy::rights::Rights::intersect(&manifest(), &binding).is_ok(), "{text}");
        assert!(
            binding.services["mail"].rules[1].only_undo,
            "more than the class allows is for undo only: {text}"
        );
    }
}
