//! Honest: sets up a machine in three steps, each of which is waited for, and files a note about it, if there is one. The
//! torture tests kill its runs at every point.
//!
//! `GET /machines/M` must answer 404; then `POST /machines/M/clone`, `PUT /machines/M/config`, `POST /machines/M/start`,
//! and after each `GET /machines/M/task` until it answers `done`. The note is the file `M.txt` in the folder `notes`.

use std::fs;
use std::time::Duration;

use ops_guest::{Ctx, Done, Failure, Request, Undo, capability};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is set up.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The machine.
    #[schemars(length(min = 1, max = 20), regex(pattern = "^[a-z0-9-]+$"))]
    machine: String,
    /// What its file says. With no note there is no file.
    #[serde(default)]
    #[schemars(length(max = 200))]
    note: String,
}

/// What was done.
#[derive(Serialize, JsonSchema)]
pub struct Output {
    /// What each step was answered.
    answers: Vec<String>,
}

#[capability(
    name = "test.guest.sets-up",
    summary = "Sets up a machine in three steps.",
    safety = "mutating",
    needs(
        service(
            "web",
            rule(GET "/machines/{machine}", read),
            rule(GET "/machines/{machine}/task", read),
            rule(POST "/machines/{machine}/clone", mutate),
            rule(PUT "/machines/{machine}/config", mutate),
            rule(POST "/machines/{machine}/start", mutate),
            rule(POST "/machines/{machine}/stop", mutate, undo),
            rule(DELETE "/machines/{machine}", destroy, undo),
        ),
        directory("notes", stage),
    )
)]
fn sets_up(ctx: &Ctx, input: Input) -> Result<Output, Failure> {
    let machine = format!("/machines/{}", input.machine);
    let there = ctx.fetch(Request::get("web", &machine).accept(&[404]))?;
    if there.status != 404 {
        return Err(Failure::conflict(format!("{} is there already", input.machine)));
    }
    let note = serde_json::json!({"note": input.note});
    let mut answers = Vec::new();
    let undos = [
        Undo::request(Request::new("DELETE", "web", &machine)),
        Undo::impossible("it goes with the machine"),
        Undo::request(Request::new("POST", "web", format!("{machine}/stop"))),
    ];
    for ((method, step), undo) in
        [("POST", "clone"), ("PUT", "config"), ("POST", "start")].into_iter().zip(undos)
    {
        let request = Request::new(method, "web", format!("{machine}/{step}")).json(&note)?;
        let effect = ctx.effect(format!("{step} {}", input.machine), request);
        let done = effect.undo(undo).perform()?;
        answers.extend(wait(ctx, &machine, &done)?);
    }
    if !input.note.is_empty() {
        fs::write(ctx.directory("notes").join(format!("{}.txt", input.machine)), &input.note)?;
    }
    Ok(Output { answers })
}

/// Waits until the machine has done what it was told. Returns what it said at first.
fn wait(ctx: &Ctx, machine: &str, done: &Done) -> Result<Option<String>, Failure> {
    done.then(|answer| {
        ctx.poll("the machine", Duration::from_millis(1), Duration::from_secs(5), || {
            let task = ctx.fetch(Request::get("web", format!("{machine}/task")))?;
            Ok((task.text()? == "done").then_some(()))
        })?;
        Ok(answer.text()?.to_owned())
    })
}
