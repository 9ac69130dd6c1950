//! What was recorded of runs: those of which nobody knows what became, the last verification, the ledger.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use ops_guest::{Ctx, Failure, records};
use schemars::JsonSchema;
use serde::Serialize;

use crate::contract::Status;

/// The capabilities whose run is a verification of the whole.
const VERIFIES: [&str; 2] = ["verify.run", "verify.core.run"];

/// How one record stands.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Record {
    /// What was looked at.
    record: &'static str,
    /// How it stands.
    pub(crate) status: Status,
    /// What was seen.
    why: String,
}

/// Looks at all three.
///
/// # Errors
/// Those of the service `ops`.
pub(crate) fn look(ctx: &Ctx, hours: u32) -> Result<Vec<Record>, Failure> {
    Ok(vec![unknown(ctx)?, verified(ctx, hours)?, ledger(ctx)?])
}

fn unknown(ctx: &Ctx) -> Result<Record, Failure> {
    let runs = records::unknown_runs(ctx)?;
    let (status, why) = match runs.first() {
        None => (Status::Healthy, "there are none".to_owned()),
        Some(first) => {
            let why = format!("{} to be resolved, such as {}: `ops runs list`", runs.len(), first.run);
            (Status::Warn, why)
        }
    };
    Ok(Record { record: "unknown runs", status, why })
}

fn verified(ctx: &Ctx, hours: u32) -> Result<Record, Failure> {
    let mut newest: Option<(Timestamp, records::Run)> = None;
    for capability in VERIFIES {
        // One that goes on has no result yet, so the one before it is asked for too.
        let ended = records::runs(ctx, Some(capability), 2)?.into_iter().find(|run| run.status != "running");
        let Some(run) = ended else { continue };
        let at = run.at.parse::<Timestamp>().map_err(|error| {
            Failure::failed(format!("the run {} has a time that is none: {error}", run.run))
        })?;
        if newest.as_ref().is_none_or(|(known, _)| *known < at) {
            newest = Some((at, run));
        }
    }
    let (status, why) = match newest {
        None => (Status::Warn, "there was none: `ops cap run verify.core.run`".to_owned()),
        Some((_, run)) if run.status != "done" => {
            (Status::Incident, format!("{} ended as {}", run.run, run.status))
        }
        Some((at, run)) => {
            let age = age(ctx.now(), at);
            let is_old = age > Duration::from_secs(u64::from(hours) * 3600);
            let status = if is_old { Status::Warn } else { Status::Healthy };
            (status, format!("{} is {} old", run.run, told(age)))
        }
    };
    Ok(Record { record: "last verification", status, why })
}

/// How long ago a time was; nothing where a clock was set back.
fn age(now: SystemTime, at: Timestamp) -> Duration {
    now.duration_since(SystemTime::from(at)).unwrap_or_default()
}

fn told(age: Duration) -> String {
    match age.as_secs() / 60 {
        minutes @ 0..=119 => format!("{minutes} min"),
        minutes => format!("{} h", minutes / 60),
    }
}

fn ledger(ctx: &Ctx) -> Result<Record, Failure> {
    let ledger = records::ledger(ctx)?;
    let (status, why) = match (ledger.consistent, ledger.findings.first()) {
        (true, None) => (Status::Healthy, format!("{} entries agree with one another", ledger.entries)),
        (_, Some(finding)) => (Status::Incident, finding.clone()),
        (false, None) => (Status::Incident, "it does not agree with itself: `ops ledger verify`".to_owned()),
    };
    Ok(Record { record: "ledger", status, why })
}
