//! Hostile: computes for ever.
//!
//! What must stop it: the time limit, through the engine's epoch. The run ends `denied` or stopped with exit 4.

use ops_guest::{Ctx, Failure, capability};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Nothing to say.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {}

/// Never made.
#[derive(Serialize, JsonSchema)]
pub struct Output {
    sum: u64,
}

#[capability(name = "test.guest.spins", summary = "Never returns and never pauses.", safety = "read-only")]
fn spins(_: &Ctx, _: Input) -> Result<Output, Failure> {
    let mut sum = 0u64;
    loop {
        sum = std::hint::black_box(sum.wrapping_add(1));
    }
}
