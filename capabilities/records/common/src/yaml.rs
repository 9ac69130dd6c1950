//! Strict YAML, read as bindings are, with room for a long list of gaps; and values written so that they read back.

use ops_guest::yaml_options;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::Finding;

/// The longest record file that is read, in bytes: ten times a list of 1,500 gaps.
pub(crate) const LONGEST: usize = 8 << 20;
/// How many nodes it may have: a gap has up to 60, a file up to 5,000 gaps.
const NODES: usize = 300_000;

/// Reads YAML that stands in `file`. `text` begins at the file's first line, so that lines are told rightly.
pub(crate) fn read<T: DeserializeOwned>(file: &str, text: &str) -> Result<T, Finding> {
    if text.len() > LONGEST {
        let what = format!("the file is longer than {LONGEST} bytes");
        return Err(Finding::new(file, 1, what, "move what is closed into another file"));
    }
    serde_saphyr::from_str_with_options(text, yaml_options(NODES)).map_err(|error| {
        let line = error.location().map_or(1, |place| usize::try_from(place.line()).unwrap_or(1));
        let said = error.to_string();
        let what = said.rsplit_once(" at line ").map_or(said.as_str(), |(what, _)| what);
        Finding::new(file, line, what, "correct the file")
    })
}

/// A value as it is written behind a key: lists in flow style, text in quotes unless it is a plain word.
pub(crate) fn flow(value: &Value) -> String {
    match value {
        Value::String(text) if is_plain(text) => text.clone(),
        // What JSON writes in quotes is what YAML reads there.
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::Array(values) => {
            format!("[{}]", values.iter().map(flow).collect::<Vec<_>>().join(", "))
        }
        Value::Object(fields) => {
            let fields: Vec<_> =
                fields.iter().map(|(key, value)| format!("{key}: {}", flow(value))).collect();
            format!("{{{}}}", fields.join(", "))
        }
    }
}

/// Whether a text means itself without quotes, in every version of YAML.
fn is_plain(text: &str) -> bool {
    const WORDS: [&str; 9] = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    let word = text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-/".contains(&byte))
        && !WORDS.contains(&text.to_ascii_lowercase().as_str());
    word || crate::time::is_date(text) || crate::time::is_time(text)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn what_surprises_people_is_refused_at_its_line() {
        type Lists = BTreeMap<String, Vec<String>>;
        assert!(read::<Lists>("x.yaml", "a: [b, c-1, \"2\"]\n").is_ok());
        for (text, line, part) in [
            ("a: [b]\na: [c]\n", 2, "duplicate"),
            ("a: [b]\nc: [1]\n", 2, "must be quoted"),
            ("a: &x [b]\nb: *x\n", 1, "anchor"),
            ("a: [b]\n<<: {c: [d]}\n", 2, "merge"),
            ("a: [b]\n---\nc: [d]\n", 2, "multiple"),
            ("a: [b]\nc: d\n", 2, "expected"),
        ] {
            let found = read::<Lists>("x.yaml", text).unwrap_err();
            assert!(found.line >= line && found.what.contains(part), "{text}: {found}");
            assert!(!found.what.contains("at line"), "{found}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(text in "(?s)[ -~\n\u{e9}-\u{2fff}\u{1f600}]{0,40}", more in "[a-z0-9:#-]{0,9}") {
            let value = json!({"a": text, "b": [more, text, "yes", "12", "2026-11-22"]});
            let written = format!("a: {}\nb: {}\n", flow(&value["a"]), flow(&value["b"]));
            prop_assert_eq!(read::<Value>("x", &written).unwrap(), value);
        }
    }
}
