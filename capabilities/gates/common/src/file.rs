//! Reading a contract, and saying at which line something in it is wrong.
//!
//! In this order: the length is checked, then the text is parsed with everything off that gives YAML two readings, then
//! the contract's own rules are looked at. What is wrong is a [`Finding`], so that a gate can report it like any other.

use ops_guest::yaml_options;
use serde::de::DeserializeOwned;
use serde_saphyr::{Error, MessageFormatter, UserMessageFormatter};

use crate::Finding;

/// A value with the place where it was written.
pub use serde_saphyr::Spanned as At;

/// The longest contract that is read, in bytes. A thousand gates take a third of it.
const BYTES: usize = 1024 * 1024;
/// The most nodes of a contract's YAML; a gate takes about twenty.
const NODES: usize = 50_000;

/// What a contract's own rules find wrong: the place, what is wrong, and what to do.
pub(crate) type Wrong<'a> = (&'a At<String>, String, &'static str);

/// Reads the contract `name`, which lies beside the bindings.
///
/// # Errors
/// What is wrong with the text, at its line: its form, an unknown field or word, a key that is given twice.
pub fn read<T: DeserializeOwned>(name: &str, text: &str) -> Result<T, Finding> {
    if text.len() > BYTES {
        let what = format!("the file has {} bytes, and {BYTES} are read at most", text.len());
        return Err(Finding::new(path(name), 0, what, "split what it lists, or remove what is not used"));
    }
    serde_saphyr::from_str_with_options(text, yaml_options(NODES)).map_err(|error| {
        let line = error.location().map_or(0, |at| at.line());
        Finding::new(path(name), line, words(&error), "correct the line, then `ops pin`")
    })
}

/// The path of a contract, relative to the workspace.
pub(crate) fn path(name: &str) -> String {
    format!("bindings/{name}")
}

/// What a contract's own rules found, at its line.
pub(crate) fn wrong(name: &str, (at, what, fix): Wrong<'_>) -> Finding {
    Finding::new(path(name), at.referenced.line(), what, fix)
}

/// The first line of `text`, from 1, that holds `word` as a whole word; 0 where none does. For files whose types know no
/// places.
pub fn line_of(text: &str, word: &str) -> u64 {
    let is_part = |next: Option<char>| next.is_some_and(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    let holds = |line: &str| {
        line.match_indices(word).any(|(at, _)| {
            let (front, rest) = line.split_at(at);
            !is_part(front.chars().next_back()) && !is_part(rest.chars().nth(word.chars().count()))
        })
    };
    text.lines().zip(1..).find(|(line, _)| holds(line)).map_or(0, |(_, number)| number)
}

/// The parser's finding in words. The allowed words of an enumeration are among them.
fn words(error: &Error) -> String {
    match error {
        Error::SerdeUnknownVariant { variant, expected, .. } => {
            format!("unknown word `{variant}`, expected one of {}", quoted(expected))
        }
        Error::SerdeUnknownField { field, expected, .. } => {
            format!("unknown field `{field}`, expected one of {}", quoted(expected))
        }
        Error::SerdeMissingField { field, .. } => format!("the field `{field}` is missing"),
        Error::DuplicateMappingKey { key: Some(key), .. } => format!("the key `{key}` is given twice"),
        other => UserMessageFormatter.format_message(other.without_snippet()).into_owned(),
    }
}

fn quoted(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        #[expect(dead_code, reason = "only whether it can be read is asked")]
        names: Vec<At<Word>>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Word {
        Good,
        Better,
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        assert!(read::<Sample>("x.yaml", "names: [good, better]").is_ok());
        for (text, line, what) in [
            ("names:\n  - good\n  - best\n", 3, "unknown word `best`, expected one of `good`, `better`"),
            ("names: []\nmore: 1\n", 2, "unknown field `more`, expected one of `names`"),
            ("names: []\nnames: []\n", 2, "the key `names` is given twice"),
            ("{}\n", 1, "the field `names` is missing"),
        ] {
            let found = read::<Sample>("x.yaml", text).unwrap_err();
            assert_eq!(
                (found.file.as_str(), found.line, found.what.as_str()),
                ("bindings/x.yaml", line, what)
            );
        }
        for text in ["names: &a [good]", "names: !x [good]", "names: []\n---\nnames: []", "names: [good"] {
            assert!(read::<Sample>("x.yaml", text).is_err(), "{text}");
        }
        assert!(
            read::<Sample>("x.yaml", &" ".repeat(BYTES + 1)).unwrap_err().what.contains("are read at most")
        );
    }

    #[test]
    fn a_word_is_found_as_a_whole() {
        let text = "a: D3201\nb: xD320\nc: [D1, D320]\nd: D320\n";
        for (word, line) in [("D320", 3), ("D1", 3), ("D3201", 1), ("D2", 0)] {
            assert_eq!(line_of(text, word), line, "{word}");
        }
    }
}
