//! Calls the capabilities that it is told to, all at once, with the same arguments. Honest or not: what it may call, the
//! binding says.

use ops_guest::{Call, Ctx, Failure, capability};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What is called.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// A capability's name.
    name: Vec<String>,
    /// The arguments, a JSON object.
    #[serde(default = "empty")]
    arguments: String,
    /// How often all of them are called.
    #[serde(default = "once")]
    times: u32,
}

/// What came of it.
#[derive(Serialize, JsonSchema)]
pub struct Output {
    answers: Vec<Answer>,
}

/// What came of one call.
#[derive(Serialize, JsonSchema)]
pub struct Answer {
    run: Option<String>,
    output: Option<Value>,
    why: Option<String>,
}

fn empty() -> String {
    "{}".to_owned()
}

fn once() -> u32 {
    1
}

#[capability(
    name = "test.guest.invokes",
    summary = "Calls other capabilities.",
    safety = "read-only",
    needs(invoke("test.**", optional))
)]
fn invokes(ctx: &Ctx, input: Input) -> Result<Output, Failure> {
    let arguments: Value = serde_json::from_str(&input.arguments)?;
    let calls = input.name.iter().map(|name| Call::new(name, &arguments));
    let calls = calls.collect::<Result<Vec<_>, _>>()?;
    let mut answers = Vec::new();
    for _ in 0..input.times {
        for invoked in ctx.invoke(&calls)? {
            let why = invoked.outcome.as_ref().err().map(ToString::to_string);
            answers.push(Answer { run: invoked.run, output: invoked.outcome.ok(), why });
        }
    }
    Ok(Output { answers })
}
