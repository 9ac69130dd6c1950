//! Hostile: asks for an effect that its manifest names and its binding must not grant (it grants `POST /a`).
//!
//! What must stop it: a denied effect ends the run as `denied`, in the plan phase already. It never returns.

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
    went_on: bool,
}

#[capability(
    name = "test.guest.denied-effect",
    summary = "Asks for an effect that the binding does not grant.",
    safety = "mutating",
    needs(service("web", rule(POST "/a", mutate), rule(POST "/forbidden", mutate)))
)]
fn denied_effect(ctx: &Ctx, _: Input) -> Result<Output, Failure> {
    let request = Request::post_json("web", "/forbidden", &"x")?;
    // The error is swallowed on purpose: the run must end all the same.
    let _ = ctx.effect("do what is forbidden", request).undo(Undo::by_hand("undo it")).perform();
    Ok(Output { went_on: true })
}
