//! What differs from run to run stands in a golden file as a word in angle brackets.
//!
//! Names that a person types again are numbered in the order in which they appear, and can be used in later lines.

use ops_tests::scratch::{Ran, Scratch};
use regex_lite::{Captures, Regex};

/// Names that are numbered: `<run 1>`, `<plan 2>`.
const NAMES: [(&str, &str); 2] =
    [("run", r"CAP-\d{8}-\d{6}__[a-z0-9.-]+__R[a-z0-9]{10}"), ("plan", r"\bP[a-z0-9]{10}\b")];

/// What nobody types again, in this order: the longer first.
const VALUES: [(&str, &str); 13] = [
    (r"\+[0-9a-f]{8}\+[A-Za-z0-9+/]{44}", "+<short>+<key>"),
    (r"[A-Za-z0-9+/]{43,91}=", "<base64>"),
    (r"\b\d+ bytes, sha256", "<size> bytes, sha256"),
    (r"sha256:[0-9a-f]{64}", "sha256:<hash>"),
    (r"\b[0-9a-f]{64}\b", "<hash>"),
    (r"SHA256:[A-Za-z0-9+/]{43}", "SHA256:<key>"),
    (r"ssh-ed25519 [A-Za-z0-9+/]{68}", "ssh-ed25519 <key>"),
    (r"\b[0-9a-f]{32}\b", "<id>"),
    (r"\.tmp[A-Za-z0-9]{6}(-[0-9a-f]{8})?", "<name>"),
    (r"\b[0-9a-f]{8}\b", "<short>"),
    (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?Z", "<time>"),
    (r"[A-Z][a-z]{2}, \d{1,2} [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d \+0000", "<time>"),
    (r"(?m)^(  asked by +)\S+", "$1<user>"),
];

/// The placeholders of one case.
pub(super) struct Placeholders {
    folder: String,
    /// The names that were seen, with what stands for them.
    seen: Vec<(String, String)>,
}

impl Placeholders {
    pub(super) fn new(scratch: &Scratch) -> Self {
        let folder = scratch.path("").canonicalize().unwrap().display().to_string();
        Self { folder, seen: Vec::new() }
    }

    /// What a program printed, as it stands in a golden file.
    pub(super) fn apply(&mut self, ran: &Ran) -> Ran {
        let stdout = self.replace(&ran.stdout);
        Ran { code: ran.code, stdout, stderr: self.replace(&ran.stderr) }
    }

    fn replace(&mut self, text: &str) -> String {
        let mut text = text.replace(&self.folder, "<folder>");
        for (kind, pattern) in NAMES {
            text = Regex::new(pattern)
                .unwrap()
                .replace_all(&text, |found: &Captures| self.name(kind, &found[0]))
                .into_owned();
        }
        for (pattern, word) in VALUES {
            text = Regex::new(pattern).unwrap().replace_all(&text, word).into_owned();
        }
        text
    }

    fn name(&mut self, kind: &str, name: &str) -> String {
        if let Some((_, word)) = self.seen.iter().find(|(seen, _)| seen == name) {
            return word.clone();
        }
        let before = self.seen.iter().filter(|(_, word)| word.starts_with(&format!("<{kind} "))).count();
        let word = format!("<{kind} {}>", before + 1);
        self.seen.push((name.to_owned(), word.clone()));
        word
    }

    /// Words that a person types, with the names behind their placeholders.
    pub(super) fn reverse(&self, words: &[&str]) -> Result<Vec<String>, String> {
        let one = |word: &&str| {
            if !word.starts_with('<') {
                return Ok((*word).to_owned());
            }
            let found = self.seen.iter().find(|(_, placeholder)| placeholder == word);
            found.map(|(name, _)| name.clone()).ok_or_else(|| format!("{word} has not been seen yet"))
        };
        words.iter().map(one).collect()
    }
}

/// The test of this file.
pub(super) fn each_stands_for_what_changes() {
    let scratch = Scratch::without_workspace();
    let folder = scratch.path("").canonicalize().unwrap().display().to_string();
    let mut placeholders = Placeholders::new(&scratch);
    let run = "CAP-20260131-235959__test.guest.echo__R0123456789";
    let (digest, digits) = ("0123456789abcdef".repeat(4), "0123456789abcdef".repeat(2));
    for (text, expected) in [
        (format!("receipt {folder}/receipts/R{run}"), "receipt <folder>/receipts/R<run 1>"),
        (format!("Pabcdefghij Pzyxwvutsrq Pabcdefghij {run}"), "<plan 1> <plan 2> <plan 1> <run 1>"),
        (format!("sha256:{digest} {digest} {digits}"), "sha256:<hash> <hash> <id>"),
        (format!("262 bytes, sha256:{digest}"), "<size> bytes, sha256:<hash>"),
        (format!("log/{digits}+0a1b2c3d+{}", "Ab+/".repeat(11)), "log/<id>+<short>+<key>"),
        (format!("\u{2014} log/{digits} {}=", "A".repeat(91)), "\u{2014} log/<id> <base64>"),
        ("added (0a1b2c3d)".into(), "added (<short>)"),
        (
            "until 2026-01-31T23:59:59Z, 2026-01-31T23:59:59.123Z, 2026-01-31 23:59Z".into(),
            "until <time>, <time>, <time>",
        ),
        ("Date: Sat, 31 Jan 2026 23:59:59 +0000".into(), "Date: <time>"),
        ("state/ops/.tmpAb3dE6-0a1b2c3d".into(), "state/ops/<name>"),
        ("  asked by   root in x".into(), "  asked by   <user> in x"),
        // What must stay as it is.
        ("Plan of Provisioning, number 12345678901".into(), "Plan of Provisioning, number 12345678901"),
        ("version 1.2.3 of 2026-01-31".into(), "version 1.2.3 of 2026-01-31"),
    ] {
        assert_eq!(placeholders.replace(&text), expected);
    }
    assert_eq!(placeholders.reverse(&["show", "<plan 2>"]).unwrap(), ["show", "Pzyxwvutsrq"]);
    assert!(placeholders.reverse(&["<plan 3>"]).is_err());
}
