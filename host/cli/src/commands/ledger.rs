//! `ops ledger`: sign, check and rebuild the log.

use std::path::Path;

use ops_runner::ledger::LedgerReport;
use ops_runner::runner::Runner;
use serde_json::json;

use super::{Outcome, open, print, print_json};
use crate::args::Ledger;
use crate::say;

pub(crate) fn run(workspace: Option<&Path>, command: Ledger) -> Outcome {
    let runner = open(workspace)?;
    match command {
        Ledger::Checkpoint(json) => checkpoint(&runner, json.json),
        Ledger::Key(json) => key(&runner, json.json),
        Ledger::Verify { since, json } => verify(&runner, since.as_deref(), json.json),
        Ledger::Rebuild(json) => rebuild(&runner, json.json),
    }
}

fn checkpoint(runner: &Runner, json: bool) -> Outcome {
    let published = match runner.checkpoint() {
        Ok(published) => published,
        Err(message) => return refused(&message),
    };
    let entries = count(published.size, "entry", "entries");
    let files = count(published.files, "file", "files");
    say::note(format!("signed {entries}; wrote {files} into {}", published.folder.display()));
    say::note("keep what follows elsewhere: in git, in a mail, with a witness");
    if json {
        return print_json(&json!({
            "note": published.note,
            "size": published.size,
            "folder": published.folder.display().to_string(),
            "files": published.files,
        }));
    }
    print(published.note.trim_end())
}

fn key(runner: &Runner, json: bool) -> Outcome {
    match runner.log_verifier_key() {
        Ok(key) => {
            say::note(
                "whoever checks this log's checkpoints needs this key; hand it on by a way that you trust",
            );
            if json { print_json(&json!({"key": key})) } else { print(key) }
        }
        Err(message) => refused(&message),
    }
}

fn verify(runner: &Runner, since: Option<&Path>, json: bool) -> Outcome {
    let report = runner.check_ledger(since)?;
    if json {
        print_json(&serde_json::to_value(&report).map_err(|error| error.to_string())?)?;
    } else {
        tell(&report);
    }
    Ok(u8::from(!report.good))
}

fn tell(report: &LedgerReport) {
    for finding in &report.findings {
        say::error(finding);
    }
    let what = [
        count(report.entries, "entry", "entries"),
        count(report.checkpoints, "checkpoint", "checkpoints"),
        count(report.tiles, "tile", "tiles"),
    ];
    say::note(format!("checked {}", what.join(", ")));
    if let Some(root) = &report.root {
        say::note(format!("root    {root}"));
    }
    match report.since {
        Some(size) if report.good => say::note(format!("it goes on from the checkpoint of {size}")),
        Some(_) => {}
        None => say::dim("without --since, an end that was cut off cannot be seen: see docs/verify.md"),
    }
    if report.good {
        say::note("the ledger is good");
    } else {
        say::note(format!("{} found", count(count_of(&report.findings), "fault", "faults")));
    }
}

fn rebuild(runner: &Runner, json: bool) -> Outcome {
    match runner.rebuild_ledger() {
        Ok(rebuilt) => {
            say::note(format!(
                "made again: {}, {}, {}",
                count(rebuilt.hashes, "hash of the tree", "hashes of the tree"),
                count(rebuilt.files, "file of the log", "files of the log"),
                count(rebuilt.receipts, "receipt's folder", "receipts' folders")
            ));
            if !json {
                return Ok(0);
            }
            print_json(&json!({
                "hashes": rebuilt.hashes,
                "files": rebuilt.files,
                "receipts": rebuilt.receipts,
            }))
        }
        Err(message) => refused(&message),
    }
}

/// The words were right, and it could not be done: exit 1.
fn refused(message: &str) -> Outcome {
    say::error(message);
    Ok(1)
}

fn count_of<T>(items: &[T]) -> u64 {
    u64::try_from(items.len()).unwrap_or(u64::MAX)
}

fn count(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}
