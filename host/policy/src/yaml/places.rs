//! Where each thing stands in a file that grants rights: for findings that name a line, and for edits that leave the rest
//! of the text as it is.
//!
//! The file is read under the strict options of [`super::parse`], so what a place is given for is what the program reads.
//! The parser says where a value begins; where a list or a map ends follows from its last child. Size, depth and number
//! of nodes are bounded by those options.

use std::fmt;
use std::ops::Range;

use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::{At, FileError, Source};

/// The places of all keys, values and list items of a file.
#[derive(Clone, Debug)]
pub struct Places {
    root: Node,
}

/// Where one value stands. Offsets are in bytes of the file, from 0; lines and columns are from 1, columns in characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The line of the key, or of a list item.
    pub line: u64,
    /// The column of the key, or of a list item.
    pub column: u64,
    /// The value's text.
    pub value: Range<usize>,
    /// The same with its key, or with the dash before a list item.
    pub entry: Range<usize>,
    /// The line on which the entry begins.
    pub first_line: u64,
    /// The line on which it ends.
    pub last_line: u64,
    /// Whether the value is written in braces or brackets.
    pub is_flow: bool,
    /// Whether it stands in braces or brackets.
    pub in_flow: bool,
}

#[derive(Clone, Debug)]
struct Node {
    /// The key in a map.
    key: Option<String>,
    /// A value that is a text.
    text: Option<String>,
    place: Place,
    children: Vec<Node>,
}

impl Places {
    /// Reads a file. `file` is its name for people.
    ///
    /// # Errors
    ///
    /// Those of [`super::parse`], as far as they do not depend on what the file is about.
    pub fn parse(file: &str, bytes: &[u8]) -> Result<Self, FileError> {
        let source = Source::new(file, bytes)?;
        let written: At<Written> = source.parse()?;
        let text = source.text;
        // What an editor put in front is not part of the text.
        let before = bytes.len().saturating_sub(text.len());
        let mut root = Reader { text }.node(None, &written, offset(&written), false);
        root.shift(before);
        Ok(Self { root })
    }

    /// The place behind a path such as `/services/mail/rules/2/path`: a JSON pointer, in which `id=session` also stands
    /// for the list item with that `id`. The empty path is the whole.
    pub fn get(&self, path: &str) -> Option<&Place> {
        self.node(path).map(|node| &node.place)
    }

    /// The line of the key or the list item behind a path.
    pub fn line(&self, path: &str) -> Option<u64> {
        self.get(path).map(|place| place.line)
    }

    /// The column of the key or the list item behind a path, in characters.
    pub fn column(&self, path: &str) -> Option<u64> {
        self.get(path).map(|place| place.column)
    }

    /// The line of the path, or of the nearest thing around it that the file holds: a value that was left out is set where
    /// it would stand.
    pub fn nearest_line(&self, path: &str) -> u64 {
        let mut path = path;
        loop {
            match (self.line(path), path.rsplit_once('/')) {
                (Some(line), _) => return line,
                (None, Some((around, _))) => path = around,
                (None, None) => return 1,
            }
        }
    }

    /// How many entries the list or the map behind a path has; 0 for a single value.
    pub fn len(&self, path: &str) -> usize {
        self.node(path).map_or(0, |node| node.children.len())
    }

    /// Whether there is nothing in the list or the map behind a path.
    pub fn is_empty(&self, path: &str) -> bool {
        self.len(path) == 0
    }

    /// The entries of the list or the map behind a path, in the order of the file.
    pub fn entries(&self, path: &str) -> impl Iterator<Item = &Place> {
        self.node(path).into_iter().flat_map(|node| node.children.iter().map(|child| &child.place))
    }

    fn node(&self, path: &str) -> Option<&Node> {
        path.split('/').skip(1).try_fold(&self.root, |node, step| node.child(step))
    }
}

/// A key as a step of a path.
pub fn step(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

impl Node {
    fn child(&self, step: &str) -> Option<&Self> {
        let key = step.replace("~1", "/").replace("~0", "~");
        if let Some(child) = self.children.iter().find(|child| child.key.as_deref() == Some(key.as_str())) {
            return Some(child);
        }
        let is_list = self.children.iter().all(|child| child.key.is_none());
        match (is_list, key.strip_prefix("id=")) {
            (true, Some(id)) => self.children.iter().find(|child| child.id() == Some(id)),
            (true, None) => self.children.get(key.parse::<usize>().ok()?),
            (false, _) => None,
        }
    }

    fn id(&self) -> Option<&str> {
        let id = self.children.iter().find(|child| child.key.as_deref() == Some("id"))?;
        id.text.as_deref()
    }

    fn shift(&mut self, by: usize) {
        if by == 0 {
            return;
        }
        let moved = |range: &Range<usize>| range.start + by..range.end + by;
        self.place.value = moved(&self.place.value);
        self.place.entry = moved(&self.place.entry);
        for child in &mut self.children {
            child.shift(by);
        }
    }
}

/// Turns what the parser says into places.
struct Reader<'a> {
    text: &'a str,
}

