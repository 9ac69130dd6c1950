//! Honest: reads one address with `wstd`, a client that nobody here wrote, and returns what came, whatever its
//! status.
//!
//! It imports `wasi:http` and not `ops:capability/fetch`. What must hold: it reaches the origins of its read rules,
//! literally, and nothing else.

use std::collections::BTreeMap;

use ops_guest::{Ctx, Failure, capability};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wstd::http::{Body, Client, Request};

/// What to ask for.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The whole address, for example `http://localhost:8080/hello`.
    url: String,
    /// Header fields to send, by name.
    #[serde(default)]
    headers: BTreeMap<String, String>,
}

/// The answer.
#[derive(Serialize, JsonSchema)]
pub struct Output {
    status: u16,
    /// Header fields by name, names in lower case.
    headers: BTreeMap<String, String>,
    body: String,
}

#[capability(
    name = "test.guest.plain-http",
    summary = "Reads one address with the plain `wasi:http` client of somebody else.",
    safety = "read-only",
    needs(service("web", optional, rule(GET "/**", read)))
)]
fn plain_http(_: &Ctx, input: Input) -> Result<Output, Failure> {
    wstd::runtime::block_on(read(input)).map_err(|error| Failure::failed(format!("{error:?}")))
}

async fn read(input: Input) -> Result<Output, wstd::http::Error> {
    let mut request = Request::get(input.url);
    for (name, value) in input.headers {
        request = request.header(name, value);
    }
    let mut response = Client::new().send(request.body(Body::empty())?).await?;
    let headers = response.headers().iter();
    let headers =
        headers.map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into()));
    Ok(Output {
        status: response.status().as_u16(),
        headers: headers.collect(),
        body: response.body_mut().str_contents().await?.to_owned(),
    })
}
