//! Guests whose words are the weapon: too many, forged, malformed, or the last ones. And the honest one.

use serde_json::{Value, json};

use super::Test;
use super::yard::{Run, Yard, kept};

pub(super) const TESTS: &[Test] = &[
    ("echo", "returns_what_it_was_given", echo),
    ("prints", "counted_and_kept_in_part", prints),
    ("panics", "a_trap_with_its_last_words", panics),
    ("deep-json", "refused_by_a_bounded_parser", deep_json),
    ("forged-status", "shown_as_the_guests_own_words", forged_as_text),
    ("forged-status", "kept_inside_the_envelope", forged_as_json),
];

fn echo(yard: &Yard) {
    // The yard has bound it, so the host's greeting is there.
    yard.scratch.pin();
    let run = yard.run(&["--text", "a b", "--times", "2"]).ends("done", 0, None).denies_nothing();
    assert_eq!(run.output(), json!({"texts": ["a b", "a b"], "greeting": "hello"}));
    assert_eq!(run.ran.stdout, "texts: a b, a b\ngreeting: hello\n");
}

fn prints(yard: &Yard) {
    const EACH: u64 = 100_000_000;
    const KEPT: usize = 64 << 10;
    yard.bind("limits: {time: 10m}");
    let run = yard.run(&[]).ends("done", 0, None).denies_nothing();
    assert_eq!(run.ran.stdout, format!("printed: {}\n", 2 * EACH));
    assert!(!run.ran.stderr.contains("xxxx"), "{}", run.ran.stderr);
    let usage = &run.receipt["usage"];
    assert_eq!([&usage["stdoutBytes"], &usage["stderrBytes"]], [EACH, EACH]);
    for name in ["stdout.txt", "stderr.txt"] {
        let kept = run.evidence(name);
        assert!(kept == [b'x'; KEPT], "{name} has {} bytes", kept.len());
    }
}

fn panics(yard: &Yard) {
    yard.bind("");
    let told = "the capability crashed";
    let run = yard.run(&[]).ends("failed", 4, Some("trap")).denies("run", told).says(told);
    assert_eq!(run.ran.stdout, "");
    let words = String::from_utf8(run.evidence("stderr.txt")).unwrap();
    assert!(words.contains("a guest panics"), "{words}");
}

fn deep_json(yard: &Yard) {
    yard.bind("");
    for words in [&[][..], &["--json"]] {
        let run = yard.run(words).ends("failed", 1, Some("output")).says("output is no JSON");
        assert!(!run.ran.stdout.contains("[["), "{}", run.ran.stdout);
        assert_eq!(kept(&run.receipt), ["recording.json"], "the output is kept all the same");
    }
}

fn forged_as_text(yard: &Yard) {
    yard.bind("");
    let run = yard.run(&[]).ends("done", 0, None);
    assert_forged(&run);
    // The three fields of its output, and nothing that it printed.
    let fields: Vec<_> = run.ran.stdout.lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(fields, ["status:", "receipt:", "texts:"], "{}", run.ran.stdout);
}

fn forged_as_json(yard: &Yard) {
    yard.bind("");
    let run = yard.run(&["--json"]).ends("done", 0, None);
    assert_forged(&run);
    let envelope = run.ran.json();
    assert_eq!(envelope["status"], "done");
    assert_eq!(envelope["run_key"], run.receipt["run"]["id"]);
    assert_eq!(envelope["receipt"], run.folder.to_str().unwrap());
    assert_eq!(envelope["data"], run.output(), "making characters visible has changed the data");
}

/// What both ways of showing it have in common.
fn assert_forged(run: &Run<'_>) {
    let output = run.output();
    assert_eq!((&output["status"], &output["receipt"]), (&json!("denied"), &json!("/etc/passwd")));
    let texts = output["texts"].as_array().unwrap();
    assert!(texts.iter().filter_map(Value::as_str).any(|text| text.contains(is_hidden)), "nothing is forged");
    let page = String::from_utf8(run.evidence("receipt.md")).unwrap();
    for (place, text) in [("stdout", &run.ran.stdout), ("stderr", &run.ran.stderr), ("receipt.md", &page)] {
        let hidden: Vec<_> = text.lines().filter(|line| line.contains(is_hidden)).collect();
        assert!(hidden.is_empty(), "{place}: {hidden:?}");
    }
    let _ = run.ran.clone().says("warning: \\u{202e}devorppa");
}

/// Moves the cursor, talks to the terminal, or reorders a line.
fn is_hidden(character: char) -> bool {
    let bidirectional = matches!(character, '\u{61c}' | '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    (character.is_control() && character != '\n') || bidirectional
}
