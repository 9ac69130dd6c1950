//! Leaves a handoff for whoever goes on: what there is to know, about which loops. It is good for three days.

use ops_guest::{Ctx, Failure, capability};
use records_common::handoff::{self, ACTIVE, Handoff, LIFETIME};
use records_common::scope::Scope;
use records_common::{time, word};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is handed over.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// What there is to know.
    #[schemars(length(min = 1, max = 4000))]
    summary: String,
    /// The id of a loop that it is about; several may be separated by commas.
    #[serde(default)]
    #[schemars(length(max = 50), inner(length(min = 1, max = 6000)))]
    loops: Vec<String>,
    /// What is to be done next.
    #[serde(default)]
    #[schemars(length(max = 50), inner(length(min = 1, max = 500)))]
    actions: Vec<String>,
    /// The role that stands for it.
    #[schemars(length(min = 1, max = 64))]
    owner: Option<String>,
    /// The role that hands over.
    #[schemars(length(min = 1, max = 64))]
    from_role: Option<String>,
    /// The role that takes over.
    #[schemars(length(min = 1, max = 64))]
    to_role: Option<String>,
}

/// What was left.
#[derive(Serialize, JsonSchema)]
pub struct Output {
    /// Its id.
    id: String,
    /// Its file, relative to the workspace.
    file: String,
    created_at: String,
    /// Until when it is good.
    expires_at: String,
    loops: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from_role: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to_role: Option<String>,
}

#[capability(
    name = "session.handoff.create",
    summary = "Leaves a handoff for whoever goes on.",
    safety = "mutating",
    needs(directory("handoffs", stage), directory("loops", read))
)]
fn create(ctx: &Ctx, input: Input) -> Result<Output, Failure> {
    word::check_text("summary", &input.summary)?;
    let roles = [("owner", &input.owner), ("from-role", &input.from_role), ("to-role", &input.to_role)];
    let roles = roles.into_iter().filter_map(|(flag, text)| Some((flag, text.as_ref()?)));
    for (flag, text) in roles.chain(input.actions.iter().map(|text| ("actions", text))) {
        word::check_text(flag, text)?;
    }
    let mut loops: Vec<String> = Vec::new();
    for id in input.loops.iter().flat_map(|ids| ids.split([',', ' '])).filter(|id| !id.is_empty()) {
        if !loops.iter().any(|known| known == id) {
            Scope::of(ctx, id)?;
            loops.push(id.to_owned());
        }
    }
    let now = time::now(ctx)?;
    let active = handoff::all(ctx)?.values().filter(|handoff| handoff.is_active(now)).count();
    if active >= ACTIVE {
        return Err(Failure::conflict(format!(
            "{active} handoffs are active, and {ACTIVE} is the most; `session.handoff.list` shows them, and the file of one \
             that is done with can be removed"
        )));
    }
    let handoff = Handoff {
        version: 1,
        id: Handoff::id_at(now, &ctx.unique_id()?),
        summary: input.summary,
        created_at: time::second(now),
        expires_at: time::second(now + LIFETIME),
        loops,
        actions: input.actions,
        owner: input.owner,
        from_role: input.from_role,
        to_role: input.to_role,
    };
    handoff.write(ctx)?;
    Ok(Output {
        file: handoff::file_of(&handoff.id),
        id: handoff.id,
        created_at: handoff.created_at,
        expires_at: handoff.expires_at,
        loops: handoff.loops,
        from_role: handoff.from_role,
        to_role: handoff.to_role,
    })
}
