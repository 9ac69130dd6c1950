//! Closes a gap with the runs that show that it is gone.
//!
//! Words are no evidence: each run that is named must have a receipt here that verifies, and be done. What may be closed
//! without a run is `closed`, not `fixed`, and says why.

use ops_guest::{Ctx, Failure, capability};
use records_common::evidence::{self, Evidence};
use records_common::gap::{Gap, Severity, Status};
use records_common::gaps::{FILE, GapFile};
use records_common::{time, word};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the ids began that stood for no regression lock at all.
const NO_LOCK: &str = "LEGACY-NO-REGRESSION-LOCK";

/// How a gap ends.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Ends {
    /// It is gone, and runs show it.
    Fixed,
    /// Nothing more will be done about it, and the notes or its blocker say why.
    Closed,
}

/// Which gap, and what shows that it is gone.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The gap's id, like GAP-OP-665.
    #[schemars(regex(pattern = r"^GAP-OP-[0-9]{3,6}$"))]
    id: String,
    /// How it ends.
    status: Ends,
    /// The keys of the runs that show it, separated by commas or blanks.
    #[schemars(length(max = 8000))]
    fixed_in: Option<String>,
    /// What else there is to know; it is put behind what is noted already.
    #[schemars(length(min = 1, max = 2000))]
    notes: Option<String>,
    /// The check that would find it again, such as a gate or a test. A high or critical gap needs one, or a read-only
    /// run among --fixed-in.
    #[schemars(length(min = 1, max = 200))]
    regression_lock_id: Option<String>,
}

/// What became of the gap.
#[derive(Serialize, JsonSchema)]
pub struct Output {
    /// One line that says so.
    message: String,
    id: String,
    status: Status,
    /// The runs that show it.
    fixed_in: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    closed_at: Option<String>,
}

#[capability(
    name = "gaps.close",
    summary = "Closes a gap with the runs that show that it is gone.",
    safety = "mutating",
    needs(directory("gaps", stage), service("ops", rule(GET "/receipts/{run}", read)))
)]
fn close(ctx: &Ctx, input: Input) -> Result<Output, Failure> {
    let mut gaps = GapFile::of(ctx)?;
    let gap = gaps.find(&input.id)?.clone();
    if !gap.is_open() {
        return Ok(output("SKIPPED", "already ", gap));
    }
    let evidence = evidence::named(ctx, "fixed-in", input.fixed_in.as_deref().unwrap_or_default())?;
    check(&gap, &input, &evidence)?;
    let now = time::now(ctx)?;
    let mut closed = gap;
    closed.status = match input.status {
        Ends::Fixed => Status::Fixed,
        Ends::Closed => Status::Closed,
    };
    closed.fixed_in = evidence.into_iter().map(|evidence| evidence.run).collect();
    closed.closed_at = Some(time::second(now));
    closed.regression_lock_id = input.regression_lock_id.or(closed.regression_lock_id);
    closed.notes = match (closed.notes, input.notes) {
        (Some(before), Some(notes)) => Some(format!("{}; {notes}", before.trim_end())),
        (before, notes) => notes.or(before),
    };
    gaps.replace(closed.clone(), &time::date(now))?;
    gaps.write(ctx)?;
    Ok(output("CLOSED", "", closed))
}

/// Whether this is enough to close the gap.
fn check(gap: &Gap, input: &Input, evidence: &[Evidence]) -> Result<(), Failure> {
    if let Some(notes) = &input.notes {
        word::check_text("notes", notes)?;
    }
    let lock = input.regression_lock_id.as_ref().or(gap.regression_lock_id.as_ref());
    if let Some(lock) = lock {
        word::check_text("regression-lock-id", lock)?;
        if lock.to_uppercase().starts_with(NO_LOCK) {
            return Err(Failure::invalid(format!(
                "--regression-lock-id {lock} says that nothing would find the gap again; name a check that would, or leave \
                 it out and name a read-only run in --fixed-in"
            )));
        }
    }
    match input.status {
        Ends::Fixed if evidence.is_empty() => Err(Failure::invalid(format!(
            "--fixed-in is missing: {} is fixed when a run shows it; name the run's key, which it says at its end and \
             `ops receipts list` shows",
            gap.id
        ))),
        Ends::Closed
            if evidence.is_empty() && input.notes.is_none() && gap.notes.is_none() && !gap.is_blocked() =>
        {
            Err(Failure::invalid(format!(
                "nothing says why {} is closed without being fixed; say it with --notes, or give it a blocker with \
                 `gaps.update`",
                gap.id
            )))
        }
        Ends::Fixed
            if gap.severity >= Severity::High
                && lock.is_none()
                && !evidence.iter().any(|run| run.is_check) =>
        {
            Err(Failure::conflict(format!(
                "{} matters too much to be closed without a check that would find it again ({FILE}); name a read-only run \
                 among --fixed-in, such as one of verify.run, or a --regression-lock-id",
                gap.id
            )))
        }
        _ => Ok(()),
    }
}

fn output(word: &str, already: &str, gap: Gap) -> Output {
    let status = match gap.status {
        Status::Open => "open",
        Status::Fixed => "fixed",
        Status::Closed => "closed",
    };
    let runs = gap.fixed_in.join(",");
    let message = format!("{word}: {} ({already}status={status}, fixed_in={runs})", gap.id);
    Output { message, id: gap.id, status: gap.status, fixed_in: gap.fixed_in, closed_at: gap.closed_at }
}
