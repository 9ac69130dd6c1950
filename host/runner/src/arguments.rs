//! What a capability's arguments are, read from its input schema: one source for flags, help and the pages of
//! `ops sync`.

use ops_policy::manifest::Manifest;
use serde_json::Value;

/// What a property takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Takes {
    /// A text.
    Text,
    /// One of these words.
    Choice(Vec<String>),
    /// A whole number, within bounds that are part of it.
    Integer {
        /// The least one.
        least: Option<i64>,
        /// The greatest one.
        most: Option<i64>,
    },
    /// Yes or no.
    Switch,
    /// Several of these.
    List(Box<Takes>),
    /// Anything else is given as JSON.
    Json,
}

impl Takes {
    /// What stands for a value in help.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Text => "TEXT",
            Self::Choice(_) => "WORD",
            Self::Integer { .. } => "N",
            Self::Switch => "true|false",
            Self::List(item) => item.word(),
            Self::Json => "JSON",
        }
    }
}

/// The arguments by name, each with its schema, in the author's order.
pub fn properties(manifest: &Manifest) -> impl Iterator<Item = (&String, &Value)> {
    manifest.input.get("properties").and_then(Value::as_object).into_iter().flatten()
}

/// The names of the arguments that must be given.
pub fn required(manifest: &Manifest) -> Vec<&str> {
    let names = manifest.input.get("required").and_then(Value::as_array);
    names.into_iter().flatten().filter_map(Value::as_str).collect()
}

/// The flag of an argument, without its dashes: `vm_id` is typed `--vm-id`.
pub fn flag(name: &str) -> String {
    name.replace('_', "-")
}

/// Whether an argument may be given by position.
pub fn is_positional(schema: &Value) -> bool {
    schema.get("x-ops-positional").and_then(Value::as_u64).is_some()
}

/// The properties that may be given by position, in that order: those with `x-ops-positional: N`, by N.
pub fn positions(manifest: &Manifest) -> Vec<(&String, &Value)> {
    let mut places: Vec<_> = properties(manifest).filter(|(_, schema)| is_positional(schema)).collect();
    places.sort_by_key(|(_, schema)| schema.get("x-ops-positional").and_then(Value::as_u64));
    places
}

/// A default that says no more than that the flag may be left out.
pub fn is_nothing(default: &Value) -> bool {
    default.is_null() || default.as_array().is_some_and(Vec::is_empty)
}

/// What an argument takes, by its schema.
pub fn takes(schema: &Value) -> Takes {
    if let Some(schema) = optional(schema) {
        return takes(schema);
    }
    if let Some(words) = words(schema) {
        return Takes::Choice(words);
    }
    // An optional field is written `["string", "null"]`.
    let kind = match schema.get("type") {
        Some(Value::String(kind)) => kind.as_str(),
        Some(Value::Array(kinds)) => {
            kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null").unwrap_or_default()
        }
        _ => "",
    };
    match kind {
        "string" => Takes::Text,
        "integer" => Takes::Integer { least: bound(schema, "minimum"), most: bound(schema, "maximum") },
        "boolean" => Takes::Switch,
        "array" => Takes::List(Box::new(takes(schema.get("items").unwrap_or(&Value::Null)))),
        _ => Takes::Json,
    }
}

/// What an optional field may be besides `null`, where it is written `anyOf: [that, {"type": "null"}]`.
fn optional(schema: &Value) -> Option<&Value> {
    let null = |schema: &Value| schema.get("type").and_then(Value::as_str) == Some("null");
    match schema.get("anyOf").and_then(Value::as_array)?.as_slice() {
        [schema, other] if null(other) => Some(schema),
        _ => None,
    }
}

/// The words of an enumeration: `enum`, or `oneOf` where each word, or some of them, has a description of its own.
fn words(schema: &Value) -> Option<Vec<String>> {
    let text = |word: &Value| word.as_str().map(str::to_owned);
    if let Some(words) = schema.get("enum").and_then(Value::as_array) {
        return words.iter().filter(|word| !word.is_null()).map(text).collect();
    }
    if let Some(word) = schema.get("const") {
        return Some(vec![text(word)?]);
    }
    let options = schema.get("oneOf").and_then(Value::as_array).filter(|options| !options.is_empty())?;
    options.iter().map(words).collect::<Option<Vec<_>>>().map(|words| words.concat())
}

fn bound(schema: &Value, key: &str) -> Option<i64> {
    schema.get(key).and_then(Value::as_i64)
}
