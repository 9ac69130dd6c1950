//! Where things stand in a binding's file, so that whoever finds something wrong with one can name the line.

use std::collections::BTreeMap;

use ops_policy::binding::Binding;

/// The lines of a binding's fields and grants, from 1. A field is found by its key at the margin, a grant by its name as a
/// whole word below its field; what is not found is left out.
pub(super) fn lines(text: &str, binding: &Binding) -> BTreeMap<String, u64> {
    let fields = fields(text);
    let mut lines: BTreeMap<String, u64> =
        fields.iter().map(|(key, section)| ((*key).to_owned(), section.first)).collect();
    let mut grant = |field: &str, word: &str, kind: String| {
        if let Some(line) = fields.get(field).and_then(|section| section.line_of(word)) {
            lines.insert(kind, line);
        }
    };
    for (name, service) in &binding.services {
        grant("services", name, format!("service {name}"));
        for rule in &service.rules {
            grant("services", &rule.id, format!("rule {name} {}", rule.id));
        }
    }
    binding.directories.keys().for_each(|name| grant("directories", name, format!("directory {name}")));
    binding.contracts.iter().for_each(|name| grant("contracts", name, format!("contract {name}")));
    binding.config.keys().for_each(|name| grant("config", name, format!("config {name}")));
    binding.invoke.iter().for_each(|name| grant("invoke", name, format!("invoke {name}")));
    binding.starts.iter().for_each(|name| grant("starts", name, format!("starts {name}")));
    lines
}

/// A field at the margin, with the lines that belong to it.
struct Section<'a> {
    first: u64,
    lines: Vec<&'a str>,
}

impl Section<'_> {
    fn line_of(&self, word: &str) -> Option<u64> {
        let found = self.lines.iter().zip(self.first..).find(|(line, _)| holds(line, word));
        found.map(|(_, number)| number)
    }
}

fn fields(text: &str) -> BTreeMap<&str, Section<'_>> {
    let mut fields: BTreeMap<&str, Section<'_>> = BTreeMap::new();
    let mut current = None;
    for (line, number) in text.lines().zip(1..) {
        let at_margin = line.starts_with(|first: char| first.is_ascii_alphabetic());
        if let Some((key, _)) = line.split_once(':').filter(|_| at_margin) {
            fields.entry(key).or_insert(Section { first: number, lines: Vec::new() });
            current = Some(key);
        }
        if let Some(section) = current.and_then(|key| fields.get_mut(key)) {
            section.lines.push(line);
        }
    }
    fields
}

/// Whether a line has the word as a whole, and not in a comment of its own.
fn holds(line: &str, word: &str) -> bool {
    let is_part = |next: Option<char>| next.is_some_and(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    !line.trim_start().starts_with('#')
        && line.match_indices(word).any(|(at, _)| {
            let (front, rest) = line.split_at(at);
            !is_part(front.chars().next_back()) && !is_part(rest.chars().nth(word.chars().count()))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_and_grants_have_their_lines() {
        let text = "# registry\ncapability: a.b.c\ncomponent: components/x.wasm\nsafety: read-only\nservices:\n  ops:\n    \
            # registry, and more\n    rules:\n      - {id: registry, method: GET, path: /registry, effect: read}\n\
            contracts: [a.yaml, b.a.yaml]\ninvoke:\n  - x.y.z\n  - x.y\n";
        let binding = Binding::parse("a.b.c.yaml", text.as_bytes()).unwrap();
        let lines = lines(text, &binding);
        for (what, line) in [
            ("safety", Some(4)),
            ("service ops", Some(6)),
            ("rule ops registry", Some(9)),
            ("contract a.yaml", Some(10)),
            ("invoke x.y", Some(13)),
            ("approval", None),
        ] {
            assert_eq!(lines.get(what).copied(), line, "{what}");
        }
    }
}
