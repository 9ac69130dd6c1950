//! What a guest returned: JSON, as its schema says; and whether a check that it made failed.
//!
//! A capability that checks something returns what it found, and marks the property that says how it went:
//! `"x-ops-fails-on": ["FAILED"]` in the schema of a property at the top of its output. An output with such a value
//! ends the run as failed, so that nobody has to read a report to learn that something is wrong.

use serde_json::Value;

use crate::ending::Ending;
use crate::resolve::schema_errors;
use crate::run::{Decided, Run};

/// The code of a run that ended because a check failed.
pub(crate) const CHECK: &str = "check";

impl Run<'_> {
    /// Takes the guest's output, if it is what its schema says.
    pub(crate) fn take_output(&mut self, decided: &Decided, output: String) -> Result<(), Ending> {
        let value = serde_json::from_str(&output).map_err(|error| {
            Ending::failed("output", format!("the capability's output is no JSON: {error}"))
        })?;
        let schema = &decided.resolved.capability.manifest.output;
        let errors = schema_errors(schema, &value).map_err(|error| {
            Ending::failed("manifest", format!("the output schema is no JSON Schema: {error}"))
        })?;
        if !errors.is_empty() {
            return Err(Ending::failed(
                "output",
                format!("the capability's output is not what its schema says:\n  {}", errors.join("\n  ")),
            ));
        }
        let failed = failed_check(schema, &value);
        self.record.output = Some(value);
        match failed {
            None => Ok(()),
            Some(what) => Err(Ending::failed(CHECK, format!("a check failed: {what}"))),
        }
    }
}

/// The property, and its value, that says that a check failed.
fn failed_check(schema: &Value, output: &Value) -> Option<String> {
    let properties = schema.get("properties")?.as_object()?;
    properties.iter().find_map(|(name, property)| {
        let fails_on = property.get("x-ops-fails-on")?.as_array()?;
        let value = output.get(name)?;
        fails_on.contains(value).then(|| {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            ops_policy::visible::visible(&format!("{name} is {value}"))
        })
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_failed_check_is_told_by_the_schema() {
        let schema = json!({"properties": {
            "status": {"enum": ["OK", "FAILED"], "x-ops-fails-on": ["FAILED"]},
            "broken": {"type": "boolean", "x-ops-fails-on": [true]},
            "note": {"type": "string"},
        }});
        for (output, expected) in [
            (json!({"status": "OK", "broken": false}), None),
            (json!({"status": "FAILED"}), Some("status is FAILED")),
            (json!({"status": "OK", "broken": true}), Some("broken is true")),
            (json!({"note": "FAILED"}), None),
            (json!({}), None),
            (json!("FAILED"), None),
        ] {
            assert_eq!(failed_check(&schema, &output).as_deref(), expected, "{output}");
        }
        assert_eq!(failed_check(&json!({}), &json!({"status": "FAILED"})), None);
    }
}
