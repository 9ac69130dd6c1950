use proptest::prelude::*;

use super::*;
use crate::binding::Binding;
use crate::settings::Settings;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sample {
    name: String,
    #[serde(default)]
    on: bool,
}

fn fails(bytes: &[u8]) -> String {
    let error = parse::<Sample>("ops/x.yaml", bytes).err();
    error.unwrap_or_else(|| panic!("accepted: {}", String::from_utf8_lossy(bytes))).to_string()
}

#[test]
fn reads_a_plain_file() {
    let sample: Sample = parse("x.yaml", b"name: a\non: true\n").unwrap();
    assert_eq!((sample.name.as_str(), sample.on), ("a", true));
}

#[test]
fn what_is_wrong_before_parsing() {
    for (bytes, message) in [
        (vec![b'#'; FILE_BYTES + 1], "ops/x.yaml: the file has 262145 bytes; at most 262144 are read"),
        (b"name: a\nb: \xff\n".to_vec(), "ops/x.yaml:2: the file is not UTF-8"),
        ("name: a\nb: \u{202e}c\n".into(), "ops/x.yaml:2:4: the line holds a control"),
        ("name: a\u{0}".into(), "ops/x.yaml:1:8: the line holds a control"),
        ("na\u{feff}me: a".into(), "ops/x.yaml:1:3: the line holds a control"),
        ("name: a\rb: c".into(), "ops/x.yaml:1:8: the line holds a control"),
    ] {
        let error = fails(&bytes);
        assert!(error.starts_with(message), "{error}");
    }
    let error = fails("name: \u{202e}\u{1b}[2J".as_bytes());
    assert!(error.contains("1 | name: \\u{202e}\\u{1b}[2J"), "{error}");
}

#[test]
fn words_of_our_own() {
    for (text, message) in [
        ("name: a\nname: b", "ops/x.yaml:2:1: the key `name` is given twice"),
        ("name: a\non: yes", "a boolean is written true or false"),
        ("name: 12", "`12` is a text that YAML could take for something else"),
        ("name: ~", "the value is missing"),
        ("name: [a]", "expected a text"),
        ("name: {a: b}", "expected a text"),
        ("[a]", "expected a map"),
        ("on: true", "the field `name` is missing"),
        ("nam: a", "did you mean `name`?"),
        ("name: a\n---\nname: b", "one file holds one document"),
        ("name: &x a", "anchors (`&`) and aliases (`*`) are not allowed"),
        ("name: *x", "quote"),
        ("name: !env a", "the tag `!env` is not allowed"),
        ("<<: {name: a}", "merge keys (`<<`) are not allowed"),
        ("name: @x", "quote texts"),
        ("name: \"a", "ops/x.yaml:1:"),
        ("\tname: a", "ops/x.yaml:1:1: the line is indented with a tab"),
        ("name:\n \ta", "ops/x.yaml:2:2: the line is indented with a tab"),
    ] {
        let error = fails(text.as_bytes());
        assert!(error.contains(message), "{text}:\n{error}");
        assert!(error.starts_with("ops/x.yaml"), "{error}");
    }
}

#[test]
fn bombs_are_cheap() {
    let nested = "[".repeat(100_000);
    let many = format!("name: [{}]", "a,".repeat(60_000));
    let aliases = "a: &a [x,x]\nb: &b [*a,*a]\nc: [*b,*b]\n".to_owned();
    for text in [nested, many, aliases] {
        assert!(fails(text.as_bytes()).lines().count() < 8);
    }
}

#[test]
fn long_lines_are_cut_around_the_place() {
    let error = fails(format!("{{name: a, {}x: 1, {}}}", " ".repeat(500), " ".repeat(500)).as_bytes());
    let lines: Vec<&str> = error.lines().collect();
    assert!(lines.iter().all(|line| line.chars().count() < 200), "{error}");
    let mark = lines[2].chars().position(|c| c == '^').unwrap();
    assert_eq!(lines[1].chars().nth(mark), Some('x'), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn parsers_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), text in "\\PC{0,200}") {
        for bytes in [bytes.as_slice(), text.as_bytes()] {
            for error in [Binding::parse("x", bytes).err(), Settings::parse("x", bytes).err()].into_iter().flatten() {
                prop_assert!(error.to_string().lines().count() <= 15);
            }
        }
    }

    #[test]
    fn near_bindings_never_panic(text in "(capability: a\\.b\n|safety: [a-z-]{0,9}\n|services:\n|  m:\n|    rules: \\[[{}:, a-z/*]{0,20}\\]\n|[ a-z:{}\\[\\]&*!|>'\"#~-]{0,12}\n){0,12}") {
        if let Err(error) = Binding::parse("x", text.as_bytes()) {
            prop_assert!(error.to_string().lines().count() <= 15);
        }
    }
}
