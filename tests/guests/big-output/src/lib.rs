//! Hostile: returns an output of as many bytes as it is asked for.
//!
//! What must stop it: the output limit (exit 4). Within the limit, the run ends `done`.

use ops_guest::{Ctx, Failure, capability};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is asked.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// How many letters are returned.
    bytes: u32,
}

/// Many letters.
#[derive(Serialize, JsonSchema)]
pub struct Output {
    letters: String,
}

#[capability(name = "test.guest.big-output", summary = "Returns more than it may.", safety = "read-only")]
fn big_output(_: &Ctx, input: Input) -> Result<Output, Failure> {
    Ok(Output { letters: "x".repeat(usize::try_from(input.bytes).unwrap_or(usize::MAX)) })
}
