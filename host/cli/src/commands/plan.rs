//! `ops plan`: look at, approve, reject and carry out plans.

use std::fs;
use std::path::Path;

use ops_policy::plan::{NAMESPACE, Plan as Document};
use ops_runner::approvals::{Refused, Signed};
use ops_runner::plans::Row;
use ops_runner::run::What;
use ops_runner::runner::Runner;
use ops_runner::show::plan_text;
use serde_json::json;

use super::cap::{actor, drive, finish};
use super::{Outcome, open, print, print_json};
use crate::args::Plan;
use crate::progress::Trace;
use crate::{output, say, signing};

/// The longest signature file that is read, in bytes.
const MAX_SIGNATURE: u64 = 64 * 1024;

pub(crate) fn run(workspace: Option<&Path>, command: Plan) -> Outcome {
    match command {
        Plan::List(json) => list(&open(workspace)?, json.json),
        Plan::Show { file: Some(file), json, .. } => show_file(&file, json.json),
        Plan::Show { id, json, .. } => show(&open(workspace)?, &id.unwrap_or_default(), json.json),
        Plan::Export { id, to } => export(&open(workspace)?, &id, &to),
        Plan::Approve { id, key, signature, apply, trace_checks, json } => {
            let runner = open(workspace)?;
            let code = approve(&runner, &id, key.as_deref(), signature.as_deref())?;
            if code == 0 && apply { carry_out(&runner, id, json.json, trace_checks) } else { Ok(code) }
        }
        Plan::Reject { id } => reject(&open(workspace)?, &id),
        Plan::Apply { id, trace_checks, json } => carry_out(&open(workspace)?, id, json.json, trace_checks),
    }
}

fn list(runner: &Runner, json: bool) -> Outcome {
    let rows = runner.plans().map_err(|ending| ending.message)?;
    if json {
        return print_json(&json!({"plans": rows}));
    }
    if rows.is_empty() {
        say::note("there are no plans");
        return Ok(0);
    }
    print(output::render(table(&rows)))
}

/// Plans as a table.
pub(crate) fn table(rows: &[Row]) -> comfy_table::Table {
    let mut table = output::table(&["plan", "capability", "status", "good until"]);
    for row in rows {
        let status = match row.status.as_str() {
            "waiting" => format!("waiting, {} of {}", row.approvals, row.needed),
            status => status.to_owned(),
        };
        table.add_row([row.id.clone(), row.capability.clone(), status, output::minute(&row.expires)]);
    }
    table
}

fn show(runner: &Runner, id: &str, json: bool) -> Outcome {
    match runner.plan(id) {
        Ok(plan) if json => print_json(&document(&plan)?),
        Ok(plan) => {
            print(plan_text(&plan, runner.last_applied(&plan.capability, &plan.id).as_ref()).trim_end())
        }
        Err(ending) => {
            say::ending(&ending);
            Ok(ending.exit)
        }
    }
}

fn show_file(file: &Path, json: bool) -> Outcome {
    let bytes = fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let plan = Document::parse(&bytes).map_err(|error| format!("{}: {error}", file.display()))?;
    if json { print_json(&document(&plan)?) } else { print(plan_text(&plan, None).trim_end()) }
}

fn document(plan: &Document) -> Result<serde_json::Value, String> {
    let plan_json = serde_json::to_value(plan).map_err(|error| error.to_string())?;
    Ok(json!({"hash": plan.hash(), "plan": plan_json}))
}

fn export(runner: &Runner, id: &str, to: &Path) -> Outcome {
    let plan = match runner.plan(id) {
        Ok(plan) => plan,
        Err(ending) => {
            say::ending(&ending);
            return Ok(ending.exit);
        }
    };
    let document = serde_json::to_string_pretty(&plan).map_err(|error| error.to_string())?;
    let text = match runner.text_to_sign(&plan) {
        Ok(text) => text,
        Err(ending) => {
            say::ending(&ending);
            return Ok(ending.exit);
        }
    };
    for (name, text) in [("plan.json", document), ("plan.txt", text)] {
        let path = to.join(name);
        fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
        say::note(format!("wrote {}", path.display()));
    }
    say::note(format!(
        "on another machine:\n  ops plan show --file plan.json\n  ssh-keygen -Y sign -n {NAMESPACE} -f KEY plan.txt\n\
         and back here:\n  ops plan approve {} --signature plan.txt.sig --apply",
        plan.id
    ));
    Ok(0)
}

fn approve(runner: &Runner, id: &str, key: Option<&Path>, signature: Option<&Path>) -> Outcome {
    let sign = |_: &Document, text: String| match (key, signature) {
        (Some(key), _) => {
            let signature = signing::sign_with(key, NAMESPACE, text.as_bytes())?;
            Ok(Signed { text, signature })
        }
        (None, Some(file)) => read_signed(file),
        (None, None) => Err("give --key or --signature".to_owned()),
    };
    match runner.approve(id, &sign, &actor()) {
        Ok(taken) => {
            say::note(format!(
                "plan {} approved by {} with {} ({})",
                taken.plan, taken.principal, taken.fingerprint, taken.state
            ));
            Ok(0)
        }
        Err(refused) => Ok(show_refused(&refused)),
    }
}

/// A signature that was made elsewhere, with the text beside it that was signed: the same name without `.sig`.
fn read_signed(file: &Path) -> Result<Signed, String> {
    let signature = read_text(file)?;
    let text = match file.extension() {
        Some(extension) if extension == "sig" => read_text(&file.with_extension(""))?,
        _ => return Err(format!("{}: name it plan.txt.sig, with plan.txt beside it", file.display())),
    };
    Ok(Signed { text, signature })
}

fn read_text(file: &Path) -> Result<String, String> {
    let fail = |why: &dyn std::fmt::Display| format!("{}: {why}", file.display());
    let about = fs::metadata(file).map_err(|error| fail(&error))?;
    if !about.is_file() || about.len() > MAX_SIGNATURE {
        return Err(fail(&"is no signature or signed text"));
    }
    fs::read_to_string(file).map_err(|error| fail(&error))
}

fn reject(runner: &Runner, id: &str) -> Outcome {
    match runner.reject(id, &actor()) {
        Ok(id) => {
            say::note(format!("plan {id} is rejected; it can never be carried out"));
            Ok(0)
        }
        Err(refused) => Ok(show_refused(&refused)),
    }
}

fn show_refused(refused: &Refused) -> u8 {
    say::ending(&refused.ending);
    if let Some(folder) = &refused.receipt {
        say::dim(format!("receipt  {}", folder.join("receipt.md").display()));
    }
    refused.ending.exit
}

fn carry_out(runner: &Runner, plan: String, json: bool, trace: bool) -> Outcome {
    let shown = Trace::default();
    shown.set(trace);
    let report = drive(runner, What::Apply { plan }, &shown)?;
    finish(runner, &report, json)
}