impl Reader<'_> {
    /// `from` is the offset from which on the text belongs to this node.
    fn node(&self, key: Option<&At<String>>, written: &At<Written>, from: usize, in_flow: bool) -> Node {
        let mut begin = offset(written).max(from);
        // Of a value that is left empty the parser gives the colon.
        if length(written) == 0
            && matches!(written.value, Written::One(_))
            && self.rest(begin).starts_with(':')
        {
            begin += 1;
        }
        let is_flow = self.rest(begin).starts_with(['{', '[']) && !matches!(written.value, Written::One(_));
        let entry = match key {
            Some(key) => offset(key),
            None if in_flow => begin,
            None => self.dash(from, begin).unwrap_or(begin),
        };
        let mut end = begin;
        let mut children = Vec::new();
        let inner = if is_flow { begin + 1 } else { begin.min(key.map_or(entry + 1, after)) };
        match &written.value {
            Written::One(_) => end = begin + self.trimmed(begin, length(written)),
            Written::List(items) => {
                end = inner;
                for item in items {
                    let node = self.node(None, item, end.min(offset(item)), is_flow);
                    end = node.place.entry.end;
                    children.push(node);
                }
            }
            Written::Map(entries) => {
                end = inner.max(end);
                for (key, value) in entries {
                    let node = self.node(Some(key), value, after(key), is_flow);
                    end = node.place.entry.end;
                    children.push(node);
                }
            }
        }
        if is_flow {
            end = self.close(end);
        } else if let (Written::List(_), Some(first)) = (&written.value, children.first()) {
            // Where the dashes are not indented, the parser gives the place behind the first of them.
            begin = first.place.entry.start;
        }
        let (line, column) = key.map_or_else(
            || (written.referenced.line(), written.referenced.column()),
            |key| (key.referenced.line(), key.referenced.column()),
        );
        let place = Place {
            line,
            column,
            value: begin..end,
            entry: entry..end,
            first_line: self.line(entry),
            last_line: self.line(end),
            is_flow,
            in_flow,
        };
        let text = if let Written::One(text) = &written.value { text.clone() } else { None };
        Node { key: key.map(|key| key.value.clone()), text, place, children }
    }

    fn rest(&self, from: usize) -> &str {
        self.text.get(from..).unwrap_or_default()
    }

    /// The length of a single value without the empty lines that the parser counts to a block of text.
    fn trimmed(&self, begin: usize, length: usize) -> usize {
        self.text
            .get(begin..begin + length)
            .map_or(length, |text| text.trim_end_matches(['\n', '\r', ' ']).len())
    }

    /// The dash of a list item: the last one before it that is not in a comment.
    fn dash(&self, from: usize, begin: usize) -> Option<usize> {
        let gap = self.text.get(from..begin)?;
        let mut dash = None;
        let mut comment = false;
        for (place, c) in gap.char_indices() {
            comment = match c {
                '\n' => false,
                '#' => true,
                _ => comment,
            };
            if c == '-' && !comment {
                dash = Some(from + place);
            }
        }
        dash
    }

    /// The offset behind the brace or bracket that closes what has its last child before `from`.
    fn close(&self, from: usize) -> usize {
        let mut comment = false;
        for (place, c) in self.rest(from).char_indices() {
            comment = match c {
                '\n' => false,
                '#' => true,
                _ => comment,
            };
            if !comment && matches!(c, '}' | ']') {
                return from + place + 1;
            }
        }
        self.text.len()
    }

    fn line(&self, offset: usize) -> u64 {
        let before = self.text.as_bytes().get(..offset).unwrap_or_default();
        before.iter().filter(|byte| **byte == b'\n').count() as u64 + 1
    }
}

fn offset<T>(at: &At<T>) -> usize {
    at.referenced.span().byte_offset().and_then(|offset| usize::try_from(offset).ok()).unwrap_or_default()
}

fn length<T>(at: &At<T>) -> usize {
    at.referenced.span().byte_len().and_then(|length| usize::try_from(length).ok()).unwrap_or_default()
}

/// The offset behind a key.
fn after<T>(at: &At<T>) -> usize {
    offset(at) + length(at)
}

/// Any value, with the places of its parts; of a single one only its text, where it is one.
enum Written {
    One(Option<String>),
    List(Vec<At<Written>>),
    Map(Vec<(At<String>, At<Written>)>),
}

impl<'de> Deserialize<'de> for Written {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Any)
    }
}

struct Any;

impl<'de> Visitor<'de> for Any {
    type Value = Written;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Written, E> {
        Ok(Written::One(None))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Written, E> {
        Ok(Written::One(None))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Written, E> {
        Ok(Written::One(None))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Written, E> {
        Ok(Written::One(None))
    }

    fn visit_unit<E>(self) -> Result<Written, E> {
        Ok(Written::One(None))
    }

    fn visit_str<E>(self, text: &str) -> Result<Written, E> {
        Ok(Written::One(Some(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Written, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(Written::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Written, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Written::Map(entries))
    }
}

#[cfg(test)]
mod tests;
