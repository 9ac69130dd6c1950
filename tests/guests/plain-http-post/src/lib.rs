//! Hostile: says that it reads, and tries to change a service through plain `wasi:http`, with a client that nobody
//! here wrote.
//!
//! What must stop it: requests that come that way are matched with read rules alone, so the server never sees it.
//! The refusal is an answer: the run fails with `HttpRequestDenied` in its message.

use ops_guest::{Ctx, Failure, capability};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wstd::http::{Body, Client, Request};

/// Where to.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The whole address, for example `http://localhost:8080/items`.
    url: String,
}

/// The answer, which must never come.
#[derive(Serialize, JsonSchema)]
pub struct Output {
    status: u16,
}

#[capability(
    name = "test.guest.plain-http-post",
    summary = "Tries to change a service through plain `wasi:http`.",
    safety = "read-only",
    needs(service("web", rule(GET "/**", read)))
)]
fn plain_http_post(_: &Ctx, input: Input) -> Result<Output, Failure> {
    wstd::runtime::block_on(post(input)).map_err(|error| Failure::failed(format!("{error:?}")))
}

async fn post(input: Input) -> Result<Output, wstd::http::Error> {
    let request = Request::post(input.url).header("content-type", "application/json");
    let response = Client::new().send(request.body(Body::from(r#"{"change":true}"#))?).await?;
    Ok(Output { status: response.status().as_u16() })
}
