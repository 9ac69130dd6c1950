//! The schemas of a tool, from those of its capability: what may be given, and what comes back.
//!
//! They come from the manifest in the lock and from nowhere else, and they are read by a model as if they were
//! instructions. So anything in them that is not plain ASCII, or is longer than anybody would have reviewed, keeps the
//! capability from being a tool.

use serde_json::{Map, Value, json};

/// The argument of a changing tool that names an approved plan.
pub(crate) const PLAN_ID: &str = "plan_id";
/// The longest schema, in bytes.
const MOST_SCHEMA: usize = 64 * 1024;
/// What says how an object's properties hang together. With `plan_id` alone none of it holds; the runner checks it in
/// a call without.
const TOGETHER: [&str; 12] = [
    "required",
    "minProperties",
    "allOf",
    "anyOf",
    "oneOf",
    "not",
    "if",
    "then",
    "else",
    "dependentRequired",
    "dependentSchemas",
    "dependencies",
];

/// The schema of a tool's arguments. Where the tool changes something, it takes `plan_id` too, and then nothing else is
/// required.
///
/// # Errors
///
/// Why the capability can be no tool.
pub(crate) fn input(manifest: &Value, changes: bool) -> Result<Map<String, Value>, String> {
    let Value::Object(schema) = manifest else { return Err("its input schema is no object".into()) };
    let mut schema = schema.clone();
    if changes {
        for keyword in TOGETHER {
            schema.remove(keyword);
        }
        let properties = schema.entry("properties").or_insert_with(|| json!({}));
        let Value::Object(properties) = properties else { return Err("its properties are no object".into()) };
        let about = "The id of an approved plan, from an earlier answer: carries out exactly that plan. Leave the other \
                     arguments away. Sending it again is safe: a plan is carried out once.";
        let argument = json!({"type": "string", "minLength": 1, "maxLength": 64, "description": about});
        if properties.insert(PLAN_ID.into(), argument).is_some() {
            return Err(format!("it has an argument `{PLAN_ID}` of its own"));
        }
    }
    plain("its input schema", &Value::Object(schema.clone()))?;
    Ok(schema)
}

/// The arguments that a call without `plan_id` must give, for people.
pub(crate) fn required(manifest: &Value) -> Vec<&str> {
    manifest
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

/// The schema of what every tool of a capability answers: how the call ended, and in `data` what the capability
/// returned.
///
/// # Errors
///
/// Why the capability can be no tool.
pub(crate) fn output(manifest: &Value) -> Result<Map<String, Value>, String> {
    let mut data = manifest.clone();
    let mut definitions = None;
    if let Value::Object(data) = &mut data {
        data.remove("$schema");
        definitions = data.remove("$defs");
    }
    // The definitions move up with their references unchanged; whatever else a reference could mean would not be there.
    if !references(&data, &|to| to.starts_with("#/$defs/")) {
        return Err("its output schema refers to something other than its own $defs".into());
    }
    let text = |about: &str| json!({"type": "string", "description": about});
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            "status": {
                "enum": ["done", "planned", "failed", "denied", "stale", "partial", "unknown", "interrupted", "applying", "usage", "busy"],
                "description": "How the call ended. planned: nothing was changed, a person must approve the plan.",
            },
            "run_key": text("The run, where there was one."),
            "receipt": text("The URI of the run's signed receipt."),
            "message": text("What happened and what to do next."),
            "error": {
                "type": "object",
                "properties": {"code": text("A stable word.")},
                "required": ["code"],
            },
            "plan": {
                "type": "object",
                "description": "What would be changed. Nothing of it happens before a person has approved it.",
                "properties": {
                    "id": text("Call again with this as plan_id once it is approved."),
                    "hash": text("What is approved."),
                    "expires": text("Until when it is good, RFC 3339."),
                    "approvals": {"type": "integer", "description": "How many people must approve it."},
                    "text": text("The plan as its approver sees it."),
                },
                "required": ["id", "hash", "expires", "approvals", "text"],
            },
            "denied": {"type": "array", "items": {"type": "string"}, "description": "What was refused to the capability."},
            "data": data,
        },
        "required": ["status", "message"],
    });
    if let (Some(definitions), Value::Object(schema)) = (definitions, &mut schema) {
        schema.insert("$defs".into(), definitions);
    }
    if !references(&schema, &|to| to.starts_with("#/$defs/")) {
        return Err("a definition of its output schema refers to something other than its own $defs".into());
    }
    plain("its output schema", &schema)?;
    match schema {
        Value::Object(schema) => Ok(schema),
        _ => Err("its output schema is no object".into()),
    }
}

/// Whether every reference in a schema is one of those.
fn references(schema: &Value, good: &impl Fn(&str) -> bool) -> bool {
    match schema {
        Value::Object(fields) => fields.iter().all(|(name, value)| match (name.as_str(), value) {
            ("$ref" | "$dynamicRef", Value::String(to)) => good(to),
            ("$id" | "$anchor" | "$dynamicAnchor", Value::String(_)) => false,
            (_, value) => references(value, good),
        }),
        Value::Array(values) => values.iter().all(|value| references(value, good)),
        _ => true,
    }
}

