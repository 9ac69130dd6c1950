//! Lists the handoffs.

use ops_guest::{Ctx, Failure, capability};
use records_common::{handoff, time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is asked.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Those that are no longer good too.
    #[serde(default)]
    all: bool,
    /// How many at most.
    #[serde(default = "top")]
    #[schemars(range(min = 1, max = 1000))]
    top: u32,
}

fn top() -> u32 {
    100
}

/// One handoff.
#[derive(Serialize, JsonSchema)]
struct Row {
    id: String,
    active: bool,
    expires_at: String,
    /// What there is to know, cut.
    summary: String,
    /// The loops that it is about, separated by commas.
    loops: String,
}

/// The handoffs, the newest first.
#[derive(Serialize, JsonSchema)]
pub struct Output {
    /// How many are good.
    active: usize,
    handoffs: Vec<Row>,
}

#[capability(
    name = "session.handoff.list",
    summary = "Lists the handoffs.",
    safety = "read-only",
    needs(directory("handoffs", read))
)]
fn list(ctx: &Ctx, input: Input) -> Result<Output, Failure> {
    let (all, now) = (handoff::all(ctx)?, time::now(ctx)?);
    let asked = all.values().rev().filter(|handoff| input.all || handoff.is_active(now));
    let rows = asked.take(usize::try_from(input.top).unwrap_or(usize::MAX)).map(|handoff| Row {
        id: handoff.id.clone(),
        active: handoff.is_active(now),
        expires_at: handoff.expires_at.clone(),
        summary: handoff.summary.chars().take(110).collect(),
        loops: handoff.loops.join(", "),
    });
    Ok(Output {
        active: all.values().filter(|handoff| handoff.is_active(now)).count(),
        handoffs: rows.collect(),
    })
}
