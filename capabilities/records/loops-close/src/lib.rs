//! Closes a loop.
//!
//! It is refused while a linked gap is in the way, or while a line of the acceptance is not shown by a run, and everything
//! that is missing is said at once. The scope file keeps the evidence of each line.

use ops_guest::{Ctx, Failure, capability};
use records_common::acceptance::named_lines;
use records_common::closing::{Accepted, Linked, MOST, account};
use records_common::evidence::Runs;
use records_common::gaps::GapFile;
use records_common::scope::{Scope, Status};
use records_common::time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What to do about a loop that cannot be closed.
const HELP: &str = "\
what to do
  an open gap:              close it with `gaps.close`; or give it to another loop, or a blocker with evidence, with
                            `gaps.update`
  a line without evidence:  name a run of the capability in --fixed-in of a linked gap, or any run that shows the line
                            with --evidence LINE=RUN-KEY";

/// Which loop, and what shows that it is done.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The loop's id.
    #[schemars(length(min = 1, max = 120), extend("x-ops-positional" = 0))]
    id: String,
    /// A line of the acceptance and the runs that show it, like 2=RUN-KEY,RUN-KEY,3=RUN-KEY, or once for each.
    #[serde(default)]
    #[schemars(length(max = 100), inner(length(min = 1, max = 8000)))]
    evidence: Vec<String>,
}

/// What became of the loop.
#[derive(Serialize, JsonSchema)]
pub struct Output {
    /// One line that says so.
    message: String,
    loop_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    closed_at: Option<String>,
    /// Its gaps, and what became of them.
    gaps: Vec<Linked>,
    /// The lines of its acceptance, and the runs that show them.
    acceptance: Vec<Accepted>,
}

#[capability(
    name = "loops.close",
    summary = "Closes a loop whose gaps are settled and whose acceptance is shown.",
    safety = "mutating",
    needs(
        directory("loops", stage),
        directory("gaps", read),
        service("ops", rule(GET "/receipts/{run}", read)),
    )
)]
fn close(ctx: &Ctx, input: Input) -> Result<Output, Failure> {
    let scope = Scope::of(ctx, &input.id)?;
    if scope.front.status == Status::Closed {
        return Ok(already(scope));
    }
    let named = named_lines(&input.evidence, scope.body.acceptance.len())?;
    let account = account(ctx, &scope, &GapFile::of(ctx)?, &named, &mut Runs::at_most(MOST))?;
    if !account.blocked.is_empty() {
        return Err(Failure::conflict(format!(
            "BLOCKED: {}\n  {}\n{HELP}",
            input.id,
            account.blocked.into_iter().map(|obstacle| obstacle.what).collect::<Vec<_>>().join("\n  ")
        )));
    }
    let at = time::second(time::now(ctx)?);
    let closed = scope.closed(at.clone(), account.shown)?;
    closed.write(ctx)?;
    Ok(Output {
        message: format!("CLOSED: {}", input.id),
        loop_id: input.id,
        closed_at: Some(at),
        gaps: account.gaps,
        acceptance: account.lines,
    })
}

/// What the file of a closed loop says.
fn already(scope: Scope) -> Output {
    let lines = scope.front.evidence.iter().map(|shown| {
        let place = usize::try_from(shown.line).unwrap_or(0).saturating_sub(1);
        let text = scope.body.acceptance.get(place).map(|line| line.text.clone()).unwrap_or_default();
        Accepted { line: shown.line, text, runs: shown.runs.join(", ") }
    });
    Output {
        message: format!("ALREADY CLOSED: {}", scope.front.loop_id),
        acceptance: lines.collect(),
        gaps: vec![],
        closed_at: scope.front.closed_at,
        loop_id: scope.front.loop_id,
    }
}