/// Whether something is short and plain ASCII, without control characters.
///
/// # Errors
///
/// What it is, and where.
pub(crate) fn plain(what: &str, value: &Value) -> Result<(), String> {
    let length = value.to_string().len();
    if length > MOST_SCHEMA {
        return Err(format!("{what} has {length} bytes; at most {MOST_SCHEMA} are shown to agents"));
    }
    match misleading(value) {
        None => Ok(()),
        Some(text) => Err(format!(
            "{what} has a character that is not plain ASCII, in \"{}\"",
            ops_policy::visible::clip(&text.escape_default().to_string(), 120)
        )),
    }
}

fn misleading(value: &Value) -> Option<&str> {
    let is_plain =
        |text: &&str| text.bytes().all(|byte| byte == b'\n' || byte.is_ascii_graphic() || byte == b' ');
    match value {
        Value::String(text) => Some(text.as_str()).filter(|text| !is_plain(text)),
        Value::Array(values) => values.iter().find_map(misleading),
        Value::Object(fields) => fields.iter().find_map(|(name, value)| {
            Some(name.as_str()).filter(|name| !is_plain(name)).or_else(|| misleading(value))
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(schema: &Map<String, Value>, value: &Value) -> bool {
        jsonschema::draft202012::new(&Value::Object(schema.clone())).unwrap().is_valid(value)
    }

    #[test]
    fn a_reading_tool_takes_what_its_capability_takes() {
        let manifest =
            json!({"type": "object", "properties": {"top": {"type": "integer"}}, "required": ["top"]});
        assert_eq!(Value::Object(input(&manifest, false).unwrap()), manifest);
    }

    #[test]
    fn a_changing_tool_takes_its_arguments_or_a_plan() {
        let manifest = json!({
            "type": "object", "properties": {"to": {"type": "string"}}, "required": ["to"],
            "anyOf": [{"required": ["to"]}], "additionalProperties": false,
        });
        let schema = input(&manifest, true).unwrap();
        assert!(fits(&schema, &json!({"plan_id": "P1"})));
        assert!(fits(&schema, &json!({"to": "a"})));
        assert!(!fits(&schema, &json!({"to": 1})));
        assert!(!fits(&schema, &json!({"plan_id": 1})));
        assert!(!fits(&schema, &json!({"cc": "a"})));
        assert_eq!(required(&manifest), ["to"]);
        let taken = json!({"type": "object", "properties": {"plan_id": {}}});
        assert!(input(&taken, true).is_err());
        assert!(input(&taken, false).is_ok());
    }

    #[test]
    fn data_is_what_the_capability_returns() {
        let manifest = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object", "properties": {"lane": {"$ref": "#/$defs/Lane"}}, "required": ["lane"],
            "$defs": {"Lane": {"enum": ["live"]}},
        });
        let schema = output(&manifest).unwrap();
        assert!(fits(&schema, &json!({"status": "done", "message": "", "data": {"lane": "live"}})));
        assert!(fits(&schema, &json!({"status": "denied", "message": "no"})));
        for bad in [
            json!({"status": "done", "message": "", "data": {"lane": "dead"}}),
            json!({"status": "done", "message": "", "data": {}}),
            json!({"status": "splendid", "message": ""}),
            json!({"message": "", "data": {"lane": "live"}}),
        ] {
            assert!(!fits(&schema, &bad), "{bad}");
        }
    }

    #[test]
    fn what_would_refer_elsewhere_is_refused() {
        for bad in [
            json!({"properties": {"a": {"$ref": "#"}}}),
            json!({"properties": {"a": {"$ref": "https://example.test/schema"}}}),
            json!({"$id": "https://example.test/", "type": "object"}),
            json!({"$defs": {"A": {"$ref": "#/properties/a"}}}),
        ] {
            assert!(output(&bad).is_err(), "{bad}");
        }
        assert!(output(&json!(true)).is_ok());
    }

    #[test]
    fn what_is_not_plain_is_refused() {
        for bad in ["Search\u{202e}", "caf\u{e9}", "\u{1b}[2J", "a\tb", "zero\u{200b}"] {
            assert!(input(&json!({"type": "object", "description": bad}), false).is_err(), "{bad}");
            assert!(input(&json!({"type": "object", "properties": {bad: {}}}), false).is_err(), "{bad}");
            assert!(output(&json!({"enum": [bad]})).is_err(), "{bad}");
        }
        assert!(input(&json!({"type": "object", "description": "two\nlines"}), false).is_ok());
        let long = json!({"type": "object", "description": "x".repeat(MOST_SCHEMA)});
        assert!(input(&long, false).is_err());
    }
}
