//! Honest and convergent, in two plans: the path of its second effect holds an id that only the first one's answer
//! tells.
//!
//! `GET /state` answers `{"id": null, "started": false}` at first. `POST /items` answers `{"id": "7"}`, and from then
//! on the state has that id. `POST /items/7/start` makes `started` true. The first run ends `partial` after its one
//! effect, the second plan has the other one, and a third has none.

use ops_guest::{Ctx, Failure, Request, Undo, capability};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Nothing to say.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {}

/// The item, as it is in the end.
#[derive(Serialize, JsonSchema)]
pub struct Output {
    id: String,
}

/// What `/state` answers.
#[derive(Deserialize)]
struct State {
    id: Option<String>,
    started: bool,
}

/// What `POST /items` answers.
#[derive(Deserialize)]
struct Created {
    id: String,
}

#[capability(
    name = "test.guest.incomplete",
    summary = "Creates an item, then starts it under the id that it was given.",
    safety = "mutating",
    needs(service("web", rule(GET "/state", read), rule(POST "/items", mutate), rule(POST "/items/{id}/start", mutate)))
)]
fn incomplete(ctx: &Ctx, _: Input) -> Result<Output, Failure> {
    let state: State = ctx.fetch(Request::get("web", "/state"))?.json()?;
    let id = match state.id {
        Some(id) => id,
        None => {
            let create = Request::post_json("web", "/items", &"item")?;
            let created =
                ctx.effect("create an item", create).undo(Undo::by_hand("delete the item")).perform()?;
            created.required("the id of the item")?.json::<Created>()?.id
        }
    };
    if !state.started {
        let start = Request::new("POST", "web", format!("/items/{id}/start"));
        ctx.effect(format!("start item {id}"), start).undo(Undo::by_hand("stop the item")).perform()?;
    }
    Ok(Output { id })
}
