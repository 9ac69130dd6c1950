//! Changes to the text of a YAML file that keep every line that they do not mean: comments, order, blank lines.
//!
//! This looks at lines and indents, not at YAML's whole grammar. That is enough because nobody relies on it: whoever
//! edits reads the result again, strictly, and compares it with what was meant. A way of writing that this does not
//! understand ends in a refusal, never in a damaged file.

use std::ops::Range;

/// The lines of a file, each with its own end.
#[derive(Clone, Debug)]
pub struct Lines(Vec<String>);

/// A mapping in block style: which lines it has, and the column of its keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Its lines, counted from 0.
    pub lines: Range<usize>,
    /// The column of its keys; none where it is written in flow style, on one line.
    column: Option<usize>,
}

/// A list of mappings under a key at the margin.
#[derive(Clone, Debug)]
pub struct List {
    /// Its mappings.
    pub items: Vec<Block>,
    /// The line of its key, counted from 0.
    key: usize,
    /// The column of its dashes.
    dash: usize,
}

impl Lines {
    /// The lines of a text. The last one gets an end, so that a line can follow.
    pub fn new(text: &str) -> Self {
        let mut lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
        if let Some(last) = lines.last_mut().filter(|last| !last.ends_with('\n')) {
            last.push('\n');
        }
        Self(lines)
    }

    /// All lines in one block, with their keys at the margin.
    pub fn whole(&self) -> Block {
        Block { lines: 0..self.0.len(), column: Some(0) }
    }

    /// The lines from this one on, counted from 0, to before that one, with their keys at the margin.
    pub fn margin(lines: Range<usize>) -> Block {
        Block { lines, column: Some(0) }
    }

    fn line(&self, number: usize) -> &str {
        self.0.get(number).map_or("", |line| line.trim_end_matches(['\n', '\r']))
    }

    /// Where a key of a block stands.
    pub fn key(&self, block: &Block, key: &str) -> Option<usize> {
        let column = block.column?;
        block.lines.clone().find(|number| {
            let line = self.line(*number);
            let front = line.get(..column).unwrap_or("x");
            let opens = *number == block.lines.start && front.trim() == "-";
            let behind = line.get(column..).and_then(|rest| rest.strip_prefix(key)?.strip_prefix(':'));
            (front.trim().is_empty() || opens)
                && behind.is_some_and(|value| value.is_empty() || value.starts_with(' '))
        })
    }

    /// The list under a key at the margin; none where there is no such key, or its value is no list in block style.
    pub fn list(&self, key: &str) -> Option<List> {
        let at = self.key(&self.whole(), key)?;
        let (value, _) = split(self.line(at).split_once(':')?.1);
        if value == "[]" {
            return Some(List { items: Vec::new(), key: at, dash: 2 });
        }
        let first = (at + 1..self.0.len()).find(|number| !is_aside(self.line(*number)))?;
        let dash = indent(self.line(first));
        if !value.is_empty() || !is_dash(self.line(first), dash) {
            return None;
        }
        let ends = |line: &str| {
            !is_aside(line) && (indent(line) < dash || (indent(line) == dash && !is_dash(line, dash)))
        };
        let end = (first..self.0.len()).find(|number| ends(self.line(*number))).unwrap_or(self.0.len());
        let starts: Vec<usize> = (first..end).filter(|number| is_dash(self.line(*number), dash)).collect();
        let ends = starts.iter().skip(1).copied().chain([end]);
        let items = starts.iter().zip(ends).map(|(start, end)| self.item(*start..end, dash)).collect();
        Some(List { items, key: at, dash })
    }

    fn item(&self, lines: Range<usize>, dash: usize) -> Block {
        let behind = self.line(lines.start).get(dash + 1..).unwrap_or_default();
        let column = match behind.trim_start() {
            "" => {
                lines.clone().skip(1).map(|number| self.line(number)).find(|line| !is_aside(line)).map(indent)
            }
            text if text.starts_with(['{', '#']) => None,
            text => Some(dash + 1 + behind.len() - text.len()),
        };
        Block { lines, column }
    }

    /// Gives a key of a block a value, which may go on over more lines. A key that is not there is put behind the line
    /// of `anchor`, which must be on one line. A comment behind the value stays. False where the block is not one that
    /// can be changed so.
    pub fn set(&mut self, block: &mut Block, key: &str, value: &str, anchor: &str) -> bool {
        let Some(column) = block.column else { return false };
        let (lines, written) = match (self.key(block, key), self.key(block, anchor)) {
            (Some(at), _) => {
                let line = self.line(at);
                let old = line.get(column + key.len() + 1..).unwrap_or_default();
                let (_, comment) = split(old);
                let front = line.get(..column).unwrap_or_default().to_owned();
                let lines = at..self.value_end(block, column, at, old);
                (lines, format!("{front}{key}:{}", behind(&with_comment(value, comment))))
            }
            (None, Some(at)) => (at + 1..at + 1, format!("{}{key}:{}", " ".repeat(column), behind(value))),
            (None, None) => return false,
        };
        let end = self.end(block.lines.start);
        let new: Vec<String> = written.split('\n').map(|line| format!("{line}{end}")).collect();
        block.lines.end = block.lines.end - lines.len() + new.len();
        self.0.splice(lines, new);
        true
    }

