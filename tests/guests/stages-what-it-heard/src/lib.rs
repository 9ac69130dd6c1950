//! Honest: asks `test.guest.reads-service`, and stages its answer as `heard.txt`. In the apply the answer is that of the plan,
//! whatever the service says by then.

use std::fs;

use ops_guest::{Call, Ctx, Failure, capability};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// Nothing to say.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {}

/// What it heard.
#[derive(Serialize, JsonSchema)]
pub struct Output {
    heard: String,
    run: Option<String>,
}

#[capability(
    name = "test.guest.stages-what-it-heard",
    summary = "Writes down what another capability says.",
    safety = "mutating",
    needs(invoke("test.guest.reads-service"), directory("notes", stage))
)]
fn stages(ctx: &Ctx, _: Input) -> Result<Output, Failure> {
    let mut answers = ctx.invoke(&[Call::new("test.guest.reads-service", &json!({}))?])?;
    let answer = answers.pop().ok_or_else(|| Failure::failed("no answer".to_owned()))?;
    let output = answer.outcome.map_err(|error| Failure::failed(error.to_string()))?;
    let heard = output.get("body").and_then(|body| body.as_str()).unwrap_or_default().to_owned();
    fs::write(ctx.directory("notes").join("heard.txt"), &heard)
        .map_err(|error| Failure::failed(error.to_string()))?;
    Ok(Output { heard, run: answer.run })
}
