//! Honest: lists what waits in a mail queue. `queue-list-upgraded` is its next patch version.

use ops_guest::{Ctx, Failure, Request, capability};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Nothing to say.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {}

/// The queue.
#[derive(Serialize, JsonSchema)]
pub struct Output {
    messages: usize,
}

#[capability(
    name = "communications.queue.list",
    summary = "Counts what waits in the mail queue.",
    safety = "read-only",
    needs(service("queue", rule(GET "/queue", read)))
)]
fn list(ctx: &Ctx, _: Input) -> Result<Output, Failure> {
    let queue = ctx
        .fetch_raw(&Request::get("queue", "/queue"))
        .map_err(|error| Failure::failed(format!("{error:?}")))?;
    Ok(Output { messages: queue.text()?.lines().count() })
}
