//! `ops runs`: what ran, what nobody knows the outcome of, and taking things back.

use std::fs;
use std::path::Path;

use ops_runner::resolution::{NAMESPACE, Word};
use ops_runner::run::What;
use ops_runner::runner::Runner;
use ops_runner::runs::Row;
use serde_json::json;

use super::cap::{actor, drive, finish, listen};
use super::{Outcome, open, print, print_json};
use crate::args::{Outcome as Said, Runs};
use crate::progress::Trace;
use crate::{output, say, signing};

/// The longest file that is read here, in bytes.
const MAX_FILE: u64 = 1024 * 1024;

pub(crate) fn run(workspace: Option<&Path>, command: Runs) -> Outcome {
    match command {
        Runs::List { unknown, top, json } => list(&open(workspace)?, unknown, top, json.json),
        Runs::Show { key, json } => show(&open(workspace)?, &key, json.json),
        Runs::Resolve { run, effect, outcome, give_up, answer, key, signature, json } => {
            let word = word(effect, outcome, give_up, answer.as_deref())?;
            let sign = Signer { key: key.as_deref(), signature: signature.as_deref() };
            resolve(&open(workspace)?, &run, &word, &sign, json.json)
        }
        Runs::Undo { run, json } => {
            let runner = open(workspace)?;
            let report = drive(&runner, listen(), What::Undo { run }, &Trace::default())?;
            finish(&runner, &report, json.json)
        }
    }
}

fn list(runner: &Runner, unknown: bool, top: u32, json: bool) -> Outcome {
    let rows = runner.runs(unknown, top).map_err(|ending| ending.message)?;
    if json {
        return print_json(&json!({"runs": rows}));
    }
    if rows.is_empty() {
        say::note(if unknown { "of every run it is known what became" } else { "nothing has run here" });
        return Ok(0);
    }
    print(output::render(table(&rows)))
}

fn table(rows: &[Row]) -> comfy_table::Table {
    let mut table = output::table(&["run", "capability", "status", "effects", "when"]);
    for row in rows {
        let effects = match (row.performed, row.in_doubt.first()) {
            (0, None) => String::new(),
            (performed, None) => performed.to_string(),
            (performed, Some(number)) => format!("{performed}, {number} in doubt"),
        };
        // The last part of a key is enough to name a run, and leaves room.
        let short = row.key.rsplit("__").next().unwrap_or(&row.key).to_owned();
        table.add_row([short, row.capability.clone(), row.status.clone(), effects, output::minute(&row.at)]);
    }
    table
}

fn show(runner: &Runner, key: &str, json: bool) -> Outcome {
    let shown = match runner.show_run(key) {
        Ok(shown) => shown,
        Err(ending) => {
            say::ending(&ending);
            return Ok(ending.exit);
        }
    };
    if json {
        return print_json(&serde_json::to_value(&shown).map_err(|error| error.to_string())?);
    }
    print(format!("run         {}", shown.row.key))?;
    print(format!("capability  {}", shown.row.capability))?;
    print(format!("status      {}", shown.row.status))?;
    print(format!("when        {}", output::minute(&shown.row.at)))?;
    for (name, value) in [
        ("plan        ", &shown.plan),
        ("continues   ", &shown.row.continues),
        ("settled by  ", &shown.row.settled_by),
        ("taken back  ", &shown.taken_back_by),
    ] {
        if let Some(value) = value {
            print(format!("{name}{value}"))?;
        }
    }
    if !shown.effects.is_empty() {
        let mut table = output::table(&["effect", "state", "what"]);
        for effect in &shown.effects {
            let what = ops_policy::visible::visible(&effect.summary);
            table.add_row([effect.number.to_string(), effect.state.to_owned(), what]);
        }
        print(output::render(table))?;
    }
    for next in &shown.next {
        say::note(format!("  {next}"));
    }
    Ok(0)
}

/// Where a signature comes from.
struct Signer<'a> {
    key: Option<&'a Path>,
    signature: Option<&'a Path>,
}

fn word(
    effect: Option<u64>,
    outcome: Option<Said>,
    give_up: bool,
    answer: Option<&Path>,
) -> Result<Word, String> {
    match (effect, outcome, answer) {
        (None, None, None) if give_up => Ok(Word::GiveUp),
        (Some(effect), Some(Said::Performed), None) => Ok(Word::Performed(effect)),
        (Some(effect), Some(Said::Performed), Some(file)) => Ok(Word::Answered(effect, read(file)?)),
        (Some(effect), Some(Said::NotPerformed), None) => Ok(Word::NotPerformed(effect)),
        (_, Some(Said::NotPerformed), Some(_)) => {
            Err("an effect that did not happen has no answer; leave --answer out".into())
        }
        _ => {
            Err("say what became of it: --effect N performed, --effect N not-performed, or --give-up".into())
        }
    }
}

fn read(file: &Path) -> Result<Vec<u8>, String> {
    let fail = |why: &dyn std::fmt::Display| format!("{}: {why}", file.display());
    let about = fs::metadata(file).map_err(|error| fail(&error))?;
    if !about.is_file() || about.len() > MAX_FILE {
        return Err(fail(&"is no file of at most 1 MiB"));
    }
    fs::read(file).map_err(|error| fail(&error))
}

fn resolve(runner: &Runner, run: &str, word: &Word, signer: &Signer<'_>, json: bool) -> Outcome {
    let sign = |text: &str| match (signer.key, signer.signature) {
        (Some(key), _) => signing::sign_with(key, NAMESPACE, text.as_bytes()),
        (None, Some(file)) => {
            let bytes = read(file)?;
            String::from_utf8(bytes).map_err(|_| format!("{}: is no signature file", file.display()))
        }
        // What somebody elsewhere would have to sign.
        (None, None) => Err(format!(
            "give --key; or sign this text elsewhere with `ssh-keygen -Y sign -n {NAMESPACE}` and give --signature:\n{text}"
        )),
    };
    let resolved = runner.resolve(run, word, &sign, &actor());
    if json {
        print_json(&json!({
            "status": resolved.ending.status.map_or("usage", ops_runner::ending::Status::as_str),
            "run_key": resolved.key,
            "receipt": resolved.receipt.as_ref().map(|path| path.display().to_string()),
            "message": resolved.ending.message,
        }))?;
    }
    say::ending(&resolved.ending);
    if let Some(folder) = &resolved.receipt {
        say::dim(format!("receipt  {}", folder.join("receipt.md").display()));
    }
    Ok(resolved.ending.exit)
}
