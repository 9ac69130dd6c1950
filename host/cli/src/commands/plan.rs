//! `ops plan`: look at, approve, reject and carry out plans.

use std::fs;
use std::path::{Path, PathBuf};

use ops_policy::plan::{NAMESPACE, Plan as Document};
use ops_runner::approvals::{Refused, Signed, Taken};
use ops_runner::ending::{Ending, Status};
use ops_runner::plans::Row;
use ops_runner::run::What;
use ops_runner::runner::Runner;
use ops_runner::show::plan_text;
use serde_json::json;

use super::cap::{actor, drive, finish, listen};
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
            let sign = signer(key, signature)?;
            let taken = runner.approve(&id, &sign, &actor());
            // Where it is carried out too, that run's envelope is what is printed.
            let code = approved(&id, taken, json.json, json.json && !apply)?;
            if code == 0 && apply { carry_out(&runner, id, json.json, trace_checks) } else { Ok(code) }
        }
        Plan::Reject { id, json } => reject(&open(workspace)?, &id, json.json),
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
    let until = plan.approved_until(&text).map(output::minute).unwrap_or_default();
    for (name, text) in [("plan.json", document), ("plan.txt", text)] {
        let path = to.join(name);
        fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
        say::note(format!("wrote {}", path.display()));
    }
    say::note(format!(
        "on another machine:\n  ops plan show --file plan.json\n  ssh-keygen -Y sign -n {NAMESPACE} -f KEY plan.txt\n\
         and back here, before {until}, with plan.txt beside it:\n  \
         ops plan approve {} --signature plan.txt.sig --apply",
        plan.id
    ));
    Ok(0)
}

/// Makes a plan's signature, or brings it.
type Signer = Box<dyn Fn(&Document, String) -> Result<Signed, String>>;

/// How a plan's text comes to be signed: here, or where the approver's key is.
fn signer(key: Option<PathBuf>, signature: Option<PathBuf>) -> Result<Signer, String> {
    match (key, signature) {
        (Some(key), _) => Ok(Box::new(move |_, text| {
            let signature = signing::sign_with(&key, NAMESPACE, text.as_bytes())?;
            Ok(Signed { text, signature })
        })),
        (None, Some(file)) => Ok(Box::new(move |_, _| read_signed(&file))),
        (None, None) => {
            Err("an approval is signed: give --key KEY to sign here, or --signature plan.txt.sig for one \
                             that was made elsewhere (`ops plan export` writes plan.txt)"
                .to_owned())
        }
    }
}

/// Shows what came of an approval. A refusal is printed whatever comes after.
fn approved(id: &str, taken: Result<Taken, Refused>, json: bool, is_last: bool) -> Outcome {
    match taken {
        Ok(Taken { plan, principal, fingerprint, state }) => {
            say::note(format!("plan {plan} approved by {principal} with {fingerprint} ({state})"));
            if is_last {
                print_json(
                    &json!({"plan": plan, "principal": principal, "fingerprint": fingerprint, "state": state}),
                )?;
            }
            Ok(0)
        }
        Err(refused) => {
            if json {
                print_refused(id, &refused)?;
            }
            Ok(show_refused(&refused))
        }
    }
}

/// A signature that was made elsewhere, with the text beside it that was signed: the same name without `.sig`.
fn read_signed(file: &Path) -> Result<Signed, String> {
    let signature = read_text(file)?;
    let text = match file.extension() {
        Some(extension) if extension == "sig" => {
            let signed = file.with_extension("");
            read_text(&signed).map_err(|why| {
                format!(
                    "{why}\n  the text that was signed must lie beside its signature, as {}",
                    signed.display()
                )
            })?
        }
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

fn reject(runner: &Runner, id: &str, json: bool) -> Outcome {
    match runner.reject(id, &actor()) {
        Ok(id) => {
            say::note(format!("plan {id} is rejected; it can never be carried out"));
            if json { print_json(&json!({"plan": id, "state": "rejected"})) } else { Ok(0) }
        }
        Err(refused) => {
            if json {
                print_refused(id, &refused)?;
            }
            Ok(show_refused(&refused))
        }
    }
}

/// A refused approval or rejection, for programs.
fn print_refused(id: &str, refused: &Refused) -> Outcome {
    let Ending { status, code, message, .. } = &refused.ending;
    let status = status.map_or("usage", Status::as_str);
    let receipt = refused.receipt.as_ref().map(|folder| folder.display().to_string());
    let error = json!({"code": code, "message": message});
    print_json(&json!({"plan": id, "status": status, "receipt": receipt, "error": error}))
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
    let report = drive(runner, listen(), What::Apply { plan }, &shown)?;
    finish(runner, &report, json)
}
