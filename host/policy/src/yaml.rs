//! Reading the YAML files that grant rights, and telling people where one is wrong.
//!
//! A file that a reviewer reads must mean to the program what it means to the eye. So, in this order: the length
//! is checked, then that it is UTF-8, then that nothing in it is invisible or turns text around, and only then is
//! it parsed, with everything off that gives YAML two readings: no anchors, merge keys, tags, second documents,
//! duplicate keys, or words that stand for booleans.

mod explain;
pub mod places;

use std::fmt;

use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_saphyr::{Location, MergeKeyPolicy};

use crate::visible;

/// A value with the place where it was written.
pub(crate) use serde_saphyr::Spanned as At;

/// The longest file that is read, in bytes.
const FILE_BYTES: usize = 256 * 1024;
/// How much of a long line is shown on each side of the place that is meant, in characters.
const SHOWN: usize = 60;

/// What is wrong with a file, for the person who wrote it.
///
/// `Display` gives a few lines of plain text: place and message, the source line, a mark under the place, a hint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct FileError {
    /// The file, as people know it.
    pub file: String,
    /// The line, from 1; 0 where no one line is to blame.
    pub line: u64,
    /// The column in characters, from 1; 0 where no line is.
    pub column: u64,
    /// What is wrong.
    pub message: String,
    /// The source line.
    pub snippet: Option<String>,
    /// What to write instead.
    pub hint: Option<String>,
}

/// What is wrong in a text that parsed, and where.
#[derive(Debug)]
pub(crate) struct Wrong {
    at: Location,
    message: String,
    hint: Option<String>,
}

/// The text of a file, safe to parse and to show.
pub(crate) struct Source<'a> {
    file: &'a str,
    text: &'a str,
    /// The top-level fields whose text may be shown; `None` where all of it may.
    public: Option<&'a [&'a str]>,
}

/// A map in the order of the file, with the place of each key. The parser refuses duplicate keys.
pub(crate) struct Entries<V>(pub(crate) Vec<(At<String>, V)>);

/// Reads a file of type `T`.
///
/// # Errors
///
/// A text that is too long, not UTF-8, holds invisible characters, is not the strict YAML of this module, or is
/// not a `T`.
pub fn parse<T: DeserializeOwned>(file: &str, bytes: &[u8]) -> Result<T, FileError> {
    Source::new(file, bytes)?.parse()
}

impl<'a> Source<'a> {
    /// Checks length, encoding and characters.
    pub(crate) fn new(file: &'a str, bytes: &'a [u8]) -> Result<Self, FileError> {
        Self::open(file, bytes, None)
    }

    /// The same, and errors show the text of these top-level fields only: elsewhere people paste secrets.
    pub(crate) fn private(file: &'a str, bytes: &'a [u8], public: &'a [&'a str]) -> Result<Self, FileError> {
        Self::open(file, bytes, Some(public))
    }

    fn open(file: &'a str, bytes: &'a [u8], public: Option<&'a [&'a str]>) -> Result<Self, FileError> {
        if bytes.len() > FILE_BYTES {
            let message = format!("the file has {} bytes; at most {FILE_BYTES} are read", bytes.len());
            return Err(FileError {
                file: file.to_owned(),
                line: 0,
                column: 0,
                message,
                snippet: None,
                hint: None,
            });
        }
        let text = std::str::from_utf8(bytes).map_err(|error| {
            let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
            let line = before.iter().filter(|byte| **byte == b'\n').count() as u64 + 1;
            let message = "the file is not UTF-8".to_owned();
            FileError { file: file.to_owned(), line, column: 0, message, snippet: None, hint: None }
        })?;
        // A byte order mark is what some editors put in front of UTF-8.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let source = Self { file, text, public };
        for (line, number) in text.split('\n').zip(1..) {
            if let Some((column, message, hint)) = misleading(line.strip_suffix('\r').unwrap_or(line)) {
                return Err(source.error(number, column, message.to_owned(), Some(hint.to_owned())));
            }
        }
        Ok(source)
    }

    /// Parses the text.
    pub(crate) fn parse<T: DeserializeOwned>(&self) -> Result<T, FileError> {
        serde_saphyr::from_str_with_options(self.text, options()).map_err(|error| {
            let (line, column) = error.location().map_or((0, 0), |at| (at.line(), at.column()));
            let (message, hint) = match self.is_private(line) {
                true => explain::without_values(&error),
                false => explain::explain(&error),
            };
            self.error(line, column, message, hint)
        })
    }

    /// Turns a finding of a later check into an error that shows the place.
    pub(crate) fn wrong(&self, wrong: Wrong) -> FileError {
        self.error(wrong.at.line(), wrong.at.column(), wrong.message, wrong.hint)
    }

    fn error(&self, line: u64, column: u64, message: String, hint: Option<String>) -> FileError {
        let index = usize::try_from(line).ok().and_then(|line| line.checked_sub(1));
        let shown = index.filter(|_| !self.is_private(line));
        let snippet = shown.and_then(|index| self.text.lines().nth(index)).map(str::to_owned);
        FileError { file: self.file.to_owned(), line, column, message, snippet, hint }
    }
}

