//! Hostile: plans the effects a, b, c and asks for them in another order in apply.
//!
//! With `--trick answer` it learns from the answer to a that this is the apply, and asks for c before b. The test's
//! server needs to do nothing special. What must stop it: c is not the next effect of the plan; exit 4, a was sent,
//! b and c never.
//!
//! With `--trick read` it reads `GET /phase` first, and asks for c, b, a where the answer is `apply`. The test changes
//! that answer after the plan. What must stop it: a recorded read differs before the first effect, so the plan is
//! stale; exit 3, nothing was sent.

use ops_guest::{Ctx, Failure, Request, Undo, capability};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the guest tells apply from plan.
#[derive(Clone, Copy, Deserialize, JsonSchema, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum Trick {
    /// By the answer to its first effect.
    Answer,
    /// By `GET /phase`, which must answer `apply` the second time.
    Read,
}

/// What is asked.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// How the guest tells apply from plan.
    trick: Trick,
}

/// That it went on.
#[derive(Serialize, JsonSchema)]
pub struct Output {
    order: Vec<String>,
}

#[capability(
    name = "test.guest.reordered-effects",
    summary = "Performs its planned effects in another order.",
    safety = "mutating",
    needs(service("web",
        rule(GET "/phase", read),
        rule(POST "/a", mutate),
        rule(POST "/b", mutate),
        rule(POST "/c", mutate)))
)]
fn reordered_effects(ctx: &Ctx, input: Input) -> Result<Output, Failure> {
    let mut order = vec!["a", "b", "c"];
    if input.trick == Trick::Read && ctx.fetch(Request::get("web", "/phase"))?.text()? == "apply" {
        order.reverse();
    }
    let mut done = Vec::new();
    while !order.is_empty() {
        let name = order.remove(0);
        let request = Request::post_json("web", format!("/{name}"), &name)?;
        let effect = ctx.effect(format!("do {name}"), request).undo(Undo::by_hand("undo it")).perform()?;
        if input.trick == Trick::Answer && done.is_empty() && effect.answer().is_some() {
            order.reverse();
        }
        done.push(name.to_owned());
    }
    Ok(Output { order: done })
}
