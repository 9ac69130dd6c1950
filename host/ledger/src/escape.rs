//! Untrusted text in Markdown: what it says is shown, and what it would do is not done.
//!
//! Guards against text that forges a table's next cell or a heading, links to somewhere, hides behind HTML, or
//! reorders and clears what a person reads.

use std::fmt::Write as _;

/// Text for a table cell or a sentence: one line, no markup, no link, every control character visible.
pub(crate) fn text(raw: &str) -> String {
    let shown = visible(raw);
    if shown.is_empty() {
        return "–".into();
    }
    let mut out = String::with_capacity(shown.len());
    for symbol in shown.chars() {
        match symbol {
            '\\' | '`' | '*' | '_' | '[' | ']' | '~' | '$' | '#' => {
                out.push('\\');
                out.push(symbol);
            }
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '|' => out.push_str("&#124;"),
            _ => out.push(symbol),
        }
    }
    // Renderers make links of these without being asked.
    out.replace("://", "&#58;//").replace("www.", "www&#46;")
}

/// A name, path or hash, in code style where its characters allow that.
pub(crate) fn code(raw: &str) -> String {
    let shown = visible(raw);
    if shown.is_empty() || shown.contains(['`', '|', '\\']) || shown.trim() != shown {
        return text(raw);
    }
    format!("`{shown}`")
}

/// Every character that shows nothing, or moves others, as `⟦U+202E⟧`.
fn visible(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    for symbol in raw.chars() {
        if is_hidden(symbol) {
            // Writing to a String cannot fail.
            write!(out, "⟦U+{:04X}⟧", u32::from(symbol)).ok();
        } else {
            out.push(symbol);
        }
    }
    out
}

fn is_hidden(symbol: char) -> bool {
    symbol.is_control()
        || (symbol.is_whitespace() && symbol != ' ')
        || matches!(symbol,
            '\u{00ad}' | '\u{034f}' | '\u{061c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
            | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}'
            // Our own marks, so that a text cannot pretend that something was hidden in it.
            | '⟦' | '⟧')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn texts_do_nothing() {
        for (raw, shown) in [
            ("send \"Hello\"", "send \"Hello\""),
            ("", "–"),
            ("a|b", "a&#124;b"),
            ("a\\|b", "a\\\\&#124;b"),
            ("`x` *y* _z_", "\\`x\\` \\*y\\* \\_z\\_"),
            ("a\n\n# b", "a⟦U+000A⟧⟦U+000A⟧\\# b"),
            ("<script>&lt;", "&lt;script&gt;&amp;lt;"),
            ("[x](https://e.test)", "\\[x\\](https&#58;//e.test)"),
            ("www.e.test http://e.test", "www&#46;e.test http&#58;//e.test"),
            ("\u{202e}txt.exe\u{200b}\u{1b}[2J", "⟦U+202E⟧txt.exe⟦U+200B⟧⟦U+001B⟧\\[2J"),
            ("⟦U+202E⟧", "⟦U+27E6⟧U+202E⟦U+27E7⟧"),
        ] {
            assert_eq!(text(raw), shown, "{raw:?}");
        }
    }

    #[test]
    fn code_is_kept_simple() {
        for (raw, shown) in [
            ("/jmap/{id}", "`/jmap/{id}`"),
            ("a`b", "a\\`b"),
            ("a|b", "a&#124;b"),
            ("a\\", "a\\\\"),
            (" ", " "),
            ("", "–"),
            ("<b>\u{0}", "`<b>⟦U+0000⟧`"),
        ] {
            assert_eq!(code(raw), shown, "{raw:?}");
        }
    }

    proptest! {
        /// No text leaves its cell or its line, and none opens a tag, an image or a code span.
        #[test]
        fn nothing_gets_out(raw in any::<String>()) {
            let shown = text(&raw);
            let leaves = shown.contains(['|', '<', '>', '\n', '\r', '\u{202e}']);
            prop_assert!(!leaves, "{shown:?}");
            let bare: Vec<char> = shown.chars().collect();
            for (at, symbol) in bare.iter().enumerate() {
                if matches!(symbol, '`' | '[' | ']' | '*' | '_') {
                    let slashes = bare[..at].iter().rev().take_while(|symbol| **symbol == '\\').count();
                    prop_assert!(slashes % 2 == 1, "{shown:?}");
                }
            }
            let leaves = code(&raw).contains(['|', '\n', '\r', '\u{202e}']);
            prop_assert!(!leaves, "{raw:?}");
        }
    }
}
