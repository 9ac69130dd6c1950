//! What the text of a scope file says to programs: the lines of its acceptance, and the gaps that it links.

use ops_guest::Failure;
use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag, TagEnd};

use crate::word;

/// The headings whose list items must hold before a loop is closed.
const ACCEPTANCE: [&str; 4] = ["acceptance", "acceptance criteria", "success criteria", "definition of done"];
/// The headings whose list items begin with the id of a gap.
const GAPS: [&str; 4] = ["parent gap", "parent gaps", "linked gap", "linked gaps"];

/// One line of the acceptance: a list item at the top, with all that belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its text, on one line.
    pub text: String,
    /// Where it begins in the file, from 1.
    pub at: usize,
}

/// The text of a scope file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Body {
    /// The lines of its acceptance, over all sections, in their order.
    pub acceptance: Vec<Line>,
    /// The ids of the gaps that it links, each once, in their order.
    pub gaps: Vec<String>,
}

/// In which section something stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Section {
    Acceptance,
    Gaps,
    Other,
}

impl Body {
    /// Reads Markdown, which begins behind line `above` of the file.
    pub fn parse(text: &str, above: usize) -> Self {
        let (mut body, mut depth) = (Self::default(), 0_usize);
        // The headings above what is read, each with its level: a deeper one keeps the section that it is in.
        let mut sections: Vec<(HeadingLevel, Section)> = Vec::new();
        let (mut heading, mut item): (Option<String>, Option<Line>) = (None, None);
        for (event, range) in Parser::new_ext(text, Options::ENABLE_TASKLISTS).into_offset_iter() {
            match event {
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::End(TagEnd::Heading(level)) => {
                    sections.retain(|(above, _)| *above < level);
                    let outer = sections.last().map_or(Section::Other, |(_, section)| *section);
                    let section = named(&heading.take().unwrap_or_default()).unwrap_or(outer);
                    sections.push((level, section));
                }
                Event::Start(Tag::Item) => {
                    depth += 1;
                    add(&mut heading, &mut item, " ");
                    if depth == 1 {
                        let before = text.get(..range.start).unwrap_or_default();
                        let at = above + 1 + before.matches('\n').count();
                        item = Some(Line { text: String::new(), at });
                    }
                }
                Event::End(TagEnd::Item) => {
                    depth = depth.saturating_sub(1);
                    if let Some(line) = item.take_if(|_| depth == 0) {
                        body.take(sections.last().map_or(Section::Other, |(_, section)| *section), line);
                    }
                }
                Event::Text(words) | Event::Code(words) => add(&mut heading, &mut item, &words),
                Event::SoftBreak | Event::HardBreak | Event::Start(Tag::Paragraph) => {
                    add(&mut heading, &mut item, " ");
                }
                _ => {}
            }
        }
        body
    }

    fn take(&mut self, section: Section, mut line: Line) {
        line.text = line.text.split_whitespace().collect::<Vec<_>>().join(" ");
        match section {
            Section::Acceptance if !line.text.is_empty() => self.acceptance.push(line),
            Section::Gaps => {
                let id = line
                    .text
                    .split(|c: char| !c.is_ascii_alphanumeric() && c != '-')
                    .find(|id| word::is_gap_id(id));
                if let Some(id) = id.filter(|id| !self.gaps.iter().any(|known| known == id)) {
                    self.gaps.push(id.to_owned());
                }
            }
            _ => {}
        }
    }
}

fn add(heading: &mut Option<String>, item: &mut Option<Line>, words: &str) {
    match (heading, item) {
        (Some(heading), _) => heading.push_str(words),
        (None, Some(line)) => line.text.push_str(words),
        (None, None) => {}
    }
}

/// The section that a heading begins, if it is one that programs read.
fn named(heading: &str) -> Option<Section> {
    let heading = heading.trim().to_lowercase();
    let heading = heading.trim_end_matches(':').trim_end();
    match heading {
        heading if ACCEPTANCE.contains(&heading) => Some(Section::Acceptance),
        heading if GAPS.contains(&heading) => Some(Section::Gaps),
        _ => None,
    }
}

/// The runs that somebody names for single lines: `1=KEY`, again for each, or several separated by commas: `1=A,B,2=C`.
///
/// # Errors
/// `InvalidInput` where a part is not so, or the acceptance has no such line.
pub fn named_lines(parts: &[String], count: usize) -> Result<Vec<(usize, String)>, Failure> {
    let mut named = Vec::new();
    for text in parts {
        let mut before = "";
        for part in text.split([',', ' ']).filter(|part| !part.is_empty()) {
            // A key without a line belongs to the line before it.
            let (line, key) = part.split_once('=').unwrap_or((before, part));
            before = line;
            let line = line.parse().ok().filter(|line| (1..=count).contains(line)).ok_or_else(|| {
            Failure::invalid(format!(
                "--evidence {part:?}: write the line and the run that shows it, like 2=CAP-…; the acceptance has \
                 {count} lines, and `ops loops show` numbers them"
            ))
        })?;
            for key in crate::evidence::run_keys("evidence", key)? {
                named.push((line, key));
            }
        }
    }
    Ok(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
# Loop

## Linked Gaps
- GAP-OP-1291: coverage, after GAP-OP-1; open
- `GAP-OP-1292`
- GAP-OP-1291 once more

## Scope
- not this

## Success Criteria

- First, `with code`
  and a second line
  - and what belongs to it
- [x] **Second**
<!-- - not this -->

```
## Acceptance
- nor this
```

## Definition Of Done:
1. Third
* Fourth

### Deeper
- Fifth

#### Linked gaps :
- GAP-OP-1293

### Deeper again
- Sixth

## Notes
- not this either
";

    #[test]
    fn lines_and_gaps_are_found() {
        let body = Body::parse(TEXT, 10);
        let lines: Vec<_> = body.acceptance.iter().map(|line| (line.at, line.text.as_str())).collect();
        assert_eq!(
            lines,
            [
                (23, "First, with code and a second line and what belongs to it"),
                (26, "Second"),
                (35, "Third"),
                (36, "Fourth"),
                (39, "Fifth"),
                (45, "Sixth"),
            ]
        );
        assert_eq!(body.gaps, ["GAP-OP-1291", "GAP-OP-1292", "GAP-OP-1293"]);
    }

    #[test]
    fn runs_are_named_for_lines() {
        let key = "CAP-20260302-022249__verify.run__R1";
        let other = "CAP-20260302-022249__verify.run__R2";
        let more = named_lines(&[format!("1={key},{other},2={key}")], 2).unwrap();
        assert_eq!(more, [(1, key.to_owned()), (1, other.to_owned()), (2, key.to_owned())]);
        let parts = [format!("1={key},2={key}"), format!("2=R{key}")];
        assert_eq!(
            named_lines(&parts, 2).unwrap(),
            [(1, key.to_owned()), (2, key.to_owned()), (2, key.to_owned())]
        );
        for part in
            [format!("3={key}"), format!("0={key}"), key.to_owned(), "1=done".to_owned(), "x=1".to_owned()]
        {
            assert!(named_lines(std::slice::from_ref(&part), 2).is_err(), "{part}");
        }
    }
}
