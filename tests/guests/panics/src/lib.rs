//! Hostile: panics.
//!
//! What must stop it: a panic is a trap. The run ends with exit 4, and its words are in the captured stderr.

use ops_guest::{Ctx, Failure, capability};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Nothing to say.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {}

/// Never made.
#[derive(Serialize, JsonSchema)]
pub struct Output {}

#[capability(name = "test.guest.panics", summary = "Panics.", safety = "read-only")]
#[expect(clippy::panic, reason = "it is what this guest is for")]
fn panics(_: &Ctx, _: Input) -> Result<Output, Failure> {
    panic!("a guest panics");
}
