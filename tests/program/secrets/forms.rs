//! How a secret may be spelt. Written apart from the host's scrubber, so that neither can have the other's mistakes.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};

/// Values with bytes that one encoding or another treats in its own way. None is part of another.
pub(super) const ODD: [&str; 9] = [
    "hunter2-hunter2",
    r#"a "quoted" and \back\slashed\ one"#,
    "100%+more/or=less%2Fthan",
    "several words with  spaces",
    "gr\u{fc}ne-\u{df}chl\u{fc}ssel-\u{65e5}\u{672c}\u{1f511}",
    "<script>&amp;'tick'`back`</script>",
    "{\"json\": [\"inside\", null]}",
    "$HOME;$(id)|&&~*?!#",
    LONG,
];

const LONG: &str = concat!(
    "0Aa1Bb2Cc3Dd4Ee5Ff6Gg7Hh8Ii9Jj.0Kk1Ll2Mm3Nn4Oo5Pp6Qq7Rr8Ss9Tt_0Uu1Vv2Ww3Xx4Yy5Zz6+/7=8?9",
    "9jJ8iI7hH6gG5fF4eE3dD2cC1bB0aA.9tT8sS7rR6qQ5pP4oO3nN2mM1lL0kK_9zZ8yY7xX6wW5vV4uU3tT2sS1rR",
    "qwertyuiopasdfghjklzxcvbnmQWERTYUIOPASDFGHJKLZXCVBNM-the-quick-brown-fox-jumps-over-a-dog",
);

/// The spellings that are searched for: how, and the bytes that give the secret away.
pub(super) fn of(secret: &str) -> Vec<(&'static str, String)> {
    let mut forms = vec![("plain", secret.to_owned())];
    forms.extend(escaped(secret));
    // Bodies of requests are kept as base64, and most of them are JSON.
    let json = in_json(secret);
    for (text, how, how_in_urls) in
        [(secret, "base64", "base64 for URLs"), (&json, "base64 of JSON", "base64 of JSON for URLs")]
    {
        for offset in 0..3 {
            for (how, alphabet) in [(how, &STANDARD), (how_in_urls, &URL_SAFE)] {
                forms.push((how, core(&alphabet.encode(bytes_after(offset, text)), offset, text.len())));
            }
        }
    }
    forms
}

/// The same spellings as a server may have them in a text: base64 with something before and after.
pub(super) fn around(secret: &str) -> Vec<(&'static str, String)> {
    let mut forms = vec![("plain", secret.to_owned())];
    forms.extend(escaped(secret));
    for offset in 0..3 {
        let mut bytes = bytes_after(offset, secret);
        forms.push(("base64", STANDARD.encode(&bytes)));
        bytes.extend_from_slice(b" and more");
        forms.push(("base64 for URLs", URL_SAFE.encode(&bytes)));
    }
    forms
}

/// As it stands between the quotes of a JSON text.
fn in_json(secret: &str) -> String {
    let json = serde_json::to_string(secret).unwrap();
    json[1..json.len() - 1].to_owned()
}

fn escaped(secret: &str) -> [(&'static str, String); 6] {
    let json = in_json(secret);
    let ascii = json.chars().map(|c| {
        let units = c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect();
        if c.is_ascii() { c.to_string() } else { units }
    });
    let percent = |plain: fn(u8) -> bool| -> String {
        secret
            .bytes()
            .map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") })
            .collect()
    };
    let unreserved = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    let url = percent(unreserved);
    [
        ("JSON", json.clone()),
        ("JSON in ASCII", ascii.collect()),
        ("JSON with escaped slashes", json.replace('/', "\\/")),
        ("percent-encoded", url.clone()),
        ("percent-encoded in lower case", lower_hex(&url)),
        ("as a form", url.replace("%20", "+")),
    ]
}

/// The same percent-encoding with hexadecimal digits in lower case.
fn lower_hex(url: &str) -> String {
    let mut parts = url.split('%');
    let first = parts.next().unwrap().to_owned();
    parts.fold(first, |text, part| format!("{text}%{}{}", part[..2].to_lowercase(), &part[2..]))
}

fn bytes_after(offset: usize, secret: &str) -> Vec<u8> {
    [&b"::"[..offset], secret.as_bytes()].concat()
}

/// The characters of a base64 text that depend on the secret alone, and not on what stands before or after it.
fn core(text: &str, offset: usize, length: usize) -> String {
    let first = [0, 2, 3][offset];
    let last = (offset + length) * 8 / 6;
    text[first..last].to_owned()
}

/// The search must find what a server hands back, each spelling of it.
pub(super) fn each_is_found() {
    for secret in ODD {
        let known = of(secret);
        for (how, text) in around(secret) {
            assert!(known.iter().any(|(_, form)| text.contains(form)), "`{secret}` as {how}: {text}");
        }
        for other in ODD.iter().filter(|other| **other != secret) {
            let mistaken = known.iter().find(|(_, form)| other.contains(form));
            assert_eq!(mistaken, None, "`{secret}` is found in `{other}`");
        }
    }
}
