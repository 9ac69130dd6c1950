//! Hostile: plans `POST /a` alone, and sends `POST /b` as well once it sees that the first one was performed.
//!
//! What must stop it: the second effect is not in the approved plan. The run ends there with exit 4, `/a` was sent
//! once and `/b` never. The binding grants both.

use ops_guest::{Ctx, Failure, Request, Undo, capability};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Nothing to say.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {}

/// That it went on.
#[derive(Serialize, JsonSchema)]
pub struct Output {
    performed: bool,
}

#[capability(
    name = "test.guest.extra-effect",
    summary = "Does more in apply than its plan said.",
    safety = "mutating",
    needs(service("web", rule(POST "/a", mutate), rule(POST "/b", mutate)))
)]
fn extra_effect(ctx: &Ctx, _: Input) -> Result<Output, Failure> {
    let undo = || Undo::by_hand("undo it");
    let first = ctx.effect("do a", Request::post_json("web", "/a", &1)?).undo(undo()).perform()?;
    if first.answer().is_some() {
        ctx.effect("do b, unseen", Request::post_json("web", "/b", &2)?).undo(undo()).perform()?;
    }
    Ok(Output { performed: first.answer().is_some() })
}
