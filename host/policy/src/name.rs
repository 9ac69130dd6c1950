//! Names: what a capability, a service, a directory or a secret may be called, and which known word a person
//! probably meant.
//!
//! A name ends up in file names, command lines, messages and signed texts. So its alphabet is small: nothing in it
//! can be mistaken for a path, an option, an escape sequence or another name in different letters.

/// The longest capability name, in bytes.
const CAPABILITY_BYTES: usize = 100;
/// The longest single word, in bytes.
const WORD_BYTES: usize = 64;
/// Words longer than this get no suggestion: the comparison takes time that grows with the square of the length.
const SUGGESTION_BYTES: usize = 200;

/// Why a text is not a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a name: {why}")]
pub struct NameError {
    text: String,
    why: &'static str,
}

/// Checks a capability's name: `domain.noun.verb`, 2 to 6 segments of `[a-z][a-z0-9-]*`, at most 100 bytes.
///
/// # Errors
///
/// Every other text, with the rule that it breaks.
pub fn check(text: &str) -> Result<(), NameError> {
    let refuse = |why| NameError { text: shorten(text), why };
    if text.len() > CAPABILITY_BYTES {
        return Err(refuse("it is longer than 100 bytes"));
    }
    if !(2..=6).contains(&text.split('.').count()) {
        return Err(refuse("it has 2 to 6 segments with dots between, such as infra.vm.provision"));
    }
    if !text.split('.').all(is_word) {
        return Err(refuse("each segment is a lower-case letter and then lower-case letters, digits or `-`"));
    }
    Ok(())
}

/// Checks the name of a service, directory, secret or workspace: `[a-z][a-z0-9-]*`, at most 64 bytes.
///
/// # Errors
///
/// Every other text, with the rule that it breaks.
pub fn check_word(text: &str) -> Result<(), NameError> {
    let refuse = |why| NameError { text: shorten(text), why };
    if text.len() > WORD_BYTES {
        return Err(refuse("it is longer than 64 bytes"));
    }
    if !is_word(text) {
        return Err(refuse("it is a lower-case letter and then lower-case letters, digits or `-`"));
    }
    Ok(())
}

/// The candidate that a person probably meant by a word that is none of them.
///
/// At most every third character may differ, and never more than three; of equally near ones the first is taken.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > SUGGESTION_BYTES {
        return None;
    }
    let allowed = (word.chars().count() / 3).clamp(1, 3);
    candidates
        .into_iter()
        .filter(|candidate| candidate.len() <= SUGGESTION_BYTES)
        .map(|candidate| (strsim::osa_distance(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

fn is_word(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// What of a refused text goes into a message.
fn shorten(text: &str) -> String {
    text.chars().take(WORD_BYTES).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capability_names() {
        for good in ["infra.vm", "communications.mail.send.test", "a.b.c.d.e.f", "x1.y-2"] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        let long = format!("a.{}", "b".repeat(99));
        for bad in [
            "",
            "mail",
            "a.b.c.d.e.f.g",
            "A.b",
            "a..b",
            ".a.b",
            "a.b.",
            "1a.b",
            "a.b_c",
            "a.b/c",
            "a.ö",
            &long,
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn words() {
        assert_eq!(check_word("mail-2"), Ok(()));
        for bad in ["", "-a", "a.b", "Mail", "mail ", "2mail", &"a".repeat(65)] {
            assert!(check_word(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn nearest_is_near() {
        let words = ["approval", "approvals", "safety", "service"];
        for (word, expected) in [
            ("aproval", Some("approval")),
            ("saftey", Some("safety")),
            ("services", Some("service")),
            ("x", None),
            ("record", None),
        ] {
            assert_eq!(nearest(word, words), expected, "{word}");
        }
        assert_eq!(nearest(&"a".repeat(100_000), words), None);
    }
}
