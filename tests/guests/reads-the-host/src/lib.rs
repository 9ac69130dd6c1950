//! Reads the path that it is told to of the service `ops`, and returns what came, whatever its status.

use ops_guest::{Ctx, Failure, Request, capability};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What is read.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// A path with its query.
    #[schemars(extend("x-ops-positional" = 0))]
    path: String,
}

/// The answer.
#[derive(Serialize, JsonSchema)]
pub struct Output {
    status: u16,
    body: Value,
}

#[capability(
    name = "test.guest.reads-the-host",
    summary = "Reads what the host knows.",
    safety = "read-only",
    needs(service("ops", rule(GET "/**", read, query("last", "status", "capability"))))
)]
fn reads(ctx: &Ctx, input: Input) -> Result<Output, Failure> {
    match ctx.fetch_raw(&Request::get("ops", input.path)) {
        Ok(response) => Ok(Output { status: response.status, body: response.json()? }),
        Err(error) => Err(Failure::failed(format!("{error:?}"))),
    }
}
