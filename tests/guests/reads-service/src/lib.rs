//! Honest: reads `GET /hello` of the service `web` and returns what came, whatever its status.

use ops_guest::{Ctx, Failure, Request, capability};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Nothing to say.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {}

/// The answer.
#[derive(Serialize, JsonSchema)]
pub struct Output {
    status: u16,
    body: String,
}

#[capability(
    name = "test.guest.reads-service",
    summary = "Reads one page of a service.",
    safety = "read-only",
    needs(service("web", rule(GET "/hello", read)))
)]
fn reads_service(ctx: &Ctx, _: Input) -> Result<Output, Failure> {
    match ctx.fetch_raw(&Request::get("web", "/hello")) {
        Ok(response) => Ok(Output { status: response.status, body: response.text()?.to_owned() }),
        Err(error) => Err(Failure::failed(format!("{error:?}"))),
    }
}
