//! What only one run at a time may work on: a name with arguments in it, such as `pve/{vm_id}`.
//!
//! Two runs with the same target wait for each other, so no argument may pass for another target. Checked in this
//! order: the length; each segment's letters; that it holds one placeholder at most, since two side by side could be
//! told apart in several ways; the number of placeholders; that a literal part says what kind of target this is. A
//! value goes in with every byte escaped that could end its segment. The result is a name to compare, not a path.

use std::fmt;

use serde_json::Value;

use crate::visible;

/// The longest template, in bytes.
const TEMPLATE_BYTES: usize = 200;
/// The most placeholders of a template.
const PLACEHOLDERS: usize = 8;
/// The longest target, in bytes.
const TARGET_BYTES: usize = 512;
/// The types of arguments that have one text.
const TYPES: [&str; 3] = ["string", "integer", "boolean"];

/// The template of a binding's `lock`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetLock {
    segments: Vec<Segment>,
}

/// A part between slashes: literal text, and one argument in it or none.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Segment {
    before: String,
    argument: Option<String>,
    after: String,
}

impl TargetLock {
    /// Reads a template: segments with `/` between, each of `[a-z0-9._-]` and at most one `{argument}`; 1 to 200 bytes,
    /// at most 8 arguments, at least one literal character.
    ///
    /// # Errors
    ///
    /// Every other text, with what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() || text.len() > TEMPLATE_BYTES {
            return Err(format!("a target has 1 to {TEMPLATE_BYTES} bytes"));
        }
        let segments = text.split('/').map(Segment::parse).collect::<Result<Vec<_>, String>>()?;
        let lock = Self { segments };
        if lock.arguments().len() > PLACEHOLDERS {
            return Err(format!("a target holds at most {PLACEHOLDERS} arguments"));
        }
        if lock.segments.iter().all(|segment| segment.before.is_empty() && segment.after.is_empty()) {
            return Err("a target says in plain letters what it is, such as pve/{vm_id}".to_owned());
        }
        Ok(lock)
    }

    /// The names of the arguments in it, in the order of the template.
    pub fn arguments(&self) -> Vec<&str> {
        self.segments.iter().filter_map(|segment| segment.argument.as_deref()).collect()
    }

    /// Checks that every run has a target: each argument is a property of the input schema that has one text.
    ///
    /// # Errors
    ///
    /// For people: the first argument that the schema does not have, or that is of another type.
    pub fn check_against(&self, input_schema: &Value) -> Result<(), String> {
        for name in self.arguments() {
            let Some(property) = input_schema.get("properties").and_then(|properties| properties.get(name))
            else {
                return Err(format!(
                    "`lock: {self}` names the argument `{name}`, which the capability does not have"
                ));
            };
            let kind = property.get("type").and_then(Value::as_str);
            if !kind.is_some_and(|kind| TYPES.contains(&kind)) {
                return Err(format!(
                    "`lock: {self}` names the argument `{name}`, which is not a string, an integer or a boolean"
                ));
            }
        }
        Ok(())
    }

    /// The target of a run with these arguments, a JSON object: at most 512 bytes, of which each argument's text is
    /// percent-encoded but for `[A-Za-z0-9._@-]`.
    ///
    /// # Errors
    ///
    /// For people: an argument that is missing, empty, of another type than string, integer or boolean, or too long.
    pub fn resolve(&self, arguments: &Value) -> Result<String, String> {
        let mut target = String::new();
        for (index, segment) in self.segments.iter().enumerate() {
            if index > 0 {
                target.push('/');
            }
            target.push_str(&segment.before);
            if let Some(name) = &segment.argument {
                let text = text(arguments.get(name))
                    .map_err(|why| format!("`lock: {self}` takes the argument `{name}`, which {why}"))?;
                escape(&mut target, &text);
            }
            target.push_str(&segment.after);
            if target.len() > TARGET_BYTES {
                return Err(format!(
                    "with these arguments the target of `lock: {self}` is longer than {TARGET_BYTES} bytes"
                ));
            }
        }
        Ok(target)
    }
}

