//! What the suite wants to be answered, as data.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use rmcp::model::{
    CallToolResult, InputRequest, Prompt, ReadResourceResult, Resource, ResourceTemplate, Tool,
};
use serde::Deserialize;
use serde_json::Value;

/// The whole of `tests/mcp/fixture.json`.
pub(crate) static DATA: LazyLock<Data> =
    LazyLock::new(|| serde_json::from_str(include_str!("../../../mcp/fixture.json")).unwrap());

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Data {
    pub(crate) tools: Vec<Tool>,
    /// Tools that always answer the same.
    pub(crate) answers: BTreeMap<String, CallToolResult>,
    /// Tools that send the client a request of their own, up to protocol 2025-11-25.
    pub(crate) asks: BTreeMap<String, Value>,
    /// Tools and prompts that answer with what they need first, from protocol 2026-07-28.
    pub(crate) rounds: BTreeMap<String, Rounds>,
    pub(crate) prompts: Vec<Prompt>,
    /// What each prompt says; `{name}` stands for an argument.
    pub(crate) messages: BTreeMap<String, Value>,
    pub(crate) resources: Vec<Resource>,
    pub(crate) contents: BTreeMap<String, ReadResourceResult>,
    pub(crate) templates: Vec<ResourceTemplate>,
    /// What the one template says; `{id}` stands for its parameter.
    pub(crate) template: Value,
}

/// What is asked for before there is an answer.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rounds {
    pub(crate) rounds: Vec<Round>,
    pub(crate) done: Value,
}

/// What is asked for at once.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Round {
    pub(crate) requests: BTreeMap<String, InputRequest>,
    /// Whether the client is given a state to bring back.
    pub(crate) state: bool,
}

/// Puts arguments into the texts of an answer.
pub(crate) fn filled<T: for<'de> Deserialize<'de>>(pattern: &Value, arguments: &[(&str, &str)]) -> T {
    let mut filled = pattern.clone();
    fill(&mut filled, arguments);
    serde_json::from_value(filled).unwrap()
}

fn fill(value: &mut Value, arguments: &[(&str, &str)]) {
    match value {
        Value::String(text) => {
            for (name, argument) in arguments {
                *text = text.replace(&format!("{{{name}}}"), argument);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| fill(item, arguments)),
        Value::Object(fields) => fields.values_mut().for_each(|field| fill(field, arguments)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
