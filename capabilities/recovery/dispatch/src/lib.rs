//! Chooses what is started when a gate fails.
//!
//! Which action answers which failure is in the contract of recovery actions. Where a gate's actions are for single
//! systems and none is given, the newest runs of the capability that the contract calls `observed_by` say which systems
//! failed. Then the attempts so far are counted: the earlier dispatches, dry runs left out, that chose to start the same.
//! Two at once would not see each other, so the binding holds a lock. An attempt is given its cooldown before the next one, and after the last one somebody is called.
//!
//! It starts nothing itself and changes nothing. What it chose stands in its output under `start`; the host starts that as
//! an ordinary run, with a plan and an approval where the capability changes something, if the binding lists it.

mod attempts;
mod choice;

use attempts::{Attempts, Due, Earlier, seconds};
use choice::Candidate;
use infra_common::recovery::{Actions, FailureClass, is_gate};
use infra_common::system::System;
use jiff::Timestamp;
use ops_guest::{Ctx, Failure, capability};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What failed.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The gate that failed, for example D320.
    #[serde(default)]
    #[schemars(regex(pattern = "^D[1-9][0-9]{0,3}$"))]
    gate: Option<String>,
    /// Another name for `gate`.
    #[serde(default)]
    #[schemars(regex(pattern = "^D[1-9][0-9]{0,3}$"))]
    gate_id: Option<String>,
    /// How it failed.
    failure_class: FailureClass,
    /// The system that failed; where it is not given, the newest observation says which.
    #[serde(default)]
    system: Option<System>,
}

/// What is done.
#[derive(Serialize, JsonSchema)]
pub struct Output {
    gate: String,
    failure_class: FailureClass,
    /// The system that failed, where the action is for one.
    system: Option<System>,
    /// The run that says so.
    observed_in: Option<String>,
    /// The action of the contract.
    action: Option<String>,
    /// `escalate` means that a person has to look.
    #[schemars(extend("x-ops-fails-on" = ["escalate"]))]
    result: Decision,
    why: String,
    /// How often it was chosen to be started within its window, approved or not. What was denied does not count.
    attempts: u64,
    /// How often it may be.
    max_attempts: Option<u32>,
    /// In a cooldown: when it is over.
    retry_at: Option<String>,
    /// The role to call, where a person has to look.
    escalate_to: Option<String>,
    /// What the host starts, as a run of its own.
    #[schemars(extend("x-ops-starts" = true))]
    start: Option<Start>,
}

/// What is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Decision {
    /// The action is started.
    Dispatch,
    /// It was started a while ago and is given time to help.
    Cooldown,
    /// It was started often enough. Somebody has to look.
    Escalate,
    /// No action answers this failure.
    NoAction,
}

/// A capability to start.
#[derive(Serialize, JsonSchema)]
struct Start {
    capability: String,
    arguments: Map<String, Value>,
}

#[capability(
    name = "recovery.dispatch",
    summary = "Chooses what is started when a gate fails. Without --dry-run the host then starts it.",
    safety = "read-only",
    needs(
        contract("recovery.actions.yaml"),
        service("ops",
            rule(GET "/runs", read, query("capability", "last")),
            rule(GET "/runs/{run}/output", read)),
    )
)]
fn dispatch(ctx: &Ctx, input: Input) -> Result<Output, Failure> {
    let gate = gate(input.gate, input.gate_id)?;
    let actions = Actions::of(ctx)?;
    let now = now(ctx)?;
    let recent = now - seconds(actions.defaults.window_seconds);
    let found = choice::choose(ctx, &actions, (&gate, input.failure_class), input.system, recent)?;
    let mut output = Output {
        gate,
        failure_class: input.failure_class,
        system: input.system,
        observed_in: None,
        action: None,
        result: Decision::NoAction,
        why: String::new(),
        attempts: 0,
        max_attempts: None,
        retry_at: None,
        escalate_to: None,
        start: None,
    };
    match found {
        Err(why) => output.why = why,
        Ok(candidates) => {
            let paces = candidates.iter().map(|candidate| actions.pace(candidate.action).window_seconds);
            let window = paces.max().unwrap_or_default();
            let earlier = Earlier::since(ctx, now - seconds(window))?;
            let mut best: Option<(Due, Candidate<'_>, Attempts)> = None;
            for candidate in candidates {
                let pace = actions.pace(candidate.action);
                let since = now - seconds(pace.window_seconds);
                let attempts = Attempts::count(ctx, &earlier, candidate.action, since)?;
                let due = attempts.due(pace, now);
                if best.as_ref().is_none_or(|(known, ..)| due > *known) {
                    best = Some((due, candidate, attempts));
                }
            }
            if let Some((due, candidate, attempts)) = best {
                output.decide(&actions, due, candidate, &attempts);
            }
        }
    }
    Ok(output)
}

impl Output {
    fn decide(&mut self, actions: &Actions, due: Due, candidate: Candidate<'_>, attempts: &Attempts) {
        let Candidate { action, observed_in } = candidate;
        self.system = action.trigger.system;
        self.observed_in = observed_in;
        self.action = Some(action.id.clone());
        self.attempts = attempts.count;
        self.max_attempts = Some(actions.pace(action).max_attempts);
        match due {
            Due::Now => {
                self.result = Decision::Dispatch;
                self.why = format!("{} answers this failure", action.id);
                self.start = Some(Start {
                    capability: action.start.capability.clone(),
                    arguments: action.start.arguments.clone().into_iter().collect(),
                });
            }
            Due::Spent => {
                self.result = Decision::Escalate;
                self.why = format!("{} was started {} times, and it still fails", action.id, attempts.count);
                self.escalate_to = Some(actions.escalate_to.clone());
            }
            Due::Resting(until) => {
                self.result = Decision::Cooldown;
                self.why = format!("{} was started a while ago, and is given time to help", action.id);
                // Whole seconds, and not one too early.
                self.retry_at = Timestamp::from_second(until.as_second() + 1).ok().map(|at| at.to_string());
            }
        }
    }
}

/// The gate, under either of its names.
fn gate(gate: Option<String>, gate_id: Option<String>) -> Result<String, Failure> {
    let gate = match (gate, gate_id) {
        (Some(gate), None) | (None, Some(gate)) => gate,
        (Some(one), Some(other)) if one == other => one,
        (Some(one), Some(other)) => {
            return Err(Failure::invalid(format!("--gate says {one} and --gate-id says {other}; give one")));
        }
        (None, None) => return Err(Failure::invalid("give the gate that failed: --gate D320")),
    };
    match is_gate(&gate) {
        true => Ok(gate),
        false => Err(Failure::invalid(format!("{gate:?} is no gate's id; one looks like D320"))),
    }
}

fn now(ctx: &Ctx) -> Result<Timestamp, Failure> {
    Timestamp::try_from(ctx.now())
        .map_err(|error| Failure::failed(format!("the clock cannot be read: {error}")))
}
