//! Shows a loop, with its gaps and its acceptance, numbered as `loops.close` counts them.

use ops_guest::{Ctx, Failure, capability};
use records_common::gap::{Gap, Severity};
use records_common::gaps::GapFile;
use records_common::scope::{self, Scope, Status};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is asked.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The loop's id.
    #[schemars(length(min = 1, max = 120), extend("x-ops-positional" = 0))]
    id: String,
}

/// One of its gaps.
#[derive(Serialize, JsonSchema)]
struct Linked {
    gap: String,
    /// `open`, `fixed`, `closed`, `blocked`, `reparented`, or `missing` where no file has it.
    state: &'static str,
    title: String,
}

/// One line of its acceptance.
#[derive(Serialize, JsonSchema)]
struct Line {
    line: usize,
    text: String,
    /// What would show it: capabilities, or `linked-gaps`.
    proof: String,
    /// The runs that are named for it, separated by commas.
    runs: String,
}

/// The loop.
#[derive(Serialize, JsonSchema)]
pub struct Output {
    loop_id: String,
    status: Status,
    priority: Severity,
    owner: String,
    scope: String,
    created: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    closed_at: Option<String>,
    objective: String,
    /// Its file, relative to the workspace.
    file: String,
    gaps: Vec<Linked>,
    acceptance: Vec<Line>,
}

#[capability(
    name = "loops.show",
    summary = "Shows a loop, with its gaps and its acceptance.",
    safety = "read-only",
    needs(directory("loops", read), directory("gaps", read))
)]
fn show(ctx: &Ctx, input: Input) -> Result<Output, Failure> {
    let scope = Scope::of(ctx, &input.id)?;
    let gaps = GapFile::of(ctx)?;
    let ids = records_common::closing::linked(&scope, &gaps);
    let linked = ids.into_iter().map(|id| match gaps.find(&id) {
        Ok(gap) => Linked { state: state(&scope, gap), title: gap.title(), gap: id },
        Err(_) => Linked { gap: id, state: "missing", title: String::new() },
    });
    let front = &scope.front;
    let acceptance = scope.body.acceptance.iter().enumerate().map(|(place, line)| {
        let shown = front.evidence.iter().filter(|shown| usize::try_from(shown.line) == Ok(place + 1));
        let runs: Vec<_> = shown.flat_map(|shown| shown.runs.iter().map(String::as_str)).collect();
        Line {
            line: place + 1,
            text: line.text.clone(),
            proof: front.proof.get(place).map(|proof| proof.join(", ")).unwrap_or_default(),
            runs: runs.join(", "),
        }
    });
    Ok(Output {
        status: front.status,
        priority: front.priority,
        owner: front.owner.clone(),
        scope: front.scope.clone(),
        created: front.created.clone(),
        closed_at: front.closed_at.clone(),
        objective: front.objective.clone(),
        file: scope::file_of(&input.id),
        gaps: linked.collect(),
        acceptance: acceptance.collect(),
        loop_id: input.id,
    })
}

fn state(scope: &Scope, gap: &Gap) -> &'static str {
    match gap.status {
        _ if gap.parent_loop.as_ref().is_some_and(|parent| *parent != scope.front.loop_id) => "reparented",
        records_common::gap::Status::Open if gap.is_blocked() => "blocked",
        records_common::gap::Status::Open => "open",
        records_common::gap::Status::Fixed => "fixed",
        records_common::gap::Status::Closed => "closed",
    }
}
