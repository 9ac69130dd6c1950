//! Asks Cloudflare: whether the token of the binding is good, and for the account's zones, page by page.
//!
//! Whatever it answers is in an envelope with `success`; an answer that says `false` there is a failure, whatever its
//! status. The host repeats a read that is limited (429) within its budget, always with the same token. What is still
//! limited after that is `rate_limited`, and what is refused (401, 403) is `token_invalid`: nothing else is tried.

use infra_common::probe::{Cause, Failed, Report, ask, unexpected};
use infra_common::system::System;
use ops_guest::{Ctx, Failure, Request, capability};
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// The most zones that the API gives at once.
const PER_PAGE: usize = 50;
/// The most pages that are asked for, so that a probe stays one.
const PAGES: usize = 20;

/// Nothing to say.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {}

#[capability(
    name = "infra.cloudflare.probe",
    summary = "Asks Cloudflare whether the token is good, and for the account's zones.",
    safety = "read-only",
    needs(service("cloudflare", optional,
        rule(GET "/client/v4/user/tokens/verify", read),
        rule(GET "/client/v4/zones", read, query("per_page", "page"))))
)]
fn probe(ctx: &Ctx, _: Input) -> Result<Report, Failure> {
    Ok(Report::of(ctx, System::Cloudflare, &[("token", token), ("zones", zones)]))
}

/// What every answer of the API is wrapped in.
#[derive(Deserialize)]
struct Envelope<T> {
    success: bool,
    #[serde(default)]
    errors: Vec<Problem>,
    result: Option<T>,
    result_info: Option<Pages>,
}

#[derive(Deserialize)]
struct Problem {
    code: i64,
    message: String,
}

#[derive(Deserialize)]
struct Pages {
    total_pages: usize,
}

#[derive(Deserialize)]
struct Token {
    status: String,
}

#[derive(Deserialize)]
struct Zone {
    status: String,
}

fn token(ctx: &Ctx) -> Result<String, Failed> {
    let path = "/client/v4/user/tokens/verify";
    let (token, _) = get::<Token>(ctx, path)?;
    match token.status.as_str() {
        "active" => Ok("the token is active".to_owned()),
        status => Err((Cause::TokenInvalid, format!("the token is {}", words(status)))),
    }
}

fn zones(ctx: &Ctx) -> Result<String, Failed> {
    let (mut count, mut inactive) = (0, 0);
    for page in 1..=PAGES {
        let path = format!("/client/v4/zones?per_page={PER_PAGE}&page={page}");
        let (zones, pages) = get::<Vec<Zone>>(ctx, &path)?;
        let pages = pages.ok_or_else(|| unexpected("a list of zones without the number of its pages"))?;
        if zones.is_empty() && page < pages.total_pages {
            return Err(unexpected(format!("page {page} of {} has no zones", pages.total_pages)));
        }
        count += zones.len();
        inactive += zones.iter().filter(|zone| zone.status != "active").count();
        if page >= pages.total_pages {
            return Ok(format!("{count} zones, {inactive} of them not active"));
        }
    }
    Ok(format!("the first {count} zones, {inactive} of them not active; the account has more"))
}

/// The result of an answer, and how many pages there are of it where it is a list.
fn get<T: DeserializeOwned>(ctx: &Ctx, path: &str) -> Result<(T, Option<Pages>), Failed> {
    let answer = ask(ctx, Request::get("cloudflare", path))?;
    let envelope: Envelope<T> = answer.json().map_err(|failure| unexpected(failure.why()))?;
    if !envelope.success {
        let problems: Vec<_> = envelope.errors.iter().map(|problem| problem.words()).collect();
        return Err((Cause::ApiError, format!("it says that this was no success: {}", problems.join("; "))));
    }
    let result = envelope.result.ok_or_else(|| unexpected("a success without a result"))?;
    Ok((result, envelope.result_info))
}

impl Problem {
    fn words(&self) -> String {
        format!("{} {}", self.code, words(&self.message))
    }
}

/// The beginning of what the service said.
fn words(text: &str) -> String {
    text.chars().take(100).collect()
}