impl Source<'_> {
    /// Whether a line, from 1, may belong to a field that is not shown. Only lines that surely belong to one that is do
    /// not: those from its name at the left margin on. A file in one pair of braces has none of them.
    fn is_private(&self, line: u64) -> bool {
        let Some(public) = self.public else { return false };
        let before = self.text.lines().zip(1..=line).map(|(text, _)| text);
        let heads = before.filter(|text| !text.is_empty() && !text.starts_with([' ', '#']));
        let field = heads.last().and_then(|head| head.split_once(':')).map(|(field, _)| field);
        !field.is_some_and(|field| public.contains(&field))
    }
}

impl Wrong {
    /// A finding at the place of a value.
    pub(crate) fn at<T>(value: &At<T>, message: impl fmt::Display) -> Self {
        Self { at: value.referenced, message: message.to_string(), hint: None }
    }

    /// Adds what to write instead.
    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

impl<V> Default for Entries<V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Entries<V> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Collect<V>(std::marker::PhantomData<V>);

        impl<'de, V: Deserialize<'de>> Visitor<'de> for Collect<V> {
            type Value = Entries<V>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }

        from.deserialize_map(Collect(std::marker::PhantomData))
    }
}

/// Reads an optional field that is written: with nothing behind its name it would look like more than it says.
pub(crate) fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    from: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

/// The column of the first thing in a line that does not look like what it is, with a message and a hint.
fn misleading(line: &str) -> Option<(u64, &'static str, &'static str)> {
    let mut indented = true;
    for (c, column) in line.chars().zip(1..) {
        indented &= matches!(c, ' ' | '\t');
        if c == '\t' && indented {
            return Some((column, "the line is indented with a tab", "indent with spaces"));
        }
        if c != '\t' && visible::is_hidden(c) {
            let hint = "remove it; in double quotes such a character can be written as an escape";
            return Some((column, "the line holds a control, direction or invisible character", hint));
        }
    }
    None
}

/// Every way in which YAML surprises people is off; see the module's head.
fn options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        strict_booleans: true,
        merge_keys: MergeKeyPolicy::Error,
        no_schema: true,
        reject_unsupported_tags: true,
        reject_tagged_field_names: true,
        // Otherwise a closing brace at its parent's indentation is an error, and everybody writes that.
        strict_indentation: false,
        ignore_binary_tag_for_string: true,
        with_snippet: false,
        budget: serde_saphyr::budget! {
            max_anchors: 0,
            max_aliases: 0,
            max_depth: 32,
            max_nodes: 5000,
            max_reader_input_bytes: Some(FILE_BYTES),
        },
    }
}

/// A text on one line, with every hidden character written as `\u{…}`, and tabs as wide as the column counts them.
fn shown(text: impl Iterator<Item = char>) -> String {
    visible::visible(&text.map(|c| if c == '\t' { ' ' } else { c }).collect::<String>())
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        if self.column > 0 {
            write!(f, ":{}", self.column)?;
        }
        write!(f, ": {}", shown(self.message.chars()))?;
        if let Some(snippet) = self.snippet.as_ref().filter(|line| !line.trim().is_empty()) {
            let column = usize::try_from(self.column.max(1)).unwrap_or(1) - 1;
            let start = column.saturating_sub(SHOWN);
            let before = shown(snippet.chars().skip(start).take(column - start));
            let after = shown(snippet.chars().skip(column).take(SHOWN));
            let number = self.line.to_string();
            write!(f, "\n  {number} | {before}{after}")?;
            write!(
                f,
                "\n  {:width$} | {:indent$}^",
                "",
                "",
                width = number.len(),
                indent = before.chars().count()
            )?;
        }
        match &self.hint {
            Some(hint) => write!(f, "\n  {}", shown(hint.chars())),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
