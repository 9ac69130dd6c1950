//! Asks Infisical for its status, which everybody may. The machine identity that reads secrets is the host's own, and
//! never this capability's.

use infra_common::probe::{Cause, Failed, Report, ask, is_date_time, unexpected};
use infra_common::system::System;
use ops_guest::{Ctx, Failure, Request, capability};
use schemars::JsonSchema;
use serde::Deserialize;

/// Nothing to say.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {}

#[capability(
    name = "infra.infisical.probe",
    summary = "Asks Infisical for its status.",
    safety = "read-only",
    needs(service("infisical", optional, rule(GET "/api/status", read)))
)]
fn probe(ctx: &Ctx, _: Input) -> Result<Report, Failure> {
    Ok(Report::of(ctx, System::Infisical, &[("status", status)]))
}

/// What is looked at of its answer.
#[derive(Deserialize)]
struct Status {
    date: String,
    message: String,
}

fn status(ctx: &Ctx) -> Result<String, Failed> {
    let answer = ask(ctx, Request::get("infisical", "/api/status"))?;
    match answer.json::<Status>() {
        Ok(Status { date, .. }) if answer.status != 200 || !is_date_time(&date) => {
            Err(unexpected(format!("it answered {} without the time that Infisical tells", answer.status)))
        }
        Ok(Status { message, .. }) if message.eq_ignore_ascii_case("ok") => Ok("it says Ok".to_owned()),
        Ok(Status { message, .. }) => {
            Err((Cause::ApiError, format!("it says {:?}", message.chars().take(100).collect::<String>())))
        }
        Err(failure) => Err(unexpected(failure.why())),
    }
}
