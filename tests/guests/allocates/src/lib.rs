//! Hostile: takes memory, a mebibyte at a time, and touches it.
//!
//! What must stop it: the memory limit. A refused growth aborts the guest, and the run ends with exit 4.

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
    blocks: usize,
}

#[capability(name = "test.guest.allocates", summary = "Allocates without end.", safety = "read-only")]
fn allocates(_: &Ctx, _: Input) -> Result<Output, Failure> {
    let mut blocks = Vec::new();
    loop {
        blocks.push(std::hint::black_box(vec![1u8; 1 << 20]));
    }
}
