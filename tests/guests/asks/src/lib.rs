//! Honest: asks the services `web` and `other` for the paths that it is told, one after the other, and returns what
//! came: each answer as it is, or why there is none.

use ops_guest::{Ctx, Failure, Request, capability};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How much of a body is returned, in bytes.
const SHOWN: usize = 64 * 1024;

/// What is asked.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Service and path, such as `web/hello`.
    #[schemars(length(min = 1, max = 50))]
    ask: Vec<String>,
    /// End with the first failure, as most capabilities do.
    #[serde(default)]
    strict: bool,
}

/// What came.
#[derive(Serialize, JsonSchema)]
pub struct Output {
    /// One for each thing that was asked for.
    answers: Vec<Answer>,
}

/// One answer.
#[derive(Default, Serialize, JsonSchema)]
pub struct Answer {
    /// The status, where there is an answer.
    status: Option<u16>,
    /// The header fields, as `name: value`.
    headers: Vec<String>,
    /// The beginning of the body.
    body: String,
    /// The length of the whole body.
    bytes: usize,
    /// Why there is no answer.
    error: Option<String>,
}

#[capability(
    name = "test.guest.asks",
    summary = "Asks services for what it is told to.",
    safety = "read-only",
    needs(
        service("web", rule(GET "/**", read, query("q"))),
        service("other", optional, rule(GET "/**", read))
    )
)]
fn asks(ctx: &Ctx, input: Input) -> Result<Output, Failure> {
    let answers = input.ask.iter().map(|what| ask(ctx, what, input.strict)).collect::<Result<_, _>>()?;
    Ok(Output { answers })
}

fn ask(ctx: &Ctx, what: &str, strict: bool) -> Result<Answer, Failure> {
    let Some((service, path)) = what.split_once('/') else {
        return Err(Failure::invalid(format!("`{what}` is not SERVICE/PATH")));
    };
    let request = Request::get(service, format!("/{path}"));
    let response = if strict {
        ctx.fetch(request)?
    } else {
        match ctx.fetch_raw(&request) {
            Ok(response) => response,
            Err(error) => return Ok(Answer { error: Some(format!("{error:?}")), ..Answer::default() }),
        }
    };
    let shown = response.body.get(..SHOWN).unwrap_or(&response.body);
    Ok(Answer {
        status: Some(response.status),
        headers: response.headers.iter().map(|header| format!("{}: {}", header.name, header.value)).collect(),
        body: String::from_utf8_lossy(shown).into_owned(),
        bytes: response.body.len(),
        error: None,
    })
}
