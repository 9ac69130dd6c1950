//! Asks Vaultwarden whether it is alive. It answers with its own time, which it gives only while its database answers.

use infra_common::probe::{Failed, Report, ask, is_date_time, unexpected};
use infra_common::system::System;
use ops_guest::{Ctx, Failure, Request, capability};
use schemars::JsonSchema;
use serde::Deserialize;

/// Nothing to say.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {}

#[capability(
    name = "infra.vaultwarden.probe",
    summary = "Asks Vaultwarden whether it is alive.",
    safety = "read-only",
    needs(service("vaultwarden", optional, rule(GET "/alive", read)))
)]
fn probe(ctx: &Ctx, _: Input) -> Result<Report, Failure> {
    Ok(Report::of(ctx, System::Vaultwarden, &[("alive", alive)]))
}

fn alive(ctx: &Ctx) -> Result<String, Failed> {
    let answer = ask(ctx, Request::get("vaultwarden", "/alive"))?;
    match answer.json::<String>() {
        // A page of a proxy or of a captive portal comes with 200 too.
        Ok(time) if answer.status == 200 && is_date_time(&time) => Ok(format!("it is alive, at {time}")),
        _ => {
            Err(unexpected(format!("it answered {} without the time that Vaultwarden tells", answer.status)))
        }
    }
}
