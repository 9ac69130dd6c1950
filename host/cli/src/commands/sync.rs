//! `ops sync`: the files that are generated from bindings and components.

use ops_runner::runner::Runner;
use serde_json::json;

use super::{Outcome, print, print_json};
use crate::args::Sync;
use crate::say;

/// Exit 1 where `--check` finds a difference.
pub(crate) fn run(runner: &Runner, args: &Sync) -> Outcome {
    if args.check { check(runner, args.json.json) } else { write(runner, args.json.json) }
}

fn check(runner: &Runner, json: bool) -> Outcome {
    let compared = runner.sync_check();
    if json {
        print_json(&serde_json::to_value(&compared).map_err(|error| error.to_string())?)?;
    } else {
        for difference in &compared.differences {
            print(difference.text())?;
        }
        match compared.differences.len() {
            0 => say::note(format!("{} generated files are in sync", compared.files.len())),
            1 => say::note("1 difference"),
            several => say::note(format!("{several} differences")),
        }
    }
    Ok(u8::from(!compared.differences.is_empty()))
}

fn write(runner: &Runner, json: bool) -> Outcome {
    let changed = runner.sync_write()?;
    if json {
        return print_json(&json!({"changed": changed}));
    }
    for change in &changed {
        print(change)?;
    }
    say::note(if changed.is_empty() {
        "nothing changes; every generated file is as it would be written"
    } else {
        "next: read the difference, then `ops pin --key KEY`: the lock covers what lies in bindings/"
    });
    Ok(0)
}
