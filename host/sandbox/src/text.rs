//! Foreign text on its way to people: one line, of a bounded length, without control characters.

/// The longest text that is passed on, in characters.
const LONGEST: usize = 300;

/// The root cause of an engine error, without the engine's own prefix.
pub(crate) fn first_line(error: &wasmtime::Error) -> String {
    let cause = error.root_cause().to_string();
    one_line(cause.strip_prefix("wasm trap: ").unwrap_or(&cause))
}

/// The first line of a text, cut where it is too long, with anything that could steer a terminal made visible.
pub(crate) fn one_line(text: &str) -> String {
    let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or("no reason was given").trim();
    let mut shown: String = line.chars().take(LONGEST).flat_map(visible).collect();
    if line.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    shown
}

fn visible(character: char) -> impl Iterator<Item = char> {
    let escaped = is_hidden(character).then(|| character.escape_unicode()).into_iter().flatten();
    escaped.chain((!is_hidden(character)).then_some(character))
}

/// Whether a character steers a terminal, turns the direction of a text, or cannot be seen.
pub(crate) fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bounded_visible_line() {
        assert_eq!(one_line("\n  first\nsecond"), "first");
        assert_eq!(one_line(""), "no reason was given");
        assert_eq!(one_line("a\u{1b}[2Jb\u{202e}c"), "a\\u{1b}[2Jb\\u{202e}c");
        assert_eq!(one_line(&"x".repeat(LONGEST)).chars().count(), LONGEST);
        assert_eq!(one_line(&"é".repeat(10_000)).chars().count(), LONGEST + 1);
    }
}
