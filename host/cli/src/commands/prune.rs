//! `ops receipts prune`: erase bodies and salts of old runs.

use std::time::Duration;

use ops_runner::runner::Runner;
use serde_json::json;

use super::{Outcome, print, print_json};
use crate::say;

pub(crate) fn run(runner: &Runner, older_than: Option<Duration>, dry_run: bool, json: bool) -> Outcome {
    let pruned = match runner.prune(older_than, dry_run) {
        Ok(pruned) => pruned,
        Err(ending) => {
            say::ending(&ending);
            return Ok(ending.exit);
        }
    };
    if json {
        return print_json(&json!({"dry_run": dry_run, "pruned": pruned}));
    }
    for run in &pruned.runs {
        print(run)?;
    }
    for run in &pruned.orphans {
        print(format!("{run}  (no receipt)"))?;
    }
    let did = if dry_run { "would erase" } else { "erased" };
    say::note(format!(
        "{did} {} bytes of {} runs, {} folders without a receipt, {} documents of plans; {} bytes are left",
        pruned.bytes,
        pruned.runs.len(),
        pruned.orphans.len(),
        pruned.plans,
        pruned.left
    ));
    Ok(0)
}
