//! Hostile: sleeps for an hour inside one host call, where no epoch reaches it.
//!
//! What must stop it: the time limit on parked host calls (exit 4).

use std::time::Duration;

use ops_guest::{Ctx, Failure, capability};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Nothing to say.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {}

/// That it woke up.
#[derive(Serialize, JsonSchema)]
pub struct Output {
    woke: bool,
}

#[capability(name = "test.guest.sleeps", summary = "Sleeps for an hour.", safety = "read-only")]
fn sleeps(_: &Ctx, _: Input) -> Result<Output, Failure> {
    std::thread::sleep(Duration::from_secs(3600));
    Ok(Output { woke: true })
}