impl fmt::Display for TargetLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, Segment { before, argument, after }) in self.segments.iter().enumerate() {
            let slash = if index > 0 { "/" } else { "" };
            match argument {
                Some(name) => write!(f, "{slash}{before}{{{name}}}{after}")?,
                None => write!(f, "{slash}{before}")?,
            }
        }
        Ok(())
    }
}

impl Segment {
    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("a target has no empty part between slashes".to_owned());
        }
        let Some((before, rest)) = text.split_once('{') else {
            literal(text)?;
            return Ok(Self { before: text.to_owned(), argument: None, after: String::new() });
        };
        let Some((name, after)) = rest.split_once('}') else {
            return Err("a `{` of the target has no `}`".to_owned());
        };
        if after.contains('{') {
            return Err("a part between slashes holds one argument at most; put a `/` between two".to_owned());
        }
        literal(before)?;
        literal(after)?;
        if !is_argument(name) {
            let name = visible::clip(name, 60);
            return Err(format!(
                "`{{{name}}}` names no argument; it is written as in the input schema, such as {{vm_id}}"
            ));
        }
        Ok(Self { before: before.to_owned(), argument: Some(name.to_owned()), after: after.to_owned() })
    }
}

fn literal(text: &str) -> Result<(), String> {
    let plain =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'_' | b'-');
    if text.bytes().all(plain) {
        return Ok(());
    }
    let text = visible::clip(text, 60);
    Err(format!("`{text}` in the target is not of lower-case letters, digits, `.`, `_` and `-`"))
}

/// Whether a text can be an argument's name; see `Manifest::check_arguments`.
fn is_argument(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    text.len() <= 40 && text.starts_with(|first: char| first.is_ascii_lowercase()) && text.bytes().all(plain)
}

/// An argument's one text.
fn text(value: Option<&Value>) -> Result<String, &'static str> {
    match value {
        None => Err("is missing; give it"),
        Some(Value::String(text)) if text.is_empty() => Err("is empty; give it a value"),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(Value::Bool(value)) => Ok(value.to_string()),
        // 214.0 and 214 are one number to a schema, and would be two targets.
        Some(Value::Number(number)) if !number.is_f64() => Ok(number.to_string()),
        Some(_) => Err("is not a string, a whole number or a boolean"),
    }
}

