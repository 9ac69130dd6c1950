//! Closes a gap with the runs that show that it is gone.
//!
//! Words are no evidence: each run that is named must have a receipt here that verifies, and be done. What may be closed
//! without a run is `closed`, not `fixed`, and says why.

use ops_guest::{Ctx, Failure, capability};
use records_common::evidence::{self, Evidence};
use records_common::gap::{Gap, Severity, Status};
use records_common::gaps::{FILE, GapFile};
use records_common::scope::Scope;
use records_common::{time, word};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How many characters of a time are its day.
const DAY: usize = 10;

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
    /// The gate that would find it again, like D320. A high or critical gap needs one, or a check in --fixed-in.
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
    needs(
        directory("gaps", stage),
        directory("loops", read),
        service("ops", rule(GET "/receipts/{run}", read)),
    )
)]
fn close(ctx: &Ctx, input: Input) -> Result<Output, Failure> {
    let mut gaps = GapFile::of(ctx)?;
    let gap = gaps.find(&input.id)?.clone();
    if !gap.is_open() {
        return Ok(output("SKIPPED", "already ", gap));
    }
    let proof = proof_of(ctx, &gap)?;
    let named = input.fixed_in.as_deref().unwrap_or_default();
    let evidence = evidence::named(ctx, "fixed-in", named, &proof)?;
    check(&gap, &input, &evidence, &proof)?;
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
fn check(gap: &Gap, input: &Input, evidence: &[Evidence], proof: &[String]) -> Result<(), Failure> {
    if let Some(notes) = &input.notes {
        word::check_text("notes", notes)?;
    }
    if let Some(lock) = input.regression_lock_id.as_ref().filter(|lock| !is_gate_id(lock)) {
        return Err(Failure::invalid(format!(
            "--regression-lock-id {lock:?} is no id of a gate, like D320; name the gate that would find the gap again, or leave \
             it out and name a run of a check in --fixed-in"
        )));
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
        Ends::Fixed if gap.severity >= Severity::High => check_high(gap, input, evidence, proof),
        _ => Ok(()),
    }
}

/// What matters much is closed by a run that is newer than the gap, and by a check that would find it again.
fn check_high(gap: &Gap, input: &Input, evidence: &[Evidence], proof: &[String]) -> Result<(), Failure> {
    let found = gap.discovered_at.as_deref().and_then(|time| time.get(..DAY)).unwrap_or_default();
    let is_newer = |run: &&Evidence| !run.is_dry && run.at.get(..DAY).is_some_and(|day| day >= found);
    if !evidence.iter().any(|run| is_newer(&run)) {
        return Err(Failure::conflict(format!(
            "{} was found on {found}, and every run of --fixed-in is older than that; run the check again and name that run",
            gap.id
        )));
    }
    let lock = input.regression_lock_id.as_ref().or(gap.regression_lock_id.as_ref());
    let is_check = |run: &&Evidence| {
        let name = &run.capability;
        let is_of_loop = proof.iter().any(|wanted| run.shows(wanted));
        run.is_check
            && !run.is_dry
            && (name.starts_with("verify.") || name.starts_with("gates.") || is_of_loop)
    };
    if lock.is_none_or(|lock| !is_gate_id(lock)) && !evidence.iter().any(|run| is_check(&run)) {
        return Err(Failure::conflict(format!(
            "{} matters too much to be closed without a check that would find it again ({FILE}); name a read-only run among \
             --fixed-in: one of verify.* or gates.*, or of what the `proof` of its loop names; or the gate that would find it \
             as --regression-lock-id, like D320",
            gap.id
        )));
    }
    Ok(())
}

/// Whether a text is the id of a gate: `D` and a number.
fn is_gate_id(text: &str) -> bool {
    text.strip_prefix('D').is_some_and(|number| {
        (1..=5).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit())
    })
}

/// The words of the proof of a gap's loop.
fn proof_of(ctx: &Ctx, gap: &Gap) -> Result<Vec<String>, Failure> {
    match &gap.parent_loop {
        Some(parent) => Ok(Scope::of(ctx, parent)?.front.proof.concat()),
        None => Ok(vec![]),
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
