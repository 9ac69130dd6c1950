//! Shows a handoff.

use ops_guest::{Ctx, Failure, capability};
use records_common::{handoff, time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is asked.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The handoff's id.
    #[schemars(length(min = 1, max = 60), extend("x-ops-positional" = 0))]
    id: String,
}

/// The handoff.
#[derive(Serialize, JsonSchema)]
pub struct Output {
    id: String,
    /// Whether it is still good.
    active: bool,
    summary: String,
    created_at: String,
    expires_at: String,
    loops: Vec<String>,
    actions: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from_role: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to_role: Option<String>,
    /// Its file, relative to the workspace.
    file: String,
}

#[capability(
    name = "session.handoff.show",
    summary = "Shows a handoff.",
    safety = "read-only",
    needs(directory("handoffs", read))
)]
fn show(ctx: &Ctx, input: Input) -> Result<Output, Failure> {
    let now = time::now(ctx)?;
    let Some(handoff) = handoff::all(ctx)?.remove(&input.id) else {
        return Err(Failure::conflict(format!(
            "there is no handoff {:?}; `session.handoff.list --all` shows those there are",
            input.id
        )));
    };
    Ok(Output {
        active: handoff.is_active(now),
        file: handoff::file_of(&handoff.id),
        id: handoff.id,
        summary: handoff.summary,
        created_at: handoff.created_at,
        expires_at: handoff.expires_at,
        loops: handoff.loops,
        actions: handoff.actions,
        owner: handoff.owner,
        from_role: handoff.from_role,
        to_role: handoff.to_role,
    })
}
