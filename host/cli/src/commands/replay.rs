//! `ops receipts replay`: one run, or all of them.

use ops_runner::replay::Replayed;
use ops_runner::runner::Runner;
use serde_json::json;

use super::{Outcome, print, print_json};
use crate::say;

/// What is there is not what the receipt vouches for.
const DAMAGED: &str = "damaged";

pub(crate) fn one(runner: &Runner, key: &str, json: bool) -> Outcome {
    let replayed = match runner.replay(key) {
        Ok(replayed) => replayed,
        Err(ending) => {
            say::ending(&ending);
            return Ok(ending.exit);
        }
    };
    if json {
        print_json(&json!(replayed))?;
    } else {
        for phase in &replayed.phases {
            print(phase.text())?;
        }
    }
    match (&replayed.not_replayed, replayed.same) {
        (Some(not), _) => {
            say::error(format!("{} cannot be replayed: {}", replayed.run, not.why));
            Ok(4)
        }
        (None, Some(true)) => {
            say::note(format!("{} does the same again", replayed.run));
            Ok(0)
        }
        (None, _) => {
            say::error(format!("{} does not do the same again", replayed.run));
            Ok(1)
        }
    }
}

pub(crate) fn all(runner: &Runner, quiet: bool, json: bool) -> Outcome {
    let mut all = Vec::new();
    for key in runner.replayable().map_err(|ending| ending.message)? {
        let replayed = runner.replay(&key).map_err(|ending| ending.message)?;
        let told = !quiet || !is_fine(&replayed);
        if told && !json {
            print(line(&replayed))?;
        }
        all.push(replayed);
    }
    let count = |same| all.iter().filter(|replayed| replayed.same == same).count();
    if json {
        print_json(&json!({"runs": all}))?;
    }
    say::note(format!(
        "{} runs did the same again, {} did not, {} could not be replayed",
        count(Some(true)),
        count(Some(false)),
        count(None)
    ));
    let damaged = |replayed: &Replayed| replayed.not_replayed.as_ref().is_some_and(|not| not.code == DAMAGED);
    Ok(match count(Some(false)) {
        0 if all.iter().any(damaged) => 4,
        0 => 0,
        _ => 1,
    })
}

fn is_fine(replayed: &Replayed) -> bool {
    replayed.same == Some(true) || replayed.not_replayed.as_ref().is_some_and(|not| not.code != DAMAGED)
}

fn line(replayed: &Replayed) -> String {
    let run = &replayed.run;
    if let Some(not) = &replayed.not_replayed {
        return format!("not replayed  {run}  {}: {}", not.code, not.why);
    }
    let phases: Vec<_> = replayed.phases.iter().map(ops_runner::replay::Phase::text).collect();
    let word = if replayed.same == Some(true) { "same" } else { "DIFFERENT" };
    format!("{word:<12}  {run}  {}", phases.join("; "))
}
