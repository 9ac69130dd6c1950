//! What a guest returned: JSON, as its schema says; and whether a check that it made failed.
//!
//! A capability that checks something returns what it found, and marks the property that says how it went:
//! `"x-ops-fails-on": ["FAILED"]` in the schema of a property at the top of its output. An output with such a value
//! ends the run as failed, so that nobody has to read a report to learn that something is wrong.
//!
//! A property with `"x-ops-starts": true` names a capability, with its arguments, that the host is to start after the
//! receipt: `{"capability": …, "arguments": {…}}`, or null for none. The binding has to list it under `starts:`.

use ops_policy::rights::STARTS;
use ops_policy::visible::{clip, visible};
use serde::Deserialize;
use serde_json::Value;

use crate::ending::Ending;
use crate::run::{Cause, Decided, Run};

/// The code of a run that ended because a check failed.
pub(crate) const CHECK: &str = "check";

impl Run<'_> {
    /// Takes the guest's output, if it is what its schema says.
    pub(crate) fn take_output(&mut self, decided: &Decided, output: String) -> Result<(), Ending> {
        let value = serde_json::from_str(&output).map_err(|error| {
            Ending::failed("output", format!("the capability's output is no JSON: {error}"))
        })?;
        let errors = decided.resolved.ready.output.errors(&value).map_err(|error| {
            Ending::failed("manifest", format!("the output schema is no JSON Schema: {error}"))
        })?;
        if !errors.is_empty() {
            return Err(Ending::failed(
                "output",
                format!("the capability's output is not what its schema says:\n  {}", errors.join("\n  ")),
            ));
        }
        let schema = &decided.resolved.capability.manifest.output;
        let failed = failed_check(schema, &value);
        let start = start(schema, &value);
        self.record.output = Some(value);
        match failed {
            None => self.take_start(decided, start),
            Some(what) => Err(Ending::failed(CHECK, format!("a check failed: {what}"))),
        }
    }
}

/// What the host is to start.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Start {
    /// The capability's name.
    pub(crate) capability: String,
    /// Its arguments, a JSON object.
    pub(crate) arguments: Value,
}

/// What the output says that the host is to start, under the first property that may say so.
fn start(schema: &Value, output: &Value) -> Result<Option<Start>, String> {
    let properties = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
    let mut says = properties.filter(|(_, property)| property.get(STARTS) == Some(&Value::Bool(true)));
    let Some(value) = says.next().and_then(|(name, _)| output.get(name)) else { return Ok(None) };
    serde_json::from_value(value.clone())
        .map_err(|error| format!("what it asks the host to start is not {{capability, arguments}}: {error}"))
}

impl Run<'_> {
    /// Notes what is to be started, where the binding lets it be. In a dry run nothing is.
    fn take_start(&mut self, decided: &Decided, start: Result<Option<Start>, String>) -> Result<(), Ending> {
        // What an earlier phase asked for counts no more.
        self.record.start = None;
        let Some(start) = start.map_err(|why| Ending::failed("output", why))? else { return Ok(()) };
        let name = clip(&visible(&start.capability), 100);
        if !decided.rights.starts.contains(&start.capability) {
            return Err(Ending::denied(
                "starts",
                format!(
                    "it asks the host to start `{name}`, which its binding does not list; this would:\nstarts: [{name}]"
                ),
            ));
        }
        match self.order.cause {
            Cause::Started { .. } => Err(Ending::denied(
                "starts",
                format!("it asks the host to start `{name}`, and a run that was started starts no other"),
            )),
            // Whoever called it may read what it would start; a call changes nothing.
            Cause::Called { .. } => Ok(()),
            Cause::Asked => {
                self.record.start = Some(start).filter(|_| !self.record.dry_run);
                Ok(())
            }
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
            visible(&format!("{name} is {value}"))
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

    #[test]
    fn what_is_to_be_started_is_told_by_the_schema() {
        let schema = json!({"properties": {"note": {}, "start": {"x-ops-starts": true}}});
        let wanted = json!({"capability": "a.b", "arguments": {"n": 1}});
        let found = start(&schema, &json!({"start": wanted, "note": 1})).unwrap().unwrap();
        assert_eq!((found.capability.as_str(), found.arguments), ("a.b", json!({"n": 1})));
        assert_eq!(start(&schema, &json!({"start": null})), Ok(None));
        assert_eq!(start(&schema, &json!({"note": wanted})), Ok(None));
        assert_eq!(start(&json!({"properties": {"start": {}}}), &json!({"start": wanted})), Ok(None));
        assert!(start(&schema, &json!({"start": {"capability": "a.b", "args": {}}})).is_err());
    }
}
