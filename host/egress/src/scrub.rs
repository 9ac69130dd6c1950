//! Takes secrets out of text that goes on to guests, logs and receipts.
//!
//! A service that is sent a credential may hand it back: in an error page, a debug header, an echo. The scrubber
//! finds a secret as it is, percent-encoded, escaped as in JSON, and in base64 at any alignment, itself escaped in one
//! of these two ways or not, and puts its name in its place. Other forms are left as they are: entities of HTML,
//! hexadecimal, a hash, another order, two escapes over one another. It guards against accidents, not against a server
//! that wants to pass the secret on: such a server could spell it in a thousand other ways.

use base64::Engine;
use base64::alphabet::{Alphabet, STANDARD, URL_SAFE};
use base64::engine::GeneralPurpose;
use base64::engine::general_purpose::{NO_PAD, PAD};
use zeroize::Zeroizing;

use crate::secret::Secret;

/// Replaces secrets by `[secret NAME]`.
pub struct Scrubber {
    patterns: Vec<Pattern>,
}

/// One secret and how it may look.
struct Pattern {
    label: String,
    plain: Zeroizing<String>,
    base64: Vec<Zeroizing<String>>,
    /// Whether an occurrence can begin with a byte: most of a text is passed over by this alone.
    begins: [bool; 256],
}

impl Scrubber {
    /// A scrubber for these secrets. One that comes twice counts once, under its first name.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a Secret>) -> Self {
        let mut patterns: Vec<Pattern> = Vec::new();
        for secret in secrets {
            if patterns.iter().all(|known| known.plain.as_str() != secret.expose()) {
                patterns.push(Pattern::new(secret));
            }
        }
        Self { patterns }
    }

    /// Whether there is nothing to take out.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Whether the name of a header field holds a secret. Such names lose their case on the way, so none is asked for.
    /// A name with `[secret NAME]` in it would be none, which leaves only to drop the field.
    pub fn is_in_name(&self, name: &str) -> bool {
        let folded = name.to_ascii_lowercase();
        self.text(name) != name || self.patterns.iter().any(|pattern| pattern.is_folded_in(&folded))
    }

    /// A text without the secrets.
    pub fn text(&self, text: &str) -> String {
        String::from_utf8_lossy(&self.bytes(text.as_bytes())).into_owned()
    }

    /// Bytes without the secrets. The result may be longer: a name takes a secret's place.
    pub fn bytes(&self, bytes: &[u8]) -> Vec<u8> {
        let mut clean = Vec::with_capacity(bytes.len());
        let mut rest = bytes;
        while let Some((first, after)) = rest.split_first() {
            let longest = self
                .patterns
                .iter()
                .map(|pattern| (pattern.length_at(*first, rest), pattern))
                .max_by_key(|(n, _)| *n);
            match longest {
                Some((length, pattern)) if length > 0 => {
                    clean.extend_from_slice(pattern.label.as_bytes());
                    rest = rest.get(length..).unwrap_or_default();
                }
                _ => {
                    clean.push(*first);
                    rest = after;
                }
            }
        }
        clean
    }
}

impl Pattern {
    fn new(secret: &Secret) -> Self {
        let plain = Zeroizing::new(secret.expose().to_owned());
        let base64 = in_base64(plain.as_bytes());
        let mut begins = [false; 256];
        let firsts = base64.iter().chain([&plain]).filter_map(|form| form.as_bytes().first());
        for first in firsts.chain(b"%+\\") {
            if let Some(begins) = begins.get_mut(usize::from(*first)) {
                *begins = true;
            }
        }
        Self { label: format!("[secret {}]", secret.name()), plain, base64, begins }
    }

    /// How long the secret is that the text begins with, in any form; 0 if it begins with none.
    fn length_at(&self, first: u8, text: &[u8]) -> usize {
        if !self.begins.get(usize::from(first)).copied().unwrap_or_default() {
            return 0;
        }
        let plain = text.starts_with(self.plain.as_bytes()).then_some(self.plain.len());
        // JSON may escape the `/`, `+` and `=` of base64, and URLs do.
        let forms = self.base64.iter().chain([&self.plain]);
        let spelled = forms.flat_map(|form| [percent(text, form), json(text, form)]);
        spelled.chain([plain]).flatten().max().unwrap_or_default()
    }

