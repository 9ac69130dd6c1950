//! Lists the loops.

use ops_guest::{Ctx, Failure, capability};
use records_common::gap::Severity;
use records_common::gaps::GapFile;
use records_common::scope::{self, Status};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which loops.
#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Which {
    /// Those that are being worked on.
    #[default]
    Open,
    /// Those that nobody works on yet.
    Planned,
    /// Those that are done.
    Closed,
    /// All of them.
    All,
}

/// What is asked.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Which of them, by where they stand.
    #[serde(default)]
    status: Which,
    /// How many at most.
    #[serde(default = "top")]
    #[schemars(range(min = 1, max = 1000))]
    top: u32,
}

fn top() -> u32 {
    100
}

/// One loop.
#[derive(Serialize, JsonSchema)]
struct Row {
    loop_id: String,
    status: Status,
    priority: Severity,
    /// How many of its gaps are open.
    open_gaps: usize,
    /// What it is for, cut.
    objective: String,
}

/// The loops, those that matter most first.
#[derive(Serialize, JsonSchema)]
pub struct Output {
    /// How many are open, of all.
    open: usize,
    /// How many are planned, of all.
    planned: usize,
    /// How many are closed, of all.
    closed: usize,
    /// How many are what was asked for; more than are listed where `top` cut the list.
    found: usize,
    loops: Vec<Row>,
}

#[capability(
    name = "loops.list",
    summary = "Lists the loops.",
    safety = "read-only",
    needs(directory("loops", read), directory("gaps", read))
)]
fn list(ctx: &Ctx, input: Input) -> Result<Output, Failure> {
    let (loops, gaps) = (scope::all(ctx)?, GapFile::of(ctx)?);
    let count = |status: Status| loops.values().filter(|scope| scope.front.status == status).count();
    let is_asked = |status: Status| match input.status {
        Which::Open => status == Status::Open,
        Which::Planned => status == Status::Planned,
        Which::Closed => status == Status::Closed,
        Which::All => true,
    };
    let mut rows: Vec<Row> = loops
        .iter()
        .filter(|(_, scope)| is_asked(scope.front.status))
        .map(|(id, scope)| Row {
            loop_id: id.clone(),
            status: scope.front.status,
            priority: scope.front.priority,
            open_gaps: gaps
                .gaps()
                .iter()
                .filter(|gap| gap.is_open() && gap.parent_loop.as_ref() == Some(id))
                .count(),
            objective: scope.front.objective.chars().take(60).collect(),
        })
        .collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.priority));
    let found = rows.len();
    rows.truncate(usize::try_from(input.top).unwrap_or(usize::MAX));
    Ok(Output {
        open: count(Status::Open),
        planned: count(Status::Planned),
        closed: count(Status::Closed),
        found,
        loops: rows,
    })
}
