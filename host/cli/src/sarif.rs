//! An audit as SARIF 2.1.0, for code scanning.
//!
//! Files are named relative to the repository's root, which is the nearest folder above the workspace with a `.git`;
//! without one, the folder that holds the workspace. A finding is known again by its fingerprint, which holds kind,
//! capability, file and subject, and neither line nor words, so that it stays when lines move. What is suppressed is
//! among the results, as suppressed: a scanner that never saw it could not show that somebody decided.

use std::path::Path;

use ops_policy::digest::Digest;
use ops_policy::finding::{KINDS, Kind, Severity};
use ops_runner::audit::{Audit, Finding};
use serde_json::{Value, json};

/// The schema of the standard, as published.
const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";
/// The name under which files are relative to the root of the sources; code scanning knows it by this name.
const ROOT: &str = "%SRCROOT%";
/// Folders above the workspace in which a `.git` is looked for.
const ABOVE: usize = 32;

/// The audit as a SARIF log. `workspace` is the folder of `ops.yaml`.
pub(crate) fn sarif(audit: &Audit, workspace: &Path) -> Value {
    let folder = folder(workspace);
    let shown = audit.findings.iter().map(|finding| result(finding, &folder, json!([])));
    let suppressed = audit.suppressed.iter().map(|suppressed| {
        let why = format!("{} (until {})", suppressed.reason, suppressed.expires);
        let by = json!([{"kind": "external", "status": "accepted", "justification": why}]);
        result(&suppressed.finding, &folder, by)
    });
    let results: Vec<_> = shown.chain(suppressed).collect();
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "ops audit",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": KINDS.iter().map(rule).collect::<Vec<_>>(),
            }},
            "automationDetails": {"id": format!("ops-audit/{}/", audit.workspace)},
            "invocations": [{"executionSuccessful": true, "endTimeUtc": audit.generated_at}],
            "originalUriBaseIds": {ROOT: {"description": {"text": "the root of the repository"}}},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

/// What stands before the path of a file of the workspace: the workspace's folder, relative to the repository's root.
fn folder(workspace: &Path) -> String {
    let above = workspace.ancestors().take(ABOVE).find(|folder| folder.join(".git").exists());
    let root = above.or_else(|| workspace.parent()).unwrap_or(workspace);
    let relative = workspace.strip_prefix(root).unwrap_or(Path::new(""));
    let parts: Vec<_> = relative.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    parts.iter().map(|part| format!("{part}/")).collect()
}

fn rule(kind: &Kind) -> Value {
    json!({
        "id": kind.id,
        "shortDescription": {"text": plain(kind.title)},
        "fullDescription": {"text": plain(kind.why)},
        "help": {
            "text": plain(&format!("{} {}", kind.why, kind.fix)),
            "markdown": format!("{}\n\n**What to do.** {}", kind.why, kind.fix),
        },
        "defaultConfiguration": {"level": level(kind.severity)},
        "properties": {"tags": ["security"], "security-severity": weight(kind.severity)},
    })
}

/// SARIF's word.
fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Low => "note",
        Severity::Medium => "warning",
        Severity::High => "error",
    }
}

/// The number by which GitHub's code scanning sorts rules with the tag `security`: from 4.0 on medium, from 7.0 on high.
fn weight(severity: Severity) -> &'static str {
    match severity {
        Severity::Low => "2.0",
        Severity::Medium => "5.0",
        Severity::High => "8.0",
    }
}

fn result(finding: &Finding, folder: &str, suppressions: Value) -> Value {
    // What people see begins with the name of the workspace's folder.
    let inside = finding.file.split_once('/').map_or(finding.file.as_str(), |(_, inside)| inside);
    let mut place =
        json!({"artifactLocation": {"uri": encoded(&format!("{folder}{inside}")), "uriBaseId": ROOT}});
    if let (Some(line), Some(fields)) = (finding.line, place.as_object_mut()) {
        fields.insert("region".into(), json!({"startLine": line}));
    }
    let mut location = json!({"physicalLocation": place});
    if let (Some(capability), Some(fields)) = (&finding.capability, location.as_object_mut()) {
        let name = json!([{"fullyQualifiedName": capability, "kind": "module"}]);
        fields.insert("logicalLocations".into(), name);
    }
    json!({
        "ruleId": finding.id,
        "ruleIndex": KINDS.iter().position(|kind| kind.id == finding.id),
        "level": level(finding.severity),
        "message": {"text": plain(&format!("{}. What to do: {}.", finding.what, finding.fix))},
        "locations": [location],
        "partialFingerprints": {"opsFinding/v1": fingerprint(finding)},
        "suppressions": suppressions,
    })
}

/// Text in which a viewer finds no link: `[text](target)` is one in a plain message too, and so these three are escaped
/// (SARIF 3.11.6). What a finding tells may be a stranger's words.
fn plain(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if matches!(character, '\\' | '[' | ']') {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

/// The same for the same finding, whatever moves in the file.
fn fingerprint(finding: &Finding) -> String {
    let capability = finding.capability.as_deref().unwrap_or_default();
    let parts = [finding.id, capability, &finding.file, &finding.subject];
    // None of the parts has a NUL in it, so no two findings have one text.
    Digest::of(parts.join("\0").as_bytes()).hex()
}

/// A path as a relative URI (RFC 3986): everything but unreserved characters and slashes is escaped.
fn encoded(path: &str) -> String {
    let mut uri = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                uri.push(char::from(byte))
            }
            byte => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding() -> Finding {
        Finding {
            id: "private-range",
            severity: Severity::Low,
            capability: Some("a.b".into()),
            file: "ops/bindings/a b.yaml".into(),
            line: Some(7),
            subject: "services/web/addresses/10.0.0.1/32".into(),
            what: "w".into(),
            fix: "f".into(),
        }
    }

    #[test]
    fn a_result_names_file_line_and_rule() {
        let result = result(&finding(), "sub/ops/", json!([]));
        let place = &result["locations"][0]["physicalLocation"];
        assert_eq!(
            place["artifactLocation"],
            json!({"uri": "sub/ops/bindings/a%20b.yaml", "uriBaseId": ROOT})
        );
        assert_eq!(place["region"]["startLine"], 7);
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!((KINDS[index].id, result["level"].as_str()), ("private-range", Some("note")));
        let no_line = super::result(&Finding { line: None, ..finding() }, "", json!([]));
        assert!(no_line["locations"][0]["physicalLocation"]["region"].is_null());
    }

    #[test]
    fn words_of_others_make_no_links() {
        let what = r"asked for [all is well](https://evil.example) and \x1b".to_owned();
        let result = result(&Finding { what, ..finding() }, "", json!([]));
        assert_eq!(
            result["message"]["text"],
            r"asked for \[all is well\](https://evil.example) and \\x1b. What to do: f."
        );
        for rule in KINDS.iter().map(rule) {
            let text = rule["help"]["text"].as_str().unwrap();
            assert!(!text.replace("\\[", "").contains('['), "{text}");
        }
    }

    #[test]
    fn fingerprints_stay_when_lines_move_and_differ_otherwise() {
        let print = fingerprint(&finding());
        assert_eq!(print, fingerprint(&Finding { line: None, what: "other words".into(), ..finding() }));
        for other in [
            Finding { id: "auto-approval", ..finding() },
            Finding { capability: None, ..finding() },
            Finding { file: "ops/bindings/c.yaml".into(), ..finding() },
            Finding { subject: "services/web/addresses/10.0.0.2/32".into(), ..finding() },
        ] {
            assert_ne!(print, fingerprint(&other), "{other:?}");
        }
    }
}
