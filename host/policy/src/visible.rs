//! Untrusted text for people to read: nothing hidden, nothing reordered, nothing without end.
//!
//! A plan or a lock is only as good as what its approver saw. Characters that move the cursor, reorder a line,
//! take no width or carry a hidden message are written as `\u{202e}`. Calling these functions twice changes
//! nothing more.

use unicode_general_category::{GeneralCategory, get_general_category};

/// One line of text with every character that does not show as itself written as `\u{…}`, line feeds and tabs
/// included.
pub fn visible(text: &str) -> String {
    escape(text, false)
}

/// As [`visible`], but line feeds and tabs stay what they are.
pub fn lines(text: &str) -> String {
    escape(text, true)
}

/// The text itself if it has at most `max_bytes` bytes, else its beginning and `…`, together at most `max_bytes`
/// bytes (or the three bytes of `…` alone, where less is asked for).
pub fn clip(text: &str, max_bytes: usize) -> String {
    const MARK: &str = "…";
    if text.len() <= max_bytes {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(max_bytes.saturating_sub(MARK.len()));
    format!("{}{MARK}", text.get(..end).unwrap_or_default())
}

/// JSON text with everything hidden written as `\u202e`. It means the same; only whoever reads it unparsed sees more.
///
/// Line breaks stay: what is JSON has them between its values only.
pub fn json(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if character == '\n' || !is_hidden(character) {
            out.push(character);
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    out
}

fn escape(text: &str, keep_layout: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        let layout = keep_layout && matches!(character, '\n' | '\t');
        if layout || !is_hidden(character) {
            out.push(character);
        } else {
            out.extend(character.escape_unicode());
        }
    }
    out
}

/// Whether a reader would not see this character, or would see something else move.
pub(crate) fn is_hidden(character: char) -> bool {
    if character.is_ascii() {
        return character.is_ascii_control();
    }
    matches!(
        get_general_category(character),
        GeneralCategory::Control
            | GeneralCategory::Format
            | GeneralCategory::LineSeparator
            | GeneralCategory::ParagraphSeparator
            | GeneralCategory::PrivateUse
            | GeneralCategory::Surrogate
            | GeneralCategory::Unassigned
    ) || is_blank_by_design(character)
}

/// Characters whose category says letter, mark or space, but which show as nothing or as a plain space: fillers,
/// joiners, variation selectors (known carriers of hidden text), and every space that is not U+0020.
fn is_blank_by_design(character: char) -> bool {
    matches!(
        character,
        '\u{34f}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{2800}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{ffa0}'
            | '\u{e0100}'..='\u{e01ef}'
    ) || get_general_category(character) == GeneralCategory::SpaceSeparator
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_hides_is_written_out() {
        for (text, shown) in [
            ("plain text, \\ and äöü 日本 🦀", "plain text, \\ and äöü 日本 🦀"),
            ("a\u{202e}b", "a\\u{202e}b"),
            ("a\u{2066}b\u{2069}", "a\\u{2066}b\\u{2069}"),
            ("zero\u{200b}width\u{200d}\u{feff}", "zero\\u{200b}width\\u{200d}\\u{feff}"),
            ("tag\u{e0041}\u{e007f}", "tag\\u{e0041}\\u{e007f}"),
            ("esc\u{1b}[2J", "esc\\u{1b}[2J"),
            ("c1\u{9b}31m del\u{7f}", "c1\\u{9b}31m del\\u{7f}"),
            ("nel\u{85} ls\u{2028} ps\u{2029}", "nel\\u{85} ls\\u{2028} ps\\u{2029}"),
            ("soft\u{ad}hyphen", "soft\\u{ad}hyphen"),
            ("private\u{e000} unassigned\u{378}", "private\\u{e000} unassigned\\u{378}"),
            ("selector\u{fe0f}\u{e0100}", "selector\\u{fe0f}\\u{e0100}"),
            ("filler\u{3164}\u{2800}", "filler\\u{3164}\\u{2800}"),
            ("no-break\u{a0}wide\u{3000}", "no-break\\u{a0}wide\\u{3000}"),
            ("line\r\n\tnext", "line\\u{d}\\u{a}\\u{9}next"),
        ] {
            assert_eq!(visible(text), shown);
        }
        assert_eq!(lines("line\r\n\tnext\u{202e}"), "line\\u{d}\n\tnext\\u{202e}");
    }

    #[test]
    fn clip_keeps_whole_characters() {
        for (text, max, clipped) in [
            ("short", 5, "short"),
            ("longer", 5, "lo…"),
            ("ääää", 6, "ä…"),
            ("ääää", 7, "ää…"),
            ("text", 0, "…"),
            ("", 0, ""),
        ] {
            assert_eq!(clip(text, max), clipped, "{text} {max}");
        }
    }

    proptest! {
        #[test]
        fn json_means_the_same(text in any::<String>()) {
            let shown = json(&serde_json::to_string_pretty(&[&text]).unwrap());
            prop_assert!(!shown.replace('\n', "").chars().any(is_hidden));
            prop_assert_eq!(serde_json::from_str::<Vec<String>>(&shown).unwrap(), [text]);
        }

        #[test]
        fn nothing_hidden_is_left(text in any::<String>(), max in 3_usize..64) {
            let shown = visible(&text);
            prop_assert!(!shown.chars().any(is_hidden));
            prop_assert_eq!(&visible(&shown), &shown);
            prop_assert!(!lines(&text).replace(['\n', '\t'], "").chars().any(is_hidden));
            prop_assert!(clip(&text, max).len() <= max);
        }
    }
}
