//! Asks the host to start the capability that it is told to. Honest or not: what may be started, the binding says.

use ops_guest::{Ctx, Failure, capability};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What is to be started.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// A capability's name; none for nothing.
    name: Option<String>,
    /// Its arguments, a JSON object.
    #[serde(default = "empty")]
    arguments: String,
}

/// What it chose.
#[derive(Serialize, JsonSchema)]
pub struct Output {
    #[schemars(extend("x-ops-starts" = true))]
    start: Option<Start>,
}

/// A capability and its arguments.
#[derive(Serialize, JsonSchema)]
pub struct Start {
    capability: String,
    arguments: Value,
}

fn empty() -> String {
    "{}".to_owned()
}

#[capability(
    name = "test.guest.starts",
    summary = "Asks the host to start another capability.",
    safety = "read-only"
)]
fn starts(_: &Ctx, input: Input) -> Result<Output, Failure> {
    let arguments = serde_json::from_str(&input.arguments)?;
    Ok(Output { start: input.name.map(|capability| Start { capability, arguments }) })
}
