//! Lists the gaps.

use ops_guest::{Ctx, Failure, capability};
use records_common::gap::{BlockerClass, Gap, Severity, Status};
use records_common::gaps::GapFile;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which gaps.
#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Which {
    /// Those that are there still.
    #[default]
    Open,
    /// Those that are gone.
    Fixed,
    /// Those about which nothing more will be done.
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
    /// Only those of this loop.
    #[schemars(length(min = 1, max = 120))]
    loop_id: Option<String>,
    /// Only those that matter at least so much.
    severity: Option<Severity>,
    /// How many at most.
    #[serde(default = "top")]
    #[schemars(range(min = 1, max = 1000))]
    top: u32,
}

fn top() -> u32 {
    100
}

/// One gap.
#[derive(Serialize, JsonSchema)]
struct Row {
    id: String,
    severity: Severity,
    status: Status,
    /// Its title, cut.
    title: String,
    /// The loop that it belongs to.
    parent_loop: Option<String>,
    /// What stands in the way, where something does.
    #[serde(skip_serializing_if = "Option::is_none")]
    blocked: Option<BlockerClass>,
}

/// The gaps, those that matter most first.
#[derive(Serialize, JsonSchema)]
pub struct Output {
    /// How many are open, of all.
    open: usize,
    /// How many of the open ones are high or critical.
    open_high: usize,
    /// How many are fixed, of all.
    fixed: usize,
    /// How many are closed without being fixed, of all.
    closed: usize,
    /// How many are what was asked for; more than are listed where `top` cut the list.
    found: usize,
    gaps: Vec<Row>,
}

#[capability(
    name = "gaps.list",
    summary = "Lists the gaps.",
    safety = "read-only",
    needs(directory("gaps", read))
)]
fn list(ctx: &Ctx, input: Input) -> Result<Output, Failure> {
    let file = GapFile::of(ctx)?;
    let gaps = file.gaps();
    let is_asked = |gap: &&Gap| {
        let status = match input.status {
            Which::Open => gap.status == Status::Open,
            Which::Fixed => gap.status == Status::Fixed,
            Which::Closed => gap.status == Status::Closed,
            Which::All => true,
        };
        status
            && input.loop_id.as_ref().is_none_or(|id| gap.parent_loop.as_ref() == Some(id))
            && input.severity.is_none_or(|least| gap.severity >= least)
    };
    let mut asked: Vec<&Gap> = gaps.iter().filter(is_asked).collect();
    asked.sort_by_key(|gap| std::cmp::Reverse(gap.severity));
    let count = |status: Status| gaps.iter().filter(|gap| gap.status == status).count();
    Ok(Output {
        open: count(Status::Open),
        open_high: gaps.iter().filter(|gap| gap.is_open() && gap.severity >= Severity::High).count(),
        fixed: count(Status::Fixed),
        closed: count(Status::Closed),
        found: asked.len(),
        gaps: asked
            .iter()
            .take(usize::try_from(input.top).unwrap_or(usize::MAX))
            .map(|gap| row(gap))
            .collect(),
    })
}

fn row(gap: &Gap) -> Row {
    Row {
        id: gap.id.clone(),
        severity: gap.severity,
        status: gap.status,
        title: gap.title().chars().take(110).collect(),
        parent_loop: gap.parent_loop.clone(),
        blocked: gap.blocker_class,
    }
}