fn escape(target: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'@' | b'-') {
            target.push(char::from(byte));
        } else {
            target.push_str(&format!("%{byte:02X}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn lock(text: &str) -> TargetLock {
        TargetLock::parse(text).unwrap_or_else(|why| panic!("{text}: {why}"))
    }

    #[test]
    fn templates_read_as_written() {
        for (text, arguments) in [
            ("pve/{vm_id}", vec!["vm_id"]),
            ("mail/{to}/from-{from}.x", vec!["to", "from"]),
            ("backup", vec![]),
            ("a", vec![]),
            ("{a}/{b}/{c}/{d}/{e}/{f}/{g}/h{h}", vec!["a", "b", "c", "d", "e", "f", "g", "h"]),
        ] {
            assert_eq!(lock(text).arguments(), arguments);
            assert_eq!(lock(text).to_string(), text);
        }
        for (text, why) in [
            ("", "1 to 200 bytes"),
            (&"a".repeat(201), "1 to 200 bytes"),
            ("{vm_id}", "in plain letters"),
            ("{a}/{b}", "in plain letters"),
            ("a/{b}{c}", "put a `/` between two"),
            ("a/{b}-{c}", "put a `/` between two"),
            ("a/{b", "has no `}`"),
            ("a/b}", "is not of lower-case letters"),
            ("a//b", "no empty part"),
            ("/a", "no empty part"),
            ("a/", "no empty part"),
            ("Pve/{vm_id}", "is not of lower-case letters"),
            ("a b", "is not of lower-case letters"),
            ("a%2f", "is not of lower-case letters"),
            ("a/{vm-id}", "names no argument"),
            ("a/{}", "names no argument"),
            ("a/{VM}", "names no argument"),
            ("x{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}/{i}", "at most 8 arguments"),
        ] {
            let error = TargetLock::parse(text).expect_err(text);
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn arguments_are_of_the_schema_and_have_one_text() {
        let schema = json!({"type": "object", "properties": {
            "vm_id": {"type": "integer"}, "to": {"type": "string"}, "full": {"type": "boolean"},
            "list": {"type": "array"}, "size": {"type": "number"}, "maybe": {"type": ["string", "null"]}, "any": {}}});
        assert_eq!(lock("x/{vm_id}/{to}/{full}").check_against(&schema), Ok(()));
        assert_eq!(lock("x").check_against(&json!({})), Ok(()));
        for name in ["list", "size", "maybe", "any"] {
            let why = lock(&format!("x/{{{name}}}")).check_against(&schema).unwrap_err();
            assert!(why.contains(&format!("`{name}`, which is not a string")), "{why}");
        }
        let why = lock("x/{vmid}").check_against(&schema).unwrap_err();
        assert_eq!(why, "`lock: x/{vmid}` names the argument `vmid`, which the capability does not have");
        assert!(lock("x/{vm_id}").check_against(&json!({})).is_err());
    }

    #[test]
    fn values_stay_in_their_segment() {
        for (arguments, target) in [
            (json!({"a": 214, "b": true}), "vm/214/true"),
            (json!({"a": -1, "b": "Alice@example.test"}), "vm/-1/Alice@example.test"),
            (json!({"a": u64::MAX, "b": "x/y%2F"}), "vm/18446744073709551615/x%2Fy%252F"),
            (json!({"a": "é \0", "b": ".."}), "vm/%C3%A9%20%00/.."),
        ] {
            assert_eq!(lock("vm/{a}/{b}").resolve(&arguments).as_deref(), Ok(target));
        }
        for (arguments, why) in [
            (json!({"a": 1}), "`b`, which is missing"),
            (json!({"a": 1, "b": ""}), "`b`, which is empty"),
            (json!({"a": 1, "b": null}), "`b`, which is not a string"),
            (json!({"a": 214.0, "b": "x"}), "`a`, which is not a string, a whole number"),
            (json!({"a": [1], "b": "x"}), "`a`, which is not"),
            (json!([]), "`a`, which is missing"),
            (json!({"a": 1, "b": "x".repeat(512)}), "longer than 512 bytes"),
            (json!({"a": 1, "b": " ".repeat(200)}), "longer than 512 bytes"),
        ] {
            let error = lock("vm/{a}/{b}").resolve(&arguments).unwrap_err();
            assert!(error.contains(why), "{arguments}: {error}");
        }
        assert_eq!(
            lock("vm/{b}").resolve(&json!({"b": "x".repeat(509)})).map(|target| target.len()),
            Ok(512)
        );
    }

    proptest! {
        #[test]
        fn other_values_are_another_target(one in ("\\PC{1,8}", "[/%.a-]{1,8}"), other in ("\\PC{1,8}", "[/%.a-]{1,8}")) {
            let target = |(a, b): &(String, String)| lock("vm/x-{a}.y/{b}").resolve(&json!({"a": a, "b": b})).unwrap();
            prop_assert_eq!(target(&one) == target(&other), one == other);
            prop_assert_eq!(target(&one).matches('/').count(), 2);
            prop_assert!(target(&one).bytes().all(|byte| byte.is_ascii_graphic()));
        }

        #[test]
        fn reading_never_panics_and_shows_what_was_read(text in "[a-z{}/._ A-]{0,30}|\\PC{0,30}") {
            match TargetLock::parse(&text) {
                Ok(lock) => prop_assert_eq!(lock.to_string(), text),
                Err(why) => prop_assert!(why.len() < 400),
            }
        }
    }
}