    /// Whether a text in lower case holds the secret, or its base64, in lower case.
    fn is_folded_in(&self, text: &str) -> bool {
        self.base64.iter().chain([&self.plain]).any(|form| {
            let form = Zeroizing::new(form.to_ascii_lowercase());
            (0..text.len())
                .filter_map(|at| text.as_bytes().get(at..))
                .any(|text| percent(text, &form).is_some())
        })
    }
}

/// The secret in base64: whole, with and without padding, and as the part of a longer encoded text.
///
/// In a longer text the secret begins at one of three alignments. The characters at both ends then mix it with its
/// neighbours; they are left out, and leave at most four bits of it behind at each end.
fn in_base64(secret: &[u8]) -> Vec<Zeroizing<String>> {
    let mut forms = Vec::new();
    for alphabet in [&STANDARD, &URL_SAFE] {
        let whole = [PAD, NO_PAD].map(|padding| GeneralPurpose::new(alphabet, padding).encode(secret));
        forms.extend(whole.map(Zeroizing::new));
        forms.extend((0..3).filter_map(|before| inner_base64(alphabet, before, secret)));
    }
    // The alphabets differ in two characters only, which most secrets do not need.
    forms.sort_by(|one, other| one.as_str().cmp(other.as_str()));
    forms.dedup();
    forms
}

fn inner_base64(alphabet: &Alphabet, before: usize, secret: &[u8]) -> Option<Zeroizing<String>> {
    let padded = Zeroizing::new([vec![0; before].as_slice(), secret].concat());
    let encoded = Zeroizing::new(GeneralPurpose::new(alphabet, NO_PAD).encode(&padded));
    let (start, end) = ((before * 8).div_ceil(6), padded.len() * 8 / 6);
    encoded.get(start..end).map(|form| Zeroizing::new(form.to_owned()))
}

/// How much of a text spells the secret where any byte may be percent-encoded, in either case.
fn percent(text: &[u8], secret: &str) -> Option<usize> {
    let mut rest = text;
    for byte in secret.bytes() {
        rest = match rest {
            [b'%', high, low, after @ ..] if hex(&[*high, *low]) == Some(u16::from(byte)) => after,
            [b'+', after @ ..] if byte == b' ' => after,
            [first, after @ ..] if *first == byte && byte != b'%' => after,
            _ => return None,
        };
    }
    Some(text.len() - rest.len())
}

/// How much of a text spells the secret where any character may be escaped as in a JSON string.
fn json(text: &[u8], secret: &str) -> Option<usize> {
    let mut rest = text;
    for character in secret.chars() {
        rest = match rest {
            [b'\\', b'u', ..] => unicode_escape(rest, character)?,
            [b'\\', escaped, after @ ..] if matches!(escaped, b'"' | b'\\' | b'/') => {
                (character == char::from(*escaped)).then_some(after)?
            }
            [b'\\', ..] => return None,
            _ => rest.strip_prefix(character.encode_utf8(&mut [0; 4]).as_bytes())?,
        };
    }
    Some(text.len() - rest.len())
}

fn unicode_escape(text: &[u8], character: char) -> Option<&[u8]> {
    let mut rest = text;
    for unit in character.encode_utf16(&mut [0; 2]) {
        let (digits, after) = rest.strip_prefix(br"\u")?.split_at_checked(4)?;
        rest = (hex(digits)? == *unit).then_some(after)?;
    }
    Some(rest)
}

