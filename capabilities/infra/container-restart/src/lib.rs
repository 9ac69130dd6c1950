//! Restarts a container through the Docker Engine API, and waits until it runs and its own health check, where it has
//! one, is content.
//!
//! A container that runs and is healthy is left alone, unless `even_if_healthy` says otherwise: so a plan that is made
//! again after the restart has nothing left to do. Containers are looked at by the engine's list with filters, and never
//! by its inspection: that holds the container's environment, with whatever secrets are in there, and the log of its
//! health check, which changes every few seconds and would make every plan stale. The list is empty for as long as the
//! container is not healthy, so a plan holds until it heals by itself, and is stale then, rightly.
//!
//! The price is that the list does not tell a container that is not healthy from one that is not there. That one is found
//! out by the restart, which the engine refuses (404), and nothing has changed.

mod engine;

use std::time::Duration;

use engine::Health;
use ops_guest::{Ctx, Failure, Undo, capability};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How often the engine is asked whether the container is there again.
const EVERY: Duration = Duration::from_secs(2);

/// Which container.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Its name, as `docker ps` shows it.
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[a-zA-Z0-9][a-zA-Z0-9_.-]*$"))]
    container: String,
    /// Restarts it though it runs and is healthy.
    #[serde(default)]
    even_if_healthy: bool,
    /// How many seconds it is given to stop before it is killed.
    #[serde(default = "ten")]
    #[schemars(range(min = 0, max = 120))]
    stop_seconds: u32,
    /// How many seconds it is given to run and be healthy again.
    #[serde(default = "two_minutes")]
    #[schemars(range(min = 1, max = 1800))]
    wait_seconds: u32,
}

fn ten() -> u32 {
    10
}

fn two_minutes() -> u32 {
    120
}

/// What was done.
#[derive(Serialize, JsonSchema)]
pub struct Output {
    container: String,
    state: State,
    /// Whether its own health check is content; none where the container has no such check, or it was not looked at.
    healthy: Option<bool>,
    /// What happened, in words.
    why: String,
}

/// What became of the container.
#[derive(Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum State {
    /// Nothing was done: it runs and is healthy.
    LeftAlone,
    /// It is to be restarted, once somebody has approved that.
    Planned,
    /// It was restarted, and runs.
    Restarted,
}

#[capability(
    name = "infra.container.restart",
    summary = "Restarts a container through the Docker Engine API, and waits until it is healthy.",
    safety = "mutating",
    needs(service("docker", optional,
        rule(GET "/v1.44/containers/json", read, query("filters")),
        rule(POST "/v1.44/containers/{container}/restart", mutate, query("t"))))
)]
fn restart(ctx: &Ctx, input: Input) -> Result<Output, Failure> {
    let Input { container, even_if_healthy, stop_seconds, wait_seconds } = input;
    engine::check_name(&container)?;
    // Where no engine is bound, a dry run shows what would be asked of it.
    if !even_if_healthy && ctx.is_bound(engine::SERVICE) && engine::runs(ctx, &container, Health::Healthy)? {
        let why = "it runs and its health check is content; --even-if-healthy restarts it all the same";
        return Ok(Output { container, state: State::LeftAlone, healthy: Some(true), why: why.to_owned() });
    }
    let effect = ctx
        .effect(format!("restart the container {container}"), engine::restart(&container, stop_seconds))
        .undo(Undo::impossible(
            "what was interrupted is not taken up again; the container itself starts as it was",
        ));
    let healthy = effect.perform()?.then(|_| {
        let within = Duration::from_secs(u64::from(wait_seconds));
        ctx.poll(&format!("{container} to run and be healthy"), EVERY, within, || {
            Ok(if engine::runs(ctx, &container, Health::Healthy)? {
                Some(Some(true))
            } else if engine::runs(ctx, &container, Health::None)? {
                Some(None)
            } else {
                None
            })
        })
    })?;
    let (state, why) = match healthy {
        None => (State::Planned, "it is restarted once somebody has approved that"),
        Some(Some(_)) => (State::Restarted, "it was restarted, runs, and its health check is content"),
        Some(None) => (State::Restarted, "it was restarted and runs; it has no health check of its own"),
    };
    Ok(Output { container, state, healthy: healthy.flatten(), why: why.to_owned() })
}
