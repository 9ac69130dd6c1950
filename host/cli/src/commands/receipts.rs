//! `ops receipts`: list, show, verify and prove receipts.

use std::fs;
use std::path::Path;

use ops_policy::visible;
use ops_runner::receipts::{Keys, Verified, verify_path};
use ops_runner::runner::Runner;
use serde_json::json;

use super::{Outcome, open, print, print_json, prune, replay};
use crate::args::Receipts;
use crate::say;

/// What is left of a line for a run key, in letters.
const KEY_ROOM: usize = 80 - 12;
/// Receipts that `--all` checks at most in one go.
const ALL: u32 = 1_000_000;

pub(crate) fn run(workspace: Option<&Path>, command: Receipts) -> Outcome {
    match command {
        Receipts::List { top, json } => list(&open(workspace)?, top, json.json),
        Receipts::Show { key, json } => show(&open(workspace)?, &key, json.json),
        Receipts::Key(json) => key(&open(workspace)?, json.json),
        Receipts::Verify { what, all, host_key, log_key, json } => {
            let keys = Keys { host: read_key(host_key.as_deref())?, log: read_key(log_key.as_deref())? };
            verify(workspace, what, all, &keys, json.json)
        }
        Receipts::Prove { key, to, json } => prove(&open(workspace)?, &key, to.as_deref(), json.json),
        Receipts::Replay { key: Some(key), json, .. } => replay::one(&open(workspace)?, &key, json.json),
        Receipts::Replay { key: None, quiet, json, .. } => replay::all(&open(workspace)?, quiet, json.json),
        Receipts::Export { key, fixture, keep } => export(&open(workspace)?, &key, &fixture, &keep),
        Receipts::Prune { older_than, dry_run, json } => {
            prune::run(&open(workspace)?, older_than, dry_run, json.json)
        }
    }
}

fn list(runner: &Runner, top: u32, json: bool) -> Outcome {
    let rows = runner.receipts(top).map_err(|ending| ending.message)?;
    if json {
        return print_json(&json!({"receipts": rows}));
    }
    if rows.is_empty() {
        say::note("there are no receipts");
        return Ok(0);
    }
    // A run key is too long for a table of 80 columns, so each has a line of its own. Where even that is too short, the last
    // part of the key is enough to name a run.
    for row in &rows {
        let mut shown = row.key.clone();
        if shown.len() > KEY_ROOM {
            let last = row.key.rsplit("__").next().unwrap_or_default();
            shown = visible::clip(&format!("{last}  {}", row.capability), KEY_ROOM);
        }
        print(format!("{:<11} {shown}", row.status))?;
    }
    Ok(0)
}

fn export(runner: &Runner, key: &str, folder: &Path, keep: &[String]) -> Outcome {
    let exported = match runner.export_fixture(key, folder, keep) {
        Ok(exported) => exported,
        Err(ending) => {
            say::ending(&ending);
            return Ok(ending.exit);
        }
    };
    print(exported.file.display())?;
    say::note(format!("read it before you give it away; it answers {} questions", exported.crossings));
    match exported.departed {
        None => Ok(0),
        Some(place) => {
            say::error(format!(
                "with its placeholders the capability takes another way than in the real run: {place}\n  \
                 it needs a text that was replaced; name the field with --keep and export again"
            ));
            Ok(1)
        }
    }
}

fn show(runner: &Runner, key: &str, json: bool) -> Outcome {
    match runner.receipt(key) {
        Ok((statement, _)) if json => {
            print_json(&serde_json::to_value(&statement).map_err(|error| error.to_string())?)
        }
        Ok((_, text)) => print(text),
        Err(ending) => {
            say::ending(&ending);
            Ok(ending.exit)
        }
    }
}

fn key(runner: &Runner, json: bool) -> Outcome {
    let pem = runner.public_pem();
    if json { print_json(&json!({"pem": pem})) } else { print(pem.trim_end()) }
}

/// The text of a key's file, where one was named.
fn read_key(file: Option<&Path>) -> Result<Option<String>, String> {
    let Some(file) = file else { return Ok(None) };
    let text = fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    Ok(Some(text))
}

/// The proof is JSON anyhow; `--json` says where it went, or holds it.
fn prove(runner: &Runner, key: &str, to: Option<&Path>, json: bool) -> Outcome {
    let (run, proof) = match runner.prove(key) {
        Ok(proven) => proven,
        Err(message) => {
            say::error(message);
            return Ok(1);
        }
    };
    let Some(file) = to else {
        if !json {
            return print(proof);
        }
        let proof: serde_json::Value = serde_json::from_str(&proof).map_err(|error| error.to_string())?;
        return print_json(&json!({"run": run, "file": null, "proof": proof}));
    };
    fs::write(file, proof + "\n").map_err(|error| format!("{}: {error}", file.display()))?;
    say::note(format!("wrote the proof of {run} to {}", file.display()));
    if json {
        print_json(&json!({"run": run, "file": file.display().to_string(), "proof": null}))
    } else {
        Ok(0)
    }
}

fn verify(workspace: Option<&Path>, mut what: Vec<String>, all: bool, keys: &Keys, json: bool) -> Outcome {
    // Somebody who was handed a receipt and its keys has no workspace.
    let alone = keys.host.is_some() && !all && what.iter().all(|what| Path::new(what).exists());
    let verified: Vec<Verified> = if alone {
        what.iter().map(|what| verify_path(Path::new(what), keys)).collect::<Result<_, _>>()?
    } else {
        let runner = open(workspace)?;
        if all {
            what.extend(
                runner.receipts(ALL).map_err(|ending| ending.message)?.into_iter().map(|row| row.key),
            );
        }
        runner.verify(&what, keys)?
    };
    let good = verified.iter().filter(|receipt| receipt.good).count();
    if json {
        print_json(&json!({"receipts": verified, "good": good == verified.len()}))?;
    } else {
        for receipt in &verified {
            let verdict = if receipt.good { "good" } else { "BAD" };
            print(format!("{verdict}  {}", receipt.what))?;
            for check in receipt.checks.iter().filter(|_| verified.len() == 1 || !receipt.good) {
                print(format!("      {check}"))?;
            }
        }
    }
    say::note(format!("{good} of {} receipts are good", verified.len()));
    Ok(u8::from(good < verified.len()))
}
