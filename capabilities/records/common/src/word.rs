//! Ids and texts that people give: which are taken.

use ops_guest::Failure;

/// The longest title, in characters; a derived one is cut there.
pub const TITLE: usize = 110;

/// Whether a text is the id of a gap: `GAP-OP-` and three to six digits.
pub fn is_gap_id(text: &str) -> bool {
    number(text).is_some()
}

/// The number in the id of a gap.
pub fn number(text: &str) -> Option<u32> {
    let digits = text.strip_prefix("GAP-OP-")?;
    let fits = (3..=6).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    fits.then(|| digits.parse().ok()).flatten()
}

/// The id of the gap with this number.
pub fn gap_id(number: u32) -> String {
    format!("GAP-OP-{number:03}")
}

/// Whether a text is the id of a loop: `LOOP-` and words of capitals and digits with hyphens between them.
pub fn is_loop_id(text: &str) -> bool {
    text.len() <= 120
        && text.strip_prefix("LOOP-").is_some_and(|rest| {
            rest.split('-').all(|word| {
                !word.is_empty()
                    && word.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
            })
        })
}

/// Checks the id of a loop that somebody gave.
///
/// # Errors
/// `InvalidInput` where it is none.
pub fn check_loop_id(text: &str) -> Result<(), Failure> {
    if is_loop_id(text) {
        return Ok(());
    }
    Err(Failure::invalid(format!(
        "{text:?} is no id of a loop; one is like LOOP-INFRA-CORE-20260302, and `loops.list` shows them"
    )))
}

/// Whether a text can be shown as it is: no control characters but, where `lines` says so, the end of a line; none that
/// change the direction of writing.
pub fn is_shown_as_it_is(text: &str, lines: bool) -> bool {
    !text.chars().any(|c| (c.is_control() && !(lines && c == '\n')) || is_direction(c))
}

/// The characters by which a text can be made to look like another.
fn is_direction(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Checks a text that somebody gave.
///
/// # Errors
/// `InvalidInput` where it is empty, or has characters that cannot be shown.
pub fn check_text(flag: &str, text: &str) -> Result<(), Failure> {
    if text.trim().is_empty() {
        return Err(Failure::invalid(format!("--{flag} is empty; say it in words")));
    }
    if !is_shown_as_it_is(text, true) {
        return Err(Failure::invalid(format!(
            "--{flag} has control characters or such as change the direction of writing; leave them out"
        )));
    }
    Ok(())
}

/// A title out of a description: its first line, cut at a word.
pub fn title_of(description: &str) -> String {
    let line = description.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    cut(line, TITLE)
}

/// A line of at most that many characters, cut at a word.
pub fn cut(line: &str, most: usize) -> String {
    if line.chars().count() <= most {
        return line.to_owned();
    }
    let cut: String = line.chars().take(most.saturating_sub(1)).collect();
    let whole = cut.rsplit_once(' ').map_or(cut.as_str(), |(front, _)| front);
    format!("{}…", whole.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids() {
        for (text, fits) in [
            ("GAP-OP-665", true),
            ("GAP-OP-1291", true),
            ("GAP-OP-001", true),
            ("GAP-OP-66", false),
            ("GAP-OP-1234567", false),
            ("GAP-OP-66a", false),
            ("gap-op-665", false),
            ("GAP-OP-665 ", false),
        ] {
            assert_eq!(is_gap_id(text), fits, "{text}");
        }
        for (text, fits) in [
            ("LOOP-COMMUNICATIONS-STACK-V1-IMPLEMENT-WS1-INFRA-20260218", true),
            ("LOOP-A", true),
            ("LOOP-", false),
            ("LOOP-A--B", false),
            ("LOOP-a", false),
            ("LOOP-A/../B", false),
            ("GAP-OP-1", false),
        ] {
            assert_eq!(is_loop_id(text), fits, "{text}");
        }
        assert_eq!((gap_id(7).as_str(), gap_id(1292).as_str()), ("GAP-OP-007", "GAP-OP-1292"));
    }

    #[test]
    fn titles_are_cut_at_a_word() {
        assert_eq!(title_of("\n  One thing. \nMore."), "One thing.");
        let long = title_of(&"word ".repeat(50));
        assert!(long.chars().count() <= TITLE && long.ends_with("word…"), "{long}");
        assert_eq!(title_of(&"é".repeat(200)).chars().count(), TITLE);
    }

    #[test]
    fn texts_that_deceive_are_refused() {
        for text in ["", "  ", "a\u{202e}b", "a\u{1b}[31m", "a\tb", "a\r"] {
            assert!(check_text("notes", text).is_err(), "{text:?}");
        }
        check_text("notes", "Two lines,\nand “quotes”.").unwrap();
    }
}
