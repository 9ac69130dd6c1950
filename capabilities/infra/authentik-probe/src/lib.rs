//! Asks Authentik whether its process lives, and whether it is ready, which it is not while its database is away.

use infra_common::probe::{Failed, Report, ask, unexpected};
use infra_common::system::System;
use ops_guest::{Ctx, Failure, Request, capability};
use schemars::JsonSchema;
use serde::Deserialize;

/// Nothing to say.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {}

#[capability(
    name = "infra.authentik.probe",
    summary = "Asks Authentik whether it lives and is ready.",
    safety = "read-only",
    needs(service("authentik", optional,
        rule(GET "/-/health/live/", read),
        rule(GET "/-/health/ready/", read)))
)]
fn probe(ctx: &Ctx, _: Input) -> Result<Report, Failure> {
    Ok(Report::of(ctx, System::Authentik, &[("live", live), ("ready", ready)]))
}

fn live(ctx: &Ctx) -> Result<String, Failed> {
    get(ctx, "/-/health/live/")
}

fn ready(ctx: &Ctx) -> Result<String, Failed> {
    get(ctx, "/-/health/ready/")
}

/// 200, or 204 of an older release. A redirect, for example to a page for signing on, is no health.
fn get(ctx: &Ctx, path: &str) -> Result<String, Failed> {
    let answer = ask(ctx, Request::get("authentik", path))?;
    match answer.status {
        200 | 204 => Ok(format!("it answered {}", answer.status)),
        status => Err(unexpected(format!("GET {path}: it answered {status} and not 200 or 204"))),
    }
}
