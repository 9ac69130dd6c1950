//! Which actions answer a failure, and where it says which system failed.

use std::collections::BTreeMap;

use infra_common::recovery::{Action, Actions, FailureClass};
use infra_common::smoke::{Smoke, SystemResult};
use infra_common::system::System;
use jiff::Timestamp;
use ops_guest::{Ctx, Failure, records};

/// How many runs are looked at for what was seen of each system.
const RUNS: u32 = 10;

/// An action, and the run that says that its system failed, where that was looked for.
pub(crate) struct Candidate<'a> {
    pub(crate) action: &'a Action,
    pub(crate) observed_in: Option<String>,
}

/// The actions that answer a failure, or why there is none. Observations from before `since` say nothing any more.
pub(crate) fn choose<'a>(
    ctx: &Ctx,
    actions: &'a Actions,
    (gate, class): (&str, FailureClass),
    system: Option<System>,
    since: Timestamp,
) -> Result<Result<Vec<Candidate<'a>>, String>, Failure> {
    let known = actions.for_failure(gate, class);
    let class = class.as_str();
    let alone = |action| Ok(Ok(vec![Candidate { action, observed_in: None }]));
    // By the contract's own rules, an action that is for no single system has no others beside it.
    match (known.as_slice(), system) {
        ([], _) => Ok(Err(format!("no action answers {gate} with {class}"))),
        ([action], None) if action.trigger.system.is_none() => alone(*action),
        ([action], Some(system)) if action.trigger.system.is_none() => Err(Failure::invalid(format!(
            "the action for {gate} with {class}, {}, is for no single system; leave out --system {system}",
            action.id
        ))),
        (known, Some(system)) => match for_system(known, system) {
            Some(action) => alone(action),
            None => Ok(Err(format!("no action answers {gate} with {class} for {system}"))),
        },
        (known, None) => by_observation(ctx, &actions.observed_by, known, since),
    }
}

/// The actions for the systems that failed when they were last looked at.
fn by_observation<'a>(
    ctx: &Ctx,
    observed_by: &str,
    known: &[&'a Action],
    since: Timestamp,
) -> Result<Result<Vec<Candidate<'a>>, String>, Failure> {
    let seen = newest(ctx, observed_by, since)?;
    if seen.is_empty() {
        return Ok(Err(format!(
            "no recent run of {observed_by} says which system failed; run it, or give --system"
        )));
    }
    let failed: Vec<_> = seen.into_iter().filter(|(_, (result, _))| *result == SystemResult::Fail).collect();
    if failed.is_empty() {
        return Ok(Err(format!("{observed_by} saw no system fail; run it again, or give --system")));
    }
    let names: Vec<_> = failed.iter().map(|(system, _)| system.as_str()).collect();
    let none = format!("no action is for {}, which failed", names.join(", "));
    let candidates: Vec<_> = failed
        .into_iter()
        .filter_map(|(system, (_, run))| {
            Some(Candidate { action: for_system(known, system)?, observed_in: Some(run) })
        })
        .collect();
    Ok(if candidates.is_empty() { Err(none) } else { Ok(candidates) })
}

fn for_system<'a>(known: &[&'a Action], system: System) -> Option<&'a Action> {
    known.iter().copied().find(|action| action.trigger.system == Some(system))
}

/// What was last seen of each system, and in which run: a run may have asked for one of them alone.
fn newest(
    ctx: &Ctx,
    capability: &str,
    since: Timestamp,
) -> Result<BTreeMap<System, (SystemResult, String)>, Failure> {
    let mut seen = BTreeMap::new();
    for run in records::runs(ctx, Some(capability), RUNS)? {
        if seen.len() == System::ALL.len() || run.at.parse::<Timestamp>().is_ok_and(|at| at < since) {
            break;
        }
        // A run that was denied has no output.
        let Some(output) = records::output(ctx, &run.run)? else { continue };
        let report: Smoke = serde_json::from_value(output).map_err(|error| {
            Failure::failed(format!(
                "the output of {} does not say which systems failed: {error}; give --system",
                run.run
            ))
        })?;
        for report in report.systems {
            seen.entry(report.system).or_insert_with(|| (report.result, run.run.clone()));
        }
    }
    Ok(seen)
}
