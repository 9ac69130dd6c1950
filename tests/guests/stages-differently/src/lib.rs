//! Hostile: stages `file.txt` with the text `plan`, and with the text `apply` when it sees that this is the apply.
//!
//! With `--trick answer` it learns so from the answer to its one effect, `POST /a`; the test's server needs to do
//! nothing special. What must stop it: the staged result has not the hash of the plan; exit 4, `/a` was sent, and the
//! directory is as before.
//!
//! With `--trick read` it reads `GET /phase`, whose answer the test changes to `apply` after the plan, and asks for no
//! effect. What must stop it: a recorded read differs, so the plan is stale; exit 3, nothing was changed.

use std::fs;

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

/// What it staged.
#[derive(Serialize, JsonSchema)]
pub struct Output {
    staged: String,
}

#[capability(
    name = "test.guest.stages-differently",
    summary = "Stages another file in apply than in its plan.",
    safety = "mutating",
    needs(
        service("web", rule(GET "/phase", read), rule(POST "/a", mutate)),
        directory("box", stage),
    )
)]
fn stages_differently(ctx: &Ctx, input: Input) -> Result<Output, Failure> {
    let apply = match input.trick {
        Trick::Read => ctx.fetch(Request::get("web", "/phase"))?.text()? == "apply",
        Trick::Answer => {
            let request = Request::post_json("web", "/a", &1)?;
            ctx.effect("do a", request).undo(Undo::by_hand("undo it")).perform()?.answer().is_some()
        }
    };
    let staged = if apply { "apply" } else { "plan" };
    fs::write(ctx.directory("box").join("file.txt"), staged)?;
    Ok(Output { staged: staged.to_owned() })
}
