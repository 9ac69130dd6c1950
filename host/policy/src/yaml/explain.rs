//! The parser's findings in words for the person who wrote the file.

use serde_saphyr::budget::BudgetBreach;
use serde_saphyr::{Error, MessageFormatter, UserMessageFormatter};

use crate::name;

/// A message, and where there is one a hint.
pub(super) fn explain(error: &Error) -> (String, Option<String>) {
    let plain = |message: &str| (message.to_owned(), None);
    match error {
        Error::SerdeUnknownField { field, expected, .. } => unknown("field", field, expected),
        Error::SerdeUnknownVariant { variant, expected, .. } => unknown("word", variant, expected),
        Error::SerdeMissingField { field, .. } => (format!("the field `{field}` is missing"), None),
        Error::SerdeInvalidType { unexpected, expected, .. }
        | Error::SerdeInvalidValue { unexpected, expected, .. } => {
            // serde's word for what YAML writes as `~` or leaves out.
            let found = if unexpected == "unit value" { "nothing" } else { unexpected };
            (format!("expected {expected}, found {found}"), None)
        }
        Error::DuplicateMappingKey { key: Some(key), .. } => {
            (format!("the key `{key}` is given twice"), None)
        }
        Error::DuplicateMappingKey { key: None, .. } => plain("a key is given twice"),
        Error::MergeKeyNotAllowed { .. } => plain("merge keys (`<<`) are not allowed; write the fields out"),
        Error::UnsupportedTag { tag, .. } | Error::TaggedStructFieldName { tag, .. } => {
            (format!("the tag `{tag}` is not allowed; tags have no meaning here"), None)
        }
        Error::MultipleDocuments { .. } => plain("one file holds one document; remove the second `---`"),
        Error::NullIntoString { .. } => plain("the value is missing; write one, or remove the field"),
        Error::InvalidBooleanStrict { .. } => plain("a boolean is written true or false"),
        Error::QuotingRequired { value, .. } => (
            format!("`{value}` is a text that YAML could take for something else"),
            Some(format!("quote it: \"{value}\"")),
        ),
        Error::Unexpected { expected, .. } => (format!("expected {}", structure(expected)), None),
        Error::Budget { breach, .. } => plain(budget(breach)),
        other => syntax(UserMessageFormatter.format_message(other.without_snippet()).into_owned()),
    }
}

/// The same without any value of the file, for a place where somebody may have pasted a secret.
pub(super) fn without_values(error: &Error) -> (String, Option<String>) {
    match error {
        Error::SerdeInvalidType { expected, .. } | Error::SerdeInvalidValue { expected, .. } => {
            (format!("expected {expected}"), None)
        }
        Error::QuotingRequired { .. } => (
            "the value is a text that YAML could take for something else".to_owned(),
            Some("quote it".to_owned()),
        ),
        Error::SerdeUnknownField { field, expected, .. } => {
            let (message, hint) = unknown("field", field, expected);
            (message.replacen(&format!(" `{field}`"), "", 1), hint)
        }
        Error::SerdeMissingField { .. }
        | Error::NullIntoString { .. }
        | Error::Unexpected { .. }
        | Error::Budget { .. } => explain(error),
        _ => syntax("this is not the YAML that is read here".to_owned()),
    }
}

fn unknown(kind: &str, word: &str, expected: &[&str]) -> (String, Option<String>) {
    let words: Vec<String> = expected.iter().map(|word| format!("`{word}`")).collect();
    let hint = name::nearest(word, expected.iter().copied()).map(|word| format!("did you mean `{word}`?"));
    (format!("unknown {kind} `{word}`, expected one of {}", words.join(", ")), hint)
}

/// The parser's words for structure, in everybody's.
fn structure(expected: &str) -> &str {
    match expected {
        "mapping start" => "a map, such as {key: value}",
        "sequence start" => "a list, such as [a, b]",
        "string scalar" => "a text",
        other => other,
    }
}

fn budget(breach: &BudgetBreach) -> &'static str {
    match breach {
        BudgetBreach::Anchors { .. }
        | BudgetBreach::Aliases { .. }
        | BudgetBreach::AliasAnchorRatio { .. } => {
            "anchors (`&`) and aliases (`*`) are not allowed; write the value out, or quote the text"
        }
        BudgetBreach::Depth { .. } => "the file is nested too deeply; at most 32 levels are read",
        _ => "the file holds too many values; at most 5000 are read",
    }
}

/// Errors of YAML itself are mostly due to a few characters.
fn syntax(message: String) -> (String, Option<String>) {
    let hint = "quote texts that hold `{`, `}`, `[`, `]`, `: ` or ` #`, or begin with `*`, `&`, `!`, `@`, `%` or `|`";
    (message, Some(hint.to_owned()))
}
