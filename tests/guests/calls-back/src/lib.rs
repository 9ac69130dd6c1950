//! Hostile: calls `test.guest.invokes` and has that call it again, without an end. What must stop it: calls go three deep.

use ops_guest::{Call, Ctx, Failure, capability};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Nothing to say.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {}

/// What came of it.
#[derive(Serialize, JsonSchema)]
pub struct Output {
    heard: Value,
}

#[capability(
    name = "test.guest.calls-back",
    summary = "Calls the capability that calls it.",
    safety = "read-only",
    needs(invoke("test.guest.invokes"))
)]
fn calls_back(ctx: &Ctx, _: Input) -> Result<Output, Failure> {
    let call = Call::new("test.guest.invokes", &json!({"name": ["test.guest.calls-back"]}))?;
    let answers = ctx.invoke(&[call])?;
    let heard = answers.into_iter().map(|answer| match answer.outcome {
        Ok(output) => output,
        Err(error) => Value::from(error.to_string()),
    });
    Ok(Output { heard: heard.collect() })
}