/// The value of hex digits in either case; `None` for anything else.
fn hex(digits: &[u8]) -> Option<u16> {
    digits.iter().try_fold(0u16, |value, digit| {
        let digit = char::from(*digit).to_digit(16)?;
        value.checked_mul(16)?.checked_add(u16::try_from(digit).ok()?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    use proptest::prelude::*;

    /// Every form spells it differently; `~~~???` does for the two alphabets of base64.
    const SECRET: &str = "~~~???p/q+r \"s\\t%u\u{fc}\u{1f511}";

    fn scrubber(values: &[&str]) -> Scrubber {
        let secrets: Vec<_> =
            values.iter().enumerate().map(|(n, value)| Secret::for_test(&format!("s{n}"), value)).collect();
        Scrubber::new(&secrets)
    }

    fn base64(bytes: &[u8], alphabet: &Alphabet, padded: bool) -> String {
        GeneralPurpose::new(alphabet, if padded { PAD } else { NO_PAD }).encode(bytes)
    }

    /// How JSON and URLs may write a base64 text.
    fn spellings(coded: &str) -> Vec<String> {
        let percent = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let escapes = |escape: fn(char) -> String| -> String {
            let spell = |c: char| if c.is_ascii_alphanumeric() { c.to_string() } else { escape(c) };
            coded.chars().map(spell).collect()
        };
        vec![
            coded.to_owned(),
            coded.replace('/', "\\/"),
            escapes(|c| format!("\\u{:04x}", u32::from(c))),
            escapes(|c| format!("\\u{:04X}", u32::from(c))),
            escapes(|c| format!("%{:02x}", u32::from(c))),
            percent(coded),
        ]
    }

    #[test]
    fn every_form_is_found() {
        let json = serde_json::to_string(SECRET).unwrap();
        let ascii: String = SECRET.encode_utf16().map(|unit| format!("\\u{unit:04X}")).collect();
        let encoded = utf8_percent_encode(SECRET, NON_ALPHANUMERIC).to_string();
        for form in [
            SECRET.to_owned(),
            json.trim_matches('"').to_owned(),
            json.trim_matches('"').replace('/', "\\/"),
            ascii,
            encoded.to_lowercase(),
            encoded.replace("%20", "+"),
            encoded,
        ] {
            assert_eq!(scrubber(&[SECRET]).text(&format!("<{form}>")), "<[secret s0]>", "{form}");
        }
        for (alphabet, padded) in
            [(&STANDARD, true), (&STANDARD, false), (&URL_SAFE, true), (&URL_SAFE, false)]
        {
            for form in spellings(&base64(SECRET.as_bytes(), alphabet, padded)) {
                assert_eq!(scrubber(&[SECRET]).text(&format!("<{form}>")), "<[secret s0]>", "{form}");
            }
        }
    }

    #[test]
    fn a_field_name_holds_a_secret_in_any_case() {
        let scrubber = scrubber(&["Hunter2-ABC~???"]);
        let code = base64(b"Hunter2-ABC~???", &STANDARD, false);
        for (name, found) in [
            ("x-hunter2-abc~%3f%3F%3f", true),
            ("Hunter2-ABC~%3F%3F%3F-x", true),
            ("%48unter2-%41%42%43~%3f%3f%3f", true),
            (&code.to_lowercase().replace('/', "%2f"), true),
            ("hunter2-abc", false),
            ("x-echo", false),
            ("", false),
        ] {
            assert_eq!(scrubber.is_in_name(name), found, "{name}");
        }
    }

    #[test]
    fn basic_authentication_does_not_hide_it() {
        let secret = "hunter2-hunter2";
        for user in ["a", "ab", "abc", "abcd"] {
            let header = format!("Basic {}", base64(format!("{user}:{secret}").as_bytes(), &STANDARD, true));
            let clean = scrubber(&[secret]).text(&header);
            assert!(clean.contains("[secret s0]"), "{header} {clean}");
        }
    }

    #[test]
    fn other_text_stays_as_it_is() {
        let scrubber = scrubber(&["hunter2!"]);
        for text in
            ["", "hunter2", "hunter2?", "HUNTER2!", "%68unter2", "\\u0068unter2", "%", "\\u00", "gr\u{fc}n"]
        {
            assert_eq!(scrubber.text(text), text);
        }
        assert_eq!(scrubber.bytes(b"\xff\0hunter2!\xfe"), b"\xff\0[secret s0]\xfe");
    }

    #[test]
    fn the_longer_of_two_secrets_wins() {
        assert_eq!(scrubber(&["hunter", "hunter-two"]).text("hunter-two hunter"), "[secret s1] [secret s0]");
    }

    #[test]
    fn what_is_not_recognised() {
        // The module's documentation says so; whoever adds a form moves it from here to the list above.
        let html = SECRET.replace('"', "&quot;");
        let hex: String = SECRET.bytes().map(|byte| format!("{byte:02x}")).collect();
        let reversed: String = SECRET.chars().rev().collect();
        for form in [html, hex, reversed] {
            assert_eq!(scrubber(&[SECRET]).text(&form), form);
        }
    }

    #[test]
    fn a_secret_that_comes_twice_counts_once() {
        assert_eq!(scrubber(&["hunter2!", "hunter2!"]).text("hunter2!"), "[secret s0]");
        assert!(scrubber(&[]).is_empty());
        assert!(!scrubber(&["hunter2!"]).is_empty());
    }

    /// Every character escaped, as an encoder may that wants to be on the safe side.
    fn all_escaped(text: &str, upper: bool) -> String {
        let unit = |unit| if upper { format!("\\u{unit:04X}") } else { format!("\\u{unit:04x}") };
        text.encode_utf16().map(unit).collect()
    }

    fn everything_in_percent(text: &str) -> String {
        text.bytes().map(|byte| format!("%{byte:02x}")).collect()
    }

    proptest! {
        #[test]
        fn no_form_survives_anywhere(
            secret in "[ -~\u{a1}-\u{17f}\u{4e00}\u{1f511}]{6,24}|[%+/\\\\\"'<>& =\u{fc}]{6,24}",
            before in ".{0,9}",
            after in ".{0,9}",
        ) {
            let scrubber = scrubber(&[&secret]);
            let json = serde_json::to_string(&secret).unwrap();
            let json = json.strip_prefix('"').and_then(|json| json.strip_suffix('"')).unwrap().to_owned();
            let query = utf8_percent_encode(&secret, NON_ALPHANUMERIC).to_string();
            for form in [
                secret.clone(),
                json.replace('/', "\\/"),
                json,
                all_escaped(&secret, true),
                all_escaped(&secret, false),
                everything_in_percent(&secret),
                query.replace("%20", "+"),
                query,
            ] {
                let clean = scrubber.text(&format!("{before}{form}{after}"));
                prop_assert!(clean.contains("[secret s0]"), "{form} in {clean}");
                prop_assert!(!clean.replace("[secret s0]", "\0").contains(&form), "{form} in {clean}");
            }
        }

        #[test]
        fn no_part_of_a_base64_text_hides_it(
            secret in "[ -~\u{a1}-\u{17f}]{6,24}|[~?>\u{ff}\u{fb}]{6,24}",
            before in prop::collection::vec(any::<u8>(), 0..7),
            after in prop::collection::vec(any::<u8>(), 0..7),
        ) {
            let scrubber = scrubber(&[&secret]);
            let whole = [&before, secret.as_bytes(), &after].concat();
            for alphabet in [&STANDARD, &URL_SAFE] {
                for padded in [true, false] {
                    for coded in spellings(&base64(&whole, alphabet, padded)) {
                        let clean = scrubber.text(&coded);
                        prop_assert!(clean.contains("[secret s0]"), "{coded}");
                        // What is left at either end is less than a byte of the secret. An escape is six letters.
                        let kept = clean.len() - "[secret s0]".len();
                        prop_assert!(kept <= ((before.len() + after.len()) * 4 / 3 + 8) * 6, "{coded} {clean}");
                    }
                }
            }
        }

        #[test]
        fn any_bytes_are_taken(bytes: Vec<u8>) {
            scrubber(&["%\\u00+ ", "hunter2!"]).bytes(&bytes);
        }
    }
}
