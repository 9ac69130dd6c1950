//! Honest: `POST /a`, waits until `GET /task` answers `done`, then `POST /b`. The wait happens after a real effect only,
//! so that one plan shows both effects and makes no read.

use std::time::Duration;

use ops_guest::{Ctx, Failure, Request, Undo, capability};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Nothing to say.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {}

/// What was done.
#[derive(Serialize, JsonSchema)]
pub struct Output {
    /// What `/a` answered, once it was performed.
    a: Option<String>,
    /// What `/b` answered, once it was performed.
    b: Option<String>,
}

#[capability(
    name = "test.guest.two-effects",
    summary = "Changes two things, waiting for the first.",
    safety = "mutating",
    needs(service("web", rule(GET "/task", read), rule(POST "/a", mutate), rule(POST "/b", mutate)))
)]
fn two_effects(ctx: &Ctx, _: Input) -> Result<Output, Failure> {
    let a = ctx
        .effect("do a", Request::post_json("web", "/a", &serde_json::json!({"name": "a"}))?)
        .undo(Undo::by_hand("undo a"))
        .perform()?;
    let a = a.then(|answer| {
        ctx.poll("the task of a", Duration::from_millis(20), Duration::from_secs(5), || {
            let task = ctx.fetch(Request::get("web", "/task"))?;
            Ok((task.text()? == "done").then_some(()))
        })?;
        Ok(answer.text()?.to_owned())
    })?;
    let b = ctx
        .effect("do b", Request::post_json("web", "/b", &serde_json::json!({"name": "b"}))?)
        .undo(Undo::impossible("b cannot be taken back"))
        .perform()?;
    Ok(Output { a, b: b.then(|answer| Ok(answer.text()?.to_owned()))? })
}
