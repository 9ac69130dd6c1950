//! Pattern lists as OpenSSH reads them: names with `*` and `?`, separated by commas, `!` for an exception.

/// Whether `text` matches the list: at least one pattern matches, and no pattern with `!` does. Letter case counts.
pub(super) fn list_matches(list: &str, text: &str) -> bool {
    let mut found = false;
    for pattern in list.split(',') {
        match pattern.strip_prefix('!') {
            Some(exception) if matches(exception, text) => return false,
            Some(_) => {}
            None => found = found || matches(pattern, text),
        }
    }
    found
}

/// One pattern: `*` stands for any text, `?` for one byte, as in OpenSSH. Time is bounded by the product of the
/// lengths: after a mismatch only the last `*` is tried again.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut at, mut position) = (0, 0);
    let mut last_star = None;
    while let Some(byte) = text.get(position) {
        match pattern.get(at) {
            Some(b'*') => {
                last_star = Some((at, position));
                at += 1;
            }
            Some(wanted) if *wanted == b'?' || wanted == byte => {
                at += 1;
                position += 1;
            }
            _ => {
                let Some((star, from)) = last_star else { return false };
                last_star = Some((star, from + 1));
                at = star + 1;
                position = from + 1;
            }
        }
    }
    pattern.iter().skip(at).all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lists() {
        for (list, text, expected) in [
            ("alice", "alice", true),
            ("alice", "Alice", false),
            ("alice", "alice2", false),
            ("alice,bob", "bob", true),
            ("*", "", true),
            ("*", "anyone", true),
            ("*@example.test", "alice@example.test", true),
            ("*@example.test", "alice@example.test.evil", false),
            ("a*c*e", "abcde", true),
            ("a*c*e", "abcd", false),
            ("?lice", "alice", true),
            ("?lice", "lice", false),
            ("*,!mallory", "mallory", false),
            ("!mallory,*", "mallory", false),
            ("*,!mallory", "alice", true),
            ("!mallory", "alice", false),
            ("**", "x", true),
        ] {
            assert_eq!(list_matches(list, text), expected, "{list} on {text}");
        }
    }

    /// The obvious recursive definition.
    fn reference(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern.split_first(), text.split_first()) {
            (None, None) => true,
            (Some((b'*', rest)), _) => {
                reference(rest, text) || (!text.is_empty() && reference(pattern, &text[1..]))
            }
            (Some((p, rest)), Some((t, after))) => (*p == b'?' || p == t) && reference(rest, after),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_definition(pattern in "[ab*?]{0,8}", text in "[ab]{0,8}") {
            prop_assert_eq!(matches(&pattern, &text), reference(pattern.as_bytes(), text.as_bytes()));
        }
    }
}