    /// The line behind the value that begins on line `at` with `value`.
    fn value_end(&self, block: &Block, column: usize, at: usize, value: &str) -> usize {
        // In a block scalar a `#` is text; elsewhere, what follows the value is not part of it.
        let scalar = value.trim_start().starts_with(['|', '>']);
        let goes_on = |line: &str| {
            line.trim().is_empty()
                || indent(line) > column
                || (indent(line) == column && (is_dash(line, column) || line.trim_start().starts_with('#')))
        };
        let stops = (at + 1..block.lines.end).find(|number| !goes_on(self.line(*number)));
        let mut end = stops.unwrap_or(block.lines.end);
        while end > at + 1 {
            let last = self.line(end - 1);
            let text = scalar && indent(last) > column;
            if !is_aside(last) || (text && !last.trim().is_empty()) {
                break;
            }
            end -= 1;
        }
        end
    }

    /// Puts a mapping at the end of a list: its fields, each a key with its value.
    pub fn push(&mut self, list: &List, fields: &[(&str, String)]) {
        let end = self.end(list.key);
        let mut new: Vec<String> = Vec::new();
        let at = match list.items.last() {
            Some(last) => {
                let apart = last.lines.start > 0 && self.line(last.lines.start - 1).trim().is_empty();
                new.extend(apart.then(|| end.to_owned()));
                let belongs =
                    |line: &str| !is_aside(line) || (indent(line) > list.dash && !line.trim().is_empty());
                last.lines
                    .clone()
                    .rev()
                    .find(|number| belongs(self.line(*number)))
                    .unwrap_or(last.lines.start)
                    + 1
            }
            None => {
                let line = self.line(list.key);
                let (_, comment) = split(line.split_once(':').map_or("", |(_, value)| value));
                let key = line.split_once(':').map_or(line, |(key, _)| key);
                let opened = format!("{}{end}", with_comment(&format!("{key}:"), comment));
                if let Some(line) = self.0.get_mut(list.key) {
                    *line = opened;
                }
                list.key + 1
            }
        };
        let (first, other) = (format!("{}- ", " ".repeat(list.dash)), " ".repeat(list.dash + 2));
        for (number, (key, value)) in fields.iter().enumerate() {
            let front = if number == 0 { &first } else { &other };
            new.push(format!("{front}{key}: {value}{end}"));
        }
        self.0.splice(at..at, new);
    }

    /// How a line ends here.
    fn end(&self, like: usize) -> &'static str {
        if self.0.get(like).is_some_and(|line| line.ends_with("\r\n")) { "\r\n" } else { "\n" }
    }
}

impl std::fmt::Display for Lines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|line| f.write_str(line))
    }
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

/// A blank line, or one with a comment alone.
fn is_aside(line: &str) -> bool {
    line.trim().is_empty() || line.trim_start().starts_with('#')
}

fn is_dash(line: &str, column: usize) -> bool {
    indent(line) == column
        && line.trim_start().strip_prefix('-').is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
}

/// A value as it stands behind its key's colon. One of several lines begins on the next.
pub(crate) fn behind(value: &str) -> String {
    if value.starts_with(['\n', ' ']) { value.to_owned() } else { format!(" {value}") }
}

fn with_comment(value: &str, comment: &str) -> String {
    // Behind a value of several lines there is no place for it but the first.
    match (comment, value.split_once('\n')) {
        ("", _) => value.to_owned(),
        (comment, None) => format!("{value}{comment}"),
        (comment, Some((first, rest))) => format!("{first}{comment}\n{rest}"),
    }
}

/// What stands behind a key: the value, and the comment with the blanks before it.
fn split(text: &str) -> (&str, &str) {
    let value = text.trim_start();
    let flow = value.starts_with(['[', '{']);
    let (mut quote, mut escaped, mut before) = (None, false, ' ');
    for (at, c) in value.char_indices() {
        match (quote, c) {
            (Some('"'), '\\') if !escaped => {
                escaped = true;
                continue;
            }
            (Some(open), _) if c == open && !escaped => quote = None,
            (Some(_), _) => {}
            // A quote behind a closed one is the second half of an escaped one.
            (None, '\'') if before == '\'' && value.starts_with(['\'', '[', '{']) => quote = Some(c),
            (None, '"' | '\'') if at == 0 || (flow && " ,[{:".contains(before)) => quote = Some(c),
            (None, '#') if before == ' ' => {
                let (front, comment) = value.split_at(at);
                let kept = front.trim_end();
                return (kept, value.get(kept.len()..).unwrap_or(comment));
            }
            (None, _) => {}
        }
        escaped = false;
        before = c;
    }
    (value.trim_end(), "")
}

#[cfg(test)]
mod tests;
