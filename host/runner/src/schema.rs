//! Arguments and outputs against the schemas of the manifest.
//!
//! Most are plainly right by a schema of a few common keywords ([`plainly`]), which costs nothing. Whatever is not is asked
//! of the validator, which alone says that something is wrong, and what. A validator is made when the first one needs it:
//! the first in a process costs a thousand times what the later ones do, because it reads the schemas of all schemas.

mod plainly;

use std::sync::OnceLock;

use jsonschema::error::ValidationErrorKind;
use jsonschema::{ValidationError, Validator};
use ops_policy::manifest::Manifest;
use ops_policy::visible::{clip, visible};
use serde_json::Value;

/// Validation errors that are shown at most.
const MAX_ERRORS: usize = 8;

/// A schema, with its validator once that was needed.
pub(crate) struct Schema {
    document: Value,
    validator: OnceLock<Result<Validator, String>>,
}

impl Schema {
    pub(crate) fn new(document: Value) -> Self {
        Self { document, validator: OnceLock::new() }
    }

    /// What is wrong with a value, each with its place as a JSON pointer.
    ///
    /// # Errors
    ///
    /// It is no JSON Schema.
    pub(crate) fn errors(&self, value: &Value) -> Result<Vec<String>, String> {
        if plainly::is_valid(&self.document, value) {
            return Ok(Vec::new());
        }
        let made = || jsonschema::draft202012::new(&self.document).map_err(|error| error.to_string());
        let validator = self.validator.get_or_init(made).as_ref().map_err(Clone::clone)?;
        let shown = validator.iter_errors(value).take(MAX_ERRORS).map(|error| {
            let place = clip(&visible(&place(&error, value)), 300);
            let text = clip(&visible(&error.to_string()), 300);
            if place.is_empty() { text } else { format!("{place}: {text}") }
        });
        Ok(shown.collect())
    }
}

/// Checks that both schemas of a manifest are such, before a lock vouches for them.
pub(crate) fn check(manifest: &Manifest) -> Result<(), String> {
    for (what, schema) in [("input", &manifest.input), ("output", &manifest.output)] {
        jsonschema::draft202012::new(schema).map_err(|error| {
            format!("its {what} schema is no JSON Schema: {}", clip(&visible(&error.to_string()), 300))
        })?;
    }
    Ok(())
}

/// The JSON pointer to what is wrong: to a property that is missing or should not be there, and not to the object
/// around it.
fn place(error: &ValidationError<'_>, value: &Value) -> String {
    let within = error.instance_path().to_string();
    let property = match error.kind() {
        ValidationErrorKind::Required { property } => property.as_str(),
        ValidationErrorKind::AdditionalProperties { unexpected } => unexpected.first().map(String::as_str),
        // Of an object that takes no property at all, the first one is what is wrong, and the path is the object's.
        ValidationErrorKind::FalseSchema => {
            let around = value.pointer(&within).filter(|around| *around != error.instance().as_ref());
            around.and_then(Value::as_object).and_then(|fields| fields.keys().next()).map(String::as_str)
        }
        _ => None,
    };
    match property {
        Some(name) => format!("{within}/{}", name.replace('~', "~0").replace('/', "~1")),
        None => within,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let schema = Schema::new(json!({
            "type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"], "additionalProperties": false
        }));
        for (value, wrong) in [
            (json!({"text": "a"}), ""),
            (json!({}), "/text: "),
            (json!({"text": 1}), "/text: "),
            (json!({"text": "a", "b/c": 1}), "/b~1c: "),
            (json!([]), "[] is not of type"),
        ] {
            let errors = schema.errors(&value).unwrap().join("; ");
            assert!(errors.starts_with(wrong) && errors.is_empty() == wrong.is_empty(), "{value}: {errors}");
        }
        assert!(Schema::new(json!({"type": 5})).errors(&json!({})).is_err());
    }

    /// Of such a schema it would depend on the arguments whether anybody notices.
    #[test]
    fn what_is_no_schema_is_not_pinned() {
        let manifest = |input: Value, output: Value| -> Manifest {
            serde_json::from_value(json!({
                "name": "a.b", "version": "1.0.0", "summary": "A.", "safety": "read-only", "input": input, "output": output,
                "needs": [],
            }))
            .unwrap()
        };
        let (good, bad) =
            (json!({"type": "object"}), json!({"type": "object", "properties": {"a": {"pattern": "("}}}));
        assert_eq!(check(&manifest(good.clone(), good.clone())), Ok(()));
        assert!(check(&manifest(bad.clone(), good.clone())).unwrap_err().starts_with("its input schema"));
        assert!(check(&manifest(good, bad)).unwrap_err().starts_with("its output schema"));
    }
}
