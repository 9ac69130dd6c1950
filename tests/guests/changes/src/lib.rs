//! Honest: asks for the effects that it is told, one after the other, and returns what they were answered.

use ops_guest::{Ctx, Failure, Request, Undo, capability};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is changed.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Method and path, such as `PUT/item`.
    #[schemars(length(min = 1, max = 20))]
    change: Vec<String>,
}

/// What came of it.
#[derive(Serialize, JsonSchema)]
pub struct Output {
    /// What each effect that was performed was answered.
    answers: Vec<String>,
}

#[capability(
    name = "test.guest.changes",
    summary = "Asks for the effects that it is told to.",
    safety = "mutating",
    needs(service("web", rule(POST "/item", mutate), rule(PUT "/item", mutate), rule(POST "/keyed", mutate)))
)]
fn changes(ctx: &Ctx, input: Input) -> Result<Output, Failure> {
    let mut answers = Vec::new();
    for (index, change) in input.change.iter().enumerate() {
        let Some((method, path)) = change.split_once('/') else {
            return Err(Failure::invalid(format!("`{change}` is not METHOD/PATH")));
        };
        let number = serde_json::json!({"number": index + 1});
        let request = Request::new(method, "web", format!("/{path}")).json(&number)?;
        let done = ctx.effect(format!("do {change}"), request).undo(Undo::by_hand("undo it")).perform()?;
        answers.extend(done.then(|answer| Ok(answer.text()?.to_owned()))?);
    }
    Ok(Output { answers })
}
