//! Hostile: reads with `POST /hello`, which its manifest asks for and its binding must not grant (it grants `GET`).
//!
//! What must stop it: the broker answers `not-granted`, nothing is dialled, and the denial is in the receipt. A denied
//! read alone ends no run, so it ends `done` with the denial in its output.

use ops_guest::{Ctx, Failure, NetError, Request, capability};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Nothing to say.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {}

/// What came back.
#[derive(Serialize, JsonSchema)]
pub struct Output {
    /// The status, if the request went through.
    status: Option<u16>,
    /// The broker's words, if it was denied.
    denied: Option<String>,
}

#[capability(
    name = "test.guest.ungranted-method",
    summary = "Reads with a method that the binding does not grant.",
    safety = "read-only",
    needs(service("web", rule(GET "/hello", read), rule(POST "/hello", read)))
)]
fn ungranted_method(ctx: &Ctx, _: Input) -> Result<Output, Failure> {
    match ctx.fetch_raw(&Request::new("POST", "web", "/hello")) {
        Ok(response) => Ok(Output { status: Some(response.status), denied: None }),
        Err(NetError::NotGranted(why)) => Ok(Output { status: None, denied: Some(why) }),
        Err(other) => Err(Failure::failed(format!("neither answered nor denied: {other:?}"))),
    }
}
